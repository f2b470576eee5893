"""One photograph: from its file to a row of the manifest and a small picture, or to a rejection.

A job and its outcome are plain data (picklable, and JSON), so that a job can run in a thread, in
another process or on another machine.
"""

import hashlib
import io
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from pp_lib.photos.bins import labels
from pp_lib.photos.develop import develop_with_shape
from pp_lib.photos.exif import read_exposure
from pp_lib.photos.files import UnusablePhoto, open_photo, write_atomically
from pp_lib.photos.manifest import IMAGES, Row

# PNG because it is lossless: JPEG smooths away the very noise that the network is to read.
# Level 1 because noise hardly compresses: level 6 takes four times as long to save some 5 %.
PNG_COMPRESSION = 1
DECODER_TIMEOUT_S = 300  # the slowest RAW takes some 10 s


@dataclass(frozen=True)
class Job:
    """What is to be done: `source`, relative to `folder`, becomes `out`/images/`id`.png."""

    folder: str
    source: str
    out: str
    id: str
    size: int
    fit: str


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes
    ----------
    source : str
    stamp : list of int, or None
        The source's size in bytes and modification time in ns, before it was read.
    row : dict of str, or None
        The manifest's row as text, if the photograph is usable.
    image_bytes : int
        Size of the small picture's file.
    reason, detail : str
        Why not, if it is not.
    """

    source: str
    stamp: list[int] | None
    row: dict[str, str] | None = None
    image_bytes: int = 0
    reason: str = ""
    detail: str = ""


def stamp_of(path) -> list[int] | None:
    """Give (size, modification time) of a file, by which a changed one is known; None if gone."""
    try:
        status = Path(path).stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def run_job(job: Job) -> Outcome:
    """Prepare one photograph.

    Raises
    ------
    OSError, MemoryError
        If the disk is full, or the like: trouble that is not the photograph's.
    """
    path = Path(job.folder, job.source)
    stamp = stamp_of(path)
    try:
        with open_photo(path) as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        record = read_exposure(path)
        picture, (height, width) = develop_with_shape(path, size=job.size, fit=job.fit)
    except UnusablePhoto as unusable:
        return Outcome(job.source, stamp, reason=unusable.reason, detail=unusable.detail)
    image = f"{IMAGES}/{job.id}.png"
    content = _png(picture)
    write_atomically(Path(job.out, image), content)
    recorded = vars(record) | {"exif_source": record.source, "source": job.source}
    classes = labels(record)
    row = Row(
        id=job.id,
        image=image,
        aperture=classes["aperture"],
        iso_class=classes["iso"],
        shutter=classes["shutter"],
        width=width,
        height=height,
        source_sha256=sha256,
        **recorded,
    )
    return Outcome(job.source, stamp, row=row.to_text(), image_bytes=len(content))


def _png(picture) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "PNG", compress_level=PNG_COMPRESSION)
    return stream.getvalue()


def run_job_apart(job: Job) -> Outcome:
    """Prepare one photograph in a process of its own, whose death is a verdict on the photograph.

    For photographs that were in work when an earlier run died. A fresh interpreter and not
    multiprocessing: that would import the caller's script again.
    """
    try:
        child = subprocess.run(
            _apart_command(),
            input=json.dumps(asdict(job)),
            capture_output=True,
            encoding="ascii",
            errors="replace",
            timeout=DECODER_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        detail = f"no result after {DECODER_TIMEOUT_S} s"
        return _died(job, detail)
    if child.returncode < 0:
        return _died(job, f"ended by signal {-child.returncode}")
    if child.returncode > 0:
        raise RuntimeError(f"preparing {job.source} in a process of its own:\n{child.stderr}")
    answer = json.loads(child.stdout)
    if "errno" in answer:
        raise OSError(answer["errno"], answer["strerror"])
    return Outcome(**answer)


def _died(job: Job, detail: str) -> Outcome:
    stamp = stamp_of(Path(job.folder, job.source))
    return Outcome(job.source, stamp, reason="decoder died", detail=detail)


def _apart_command() -> list[str]:
    return [sys.executable, "-c", "from pp_lib.photos.job import main_apart; main_apart()"]


def main_apart() -> None:
    """Read a job from standard input, write its outcome to standard output."""
    job = Job(**json.load(sys.stdin))
    try:
        answer = asdict(run_job(job))
    except OSError as error:
        answer = {"errno": error.errno, "strerror": error.strerror or str(error)}
    json.dump(answer, sys.stdout)
