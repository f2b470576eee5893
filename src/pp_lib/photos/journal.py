"""The journal of a run of `prepare`: what was begun and what is done, so that a run can go on.

One JSON object a line. A line that a kill cut short is no line: its photograph is done again. What
is done stays on the disk, and only where it stands is kept in memory: photographs may be millions.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from pp_lib.photos.files import writing_atomically
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
    done : dict of str to int
        By source: where its line begins, in bytes; `outcome` reads it.
    in_work : set of str
        Sources that were begun and not finished when an earlier run ended.
    void : set of str
        Sources that were done with another `made_with`.
    raw_deleted : set of str
        Sources whose file was deleted on purpose once they were done: what came of them stays.

    Raises
    ------
    ValueError
        If `made_with` is another, and what would be void could not be made again.
    """

    def __init__(self, out: Path, made_with: dict):
        self.path, self.made_with = out / JOURNAL, made_with
        self.done: dict[str, int] = {}
        self.in_work: set[str] = set()
        self.void: set[str] = set()
        self.raw_deleted: set[str] = set()
        earlier = open(self.path, "rb") if self.path.is_file() else io.BytesIO()  # noqa: SIM115
        with earlier, writing_atomically(self.path) as stream:
            self._read(earlier)
            # written anew: short, and without a last line that was cut
            stream.write(_line({"made_with": made_with}))
            for source, at in self.done.items():
                earlier.seek(at)
                self.done[source] = stream.tell()
                stream.write(earlier.readline())
            for source in sorted(self.in_work):
                stream.write(_line({"begun": source}))
            for source in sorted(self.raw_deleted):
                stream.write(_line({"raw_deleted": source}))
        # without a buffer: what is noted is past a kill of this process, and what a full disk did
        # not take is not tried again by close
        self._stream = open(self.path, "ab", buffering=0)  # noqa: SIM115  see close
        self._reader = open(self.path, "rb")  # noqa: SIM115

    def _read(self, stream) -> None:
        is_same, at = False, 0
        for text in stream:
            try:
                line = json.loads(text)
                if "made_with" in line:
                    is_same = line["made_with"] == self.made_with
                elif "begun" in line:
                    self.in_work.add(line["begun"])
                elif "raw_deleted" in line:
                    self.raw_deleted.add(line["raw_deleted"])
                else:
                    source = Outcome(**line["done"]).source
                    self.in_work.discard(source)
                    self.done[source] = at
            except (ValueError, TypeError, KeyError):
                pass  # cut short, or another version's: not done
            at += len(text)
        if not is_same and self.raw_deleted:
            raise ValueError(
                f"{self.path.parent} holds {len(self.raw_deleted)} pictures made with another "
                "size, fit or version of this program, and their RAW files were deleted, so they "
                "cannot be made again: name another folder, and fetch the photographs again"
            )
        if not is_same:
            self.void, self.done = set(self.done), {}

    def begin(self, source: str) -> None:
        """Note that work on a photograph begins."""
        self._note({"begun": source})

    def finish(self, outcome: Outcome) -> None:
        """Note what came of it."""
        at = self._note({"done": asdict(outcome)})
        self.in_work.discard(outcome.source)
        self.done[outcome.source] = at

    def raw_goes(self, source: str) -> None:
        """Note that the file of a photograph that is done is about to be deleted."""
        self._note({"raw_deleted": source})
        os.fsync(self._stream.fileno())  # past a power failure: there is no second file
        self.raw_deleted.add(source)

    def outcome(self, source: str) -> Outcome | None:
        """Give what came of a photograph, or None where it is not done."""
        if source not in self.done:
            return None
        self._reader.seek(self.done[source])
        return Outcome(**json.loads(self._reader.readline())["done"])

    def outcomes(self, sources) -> Iterator[Outcome]:
        """Give what came of photographs that are done, one after another."""
        return (self.outcome(source) for source in sources)

    def _note(self, line: dict) -> int:
        at, left = self._stream.tell(), _line(line)
        while left:  # a nearly full disk may take a part
            left = left[self._stream.write(left) :]
        return at

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._reader.close()


def _line(values: dict) -> bytes:
    return json.dumps(values).encode("ascii") + b"\n"


def check_is_ours(out: Path, names) -> None:
    """Refuse a folder where something stands that we would write and that no journal accounts for.

    Raises
    ------
    FileExistsError
        If there are such files (or folders that are not empty) and no journal of an earlier run.
    """
    there = [name for name in names if _holds_something(out / name)]
    if there and not _is_journal(out / JOURNAL):
        raise FileExistsError(
            f"out must be an empty folder or one that prepare has written; {out} holds "
            f"{', '.join(there)} and no {JOURNAL}, so another program's work would be overwritten: "
            "name another folder, or move them away"
        )


def _holds_something(path: Path) -> bool:
    return any(path.iterdir()) if path.is_dir() else os.path.lexists(path)


def _is_journal(path: Path) -> bool:
    if not path.is_file():
        return False
    with open(path, "rb") as stream:
        return stream.readline().startswith(b'{"made_with": ')


@contextmanager
def locked(folder: Path, *, wait: bool = False, doing: str = "preparing"):
    """Hold a folder for this process; the system lets go of it even when the process is killed.

    Parameters
    ----------
    folder : pathlib.Path
    wait : bool
        Until no other process holds it.
    doing : str
        What a process that holds the folder does there, for the message.

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
            raise RuntimeError(f"another process is {doing} {folder}: wait for it") from error
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
