"""From a folder of photographs to a manifest and small pictures (chapters 01 and 04).

Every file with a photograph's suffix is found, and is then either usable or rejected with a reason:
the counts add up or `prepare` raises. A run may be killed at any moment and started again; it then
does only what is missing and ends with the same bytes.
"""

import contextlib
from collections import Counter
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from pp_lib.photos.develop import FITS
from pp_lib.photos.find import find_photos, is_same, photo_id
from pp_lib.photos.job import Job, stamp_of
from pp_lib.photos.journal import JOURNAL, Journal, check_is_ours, code_fingerprint, locked
from pp_lib.photos.manifest import (
    IMAGES,
    MANIFEST,
    MANIFEST_COLUMNS,
    REJECTED,
    REJECTED_COLUMNS,
    Row,
    read_manifest,
    write_table,
)
from pp_lib.photos.pool import outcomes_of

__all__ = ["PrepareReport", "Row", "find_photos", "prepare", "read_manifest"]

# the modules that decide what a row and a picture look like
CODE = tuple(
    f"photos/{name}.py" for name in ("bins", "develop", "exif", "files", "job", "manifest", "tags")
)


class PicturesLostError(FileNotFoundError):
    """Pictures are gone or cut, and so are the RAW files that they were made of."""


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did.

    Attributes
    ----------
    found, usable, rejected : int
        Photographs; found = usable + rejected.
    manifest, rejected_csv : pathlib.Path
    reasons : dict of str to int
        How many were rejected for which reason.
    ignored : dict of str to int
        Files that are not photographs, by suffix, and folders that were not entered.
    reused : int
        How many of those found had been done by an earlier run.
    """

    found: int
    usable: int
    rejected: int
    manifest: Path
    rejected_csv: Path
    reasons: dict[str, int] = field(default_factory=dict)
    ignored: dict[str, int] = field(default_factory=dict)
    reused: int = 0

    def __str__(self) -> str:
        lines = [f"{self.found} found = {self.usable} usable + {self.rejected} rejected"]
        lines += [f"  {n} rejected: {reason}" for reason, n in self.reasons.items()]
        if self.ignored:
            counts = ", ".join(f"{n} {kind}" for kind, n in self.ignored.items())
            lines.append(f"  not photographs, left alone: {counts}")
        if self.reused:
            lines.append(f"  {self.reused} of them done by an earlier run")
        lines.append(f"  {self.manifest}")
        return "\n".join(lines)


def prepare(
    folder,
    out,
    *,
    size: int = 256,
    fit: str = "crop",
    executor: Executor | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> PrepareReport:
    """Make a folder of photographs ready for training.

    Writes `out`/manifest.csv (a row for each usable photograph), `out`/rejected.csv (a row and a
    reason for each of the others) and `out`/images/<id>.png, losslessly: JPEG would smooth away
    noise, which the network is to read. Run again, it does only what is new or changed. What is
    gone from `folder` loses its row, except for RAW files that `fetch` deleted once prepared.

    Parameters
    ----------
    folder : path-like
        RAW, JPEG, PNG and TIFF files at any depth.
    out : path-like
        Made if need be; not `folder` itself.
    size : int
        Side of the small pictures in pixels.
    fit : {"crop", "resize"}
        See `develop`.
    executor : concurrent.futures.Executor, optional
        Where the work is to run: a process pool, a Dask cluster's `Client.get_executor()`. It must
        see the same file system. None: threads, since the decoders release Python's lock.
    workers : int, optional
        How many photographs are in work at once. None: as many as this process may use cores, or
        64 with an executor.
    progress : bool
        Show a bar, and at the end the report.

    Returns
    -------
    PrepareReport

    Raises
    ------
    ValueError
        If `size`, `fit` or `workers` is none that exists, or small pictures would be put into
        `folder`.
    PicturesLostError
        If a picture is gone whose RAW file was deleted once it was prepared.
    FileExistsError
        If `out` holds a manifest or pictures that no journal of an earlier run accounts for.
    OSError
        If the disk is full, or the like. What was done is kept; run again to go on.
    RuntimeError
        If another process is preparing the same `out`.
    """
    folder, out = Path(folder), Path(out)
    if fit not in FITS:
        raise ValueError(f"fit must be one of {FITS}, got {fit!r}")
    if size < 1:
        raise ValueError(f"size must be at least 1 pixel, got {size}")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if is_same(folder, out) or is_same(folder, out / IMAGES):  # ours would be taken for theirs
        raise ValueError(f"out must be a folder of its own, got {out} for photographs in {folder}")
    sources, ignored = find_photos(folder, out)
    with locked(out):
        check_is_ours(out, (MANIFEST, REJECTED, IMAGES))
        here, there = str(folder.absolute()), str(out.absolute())

        def job_of(source: str) -> Job:
            return Job(here, source, there, photo_id(source), size, fit)

        made_with = {"size": size, "fit": fit, "code": code_fingerprint(*CODE)}
        _remove_leftovers(out)
        with contextlib.closing(Journal(out, made_with)) as journal:
            sources = sorted({*sources, *journal.raw_deleted})
            reused = _run(sources, job_of, out, journal, executor, workers, progress)
            report = _write(out, sources, journal, ignored, reused)
    if report.found != len(sources) or report.found != report.usable + report.rejected:
        raise RuntimeError(f"{len(sources)} files were found, but the counts are {report}")
    if progress:
        from tqdm.auto import tqdm

        tqdm.write(str(report))
    return report


def _remove_leftovers(out: Path) -> None:
    """Remove what a killed run left half written; no one else is at work here, we hold the lock."""
    (out / IMAGES).mkdir(exist_ok=True)
    for leftover in (out / IMAGES).glob(".*.tmp"):
        leftover.unlink()
    for name in (MANIFEST, REJECTED, JOURNAL):
        for leftover in out.glob(f".{name}.*.tmp"):
            leftover.unlink()


def _run(sources, job_of, out: Path, journal: Journal, executor, workers, progress) -> int:
    """Do what an earlier run has not done; say how many photographs it had."""
    from tqdm.auto import tqdm

    whole = {s for s in sources if is_whole(job_of(s), journal)}
    to_do = [s for s in sources if s not in whole]
    lost = [s for s in to_do if s in journal.raw_deleted and not _stamp(job_of(s))]
    if lost:
        raise PicturesLostError(
            f"{len(lost)} pictures in {out} are gone or cut, the first that of {lost[0]}, and the "
            "RAW files were deleted once they were prepared: fetch these photographs again"
        )
    stale = {photo_id(s) for s in (journal.done.keys() | journal.void) - whole}
    if to_do or stale:
        # images are about to change: a manifest must never describe what is not there
        (out / MANIFEST).unlink(missing_ok=True)
        (out / REJECTED).unlink(missing_ok=True)
    for identity in stale:
        (out / IMAGES / f"{identity}.png").unlink(missing_ok=True)
    bar = tqdm(
        total=len(sources), initial=len(whole), desc="prepare", unit="photo", disable=not progress
    )
    with bar:
        try:
            outcomes = outcomes_of(to_do, job_of, journal, executor, workers)
            with contextlib.closing(outcomes):  # on an error, stop the workers now
                for outcome in outcomes:
                    journal.finish(outcome)
                    bar.update()
        except OSError as error:
            n_done = sum(source in journal.done for source in sources)
            message = f"{error.strerror or error} ({n_done} of {len(sources)} photographs are done)"
            raise OSError(
                error.errno, f"{message}: put that right and run again to go on", str(out)
            ) from error
    return len(whole)


def _stamp(job: Job) -> list[int] | None:
    return stamp_of(Path(job.folder, job.source))


def is_whole(job: Job, journal: Journal) -> bool:
    """Say whether an earlier outcome still holds: same source, and its picture is there."""
    outcome, stamp = journal.outcome(job.source), _stamp(job)
    if outcome is None or outcome.stamp is None:
        return False
    if outcome.stamp != stamp and not (stamp is None and job.source in journal.raw_deleted):
        return False
    if outcome.row is None:
        return outcome.reason != "unreadable"  # permission may have been given since
    image = stamp_of(Path(job.out, outcome.row["image"]))
    return image is not None and image[0] == outcome.image_bytes


def _write(out: Path, sources, journal: Journal, ignored, reused: int) -> PrepareReport:
    reasons = Counter(o.reason for o in journal.outcomes(sources) if o.row is None)
    rejected = (o for o in journal.outcomes(sources) if o.row is None)
    rejected_rows = ({name: getattr(o, name) for name in REJECTED_COLUMNS} for o in rejected)
    write_table(out / REJECTED, REJECTED_COLUMNS, rejected_rows)
    usable = (o.row for o in journal.outcomes(sources) if o.row is not None)
    # last: once the manifest is there, everything is
    n_usable = write_table(out / MANIFEST, MANIFEST_COLUMNS, usable)
    return PrepareReport(
        found=len(sources),
        usable=n_usable,
        rejected=reasons.total(),
        manifest=out / MANIFEST,
        rejected_csv=out / REJECTED,
        reasons=dict(sorted(reasons.items())),
        ignored=ignored,
        reused=reused,
    )
