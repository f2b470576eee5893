"""Exposure: the stops that cameras write down, EV100, and the program that chooses among them.

Chapter 2. Everything is counted in stops (powers of two), because that is how exposure adds up.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


def _fractions(text):
    return tuple(Fraction(word) for word in text.split())


# Nominal third stops, as cameras write them into EXIF: the true 5.657 is written 5.6 = 28/5.
F_NUMBERS = _fractions(
    "1.4 1.6 1.8 2 2.2 2.5 2.8 3.2 3.5 4 4.5 5 5.6 6.3 7.1 8 9 10 11 13 14 16 18 20 22"
)
ISOS = (
    *(100, 125, 160, 200, 250, 320, 400, 500, 640, 800, 1000, 1250, 1600, 2000, 2500, 3200),
    *(4000, 5000, 6400, 8000, 10000, 12800),
)
EXPOSURE_TIMES_S = _fractions(
    "1/8000 1/6400 1/5000 1/4000 1/3200 1/2500 1/2000 1/1600 1/1250 1/1000 1/800 1/640 1/500 "
    "1/400 1/320 1/250 1/200 1/160 1/125 1/100 1/80 1/60 1/50 1/40 1/30 1/25 1/20 1/15 1/13 "
    "1/10 1/8 1/6 1/5 1/4 0.3 0.4 0.5 0.6 0.8 1 1.3 1.6 2 2.5 3.2 4 5 6 8 10 13 15 20 25 30"
)


@dataclass(frozen=True)
class Settings:
    """What the photographer set; exact, because a class boundary may lie on a stop.

    Parameters
    ----------
    f_number : Fraction
        Focal length over aperture diameter, > 0.
    iso : int
        Sensitivity, > 0.
    exposure_time_s : Fraction
        How long the shutter is open, > 0, in seconds.
    focal_length_mm : Fraction
        Focal length, > 0, in millimetres.

    Raises
    ------
    ValueError
        If a value is not a positive number.
    """

    f_number: Fraction
    iso: int
    exposure_time_s: Fraction
    focal_length_mm: Fraction = Fraction(50)

    def __post_init__(self):
        for name in ("f_number", "exposure_time_s", "focal_length_mm"):
            object.__setattr__(self, name, _positive_fraction(name, getattr(self, name)))
        iso = _positive_fraction("iso", self.iso)
        if iso.denominator != 1:
            raise ValueError(f"iso must be a whole number such as 400, got {self.iso!r}")
        object.__setattr__(self, "iso", int(iso))

    @property
    def ev100(self):
        """Light level (EV at ISO 100) that these settings expose correctly."""
        return ev100(self.f_number, self.exposure_time_s, self.iso)


def _positive_fraction(name, value):
    try:
        # str first: Fraction(5.6) would be the binary neighbour 3152519739159347/562949953421312
        fraction = Fraction(str(value)) if isinstance(value, float) else Fraction(value)
    except (TypeError, ValueError, ZeroDivisionError, OverflowError) as error:
        raise ValueError(
            f"{name} must be a positive number or fraction, got {value!r}; write 5.6 as '28/5'"
        ) from error
    if fraction <= 0:
        raise ValueError(f"{name} must be > 0, got {value!r}")
    return fraction


def ev100(f_number, exposure_time_s, iso=100):
    r"""Exposure value at ISO 100: the light level for which an exposure is right.

    .. math:: EV_{100} = \log_2 (N^2 / t) - \log_2 (S / 100)

    Parameters
    ----------
    f_number, exposure_time_s, iso : positive number
        N (no unit), t in seconds, S.

    Returns
    -------
    float
        In stops. About 15 in bright sun, 8 in a lit room, 3 in a street at night.

    Raises
    ------
    ValueError
        If a value is not positive.

    Notes
    -----
    Chapter 2. ISO 2720:1974 (the reflected-light meter, K = 12.5).
    """
    for name, value in (("f_number", f_number), ("exposure_time_s", exposure_time_s), ("iso", iso)):
        if not value > 0:
            raise ValueError(f"{name} must be > 0, got {value!r}")
    return 2 * math.log2(f_number) - math.log2(exposure_time_s) - math.log2(iso / 100)


def nearest_stop(value, table):
    """Entry of a stop table that lies nearest on the log scale.

    Parameters
    ----------
    value : positive number
    table : sequence of positive numbers

    Returns
    -------
    Fraction or int
        One of the table's entries.
    """
    if not value > 0:
        raise ValueError(f"a stop must be > 0, got {value!r}")
    return min(table, key=lambda stop: abs(math.log2(stop) - math.log2(value)))


# --- The exposure program -------------------------------------------------------------------

# How often each way of working is chosen by hand-held photographers.
_MODES = {"aperture": 0.28, "shutter": 0.22, "program": 0.16, "manual": 0.34}
_ERROR_STOPS = 0.25  # metering and taste: the standard deviation of the exposure error
_N, _T, _S = 0, 1, 2  # positions in the vector of wanted values
_TABLES = (F_NUMBERS, EXPOSURE_TIMES_S, ISOS)
# One stop more light means: N two thirds down (N^2), t doubled, S doubled.
_STOPS_PER_OCTAVE = (-2.0, 1.0, 1.0)


def auto_exposure(light_ev100, *, focal_length_mm=50, tripod=False, rng):
    """Choose settings for a light level the way photographers do.

    A way of working is drawn first (aperture priority, shutter priority, program, manual with
    automatic ISO; on a tripod: small apertures and long times). It fixes what the photographer
    cares about; the rest follows from the light, within what a lens, a hand and a sensor allow.
    So the settings are correlated through the exposure, as in life.

    Parameters
    ----------
    light_ev100 : float
        Light level in stops (see `ev100`), -6 to 20.
    focal_length_mm : positive number
        Sets how long a hand can hold still (the rule "one over the focal length").
    tripod : bool
        Whether the camera stands still, so that long exposures are possible.
    rng : numpy.random.Generator

    Returns
    -------
    Settings
        All values from the tables of third stops.

    Raises
    ------
    ValueError
        If the light level is outside -6 .. 20.
    """
    if not -6 <= light_ev100 <= 20:
        raise ValueError(f"light_ev100 must be within -6 .. 20, got {light_ev100!r}")
    target = light_ev100 + _ERROR_STOPS * float(np.clip(rng.standard_normal(), -2.5, 2.5))
    widest = 2.0 ** rng.uniform(0.5, 1.7)  # the lens: f/1.4 .. f/3.2
    steady_s = 2.0 ** rng.uniform(-0.5, 1.0) / float(focal_length_mm)
    mode = "tripod" if tripod else rng.choice(list(_MODES), p=list(_MODES.values()))
    wanted, give_way = _intent(mode, target, widest, steady_s, rng)
    wanted = _settle(wanted, target, give_way)
    N, iso = nearest_stop(wanted[_N], F_NUMBERS), nearest_stop(wanted[_S], ISOS)
    # The time takes up what rounding the other two left over.
    t = nearest_stop(float(N) ** 2 / 2.0**target * 100 / iso, EXPOSURE_TIMES_S)
    return Settings(N, iso, t, Fraction(focal_length_mm))


def _intent(mode, target, widest, steady_s, rng):
    """Say what a photographer wants, and what gives way, in which order, to the light."""
    fastest, slowest = 1 / 8000, 2.0
    base = int(rng.choice((100, 200, 400), p=(0.5, 0.25, 0.25)))  # the ISO one leaves it at
    to_iso = (_S, base, 6400)
    rescue = [(_T, fastest, steady_s * 2), (_N, widest, 22), (_S, base, 12800), (_T, fastest, 30)]
    rescue += [(_S, 100, 12800), (_N, widest, 22)]  # very bright: give up the ISO one left it at
    if mode == "aperture":
        if rng.random() < 0.45:
            N = widest * 2.0 ** rng.uniform(0, 1)  # a subject before a blurred background
        else:
            N = 2.0 ** rng.uniform(2.6, 4.4)  # everything sharp: f/6.3 .. f/22
        return [N, steady_s, base], [(_T, fastest, steady_s), to_iso, *rescue]
    if mode == "shutter":
        if rng.random() < 0.45:
            t = 2.0 ** -rng.uniform(8.5, 11)  # freeze: 1/360 .. 1/2000
        else:
            t = 2.0 ** -rng.uniform(2.5, 5.5)  # let it flow: 1/6 .. 1/45
        return [5.6, t, base], [(_N, widest, 22), to_iso, (_T, fastest, slowest), *rescue]
    if mode == "program":
        N = 2.0 ** np.clip((target - 3) / 4, 1.2, 3.5)  # the camera's own middle way
        return [N, steady_s, base], [(_T, fastest, steady_s), to_iso, *rescue]
    if mode == "manual":
        N, t = 2.0 ** rng.uniform(1.5, 4.3), 2.0 ** -rng.uniform(4, 10.5)
        give_way = [(_S, base, 12800), (_T, fastest, max(t, steady_s)), (_N, widest, 22)]
        return [N, t, base], give_way + rescue
    iso = 100 * 2.0 ** rng.integers(0, 3)
    return [2.0 ** rng.uniform(2.4, 4.4), 0.1, iso], [(_T, fastest, 4), (_N, widest, 22), *rescue]


def _settle(wanted, target, give_way):
    """Move one value after the other, within its limits, until the exposure is right."""
    wanted = [float(value) for value in wanted]
    for which, low, high in give_way:
        missing = ev100(wanted[_N], wanted[_T], wanted[_S]) - target  # stops of light missing
        value = wanted[which] * 2.0 ** (missing / _STOPS_PER_OCTAVE[which])
        # A limit stops a change; it does not move what was wanted beyond it.
        wanted[which] = float(np.clip(value, min(low, wanted[which]), max(high, wanted[which])))
    return wanted
