"""The beginning of a file that is being downloaded, and whether the whole of it is a photograph.

Beside the bytes stands which version of the file they are the beginning of, so that two versions
are never put together (RFC 9110, If-Range, 13.1.5).
"""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pp_lib.photos.files import UnusablePhoto, open_photo, open_raw, write_atomically
from pp_lib.photos.fivek.courtesy import content_range
from pp_lib.photos.job import DECODER_TIMEOUT_S

_BEGINNINGS = (b"II*\0", b"MM\0*")  # TIFF, and so DNG


@dataclass(frozen=True)
class Version:
    """Which file, and which version of it; `length` in bytes, None if the server does not say."""

    address: str
    etag: str = ""
    last_modified: str = ""
    length: int | None = None

    @classmethod
    def of(cls, headers, address: str) -> "Version":
        """Read it off the headers of an answer that holds the whole file."""
        length = headers.get("content-length", "")
        validators = (headers.get(name, "") for name in ("etag", "last-modified"))
        return cls(
            address,
            # what we could not send back, character by character, is of no use
            *(text if text.isascii() and text.isprintable() else "" for text in validators),
            int(length) if length.isascii() and length.isdigit() else None,
        )

    @property
    def validator(self) -> str:
        """Give what If-Range takes: a strong tag, else a date, else nothing."""
        return self.etag if self.etag.startswith('"') else self.last_modified

    def continued(self, headers, size: int) -> "Version | None":
        """Give what is known after a partial answer; None unless it goes on just after `size`."""
        span = content_range(headers.get("content-range"))
        if span is None or span[0] != size:
            return None
        if None not in (span[2], self.length) and span[2] != self.length:
            return None
        if headers.get("etag", self.etag) != self.etag:
            return None
        return replace(self, length=self.length if span[2] is None else span[2])


class Part:
    """A part file at `path`; `count` is told how many bytes come (or, below 0, are dropped)."""

    def __init__(self, path: Path, count=lambda n_bytes: None):
        self.path, self.count = path, count
        self.about = path.with_name(path.name + ".json")
        self.opening = path.with_name(path.name + ".opening")

    @property
    def size(self) -> int:
        """Give how many bytes are there."""
        return self.path.stat().st_size if self.path.exists() else 0

    def version(self) -> Version | None:
        """Give what it is the beginning of, if that is known."""
        try:
            return Version(**json.loads(self.about.read_text("ascii")))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def note(self, version: Version) -> None:
        """Note what it is the beginning of."""
        write_atomically(self.about, json.dumps(asdict(version)).encode("ascii"))

    def restart(self, version: Version) -> None:
        """Begin again; in this order, so that bytes never stand beside another's version."""
        self.drop()
        self.note(version)

    def append(self, chunks) -> None:
        """Put bytes behind those that are there."""
        # without a buffer: what has come is past a kill of this process
        with open(self.path, "ab", buffering=0) as stream:
            for chunk in chunks:
                left = memoryview(chunk)
                while left:  # a nearly full disk may take a part
                    left = left[stream.write(left) :]
                self.count(len(chunk))

    def drop(self) -> None:
        """Take it away."""
        self.count(-self.size)
        for path in (self.path, self.about, self.opening):
            path.unlink(missing_ok=True)

    def keep(self, path: Path) -> None:
        """Give the whole file its name."""
        os.replace(self.path, path)
        self.about.unlink(missing_ok=True)

    def fingerprint(self) -> str:
        """Give the SHA-256 of what is there, and see that it is past a power failure."""
        with open(self.path, "rb+") as stream:
            os.fsync(stream.fileno())
        return sha256_of(self.path)

    def why_not_opened(self) -> str | None:
        """Say why it is no photograph, or give None.

        LibRaw is C, and what is opened comes from strangers. If a run died while it opened this
        file, the next one opens it in a process of its own.
        """
        is_suspect = self.opening.exists()
        self.opening.touch()
        why = (_why_not_opened_apart if is_suspect else why_not_opened)(self.path)
        self.opening.unlink(missing_ok=True)
        return why


def sha256_of(path) -> str:
    """Give a file's SHA-256, 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def why_not_opened(path) -> str | None:
    """Say why a file is no DNG that can be opened and unpacked, or give None."""
    try:
        with open_photo(path) as stream:
            beginning = stream.read(4)
        if beginning not in _BEGINNINGS:
            return f"expected a DNG, which begins as a TIFF; it begins with {beginning!r}"
        with open_raw(path):
            return None
    except UnusablePhoto as unusable:
        return f"{unusable.reason}: {unusable.detail}"


def _why_not_opened_apart(path) -> str | None:
    try:
        child = subprocess.run(
            _apart_command(path),
            capture_output=True,
            text=True,
            timeout=DECODER_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"the program that opens it did not end in {DECODER_TIMEOUT_S} s"
    if child.returncode < 0:
        return f"the program that opens it was ended by signal {-child.returncode}"
    if child.returncode > 0:
        raise RuntimeError(f"opening {path} in a process of its own:\n{child.stderr}")
    return child.stdout or None


def _apart_command(path) -> list[str]:
    code = "import sys; from pp_lib.photos.fivek.part import why_not_opened as why; "
    code += "sys.stdout.write(why(sys.argv[1]) or '')"
    return [sys.executable, "-c", code, str(path)]
