"""One run of `fetch`: what is missing, whether there is room for it, and who gets it."""

import contextlib
import errno
import shutil
import threading
from collections import deque
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path

from pp_lib.photos.fivek.courtesy import NotFetched
from pp_lib.photos.fivek.download import Download
from pp_lib.photos.fivek.fetched import FAILED, FETCHED, JOURNAL, Fetched, FetchJournal
from pp_lib.photos.fivek.lists import Entry, photo_address
from pp_lib.photos.fivek.part import Part, Version, sha256_of, why_not_opened
from pp_lib.photos.pool import n_cores

PARTS = ".parts"
KEPT_FREE = 100_000_000  # bytes of the disk that are not ours to fill
BEHIND = 8  # files that may wait to be handed on before no more are fetched
LOOKED_AT = 8  # files whose length is asked for, to say how much there is to come
FAILURES_IN_A_ROW = 10  # then the server, or the line, is the trouble, and not the files
_OF_THE_LINE = {"no connection", "server trouble"}


class Fetching:
    """One run, after the lists and the licences.

    Attributes
    ----------
    n_whole, n_reused : int
        Photographs that are whole, and how many of them were before this run.
    """

    def __init__(
        self, out: Path, base: str, download: Download, journal: FetchJournal, connections, then
    ):
        self.out, self.base, self.download, self.journal = out, base, download, journal
        self.connections, self.then = connections, then
        self.n_whole = self.n_reused = self._n_failures_in_a_row = 0
        self._lock = threading.Lock()
        download.make_room = self._make_room

    def all(self, chosen: list[Entry], progress: bool) -> list[tuple[Entry, NotFetched, str]]:
        """Fetch what is not there yet; give those that failed, why, and their addresses."""
        from tqdm.auto import tqdm

        self._tidy()
        missing = [entry for entry in chosen if not self._is_done(entry)]
        self.n_reused = len(chosen) - len(missing)
        came = sum(self._part(entry).size for entry in missing)
        total = self._look_ahead(missing, came)
        self._bar = tqdm(
            desc="fetch", total=total, initial=came, unit="B", unit_scale=True, disable=not progress
        )
        try:
            with self._bar:
                failed = self._work(chosen)
        except OSError as error:
            n_whole = sum(map(self._is_done, chosen))  # some that no thread had told of
            done = f"{n_whole} of {len(chosen)} photographs are whole"
            message = f"{error.strerror or error} ({done}): put that right and run again"
            raise OSError(error.errno, message, str(self.out)) from error
        self.journal.write(failed)
        with contextlib.suppress(OSError):  # not empty: parts of those that failed
            (self.out / PARTS).rmdir()
        return failed

    def _work(self, chosen: list[Entry]) -> list[tuple[Entry, NotFetched, str]]:
        """Fetch in as many threads as connections, and hand on in as many as cores."""
        waiting, fetching, handed, failed = deque(chosen), {}, {}, []
        lines, cores = ThreadPoolExecutor(self.connections), ThreadPoolExecutor(n_cores())
        with lines, cores:
            try:
                while waiting or fetching or handed:
                    # one more than lines, so that none of them waits for us; and not so many
                    # handed on that files which are to be deleted pile up
                    while waiting and len(fetching) <= self.connections and len(handed) < BEHIND:
                        entry = waiting.popleft()
                        fetching[lines.submit(self._one, entry)] = entry
                    finished, _ = wait([*fetching, *handed], return_when=FIRST_COMPLETED)
                    for future in finished:
                        is_handed, why = future in handed, future.result()
                        entry = (handed if is_handed else fetching).pop(future)
                        if why is not None:
                            failed.append((entry, why, photo_address(self.base, entry.name)))
                        elif self.then is not None and not is_handed:
                            handed[cores.submit(self.then.take, entry.file)] = entry
                        else:
                            self.n_whole += 1
                    self._bar.set_postfix_str(f"{self.n_whole} of {len(chosen)} whole")
            except BaseException:
                self.download.hang_up()
                for future in [*fetching, *handed]:
                    future.cancel()
                raise
        return failed

    def _tidy(self) -> None:
        """Remove what a killed run left beside files that are whole."""
        for leftover in (self.out / PARTS).iterdir():
            file = leftover.name.partition(".dng.part")[0] + ".dng"
            if leftover.name.endswith(".tmp") or self.journal.is_whole(file):
                leftover.unlink()
        for name in (JOURNAL, FETCHED, FAILED):
            for leftover in self.out.glob(f".{name}.*.tmp"):
                leftover.unlink()

    def _is_done(self, entry: Entry) -> bool:
        is_prepared = self.then is not None and self.then.has(entry.file)
        return is_prepared or self.journal.is_whole(entry.file)

    def _part(self, entry: Entry) -> Part:
        return Part(self.out / PARTS / f"{entry.file}.part", self._count)

    def _count(self, n_bytes: int) -> None:
        with self._lock:
            self._bar.update(n_bytes)

    def _look_ahead(self, missing: list[Entry], came: int) -> int | None:
        """Say how many bytes there are in all, from the lengths of a few; refuse if no room."""
        lengths = []
        for entry in missing[:: max(1, -(-len(missing) // LOOKED_AT))]:
            try:
                version = self.download.version(photo_address(self.base, entry.name))
            except NotFetched as why:
                if why.reason == "not there":
                    continue
                break  # it is busy, or does not answer such questions
            if version.length is None:
                break
            lengths.append(version.length)
        if not lengths:
            return None
        mean = sum(lengths) / len(lengths)
        total = round(mean * len(missing))
        at_once = len(missing)
        if self.then is not None and self.then.delete_raw:
            at_once = min(at_once, self.connections + 1 + BEHIND)
        self._make_room(round(mean * at_once) - came, about=True)
        return total

    def _make_room(self, n_bytes: int, about: bool = False) -> None:
        free = shutil.disk_usage(self.out).free
        if n_bytes + KEPT_FREE > free:
            needed = f"{'about ' if about else ''}{n_bytes / 1e6:,.1f} MB"
            raise OSError(
                errno.ENOSPC,
                f"not enough room: {needed} are to come, {free / 1e6:,.1f} MB are free and "
                f"{KEPT_FREE / 1e6:,.0f} MB of them stay so. Make room or ask for fewer; "
                "--prepare with --delete-raw needs less",
                str(self.out),
            )

    def _one(self, entry: Entry) -> NotFetched | None:
        """Fetch one photograph, in a thread; give why it could not be had."""
        try:
            if not self._is_done(entry):
                if self._n_failures_in_a_row >= FAILURES_IN_A_ROW:
                    detail = f"{FAILURES_IN_A_ROW} before it had failed, one after another"
                    raise NotFetched("not tried", f"{detail}: run again later")
                self._fetch(entry)
                self._n_failures_in_a_row = 0
        except NotFetched as why:
            with self._lock:
                self._n_failures_in_a_row += why.reason in _OF_THE_LINE
            return why
        return None

    def _fetch(self, entry: Entry) -> None:
        address, path, part = photo_address(self.base, entry.name), self.out / entry.file, None
        version = self._found(entry, address, path)
        if version is None:
            part = self._part(entry)
            version = self.download.photograph(address, part)
        about = part.path if part else path
        row = Fetched(
            entry.file,
            entry.licence,
            about.stat().st_size,
            sha256_of(about),
            address,
            version.etag,
            version.last_modified,
        )
        with self._lock:
            self.journal.note(row)  # first: a file with its name and no row would be fetched again
            if part:
                part.keep(path)

    def _found(self, entry: Entry, address: str, path: Path) -> Version | None:
        """Give the version of a file that is whole although no journal says so, else None."""
        if entry.file in self.journal.rows or not path.is_file():
            return None
        try:
            version = self.download.version(address)
        except NotFetched:
            return None
        is_it = version.length == path.stat().st_size and why_not_opened(path) is None
        return version if is_it else None
