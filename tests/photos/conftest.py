"""Makers of small photographs, good and bad. The EXIF is built here byte by byte."""

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# pytest's importlib mode adds no folder to the path, and tests of fetching share a module.
sys.path.insert(0, str(Path(__file__).parent))
import fivek_server  # noqa: E402

SHORT, LONG, RATIONAL, SRATIONAL, ASCII = 3, 4, 5, 10, 2
F_NUMBER, EXPOSURE_TIME, ISO, SHUTTER_SPEED, APERTURE = 0x829D, 0x829A, 0x8827, 0x9201, 0x9202
FOCAL_LENGTH, DATE_TIME_ORIGINAL, EXPOSURE_INDEX = 0x920A, 0x9003, 0x8832
_FORMATS = {SHORT: "H", LONG: "L", RATIONAL: "LL", SRATIONAL: "ll"}


def _ifd(entries, offset):
    """One TIFF directory (little-endian) that starts at `offset`, and the data it points to."""
    head, data = struct.pack("<H", len(entries)), b""
    data_at = offset + 2 + 12 * len(entries) + 4
    for tag, kind, values in sorted(entries):
        if kind == ASCII:
            packed, count = values.encode() + b"\0", len(values) + 1
        else:
            packed = b"".join(struct.pack("<" + _FORMATS[kind], *np.atleast_1d(v)) for v in values)
            count = len(values)
        if len(packed) > 4:
            head += struct.pack("<HHLL", tag, kind, count, data_at + len(data))
            data += packed + b"\0" * (len(packed) % 2)
        else:
            head += struct.pack("<HHL4s", tag, kind, count, packed)
    return head + struct.pack("<L", 0) + data


def exif_bytes(entries, orientation=1):
    """An EXIF block whose Exif directory holds `entries`: (tag, kind, values)."""
    ifd0 = [
        (0x010F, ASCII, "Maker"),
        (0x0110, ASCII, "Model 1"),
        (0x0112, SHORT, [orientation]),
        (0x8769, LONG, [0]),
    ]
    start = 8 + len(_ifd(ifd0, 8))
    ifd0[-1] = (0x8769, LONG, [start])
    return b"Exif\0\0II*\0" + struct.pack("<L", 8) + _ifd(ifd0, 8) + _ifd(entries, start)


def settings(f_number=(28, 5), iso=200, exposure_time_s=(1, 125)):
    """Entries for the three settings; None leaves one out."""
    entries = [
        (F_NUMBER, RATIONAL, [f_number]) if f_number else None,
        (ISO, SHORT, [iso]) if iso is not None else None,
        (EXPOSURE_TIME, RATIONAL, [exposure_time_s]) if exposure_time_s else None,
    ]
    return [entry for entry in entries if entry is not None]


def pixels(height=48, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def jpeg_bytes(entries=None, image=None, orientation=1):
    stream = io.BytesIO()
    exif = exif_bytes(settings() if entries is None else entries, orientation)
    Image.fromarray(pixels() if image is None else image).save(stream, "JPEG", exif=exif)
    return stream.getvalue()


def write_jpeg(path, entries=None, image=None, orientation=1):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg_bytes(entries, image, orientation))
    return path


class Make:
    """What tests need of this file, since test modules cannot import it."""

    exif_bytes = staticmethod(exif_bytes)
    settings = staticmethod(settings)
    pixels = staticmethod(pixels)
    jpeg_bytes = staticmethod(jpeg_bytes)
    jpeg = staticmethod(write_jpeg)
    SHORT, LONG, RATIONAL, SRATIONAL, ASCII = SHORT, LONG, RATIONAL, SRATIONAL, ASCII
    F_NUMBER, EXPOSURE_TIME, ISO = F_NUMBER, EXPOSURE_TIME, ISO
    SHUTTER_SPEED, APERTURE = SHUTTER_SPEED, APERTURE
    FOCAL_LENGTH, DATE_TIME_ORIGINAL = FOCAL_LENGTH, DATE_TIME_ORIGINAL
    EXPOSURE_INDEX = EXPOSURE_INDEX


@pytest.fixture(scope="session")
def make():
    return Make


@pytest.fixture(scope="session")
def dngs(tmp_path_factory):
    """A folder of six simulated DNGs of 96 x 96 photosites."""
    from pp_lib.camera import simulate, write_dng

    folder = tmp_path_factory.mktemp("dngs")
    for i, photograph in enumerate(simulate(6, seed=3, size=96, workers=1, progress=False)):
        write_dng(folder / f"{i}.dng", photograph)
    return folder


@pytest.fixture
def server(photographs, monkeypatch):
    """Run a server with FiveK's paths that holds the module's `photographs`."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with fivek_server.serving() as (fivek, base):
        fivek.hold(photographs)
        fivek.base = base
        yield fivek
