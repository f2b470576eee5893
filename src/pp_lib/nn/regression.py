"""The losses of regression, logistic and least squares, and the L2 penalty, with their gradients.

`x(...)` gives the loss and `x_backward(...)`, with the same arguments, its derivative by the first.
"""

import numpy as np

from pp_lib.nn.checks import as_finite, check_reduction, reduce, same_shape
from pp_lib.nn.functional import sigmoid, softplus
from pp_lib.nn.parameter import Parameter


def binary_cross_entropy_with_logits(Z, Y, pos_weight=None, reduction="mean"):
    """Give -w Y ln s(Z) - (1 - Y) ln(1 - s(Z)), s the sigmoid (chapter 10), as PyTorch's.

    Parameters
    ----------
    Z : array_like of float, any shape
        Finite logits.
    Y : array_like of float, the same shape
        Targets in [0, 1].
    pos_weight : float or array_like, shape of the last axes of Z, optional
        w, the weight of the positive term; 1 if left out.
    reduction : {"mean", "sum", "none"}
        The mean is over all elements.

    Raises
    ------
    ValueError
        For other shapes or dtypes, an empty batch, nan or inf, targets outside [0, 1].
    """
    Z, Y, w = _binary(Z, Y, pos_weight)
    return reduce(w * Y * softplus(-Z) + (1 - Y) * softplus(Z), reduction)


def binary_cross_entropy_with_logits_backward(Z, Y, pos_weight=None, reduction="mean"):
    """Give dL/dZ = ((1 - Y) s(Z) - w Y s(-Z)) / n: s(Z) - Y without w (chapter 10).

    Parameters and Raises are those of `binary_cross_entropy_with_logits`.
    """
    Z, Y, w = _binary(Z, Y, pos_weight)
    dZ = (1 - Y) * sigmoid(Z) - w * Y * sigmoid(-Z)
    check_reduction(reduction)
    return dZ / Z.dtype.type(Z.size) if reduction == "mean" else dZ


def mse_loss(A, T, reduction="mean"):
    """Give (A - T)^2, its mean over all elements, its sum, or as it is (chapter 10), as PyTorch's.

    Parameters
    ----------
    A, T : array_like of float, any shape, the same
        What is predicted and what should be; finite. Nothing is broadcast.
    reduction : {"mean", "sum", "none"}

    Raises
    ------
    ValueError
        For other shapes or dtypes, no elements, nan or inf.
    """
    return reduce(_difference(A, T) ** 2, reduction)


def mse_loss_backward(A, T, reduction="mean"):
    """Give dL/dA = 2 (A - T) / n, n the number of elements for "mean" and 1 else (chapter 10)."""
    check_reduction(reduction)
    difference = _difference(A, T)
    n = difference.size if reduction == "mean" else 1
    return 2 * difference / difference.dtype.type(n)


def l2_penalty(parameters, strength):
    """Give strength / 2 times the sum of all squared weights (chapter 10).

    Half, so that the gradient is strength times W: what PyTorch calls weight_decay in SGD.

    Parameters
    ----------
    parameters : dict of Parameter
        As `Layer.parameters` gives it; leave the biases out if they shall not shrink.
    strength : float
        lambda, at least 0.

    Raises
    ------
    ValueError
        For a negative strength or something that is no parameter.
    """
    return strength / 2 * sum((p.value**2).sum() for p in _penalised(parameters, strength).values())


def l2_penalty_backward(parameters, strength):
    """Give strength times W for each parameter, a dict to add to the gradients (chapter 10)."""
    named = _penalised(parameters, strength)
    return {name: p.value * p.value.dtype.type(strength) for name, p in named.items()}


def _binary(Z, Y, pos_weight):
    Z = as_finite(Z, "Z")
    Y = same_shape(as_finite(Y, "Y"), Z.shape, "Y").astype(Z.dtype, copy=False)
    if Z.size == 0:
        raise ValueError(f"Z must not be empty, got {Z.shape}")
    if Y.min() < 0 or Y.max() > 1:
        raise ValueError(f"Y must lie in [0, 1], got {Y.min()}..{Y.max()}")
    w = as_finite(1.0 if pos_weight is None else pos_weight, "pos_weight").astype(Z.dtype)
    if w.min() < 0 or w.shape != Z.shape[Z.ndim - w.ndim :]:
        raise ValueError(f"pos_weight must be >= 0 and fit the last axes of {Z.shape}, got {w}")
    return Z, Y, w


def _difference(A, T):
    A = as_finite(A, "A")
    T = same_shape(as_finite(T, "T"), A.shape, "T").astype(A.dtype, copy=False)
    if A.size == 0:
        raise ValueError(f"A must not be empty, got {A.shape}")
    return A - T


def _penalised(parameters, strength):
    if not 0 <= strength < np.inf:
        raise ValueError(f"strength must be at least 0 and finite, got {strength}")
    for name, p in parameters.items():
        if not isinstance(p, Parameter):
            raise ValueError(f"{name} must be a Parameter, got {type(p).__name__}")
    return parameters
