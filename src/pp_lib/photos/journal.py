"""The journal of a run of `prepare`: what was begun and what is done, so that a run can go on.

One JSON object a line. A line that a kill cut short is no line: its photograph is done again.
"""

import hashlib
import json
import os
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pp_lib.photos.files import write_atomically
from pp_lib.photos.job import Outcome

JOURNAL, LOCK = ".journal.jsonl", ".lock"


class Journal:
    """What an earlier run has done, and a place to note what this one does.

    Parameters
    ----------
    out : pathlib.Path
        The prepared folder.
    made_with : dict
        Everything that decides what a picture looks like. Work done with something else is void.

    Attributes
    ----------
    done : dict of str to Outcome
        By source.
    in_work : set of str
        Sources that were begun and not finished when an earlier run ended.
    void : set of str
        Sources that were done with another `made_with`.
    """

    def __init__(self, out: Path, made_with: dict):
        self.path, self.made_with = out / JOURNAL, made_with
        self.done: dict[str, Outcome] = {}
        self.in_work: set[str] = set()
        self.void: set[str] = set()
        if self.path.is_file():
            self._read()
        # written anew: short, and without a last line that was cut
        lines = [{"made_with": made_with}]
        lines += [{"done": asdict(outcome)} for outcome in self.done.values()]
        lines += [{"begun": source} for source in sorted(self.in_work)]
        write_atomically(self.path, "".join(json.dumps(line) + "\n" for line in lines).encode())
        self._stream = open(self.path, "a", encoding="ascii")  # noqa: SIM115  see close

    def _read(self) -> None:
        is_same = False
        for text in self.path.read_text("ascii", "replace").splitlines():
            try:
                line = json.loads(text)
                if "made_with" in line:
                    is_same = line["made_with"] == self.made_with
                elif "begun" in line:
                    self.in_work.add(line["begun"])
                else:
                    outcome = Outcome(**line["done"])
                    self.in_work.discard(outcome.source)
                    self.done[outcome.source] = outcome
            except (ValueError, TypeError, KeyError):
                continue  # cut short, or another version's: not done
        if not is_same:
            self.void, self.done = set(self.done), {}

    def begin(self, source: str) -> None:
        """Note that work on a photograph begins."""
        self._note({"begun": source})

    def finish(self, outcome: Outcome) -> None:
        """Note what came of it."""
        self._note({"done": asdict(outcome)})
        self.in_work.discard(outcome.source)
        self.done[outcome.source] = outcome

    def _note(self, line: dict) -> None:
        self._stream.write(json.dumps(line) + "\n")
        self._stream.flush()  # past a kill of this process

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


@contextmanager
def locked(folder: Path, *, wait: bool = False):
    """Hold a folder for this process; the system lets go of it even when the process is killed.

    Raises
    ------
    RuntimeError
        If another process holds it and `wait` is False.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no flock; there two runs at once are the user's to avoid
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / LOCK, "w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise RuntimeError(f"another process is preparing {folder}: wait for it") from error
        yield


def code_fingerprint(*packages: str) -> str:
    """Give a hash of our own source files in `packages`, so that old code's results are known.

    Parameters
    ----------
    *packages : str
        Paths below pp_lib: "camera" for a whole folder, "photos/bins.py" for one file.
    """
    root = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256()
    for package in packages:
        files = sorted((root / package).glob("*.py")) or [root / package]
        for file in files:
            digest.update(os.fsencode(file.relative_to(root).as_posix()))
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
