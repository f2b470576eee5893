"""Write a photograph as a DNG: a TIFF of one Bayer strip with an Exif directory.

Chapter 1 reads such a file byte by byte. Adobe, Digital Negative Specification 1.4 (2012);
CIPA DC-008, Exif 2.32 (2019).
"""

import os
import struct
import uuid
from fractions import Fraction
from pathlib import Path

import numpy as np

from pp_lib.camera.sensor import SENSITIVITY_RGB

MAKE, MODEL = "PhotoPilot", "PhotoPilot Sim"
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _SRATIONAL = 1, 2, 3, 4, 5, 7, 10
_UNIT_FORMATS = {_SHORT: "H", _LONG: "L"}
_MAX_LONG = 2**32 - 1
# XYZ to linear sRGB (IEC 61966-2-1, D65). The simulated filters are sRGB's primaries, so the
# camera's matrix is this one with its rows scaled by how well each filter lets light through.
_XYZ_TO_RGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)


def write_dng(path, photograph):
    """Write a photograph as a DNG file that RAW software reads.

    Parameters
    ----------
    path : str or path-like
        Where to; an existing file is replaced. The file appears whole or not at all.
    photograph : Photograph
        mosaic (H, W) uint16 RGGB, settings, taken_at, levels.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If the mosaic is not (even, even) uint16 or a setting does not fit a TIFF rational.
    OSError
        If the file cannot be written (no such folder, disk full); nothing is left behind.
    """
    path = Path(path)
    content = dng_bytes(photograph)
    # Same folder, so that the final rename stays on one file system and is atomic.
    temporary = path.parent / f".{uuid.uuid4().hex}.part"
    try:
        with open(temporary, "xb") as file:
            file.writelines(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path


def dng_bytes(photograph):
    """Lay out the file: header and directories, then the strip.

    Parameters
    ----------
    photograph : Photograph

    Returns
    -------
    tuple of (bytes, bytes)
        Header with directories; pixels, little-endian.

    Raises
    ------
    ValueError
        See `write_dng`.
    """
    mosaic = photograph.mosaic
    if not isinstance(mosaic, np.ndarray) or mosaic.dtype != np.uint16 or mosaic.ndim != 2:
        came = f"{getattr(mosaic, 'dtype', type(mosaic))} {getattr(mosaic, 'shape', '')}"
        raise ValueError(f"mosaic must be a (H, W) array of uint16, got {came}")
    height, width = mosaic.shape
    if height % 2 or width % 2 or min(height, width) < 2:
        raise ValueError(f"mosaic must have even height and width, got {mosaic.shape}")
    # Offsets depend only on sizes, so a first pass with zeros finds where everything lies.
    sizes = _directories(photograph, exif_offset=0, strip_offset=0)
    exif_offset = 8 + len(_directory(sizes[0], 8))
    strip_offset = exif_offset + len(_directory(sizes[1], exif_offset))
    main, exif = _directories(photograph, exif_offset, strip_offset)
    header = struct.pack("<2sHL", b"II", 42, 8)
    header += _directory(main, 8) + _directory(exif, exif_offset)
    return header, np.ascontiguousarray(mosaic, "<u2").tobytes()


def _directories(photograph, exif_offset, strip_offset):
    """Return the main and the Exif directory as {tag: (type, values)}."""
    settings, (height, width) = photograph.settings, photograph.mosaic.shape
    taken_at = photograph.taken_at.strftime("%Y:%m:%d %H:%M:%S")
    camera_matrix = np.array(SENSITIVITY_RGB)[:, None] * _XYZ_TO_RGB
    main = {
        254: (_LONG, [0]),  # NewSubfileType: the full picture
        256: (_LONG, [width]),
        257: (_LONG, [height]),
        258: (_SHORT, [16]),  # BitsPerSample
        259: (_SHORT, [1]),  # Compression: none
        262: (_SHORT, [32803]),  # PhotometricInterpretation: colour filter array
        271: (_ASCII, MAKE),
        272: (_ASCII, MODEL),
        273: (_LONG, [strip_offset]),
        274: (_SHORT, [1]),  # Orientation: upright
        277: (_SHORT, [1]),  # SamplesPerPixel
        278: (_LONG, [height]),  # RowsPerStrip: one strip
        279: (_LONG, [2 * height * width]),  # StripByteCounts
        284: (_SHORT, [1]),  # PlanarConfiguration
        305: (_ASCII, "pp_lib.camera"),  # Software
        306: (_ASCII, taken_at),
        33421: (_SHORT, [2, 2]),  # CFARepeatPatternDim
        33422: (_BYTE, bytes([0, 1, 1, 2])),  # CFAPattern: red green / green blue
        34665: (_LONG, [exif_offset]),
        50706: (_BYTE, bytes([1, 4, 0, 0])),  # DNGVersion
        50707: (_BYTE, bytes([1, 1, 0, 0])),  # DNGBackwardVersion
        50708: (_ASCII, MODEL),  # UniqueCameraModel
        50714: (_LONG, [photograph.black_level]),
        50717: (_LONG, [photograph.white_level]),
        50721: (_SRATIONAL, [_four_decimals(x) for x in camera_matrix.ravel()]),  # ColorMatrix1
        50728: (_RATIONAL, [_four_decimals(x) for x in photograph.as_shot_neutral]),
        50778: (_SHORT, [21]),  # CalibrationIlluminant1: D65
    }
    exif = {
        33434: (_RATIONAL, [settings.exposure_time_s]),
        33437: (_RATIONAL, [settings.f_number]),
        # ISOSpeedRatings is a SHORT; Exif 2.3 says 65535 means "look at 34866".
        34855: (_SHORT, [min(settings.iso, 65535)]),
        34864: (_SHORT, [2]),  # SensitivityType: recommended exposure index
        34866: (_LONG, [settings.iso]),  # RecommendedExposureIndex
        36864: (_UNDEFINED, b"0232"),  # ExifVersion
        36867: (_ASCII, taken_at),  # DateTimeOriginal
        37386: (_RATIONAL, [settings.focal_length_mm]),
    }
    return main, exif


def _directory(tags, offset):
    """Pack one image file directory that will lie at `offset`, long values behind it."""
    values_offset = offset + 2 + 12 * len(tags) + 4
    entries, values = b"", b""
    for tag in sorted(tags):  # TIFF demands ascending order
        kind, content = tags[tag]
        count, packed = _pack(tag, kind, content)
        if len(packed) > 4:
            entries += struct.pack("<HHLL", tag, kind, count, values_offset + len(values))
            values += packed + b"\0" * (len(packed) % 2)  # values start on even offsets
        else:
            entries += struct.pack("<HHL", tag, kind, count) + packed.ljust(4, b"\0")
    return struct.pack("<H", len(tags)) + entries + struct.pack("<L", 0) + values


def _pack(tag, kind, content):
    """Return (count, bytes) of one tag's values."""
    if kind == _ASCII:
        content = content.encode("ascii") + b"\0"
    if isinstance(content, bytes):
        return len(content), content
    if kind in _UNIT_FORMATS:
        packed = [_checked(tag, _UNIT_FORMATS[kind], [value]) for value in content]
    else:
        letters = "LL" if kind == _RATIONAL else "ll"
        packed = [_checked(tag, letters, Fraction(x).as_integer_ratio()) for x in content]
    return len(content), b"".join(packed)


def _checked(tag, letters, numbers):
    try:
        return struct.pack(f"<{letters}", *numbers)
    except struct.error as error:
        raise ValueError(
            f"TIFF tag {tag} holds whole numbers up to {_MAX_LONG}, got {numbers}; "
            "give a fraction with a smaller numerator and denominator"
        ) from error


def _four_decimals(value):
    return Fraction(round(float(value) * 10_000), 10_000)
