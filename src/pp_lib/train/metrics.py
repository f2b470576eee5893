"""Numbers to judge a classifier by, and the baselines it has to beat. NumPy and SciPy only."""

import numpy as np
from scipy.special import ndtri

from pp_lib.photos.bins import HEADS


def accuracy(y, predicted):
    """Give the fraction of predictions that are right.

    Parameters
    ----------
    y, predicted : array_like of int, (N,), N >= 1
    """
    y, predicted = _pair(y, predicted)
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
    y = _labels(y)
    reference = y if y_train is None else _labels(y_train)
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
    y = _labels(y)
    p = np.bincount(y) / len(y)
    p = p[p > 0]  # p ln p tends to 0 with p
    return float(np.sum(p * np.log(1 / p)))


def confusion(y, predicted, n_classes=3):
    """Count how often each true class (row) was answered with each class (column).

    Returns
    -------
    numpy.ndarray of int64, (n_classes, n_classes)
    """
    y, predicted = _pair(y, predicted)
    largest = max(y.max(), predicted.max())
    if largest >= n_classes:
        raise ValueError(f"classes must be 0..{n_classes - 1}, got {largest}")
    counts = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(counts, (y, predicted), 1)
    return counts


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


def summary(labels, predicted, labels_train=None):
    """Put each head's accuracy beside what it has to beat.

    Parameters
    ----------
    labels, predicted : array_like of int, (N, 3)
        True and predicted classes, one column a head in the order of ``HEADS``.
    labels_train : array_like of int, (M, 3), optional
        See `majority_accuracy`.

    Returns
    -------
    dict
        For each head a dict with ``accuracy``, ``low`` and ``high`` (Wilson, 95 %),
        ``majority`` and ``entropy`` (nats); and ``"sum"`` with the ``entropy`` of the three
        together, which is what the summed validation loss has to come below.
    """
    labels, predicted = _three_columns(labels), _three_columns(predicted)
    train = None if labels_train is None else _three_columns(labels_train)
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
        }
    return heads | {"sum": {"entropy": sum(h["entropy"] for h in heads.values())}}


def _labels(y):
    y = np.asarray(y)
    if y.ndim != 1 or y.size == 0 or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"labels must be (N,) integers, N >= 1, got {y.shape} {y.dtype}")
    if y.min() < 0:
        raise ValueError(f"labels must be 0 or more, got {y.min()}")
    return y


def _pair(y, predicted):
    y, predicted = _labels(y), _labels(predicted)
    if y.shape != predicted.shape:
        raise ValueError(f"labels {y.shape} and predictions {predicted.shape} differ in length")
    return y, predicted


def _three_columns(labels):
    labels = np.asarray(labels)
    if labels.ndim != 2 or labels.shape[1] != len(HEADS):
        raise ValueError(f"labels must be (N, {len(HEADS)}), one column a head, got {labels.shape}")
    return labels
