"""What a classifier's probabilities are worth. NumPy and SciPy only, all in float64."""

import numpy as np
from scipy.special import log_softmax

from .checks import as_labels


def log_probabilities(logits):
    """Give ln p of each class, (N, K) float64, from logits.

    A logit may be minus infinity: its class then has probability 0. Chapter 8.
    """
    z = np.asarray(logits, dtype=np.float64)
    if z.ndim != 2 or z.size == 0:
        raise ValueError(f"logits must be (N, K), N and K at least 1, got {z.shape}")
    if not np.isfinite(z.max(axis=1)).all():
        raise ValueError("logits must be finite or minus infinity, with a finite one in each row")
    return log_softmax(z, axis=1)


def probabilities_of(logits):
    """Give the probabilities, (N, K) float64; see `log_probabilities`."""
    return np.exp(log_probabilities(logits))


def log_loss(y, logits):
    """Give the mean cross-entropy -ln p(y), in nats, and never cut it short.

    From probabilities the loss of a classifier that is surely wrong cannot be told: p has
    underflowed to 0, and libraries put some smallest number in its place. From logits it can.

    Parameters
    ----------
    y : array_like of int, (N,)
    logits : array_like of float, (N, K)
        Logarithms of probabilities are logits too. Computed in float64.

    Returns
    -------
    float
        Infinite only where a true class has a logit of minus infinity.
    """
    y, log_p = as_labels(y), log_probabilities(logits)
    _check_classes(y, log_p)
    return float(-np.mean(log_p[np.arange(len(y)), y]))


def expected_calibration_error(y, probabilities, n_bins=15):
    """Give the mean distance between how sure a classifier is and how often it is right.

    The photographs are sorted by the largest probability, the confidence, into `n_bins` bins of
    equal width, each with its upper end; a bin counts with its photographs:
    sum_b (n_b / N) |accuracy_b - mean confidence_b|.

    Parameters
    ----------
    y : array_like of int, (N,)
    probabilities : array_like of float, (N, K)
        Each row sums to one. The first of equally probable classes is the answer.
    n_bins : int
        At least 1.

    Returns
    -------
    float
        From 0 (calibrated, as far as the bins tell) to 1 (always sure, never right).

    Notes
    -----
    Guo et al., On calibration of modern neural networks, ICML 2017 (chapter 8).
    """
    y, p = as_labels(y), np.asarray(probabilities, dtype=np.float64)
    if p.ndim != 2 or not (p >= 0).all() or not np.allclose(p.sum(axis=1), 1, atol=1e-5):
        raise ValueError(f"probabilities must be (N, K) rows from 0 that sum to 1, got {p.shape}")
    _check_classes(y, p)
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    upper = np.arange(1, n_bins + 1) / n_bins
    # rounding may leave a confidence a little above 1: it belongs into the last bin
    bins = np.minimum(np.searchsorted(upper, confidence, side="left"), n_bins - 1)
    gaps = np.bincount(bins, weights=right - confidence, minlength=n_bins)  # n_b (acc_b - conf_b)
    return float(np.abs(gaps).sum() / len(y))


def _check_classes(y, p):
    if len(y) != len(p) or y.max() >= p.shape[1]:
        raise ValueError(
            f"labels must be ({len(p)},) classes 0 to {p.shape[1] - 1}, for logits or "
            f"probabilities {p.shape}, got {y.shape} up to {y.max()}"
        )
