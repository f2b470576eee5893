"""Cross-entropy, focal loss and the sum over heads: values from logits, gradients by hand.

`x(Z, y, ...)` gives the loss, `x_backward(Z, y, ...)` with the same arguments dL/dZ. Losses keep
the dtype of Z. With ``reduction="none"`` the gradient's row i is that of the loss of row i.
"""

import numpy as np

from pp_lib.nn.checks import (
    as_classes,
    as_finite,
    as_logits,
    as_probabilities,
    check_reduction,
    reduce,
    same_shape,
)
from pp_lib.nn.functional import log_softmax, one_hot, softmax


def cross_entropy(Z, y, weight=None, label_smoothing=0.0, reduction="mean"):
    """Give -sum_k w_k Y_k ln softmax(Z)_k (chapters 9 and 10), as ``torch.nn.CrossEntropyLoss``.

    Parameters
    ----------
    Z : array_like of float, (B, K)
        Finite logits, B >= 1, K >= 1.
    y : array_like, (B,) of int or (B, K)
        Class indices 0..K-1, or rows of probabilities (one-hot ones too).
    weight : array_like of float, (K,), optional
        One weight per class, not negative.
    label_smoothing : float
        eps in [0, 1]: the targets become (1 - eps) Y + eps / K, the true class included.
    reduction : {"mean", "sum", "none"}
        The mean of class indices divides by the sum of the weights of the classes in y; that of
        probabilities by B: PyTorch's conventions both.

    Returns
    -------
    scalar of Z's dtype, or (B,) for "none"
        At least 0.

    Raises
    ------
    ValueError
        For other shapes or dtypes, an empty batch, nan or inf, a class out of range, rows that do
        not sum to one, or weights that sum to 0 where they divide.
    """
    Z, T, denominator = _targets(Z, y, weight, label_smoothing, reduction)
    return reduce(-(T * log_softmax(Z)).sum(axis=1) + 0.0, reduction, denominator)  # -0 + 0 = 0


def cross_entropy_backward(Z, y, weight=None, label_smoothing=0.0, reduction="mean"):
    """Give dL/dZ = (P sum_k T_k - T) / n, T the weighted targets: (P - Y) / B without weights.

    Parameters and Raises are those of `cross_entropy` (chapters 9 and 10).

    Returns
    -------
    numpy.ndarray, (B, K)
    """
    Z, T, denominator = _targets(Z, y, weight, label_smoothing, reduction)
    dZ = softmax(Z) * T.sum(axis=1, keepdims=True) - T
    return dZ / Z.dtype.type(denominator) if reduction == "mean" else dZ


def cross_entropy_and_gradient(Z, y, weight=None, label_smoothing=0.0, reduction="mean"):
    """Give (`cross_entropy`, `cross_entropy_backward`), the work they share done once.

    Parameters and Raises are those of `cross_entropy` (chapters 9 and 13).
    """
    Z, T, denominator = _targets(Z, y, weight, label_smoothing, reduction)
    logP = log_softmax(Z)
    dZ = np.exp(logP)
    dZ *= T.sum(axis=1, keepdims=True)
    dZ -= T
    if reduction == "mean":
        dZ /= Z.dtype.type(denominator)
    return reduce(-(T * logP).sum(axis=1) + 0.0, reduction, denominator), dZ


def cross_entropy_loss(predictions, targets):
    """Give the cross-entropy of probabilities: -sum_k Y_k ln P_k (chapter 9).

    Over a batch it is the mean. Nothing is clipped: a true class of probability 0 costs inf, which
    is its cost; a clipped loss would stop there while its gradient P - Y goes on. From logits use
    `cross_entropy`, which never meets a 0.

    Parameters
    ----------
    predictions : array_like of float, (K,) or (B, K)
        What softmax gave: in [0, 1], rows summing to one.
    targets : array_like, the same shape
        One-hot rows or other probabilities.

    Returns
    -------
    scalar of the predictions' dtype
        0 or more, possibly inf.

    Raises
    ------
    ValueError
        For other shapes or dtypes, an empty batch, or rows that are no probabilities.
    """
    P, Y = _distributions(predictions, targets)
    terms = np.zeros_like(P)  # 0 ln 0 counts as 0, its limit
    counted = Y > 0
    # where P is 0 the logarithm is not asked: its value, -inf, is written down
    logP = np.log(P, out=np.full_like(P, -np.inf), where=P > 0)
    np.multiply(Y, logP, out=terms, where=counted)
    return -terms.sum(axis=-1).mean() + 0.0


def cross_entropy_gradient(predictions, targets):
    """Give dL/dZ of `cross_entropy_loss` by the logits before softmax: (P - Y) / B (chapter 9).

    Parameters and Raises are those of `cross_entropy_loss`; for one sample, (K,), B is 1.

    Returns
    -------
    numpy.ndarray, the shape of the predictions
    """
    P, Y = _distributions(predictions, targets)
    return (P - Y) / P.dtype.type(1 if P.ndim == 1 else len(P))


def focal_loss(Z, y, alpha=1.0, gamma=2.0, reduction="mean"):
    """Give -alpha (1 - p)^gamma ln p, p the true class's probability (chapter 10; Lin et al. 2017).

    Parameters
    ----------
    Z : array_like of float, (B, K)
        Finite logits, B >= 1, K >= 1.
    y : array_like of int, (B,)
        Class indices 0..K-1.
    alpha : float or array_like of float, (K,)
        A scalar scales every sample alike, so it only scales the learning rate; one number per
        class weighs the classes.
    gamma : float
        At least 0; with 0 (and alpha 1) this is `cross_entropy`.
    reduction : {"mean", "sum", "none"}
        The mean is over B, also with alpha per class.

    Returns
    -------
    scalar of Z's dtype, or (B,) for "none"

    Raises
    ------
    ValueError
        For other shapes or dtypes, an empty batch, nan or inf, a class out of range, a negative
        alpha or gamma.
    """
    _, logp, _, a = _focal(Z, y, alpha, gamma)
    q = -np.expm1(logp)  # 1 - p without the cancellation
    return reduce(a * q**gamma * -logp, reduction)


def focal_loss_backward(Z, y, alpha=1.0, gamma=2.0, reduction="mean"):
    """Give dL/dZ = alpha (1 - p)^gamma (1 - gamma p ln p / (1 - p)) (P - Y) / n (chapter 10).

    Parameters and Raises are those of `focal_loss`.

    Returns
    -------
    numpy.ndarray, (B, K)
    """
    P, logp, Y, a = _focal(Z, y, alpha, gamma)
    check_reduction(reduction)
    q = -np.expm1(logp)
    ratio = np.divide(logp, q, out=np.full_like(q, -1), where=q > 0)  # ln p / (1 - p) -> -1
    slope = a * q**gamma * (1 - gamma * np.exp(logp) * ratio)  # -dL/d(ln p), per sample
    return slope[:, None] * (P - Y) / P.dtype.type(len(P) if reduction == "mean" else 1)


def multi_task_loss(Z, y, **options):
    """Give the sum of the heads' cross-entropies, each a mean over the batch (chapter 15).

    Parameters
    ----------
    Z : dict of array_like, head -> (B, K)
    y : dict of array_like, head -> (B,) or (B, K)
        The same heads as Z.
    **options
        As `cross_entropy` takes them, for all heads alike.

    Raises
    ------
    ValueError
        For no heads, other heads in y than in Z, and whatever `cross_entropy` refuses.
    """
    return sum(cross_entropy(Z[head], y[head], **options) for head in _heads(Z, y))


def multi_task_loss_backward(Z, y, **options):
    """Give dL/dZ of every head, a dict like Z: heads add up, so each has its own (chapter 15)."""
    return {head: cross_entropy_backward(Z[head], y[head], **options) for head in _heads(Z, y)}


def _targets(Z, y, weight, label_smoothing, reduction):
    """Give Z, the smoothed and weighted targets T (B, K), and what a mean divides by."""
    Z, y = as_logits(Z), np.asarray(y)
    B, K = Z.shape
    check_reduction(reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], got {label_smoothing}")
    indices, denominator = y.ndim == 1, B
    if indices:
        T = one_hot(same_shape(y, (B,), "y"), K, Z.dtype)
    else:
        T = as_probabilities(same_shape(y, (B, K), "y"), "y", Z.dtype).astype(Z.dtype, copy=False)
    if label_smoothing:
        T = (1 - label_smoothing) * T + label_smoothing / K
    if weight is not None:
        w = _class_weights(weight, K, Z.dtype)
        T, denominator = w * T, w[y].sum() if indices else B
    if reduction == "mean" and denominator == 0:
        raise ValueError("the weights of the classes in y sum to 0: there is no mean")
    return Z, T, denominator


def _class_weights(weight, K, dtype, name="weight"):
    """Give one weight per class, (K,), each finite and not negative."""
    weight = same_shape(as_finite(weight, name), (K,), name)
    if weight.min() < 0:
        raise ValueError(f"{name} must not be negative, got {weight.min()}")
    return weight.astype(dtype, copy=False)


def _distributions(predictions, targets):
    P = as_probabilities(predictions, "predictions")
    Y = as_probabilities(targets, "targets", P.dtype)
    return P, same_shape(Y, P.shape, "targets").astype(P.dtype, copy=False)


def _focal(Z, y, alpha, gamma):
    """Give P (B, K), ln p of the true class (B,), one-hot Y (B, K) and alpha per sample (B,)."""
    Z, y = as_logits(Z), np.asarray(y)
    B, K = Z.shape
    y = same_shape(as_classes(y, K), (B,), "y")
    if not 0 <= gamma < np.inf:
        raise ValueError(f"gamma must be at least 0 and finite, got {gamma}")
    per_class = np.full(K, alpha, Z.dtype) if np.ndim(alpha) == 0 else alpha
    logP = log_softmax(Z)
    a = _class_weights(per_class, K, Z.dtype, "alpha")[y]
    return np.exp(logP), logP[np.arange(B), y], one_hot(y, K, Z.dtype), a


def _heads(Z, y):
    if not Z or set(Z) != set(y):
        raise ValueError(f"Z and y must have the same heads, got {sorted(Z)} and {sorted(y)}")
    return Z
