"""From settings to classes: three bins a setting (chapter 03).

The edges are 5.6 and 11, ISO 200 and 800, 1/250 and 1/30 s. Numbers are compared as exact
fractions, after the one thing that must come first: knowing which number is meant. f/5.6 is
"really" 4 sqrt 2 = 5.657, and 1/30 s is "really" 1/32; cameras and their software write either,
rounded in their own ways. `nominal_stop` gives the nominal stop that a spelling stands for.
"""

import math
import numbers
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from itertools import count
from typing import NamedTuple

# What lens rings and displays say, in third stops. The exact stop beside it is 2^(k/6) or 2^(k/3).
_F_NUMBERS = (
    "0.7 0.8 0.9 1 1.1 1.2 1.4 1.6 1.8 2 2.2 2.5 2.8 3.2 3.5 4 4.5 5 5.6 6.3 7.1 8 9 10 11 13 14 16"
    " 18 20 22 25 29 32 36 40 45 51 57 64"
)
_F_NUMBERS_START = -3  # 0.7 = 2^(-3/6)
_TIMES_S = (
    "30 25 20 15 13 10 8 6 5 4 3.2 2.5 2 1.6 1.3 1 0.8 0.6 0.5 0.4 0.3 1/4 1/5 1/6 1/8 1/10 1/13"
    " 1/15 1/20 1/25 1/30 1/40 1/50 1/60 1/80 1/100 1/125 1/160 1/200 1/250 1/320 1/400 1/500 1/640"
    " 1/800 1/1000 1/1250 1/1600 1/2000 1/2500 1/3200 1/4000 1/5000 1/6400 1/8000 1/10000 1/12800"
    " 1/16000 1/20000 1/25600 1/32000"
)
_TIMES_START = 15  # 30 s = 2^(15/3) = 32 s, counted downwards

# How far a spelling may lie from the number it spells, as a ratio. Third stops are 12 % apart in
# f-numbers and 26 % in time, so there is no doubt which stop is near.
# The exact stop is only ever rounded to two digits or more: 11.3 (0.1 %), 5.66, 0.0039 (0.2 %).
# The nominal f-number is written in full; 1 % is room for APEX. f/5.5 is 1.8 % from 5.6, is a real
#   aperture of small zooms, and must stay below 5.6.
# The nominal time is also written as 0.033 (1.0 %) and 0.034 (2.0 %), and both mean 1/30. A
#   telephone's 1/29 s (3.4 %) and 1/33 s (9 %) are times of their own, and so is 1/260 s.
EXACT_TOLERANCE = Fraction(5, 1000)
NOMINAL_TOLERANCE = {"aperture": Fraction(10, 1000), "shutter": Fraction(25, 1000)}


@dataclass(frozen=True)
class Bins:
    """Classes of one setting, cut at edges.

    Attributes
    ----------
    name : str
        Head and setting: "aperture", "iso" or "shutter".
    unit : str
        Of the edges: "f-number", "ISO" or "s".
    edges : tuple of Fraction
        Ascending; `n_classes` - 1 of them.
    edge_classes : tuple of int
        The class that each edge value itself belongs to: k or k + 1 for edge k.
    names : tuple of str
        What to call the classes.
    """

    name: str
    unit: str
    edges: tuple[Fraction, ...]
    edge_classes: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def n_classes(self) -> int:
        """Give the number of classes."""
        return len(self.edges) + 1

    def encode(self, value) -> int:
        """Give the class of a setting.

        Parameters
        ----------
        value : Fraction, int, float or NumPy number
            In `unit`, positive and finite; snapped to the nominal stop it spells first.

        Returns
        -------
        int
            0 to `n_classes` - 1.

        Raises
        ------
        ValueError, TypeError
            If the value is not positive and finite; if it is no real number.
        """
        value = nominal_stop(value, self.name)
        for k, (edge, edge_class) in enumerate(zip(self.edges, self.edge_classes, strict=True)):
            if value < edge or (value == edge and edge_class == k):
                return k
        return len(self.edges)


APERTURE = Bins(
    "aperture",
    "f-number",
    edges=(Fraction(28, 5), Fraction(11)),
    edge_classes=(1, 1),
    names=("wide, below f/5.6", "medium, f/5.6 to f/11", "narrow, above f/11"),
)
ISO = Bins(
    "iso",
    "ISO",
    edges=(Fraction(200), Fraction(800)),
    edge_classes=(0, 1),  # 201 to 399, in no class of the notes, is medium here
    names=("low, up to ISO 200", "medium, above 200 up to 800", "high, above ISO 800"),
)
SHUTTER = Bins(
    "shutter",
    "s",
    edges=(Fraction(1, 250), Fraction(1, 30)),
    edge_classes=(1, 1),
    names=("fast, below 1/250 s", "medium, 1/250 to 1/30 s", "slow, above 1/30 s"),
)
HEADS = {"aperture": APERTURE, "iso": ISO, "shutter": SHUTTER}


class _Stop(NamedTuple):
    nominal: Fraction
    exact: Fraction


@cache
def _stops(kind: str) -> tuple[_Stop, ...]:
    """Give (nominal, exact) of every third stop of a kind, in the order of the tables."""
    if kind == "aperture":
        names, exponents = _F_NUMBERS.split(), (Fraction(k, 6) for k in count(_F_NUMBERS_START))
    else:
        names, exponents = _TIMES_S.split(), (Fraction(k, 3) for k in count(_TIMES_START, -1))
    # exact only to float64, 1e-16; `EXACT_TOLERANCE` is far above
    pairs = zip(names, exponents, strict=False)
    return tuple(_Stop(Fraction(name), Fraction(2.0 ** float(e))) for name, e in pairs)


def nominal_stop(value, kind: str) -> Fraction:
    """Give the nominal third stop that a recorded value spells, or the value itself.

    A value spells a stop if it lies within `NOMINAL_TOLERANCE` of the nominal number (5.6, 1/30) or
    within `EXACT_TOLERANCE` of the exact one (2^(5/2) = 5.657, 2^-5 = 1/32). Anything else is a
    setting of its own, as telephones and compact zooms have, and stays exactly as it is. ISO values
    are whole numbers whose full stops are exact (100 * 2^k): there is no second spelling, so
    nothing is snapped; 201 is not 200.

    Parameters
    ----------
    value : Fraction, int, float or NumPy number
        Positive and finite: an f-number, an ISO or an exposure time in s.
    kind : {"aperture", "iso", "shutter"}

    Returns
    -------
    Fraction

    Raises
    ------
    ValueError, TypeError
        If the value is not positive and finite; if it is no real number; if the kind is unknown.
    """
    if kind not in ("aperture", "iso", "shutter"):
        raise ValueError(f"kind must be 'aperture', 'iso' or 'shutter', got {kind!r}")
    exact_value = _exact(value, kind)
    return exact_value if kind == "iso" else _snapped(exact_value, kind)


@lru_cache(maxsize=4096)  # a collection has thousands of photographs and a few dozen settings
def _snapped(exact_value: Fraction, kind: str) -> Fraction:
    for stop in _stops(kind):
        near_nominal = abs(exact_value / stop.nominal - 1) <= NOMINAL_TOLERANCE[kind]
        if near_nominal or abs(exact_value / stop.exact - 1) <= EXACT_TOLERANCE:
            return stop.nominal
    return exact_value


def _exact(value, kind: str) -> Fraction:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        # NumPy's float16 to float64 and integers are registered as numbers; arrays and text are not
        raise TypeError(f"{kind} must be a real number, got {value!r}")
    if isinstance(value, Fraction) and value.denominator == 0:
        raise ValueError(f"{kind} must be positive and finite, got {value.numerator}/0")
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"{kind} must be positive and finite, got {value!r}")
    if isinstance(value, numbers.Rational):
        return Fraction(int(value.numerator), int(value.denominator))
    return Fraction(float(value))


def labels(record) -> dict[str, int]:
    """Give the three classes of a photograph.

    Parameters
    ----------
    record : ExposureRecord or any object with `f_number`, `iso` and `exposure_time_s`

    Returns
    -------
    dict
        {"aperture": 0..2, "iso": 0..2, "shutter": 0..2}, in the order of `HEADS`.
    """
    settings = (record.f_number, record.iso, record.exposure_time_s)
    return {name: bins.encode(v) for (name, bins), v in zip(HEADS.items(), settings, strict=True)}
