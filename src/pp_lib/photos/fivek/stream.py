"""Prepare photographs while others are still being fetched, and delete RAW files if wanted.

The work is `prepare`'s own: its jobs, its journal, and at the end `prepare` itself, which finds
all done and writes the manifest. So the result is that of fetching first and preparing then.
"""

import contextlib
import os
import threading
from pathlib import Path

from pp_lib.photos.find import photo_id
from pp_lib.photos.fivek.fetch import FetchReport, fetch
from pp_lib.photos.job import Job, Outcome, run_job
from pp_lib.photos.journal import Journal, code_fingerprint, locked
from pp_lib.photos.manifest import MANIFEST, REJECTED
from pp_lib.photos.prepare import CODE, PicturesLostError, PrepareReport, is_whole, prepare


class Arrivals:
    """A prepared folder to which photographs are added as they come; a context manager.

    Parameters
    ----------
    folder, out : path-like
        As `prepare` takes them.
    size, fit
        As `prepare` takes them.
    delete_raw : bool
        Delete a photograph's file once its row and its picture are past a power failure. One that
        was rejected stays, to be looked at.
    """

    def __init__(self, folder, out, *, size: int = 256, fit: str = "crop", delete_raw=False):
        self.folder, self.out, self.delete_raw = Path(folder), Path(out), delete_raw
        self.size, self.fit = size, fit
        self._lock = threading.Lock()

    def __enter__(self):
        # what an earlier run has left, and what in it killed the decoder, is met there
        with contextlib.suppress(PicturesLostError):  # those are to be fetched again
            self.finish()
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(self.out))
            code = code_fingerprint(*CODE)
            made_with = {"size": self.size, "fit": self.fit, "code": code}
            self.journal = Journal(self.out, made_with)
            stack.callback(self.journal.close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error) -> None:
        self._stack.close()

    def finish(self) -> PrepareReport:
        """Prepare what is not yet, and write the manifest."""
        return prepare(self.folder, self.out, size=self.size, fit=self.fit, progress=False)

    def _job(self, source: str) -> Job:
        here, there = str(self.folder.absolute()), str(self.out.absolute())
        return Job(here, source, there, photo_id(source), self.size, self.fit)

    def has(self, source: str) -> bool:
        """Say whether a photograph is prepared, be its file still there or deleted."""
        with self._lock:
            return is_whole(self._job(source), self.journal)

    def take(self, source: str) -> None:
        """Prepare a photograph that is whole, in the caller's thread; delete it if wanted."""
        job = self._job(source)
        if not self.has(source):
            with self._lock:
                # images are about to change: a manifest must never describe what is not there
                (self.out / MANIFEST).unlink(missing_ok=True)
                (self.out / REJECTED).unlink(missing_ok=True)
                self.journal.begin(source)
            outcome = run_job(job)
            with self._lock:
                self.journal.finish(outcome)
        if self.delete_raw:
            with self._lock:
                self._delete(source, self.journal.outcome(source))

    def _delete(self, source: str, outcome: Outcome) -> None:
        path = self.folder / source
        if outcome.row is None or not path.exists():
            return
        with open(self.out / outcome.row["image"], "rb+") as stream:
            os.fsync(stream.fileno())
        self.journal.raw_goes(source)
        path.unlink()


def fetch_and_prepare(
    n: int,
    out,
    prepared,
    *,
    delete_raw: bool = False,
    size: int = 256,
    fit: str = "crop",
    progress: bool = True,
    **options,
) -> tuple[FetchReport, PrepareReport]:
    """Fetch photographs of FiveK and prepare each as soon as it is whole.

    Parameters
    ----------
    n, out
        As in `fetch`.
    prepared : path-like
        The prepared folder.
    delete_raw : bool
        Keep no RAW file once it is prepared. Its row stays, also when `prepare` is run on `out`
        again. A later call does not fetch it again; one of `fetch` alone does.
    size, fit
        As in `prepare`.
    progress : bool
        Show a bar and the reports.
    **options
        Of `fetch`.

    Returns
    -------
    fetched : FetchReport
    made : PrepareReport

    Raises
    ------
    ValueError, OSError, RuntimeError
        As `fetch` and `prepare` do.
    """
    arrivals = Arrivals(out, prepared, size=size, fit=fit, delete_raw=delete_raw)
    fetched = fetch(n, out, then=arrivals, progress=progress, **options)
    made = arrivals.finish()
    if progress:
        from tqdm.auto import tqdm

        tqdm.write(str(made))
    return fetched, made
