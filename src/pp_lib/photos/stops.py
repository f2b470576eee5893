"""Settings on the scale that photographers count on: stops, each twice or half the light.

Aperture: 2 log2 N (chapter 3), ISO: log2(S / 100), shutter: -log2 t, with t in seconds. So
EV100 = aperture + shutter - ISO (chapter 1). A regressor reads these numbers where a classifier
reads the classes of `bins`.
"""

import math
from fractions import Fraction

import numpy as np

from pp_lib.photos.bins import HEADS, nominal_stop

# For each edge of `bins`, the next third stop of the dial that lies in the other class.
ACROSS = {
    "aperture": (Fraction(5), Fraction(13)),
    "iso": (Fraction(250), Fraction(1000)),
    "shutter": (Fraction(1, 320), Fraction(1, 25)),
}


def to_stops(value, kind: str) -> float:
    """Give a setting in stops.

    Parameters
    ----------
    value : Fraction, int, float or NumPy number
        An f-number, an ISO or an exposure time in s; positive and finite. The nominal stop that
        it spells is taken (`nominal_stop`), so that 1/32 s and 1/30 s are the same.
    kind : {"aperture", "iso", "shutter"}

    Raises
    ------
    ValueError, TypeError
        As `nominal_stop`.
    """
    log2 = math.log2(nominal_stop(value, kind))
    return {"aperture": 2 * log2, "iso": log2 - math.log2(100), "shutter": -log2}[kind]


def from_stops(stops: float, kind: str) -> float:
    """Give the f-number, the ISO or the exposure time in s: `to_stops` backwards."""
    exponents = {"aperture": stops / 2, "iso": stops + math.log2(100), "shutter": -stops}
    return 2.0 ** exponents[kind]


def settings_in_stops(record) -> dict[str, float]:
    """Give the three settings of a photograph in stops, in the order of `HEADS`.

    Parameters
    ----------
    record : ExposureRecord or any object with `f_number`, `iso` and `exposure_time_s`
    """
    settings = (record.f_number, record.iso, record.exposure_time_s)
    return {name: to_stops(v, name) for name, v in zip(HEADS, settings, strict=True)}


def classes_of_settings(stops) -> np.ndarray:
    """Give the classes, (N, 3) int64, of recorded settings in stops, (N, 3), as `bins` has them."""
    columns = []
    for (name, bins), column in zip(HEADS.items(), np.asarray(stops, np.float64).T, strict=True):
        values = (from_stops(u, name) for u in column.tolist())
        # logarithms round; an ISO is a whole number, and other settings are snapped by `encode`
        columns.append([bins.encode(round(v) if name == "iso" else v) for v in values])
    return np.array(columns, dtype=np.int64).T.reshape(-1, len(HEADS))


def classes_of_predictions(stops) -> np.ndarray:
    """Give the classes, (N, 3) int64, of a regressor's answers in stops, (N, 3).

    That of the nearest third stop on the dial: the border between two classes lies half-way
    between the last setting of one and the first of the other. `classes_of_settings` would not
    do: a regressor that says f/5.5 of f/5.6 is right.
    """
    columns = []
    for name, column in zip(HEADS, np.asarray(stops, np.float64).T, strict=True):
        borders = [(low + high) / 2 for low, high in gaps(name)]
        k = np.searchsorted(sorted(borders), column)
        columns.append(len(borders) - k if name == "shutter" else k)  # slow has fewest stops
    return np.stack(columns, axis=1).astype(np.int64)


def gaps(kind: str) -> list[tuple[float, float]]:
    """Give for each edge the last stop of the class before it and the first of the class behind."""
    bins, pairs = HEADS[kind], []
    for k, (edge, across) in enumerate(zip(bins.edges, ACROSS[kind], strict=True)):
        pair = (edge, across) if bins.edge_classes[k] == k else (across, edge)
        pairs.append(tuple(to_stops(value, kind) for value in pair))
    return pairs
