"""Files that should be photographs: which suffixes count, and what may be wrong with one.

Everything a stranger's file can do to a program is met here and in `exif`, `develop`: nowhere else
is an exception turned into a verdict. A file that cannot be used raises `UnusablePhoto` with a
reason from a short fixed list, so that reasons can be counted. Trouble that is ours and not the
file's (a full disk, no memory, too many open files) is never a verdict about a photograph: it
propagates.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RAW = (
    "3fr arw cr2 cr3 crw dcr dng erf fff gpr iiq kdc mef mos mrw nef nrw orf pef raf raw rw2 rwl"
    " sr2 srf srw x3f"
)
RAW_SUFFIXES = frozenset(f".{suffix}" for suffix in _RAW.split())
IMAGE_SUFFIXES = frozenset({".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})
PHOTO_SUFFIXES = RAW_SUFFIXES | IMAGE_SUFFIXES

MAX_PIXELS = 200_000_000  # more than any camera takes (151 megapixels), less than memory holds
# A photograph's noise does not compress away: a raw photosite takes 4 to 16 bits, 1 when lossy. A
# file with less than this is a header; LibRaw gives black or garbage for some without a word.
MIN_BITS_PER_PHOTOSITE = 0.1

REASONS = {
    "not a file": "a folder, a pipe or the like stands where a photograph should be",
    "unreadable": "the system does not let us read it",
    "empty file": "it has no bytes",
    "not a photograph": "its bytes are in no photograph format that we know",
    "damaged": "it begins like a photograph, but part of it is missing or wrong",
    "too many pixels": f"more than {MAX_PIXELS:,} pixels (or Pillow's own, lower limit)",
    "too small": "fewer pixels than asked for; enlarging would invent some",
    "no exposure record": "neither aperture nor ISO nor exposure time is written down",
    "no aperture": "the f-number is missing or written as zero",
    "no ISO": "the ISO is missing or written as zero",
    "no exposure time": "the exposure time is missing or written as zero",
    "absurd value": "a setting is written down that no camera has",
    "decoder died": "the program that decodes this format crashed or hung on it",
}

_UNREADABLE = {errno.EACCES, errno.EPERM, errno.EIO, errno.ELOOP, errno.ENOENT, errno.ENAMETOOLONG}
_RAW_BEGINNINGS = (
    (0, b"II*\0"), (0, b"MM\0*"), (0, b"IIR"), (0, b"IIU\0"), (0, b"II\x1a\0"), (0, b"MMOR"),
    (0, b"\0MRM"), (0, b"FOVb"), (0, b"FUJIFILM"), (4, b"ftyp"), (0, b"\xff\xd8\xff"),
    (25, b"ARECOYK"),
)  # fmt: skip


class UnusablePhoto(ValueError):  # noqa: N818  a verdict about a photograph, not a failure of ours
    """A photograph that cannot be used, and why.

    Parameters
    ----------
    path : path-like
        The file.
    reason : str
        One of `REASONS`.
    detail : str
        What exactly was found, for a reader; without the path.
    """

    def __init__(self, path, reason: str, detail: str = ""):
        if reason not in REASONS:
            raise ValueError(f"reason must be one of {sorted(REASONS)}, got {reason!r}")
        self.path, self.reason, self.detail = Path(path), reason, detail or REASONS[reason]
        super().__init__(f"{self.path}: {reason}: {self.detail}")

    def __reduce__(self):
        # the default would call __init__ with the message alone, on the far side of a process pool
        return type(self), (self.path, self.reason, self.detail)


def is_raw(path) -> bool:
    """Say whether the suffix is that of a RAW file (True) or not (False)."""
    return Path(path).suffix.lower() in RAW_SUFFIXES


@contextmanager
def reading(path) -> Iterator[None]:
    """Turn "the system does not let us read this file" into a verdict; let all else through."""
    try:
        yield
    except IsADirectoryError as error:
        raise UnusablePhoto(path, "not a file", "a folder") from error
    except OSError as error:
        if error.errno not in _UNREADABLE:
            raise
        raise UnusablePhoto(path, "unreadable", error.strerror or str(error)) from error


def is_no_place(error: Exception) -> bool:
    """Say whether a parser was sent, by a number in the file, to a place that no file has."""
    return isinstance(error, OSError) and error.errno in {errno.EINVAL, errno.EOVERFLOW}


@contextmanager
def open_photo(path):
    """Open a file that should be a photograph, for reading bytes.

    Raises
    ------
    UnusablePhoto
        For a folder, pipe or device, an unreadable file, an empty file.
    """
    path = Path(path)
    with reading(path):
        status = path.stat()
        # a pipe would make open() wait for ever
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file"
            raise UnusablePhoto(path, "not a file", kind)
        if status.st_size == 0:
            raise UnusablePhoto(path, "empty file")
        stream = open(path, "rb")  # noqa: SIM115  closed below, outside the guard
    with stream:
        yield stream


def write_atomically(path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all, even if the process is killed."""
    with writing_atomically(path) as stream:
        stream.write(content)


@contextmanager
def writing_atomically(path):
    """Open a file to be written piece by piece, which is there whole or not at all."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as stream:
            yield stream
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextmanager
def open_raw(path):
    """Open a RAW file with its pixels unpacked and looked over; give rawpy's `RawPy`.

    LibRaw reads some files that hold a header and no pixels without complaint and gives black. So
    two things are checked: that the file is long enough to hold a picture, and that no row of
    photosites was left unfilled (LibRaw's buffer starts as zeros; noise alone keeps a real row
    from being exactly zero all along).

    Raises
    ------
    UnusablePhoto
        For a file LibRaw does not know or cannot unpack, or whose pixels are not all there.
    """
    import rawpy

    path = Path(path)
    with open_photo(path) as stream:
        n_bytes, beginning = path.stat().st_size, stream.read(32)
        try:
            str(path).encode()
            source = str(path)
        except UnicodeEncodeError:  # a name that is not UTF-8: rawpy takes the open file instead
            stream.seek(0)
            source = stream
        with _libraw_verdict(path, beginning):
            raw = rawpy.RawPy()
            raw.open_buffer(source) if source is stream else raw.open_file(source)
        try:
            n_photosites = raw.sizes.raw_height * raw.sizes.raw_width
            if n_photosites > MAX_PIXELS:
                raise UnusablePhoto(path, "too many pixels", f"{n_photosites:,} photosites")
            _check_length(path, n_photosites, n_bytes)
            with _libraw_verdict(path, beginning, n_photosites):
                raw.unpack()
            _check_pixels_are_there(path, raw)
            with _libraw_verdict(path, beginning, n_photosites):
                yield raw
        finally:
            raw.close()


@contextmanager
def _libraw_verdict(path, beginning: bytes, n_photosites: int = 0) -> Iterator[None]:
    import rawpy

    try:
        yield
    except rawpy.LibRawUnsufficientMemoryError as error:
        if not _is_memory_left(n_photosites):
            raise MemoryError(f"LibRaw has no memory left for {path}") from error
        # a tag that was gnawed at asks for more than any such picture needs
        raise UnusablePhoto(path, "damaged", f"LibRaw: {_said(error)}") from error
    except rawpy.LibRawFileUnsupportedError as error:
        known = any(beginning[at : at + len(mark)] == mark for at, mark in _RAW_BEGINNINGS)
        reason = "damaged" if known else "not a photograph"
        raise UnusablePhoto(path, reason, f"LibRaw: {_said(error)}") from error
    except (rawpy.LibRawError, rawpy.NotSupportedError) as error:
        raise UnusablePhoto(path, "damaged", f"LibRaw: {_said(error)}") from error


def _is_memory_left(n_photosites: int) -> bool:
    """Say whether there is room for a picture of so many photosites, several times over."""
    import numpy as np

    try:
        np.empty(16 * n_photosites + 2**26, np.uint8)  # 16 bits, and four channels of them twice
    except MemoryError:
        return False
    return True


def _said(error: Exception) -> str:
    message = error.args[0] if error.args else type(error).__name__
    return message.decode("ascii", "replace") if isinstance(message, bytes) else str(message)


def _check_length(path, n_photosites: int, n_bytes: int) -> None:
    bits = 8 * n_bytes / max(n_photosites, 1)
    if bits < MIN_BITS_PER_PHOTOSITE:
        detail = f"{n_bytes:,} bytes cannot hold {n_photosites:,} photosites ({bits:.3f} bits each)"
        raise UnusablePhoto(path, "damaged", detail)


def _check_pixels_are_there(path, raw) -> None:
    if raw.raw_image is None:  # a camera with several values a photosite; LibRaw checks these
        return
    mosaic = raw.raw_image_visible  # (H, W)
    step = max(1, mosaic.shape[1] // 64)  # 64 photosites tell an unfilled row from a dark one
    n_unfilled = int((~mosaic[:, ::step].any(axis=1)).sum())
    if n_unfilled > mosaic.shape[0] // 100:
        detail = f"{n_unfilled} of {mosaic.shape[0]} rows hold only zeros: their pixels are missing"
        raise UnusablePhoto(path, "damaged", detail)
