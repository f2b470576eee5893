"""Fetch photographs of MIT-Adobe FiveK: several at once, and any number of runs until all are."""

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from pp_lib.photos.fivek.courtesy import Courtesy, Patience
from pp_lib.photos.fivek.download import Download, open_client
from pp_lib.photos.fivek.fetched import (
    FAILED,
    FETCHED,
    FOLDER,
    FetchJournal,
    not_yet_accepted,
    note_accepted,
    read_lists,
)
from pp_lib.photos.fivek.fetching import PARTS, Fetching
from pp_lib.photos.fivek.lists import Entry, base_address, choose
from pp_lib.photos.journal import locked

CONNECTIONS = 4


class LicenceNotAcceptedError(RuntimeError):
    """The photographs' licence has not been accepted, so none was fetched."""


@dataclass(frozen=True)
class FetchReport:
    """What `fetch` did.

    Attributes
    ----------
    asked, whole, failed : int
        Photographs; asked = whole + failed.
    reused : int
        How many of those whole had come in an earlier run.
    table, failed_csv : pathlib.Path
    reasons : dict of str to int
        How many failed for which reason (`courtesy.FAILURES`).
    licences : dict of str to int
        How many of those asked for are under which licence.
    refused : list of str
        Lines of the lists that were left out, and why.
    """

    asked: int
    whole: int
    failed: int
    reused: int
    table: Path
    failed_csv: Path
    reasons: dict[str, int] = field(default_factory=dict)
    licences: dict[str, int] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"{self.asked} asked for = {self.whole} whole + {self.failed} failed"]
        lines += [f"  {n} failed: {reason}" for reason, n in self.reasons.items()]
        lines += [f"  {n} under {licence}" for licence, n in self.licences.items()]
        if self.reused:
            lines.append(f"  {self.reused} of them came in an earlier run")
        if self.refused:
            lines.append(
                f"  {len(self.refused)} lines of the lists left out, the first: {self.refused[0]}"
            )
        return "\n".join([*lines, f"  {self.failed_csv if self.failed else self.table}"])


def fetch(
    n: int,
    out,
    *,
    seed: int | None = None,
    accept_licence=False,
    base: str | None = None,
    connections: int = CONNECTIONS,
    patience: Patience | None = None,
    then=None,
    progress: bool = True,
) -> FetchReport:
    """Fetch DNGs of MIT-Adobe FiveK into a folder. Stop it at any moment, and run it again.

    Parameters
    ----------
    n : int
        How many photographs.
    out : path-like
        Gets <name>.dng, each whole or not at all, and the tables that `fetched` describes.
    seed : int, optional
        Take a random sample instead of the first. A larger n with the same seed adds to it.
    accept_licence : bool or callable
        Whether the licences are accepted. Or a function that is given each `Licence` and its
        words, once for a folder, and says so.
    base : str, optional
        The server; else the one that PHOTOPILOT_FIVEK names, else MIT's.
    connections : int
        How many files at once.
    patience : Patience, optional
        How long to go on with a server in trouble.
    then : stream.Arrivals, optional
        What is to be done with each file that is whole.
    progress : bool
        Show a bar, and at the end the report.

    Returns
    -------
    FetchReport

    Raises
    ------
    ValueError
        If an argument is none that can be, or the lists are none.
    LicenceNotAcceptedError
        If a licence is not accepted.
    OSError
        If the folder cannot be written in, or there is no room.
    RuntimeError
        If another process is fetching into the folder, or the server does not give the lists.
    """
    from tqdm.auto import tqdm

    out, base, patience = Path(out), base_address(base), patience or Patience()
    if connections < 1:
        raise ValueError(f"connections must be at least 1, got {connections}")
    say = tqdm.write if progress else _say_nothing
    with contextlib.ExitStack() as stack:
        stack.enter_context(_alone(out))
        client = stack.enter_context(open_client(connections, patience.timeout_s))
        download = Download(client, Courtesy(patience, say))
        entries, refused = read_lists(out, base, download)
        chosen = choose(entries, n, seed)
        _accept(out, base, chosen, accept_licence)
        journal = stack.enter_context(contextlib.closing(FetchJournal(out)))
        run = Fetching(out, base, download, journal, connections, then)
        if then is not None:
            stack.enter_context(then)
        failed = run.all(chosen, progress)
    report = FetchReport(
        asked=len(chosen),
        whole=run.n_whole,
        failed=len(failed),
        reused=run.n_reused,
        table=out / FETCHED,
        failed_csv=out / FAILED,
        reasons=dict(sorted(Counter(why.reason for _, why, _ in failed).items())),
        licences=dict(sorted(Counter(entry.licence for entry in chosen).items())),
        refused=refused,
    )
    if report.asked != report.whole + report.failed:
        raise RuntimeError(f"{n} photographs were asked for, but the counts are {report}")
    say(str(report))
    return report


def _say_nothing(text: str) -> None:
    pass


@contextlib.contextmanager
def _alone(out: Path):
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(out))
            (out / PARTS).mkdir(exist_ok=True)
        except RuntimeError as error:
            raise RuntimeError(f"another process is fetching into {out}: wait for it") from error
        except OSError as error:
            message = "out must be a folder to write in; name another"
            raise OSError(error.errno, f"{error.strerror}: {message}", str(out)) from error
        yield


def _accept(out: Path, base: str, chosen: list[Entry], accept_licence) -> None:
    refused = []
    for licence, words in not_yet_accepted(out, {entry.licence for entry in chosen}):
        is_accepted = accept_licence(licence, words) if callable(accept_licence) else accept_licence
        if is_accepted:
            note_accepted(out, licence, base)
        else:
            refused.append(licence.name)
    if refused:
        raise LicenceNotAcceptedError(
            f"these photographs are under {' and '.join(refused)}, not accepted yet: read the "
            f"words in {out / FOLDER}, then run again with --accept-licence (in Python, "
            "accept_licence=True)"
        )
