"""Numbers to judge a classifier by, and the baselines it has to beat. NumPy and SciPy only.

What its probabilities are worth is in `calibration`, how far its answers are off in `stops`.
"""

import numpy as np
from scipy.special import ndtri

from pp_lib.photos.bins import HEADS

from .calibration import expected_calibration_error, log_loss, probabilities_of
from .checks import as_labels, as_pair, one_column_a_head
from .stops import stops_error, stops_to_class


def accuracy(y, predicted):
    """Give the fraction of predictions that are right.

    Parameters
    ----------
    y, predicted : array_like of int, (N,), N >= 1
    """
    y, predicted = as_pair(y, predicted)
    return float(np.mean(y == predicted))


def majority_accuracy(y, y_train=None):
    """Give the accuracy of always answering the most frequent class.

    Parameters
    ----------
    y : array_like of int, (N,)
        The labels to be answered.
    y_train : array_like of int, (M,), optional
        The labels among which the most frequent class is looked for, as a model would have to;
        `y` itself if left out, which is the best that any constant answer can do. Of classes
        equally frequent the smallest number is taken.
    """
    y = as_labels(y)
    reference = y if y_train is None else as_labels(y_train)
    return float(np.mean(y == np.bincount(reference).argmax()))


def label_entropy(y):
    """Give the entropy of the label frequencies, in nats.

    It is the smallest mean cross-entropy that a model can reach which does not look at the
    photographs: H = -sum_k p_k ln p_k, with p_k the frequency of class k (chapters 3 and 9).

    Parameters
    ----------
    y : array_like of int, (N,)

    Returns
    -------
    float
        From 0 (one class only) to ln K (all classes equally frequent).
    """
    y = as_labels(y)
    p = np.bincount(y) / len(y)
    p = p[p > 0]  # p ln p tends to 0 with p
    return float(np.sum(p * np.log(1 / p)))


def confusion(y, predicted, n_classes=3):
    """Count how often each true class (row) was answered with each class (column).

    Returns
    -------
    numpy.ndarray of int64, (n_classes, n_classes)
    """
    y, predicted = as_pair(y, predicted)
    largest = max(y.max(), predicted.max())
    if largest >= n_classes:
        raise ValueError(f"classes must be 0..{n_classes - 1}, got {largest}")
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (y, predicted), 1)
    return counts


def macro_f1(y, predicted):
    """Give the mean of the classes' F1, each class counting the same however rare it is.

    A class's F1 is the harmonic mean of how many of its photographs were found and how many of
    those answered with it were its own: F1 = 2 c / (n + m), with n photographs of the class, m
    answers of it and c of them right. Classes that occur neither among the labels nor among the
    answers are left out.

    Parameters
    ----------
    y, predicted : array_like of int, (N,), N >= 1
    """
    y, predicted = as_pair(y, predicted)
    counts = confusion(y, predicted, 1 + max(y.max(), predicted.max()))
    occurrences = counts.sum(axis=0) + counts.sum(axis=1)  # n + m
    found = occurrences > 0
    return float(np.mean(2 * np.diag(counts)[found] / occurrences[found]))


def wilson_interval(successes, n, confidence=0.95):
    """Give Wilson's score interval of a proportion.

    Parameters
    ----------
    successes, n : int
        ``0 <= successes <= n`` and ``n >= 1``.
    confidence : float
        In (0, 1).

    Returns
    -------
    tuple of float
        Lower and upper end, within [0, 1].

    Notes
    -----
    Wilson, J. Am. Stat. Assoc. 22 (1927) 209. Unlike the textbook interval p +- z s it never
    leaves [0, 1] and keeps its promise with as few as ten photographs.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"need 0 <= successes <= n and n >= 1, got {successes} of {n}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence!r}")
    z = ndtri((1 + confidence) / 2)
    p = successes / n
    centre = p + z**2 / (2 * n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    scale = 1 + z**2 / n
    # rounding must not push p itself, or an end at 0 or 1, out of the interval
    low, high = min(p, (centre - half) / scale), max(p, (centre + half) / scale)
    return max(0.0, float(low)), min(1.0, float(high))


def summary(labels, predicted, labels_train=None, *, logits=None, stops=None, predicted_stops=None):
    """Put each head's answers beside what they have to beat.

    Parameters
    ----------
    labels, predicted : array_like of int, (N, 3)
        True and predicted classes, one column a head in the order of ``HEADS``.
    labels_train : array_like of int, (M, 3), optional
        See `majority_accuracy`.
    logits : dict of array_like of float, head -> (N, K), optional
        Of a classifier; logarithms of probabilities are logits too.
    stops : array_like of float, (N, 3), optional
        The true settings in stops (`pp_lib.photos.stops`).
    predicted_stops : array_like of float, (N, 3), optional
        A regressor's answers; then `predicted` are their classes, and `stops` is needed.

    Returns
    -------
    dict
        For each head a dict with ``accuracy``, ``low`` and ``high`` (Wilson, 95 %),
        ``majority``, ``entropy`` (nats) and ``macro_f1``; with `logits` also ``loss`` (nats) and
        ``calibration_error``; with `stops` also ``stops_to_class``, and with `predicted_stops`
        ``stops_error``. And ``"sum"`` with the ``entropy`` of the three together, which is what
        the summed validation loss has to come below, and with `logits` that ``loss``.
    """
    labels, predicted = one_column_a_head(labels), one_column_a_head(predicted)
    train = None if labels_train is None else one_column_a_head(labels_train)
    if predicted_stops is not None and stops is None:
        raise ValueError("predicted_stops can only be judged beside stops, which are missing")
    stops = None if stops is None else one_column_a_head(stops)
    predicted_stops = None if predicted_stops is None else one_column_a_head(predicted_stops)
    heads = {}
    for j, name in enumerate(HEADS):
        y, y_hat = labels[:, j], predicted[:, j]
        low, high = wilson_interval(int(np.sum(y == y_hat)), len(y))
        heads[name] = {
            "accuracy": accuracy(y, y_hat),
            "low": low,
            "high": high,
            "majority": majority_accuracy(y, None if train is None else train[:, j]),
            "entropy": label_entropy(y),
            "macro_f1": macro_f1(y, y_hat),
        }
        if logits is not None:
            heads[name]["loss"] = log_loss(y, logits[name])
            heads[name]["calibration_error"] = expected_calibration_error(
                y, probabilities_of(logits[name])
            )
        if stops is not None:
            heads[name]["stops_to_class"] = stops_to_class(y, stops[:, j], y_hat, name)
        if predicted_stops is not None:
            heads[name]["stops_error"] = stops_error(stops[:, j], predicted_stops[:, j])
    added = ("entropy",) if logits is None else ("entropy", "loss")
    return heads | {"sum": {key: sum(h[key] for h in heads.values()) for key in added}}
