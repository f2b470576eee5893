"""How far answers are off, in stops: of a regressor, and of a classifier. NumPy only."""

import numpy as np

from pp_lib.photos.bins import HEADS
from pp_lib.photos.stops import gaps

from .checks import as_pair


def stops_error(stops, predicted_stops):
    """Give a regressor's mean absolute error in stops.

    Parameters
    ----------
    stops, predicted_stops : array_like of float, (N,), N >= 1
    """
    return float(np.mean(np.abs(_settings(stops) - _settings(predicted_stops))))


def stops_to_class(y, stops, predicted, head):
    """Give how many stops settings lie from the predicted classes, on average.

    A right answer counts 0. A wrong one counts the way from the setting to the nearest third stop
    of the predicted class: so far the dial would have to be turned to make the answer right. From
    f/5.6 that is a third of a stop to "wide" (f/5) and two and a half to "narrow" (f/13).

    A class has no one value that its distance could be measured to: the outer ones are open. So
    this is not a regressor's `stops_error`, which also counts what is lost within a class; of a
    regressor it is computed from the classes of its answers, and then the two may be compared.

    Parameters
    ----------
    y, predicted : array_like of int, (N,)
        True and predicted classes.
    stops : array_like of float, (N,)
        The true settings in stops.
    head : {"aperture", "iso", "shutter"}
    """
    y, predicted = as_pair(y, predicted)
    stops = _settings(stops)
    if len(stops) != len(y) or max(y.max(), predicted.max()) >= HEADS[head].n_classes:
        raise ValueError(
            f"y, stops and predicted must be ({len(y)},) with classes 0 to "
            f"{HEADS[head].n_classes - 1}, got {len(stops)} stops, classes up to "
            f"{max(y.max(), predicted.max())}"
        )
    ends = np.array(gaps(head)).ravel()  # last of class 0, first of 1, last of 1, first of 2
    sign = 1 if ends[0] < ends[-1] else -1  # the slow shutter has the highest class, fewest stops
    ends = np.array([-np.inf, *(sign * ends), np.inf])
    low, high = ends[2 * predicted], ends[2 * predicted + 1]
    away = np.maximum(0, np.maximum(low - sign * stops, sign * stops - high))
    return float(np.mean(np.where(y == predicted, 0, away)))


def _settings(stops):
    stops = np.asarray(stops, dtype=np.float64)
    if stops.ndim != 1 or stops.size == 0 or not np.isfinite(stops).all():
        raise ValueError(f"stops must be (N,) finite numbers, N >= 1, got {stops.shape}")
    return stops
