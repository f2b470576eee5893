"""What the camera wrote down: f-number, ISO and exposure time as exact fractions (chapter 01).

Two readers are asked in turn. exifread goes through the EXIF tags and reads damaged files too;
rawpy's `raw.other` knows the makers' private places, but wants intact pixels, gives float32, and
writes 0 for "unknown". Decisions, so that nobody has to guess:

- A tag is looked up in the Exif IFD, then in IFD0, where TIFF/EP cameras put it.
- Zero and 0/0 mean "not recorded": a lens without contacts writes f/0. The next source is asked.
- A value that is recorded but that no camera has (-1 s, 1e9 s, 1/0) condemns the photo: who wrote
  that may have written the rest as well.
- Without FNumber, ApertureValue is taken; without ExposureTime, ShutterSpeedValue. Both are
  logarithms (APEX), so the nominal stop they stand for is given: 3.9069 is 1/15 s.
- ISO: the first value that is not zero. 65535 is as far as the tag counts; the true value then
  stands in RecommendedExposureIndex, StandardOutputSensitivity or ISOSpeed.
- The ISO in a JPEG's maker note is not used: it is often a code, a different one for each maker.
"""

import math
import struct
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from pp_lib.photos.bins import nominal_stop
from pp_lib.photos.files import REASONS, UnusablePhoto, is_raw, open_raw
from pp_lib.photos.tags import lookup, read_tags, taken_at, text_of

__all__ = ["REASONS", "ExposureRecord", "UnusablePhoto", "read_exposure"]

# Generous: what has been built is f/0.7 to pinholes, ISO 0.8 (film scans) to 4,560,000.
F_NUMBER_RANGE = (Fraction(1, 2), Fraction(512))
ISO_RANGE = (Fraction(1), Fraction(10_000_000))
EXPOSURE_TIME_RANGE_S = (Fraction(1, 1_000_000), Fraction(86_400))  # to a day
FOCAL_LENGTH_RANGE_MM = (Fraction(1, 10), Fraction(100_000))

_ISO_TAGS = ("ISOSpeedRatings", "PhotographicSensitivity")
_ISO_TAGS_BEYOND_65535 = ("RecommendedExposureIndex", "StandardOutputSensitivity", "ISOSpeed")
_SETTINGS = ("aperture", "ISO", "exposure time")


@dataclass(frozen=True)
class ExposureRecord:
    """The exposure as recorded.

    Attributes
    ----------
    f_number : Fraction
        Focal length over aperture diameter, 1/2 to 512; exactly as written (28/5 for 5.6).
    iso : int
        1 to 10,000,000.
    exposure_time_s : Fraction
        1/1,000,000 s to one day; exactly as written (10/300 becomes 1/30: the same number).
    focal_length_mm : Fraction or None
        None if unknown: nothing here is learnt from it.
    make, model : str or None
    taken_at : datetime or None
        The camera's clock, without a time zone.
    source : str
        Who read it: "exifread", "rawpy", or "exifread+rawpy" when rawpy filled a gap.
    """

    f_number: Fraction
    iso: int
    exposure_time_s: Fraction
    focal_length_mm: Fraction | None
    make: str | None
    model: str | None
    taken_at: datetime | None
    source: str


def read_exposure(path) -> ExposureRecord:
    """Read the exposure record of a RAW, JPEG, TIFF or PNG file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    ExposureRecord

    Raises
    ------
    UnusablePhoto
        If a setting is missing or absurd, or the file cannot be read; `.reason` says which.

    Notes
    -----
    Chapter 01. EXIF 2.32 (CIPA DC-008), section 4.6.5; APEX in its annex C.
    """
    tags = read_tags(path)
    values = [_f_number(path, tags), _iso(path, tags), _exposure_time_s(path, tags)]
    focal_length_mm = _focal_length_mm(tags)
    source = "exifread"
    if None in values and is_raw(path):
        found_by_exifread = any(value is not None for value in values)
        with open_raw(path) as raw:
            other = raw.other if hasattr(raw, "other") else None  # rawpy < 0.27 has none
        if other is not None:
            fills = _from_rawpy(path, other)
            values = [v if v is not None else f for v, f in zip(values, fills, strict=True)]
            if focal_length_mm is None:
                focal_length_mm = _plausible(
                    _from_float32(other.focal_length), FOCAL_LENGTH_RANGE_MM
                )
            source = "exifread+rawpy" if found_by_exifread else "rawpy"
    _raise_if_missing(path, tags, values)
    return ExposureRecord(
        f_number=values[0],
        iso=int(values[1]),
        exposure_time_s=values[2],
        focal_length_mm=focal_length_mm,
        make=text_of(tags, "Make"),
        model=text_of(tags, "Model"),
        taken_at=taken_at(tags),
        source=source,
    )


def _number(path, name: str, value) -> Fraction | None:
    """Give an exact number; None for zero and 0/0, which mean "not recorded"."""
    if isinstance(value, Fraction) and value.denominator == 0:  # exifread's Ratio allows it
        if value.numerator == 0:
            return None
        raise UnusablePhoto(path, "absurd value", f"{name} is {value.numerator}/0, infinity")
    try:
        number = Fraction(value.strip("\0 ") if isinstance(value, str) else value)
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise UnusablePhoto(path, "absurd value", f"{name} is {value!r}, not a number") from error
    return number or None


def _checked(path, name: str, number: Fraction | None, limits) -> Fraction | None:
    if number is not None and not limits[0] <= number <= limits[1]:
        detail = f"{name} is {_short(number)}, outside {limits[0]} to {limits[1]}"
        raise UnusablePhoto(path, "absurd value", detail)
    return number


def _short(number: Fraction) -> str:
    return str(number) if number.denominator == 1 else f"{number} = {float(number):.6g}"


def _plausible(number: Fraction | None, limits) -> Fraction | None:
    return number if number is not None and limits[0] <= number <= limits[1] else None


def _tag_number(path, tags: dict, name: str) -> Fraction | None:
    values = lookup(tags, name)
    return _number(path, name, values[0]) if values else None


def _f_number(path, tags: dict) -> Fraction | None:
    direct = _tag_number(path, tags, "FNumber")
    if direct is not None:
        return _checked(path, "FNumber", direct, F_NUMBER_RANGE)
    # APEX: aperture value Av = 2 log2(N). Av = 0 is f/1, which 0 = "not recorded" shadows.
    return _from_apex(path, tags, "ApertureValue", lambda av: av / 2, "aperture", F_NUMBER_RANGE)


def _exposure_time_s(path, tags: dict) -> Fraction | None:
    direct = _tag_number(path, tags, "ExposureTime")
    if direct is not None:
        return _checked(path, "ExposureTime", direct, EXPOSURE_TIME_RANGE_S)
    # APEX: time value Tv = -log2(t)
    limits = EXPOSURE_TIME_RANGE_S
    return _from_apex(path, tags, "ShutterSpeedValue", lambda tv: -tv, "shutter", limits)


def _from_apex(path, tags, name, log2_value, kind, limits) -> Fraction | None:
    apex = _tag_number(path, tags, name)
    if apex is None:
        return None
    _checked(path, name, apex, (Fraction(-40), Fraction(40)))  # 2 to the 40 is still a float
    value = Fraction(2.0 ** float(log2_value(apex))).limit_denominator(1_000_000)
    if value == 0:
        raise UnusablePhoto(path, "absurd value", f"{name} is {_short(apex)}")
    return _checked(path, name, nominal_stop(value, kind), limits)


def _iso(path, tags: dict) -> int | None:
    for name in _ISO_TAGS:
        numbers = [_number(path, name, value) for value in lookup(tags, name)]
        recorded = [number for number in numbers if number is not None]
        if recorded:
            iso = recorded[0]
            if iso == 65535:
                beyond = (_tag_number(path, tags, tag) for tag in _ISO_TAGS_BEYOND_65535)
                iso = next((number for number in beyond if number is not None), iso)
            return round(_checked(path, name, iso, ISO_RANGE))
    return None


def _focal_length_mm(tags: dict) -> Fraction | None:
    for value in lookup(tags, "FocalLength")[:1]:
        # labels are not made of it: an absurd focal length is no reason to lose a photograph
        if isinstance(value, int | Fraction) and value.denominator != 0:
            return _plausible(Fraction(value), FOCAL_LENGTH_RANGE_MM)
    return None


def _from_rawpy(path, other) -> tuple[Fraction | None, int | None, Fraction | None]:
    f_number = _from_float32(other.aperture)
    iso = _from_float32(other.iso_speed)
    exposure_time_s = _from_float32(other.shutter_speed)
    _checked(path, "rawpy's iso_speed", iso, ISO_RANGE)
    return (
        _checked(path, "rawpy's aperture", f_number, F_NUMBER_RANGE),
        None if iso is None else round(iso),
        _checked(path, "rawpy's shutter_speed", exposure_time_s, EXPOSURE_TIME_RANGE_S),
    )


def _from_float32(value: float) -> Fraction | None:
    """Give the simplest fraction that float32 cannot tell from `value`: 0.06666667 is 1/15."""
    if not math.isfinite(value) or value == 0:
        return None  # LibRaw's "unknown"
    exact, as_float32 = Fraction(value), struct.pack("f", value)
    for power in range(10):
        simple = exact.limit_denominator(10**power)
        if struct.pack("f", float(simple)) == as_float32:
            return simple
    return exact


def _raise_if_missing(path, tags: dict, values) -> None:
    missing = [name for name, value in zip(_SETTINGS, values, strict=True) if value is None]
    if not missing:
        return
    if len(missing) == len(_SETTINGS):
        detail = "no EXIF at all" if not tags else "EXIF without any of the three settings"
        raise UnusablePhoto(path, "no exposure record", detail)
    raise UnusablePhoto(path, f"no {missing[0]}", f"missing or zero: {', '.join(missing)}")
