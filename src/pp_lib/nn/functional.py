"""Functions of arrays and their derivatives: softmax and its kin, and the activations.

float32 and float64 are kept as given. The softmax family wants finite logits and says so; the
activations work element by element and let nan and inf through, as PyTorch does.
"""

import math

import numpy as np

from pp_lib.nn.checks import as_classes, as_finite, as_floats

_erfc = np.frompyfunc(math.erfc, 1, 1)  # NumPy has no erf; the standard library's is exact
_SQRT_2_PI = math.sqrt(2 / math.pi)


def logsumexp(Z, axis=-1, keepdims=False):
    """Give ln sum_k exp(Z_k) without overflow, the maximum taken out first (chapter 8).

    Parameters
    ----------
    Z : array_like of float, any shape
        Finite logits.
    axis : int
    keepdims : bool

    Returns
    -------
    numpy.ndarray
        The shape of Z without `axis` (length 1 there with `keepdims`). Its derivative by Z is
        `softmax(Z)`.

    Raises
    ------
    ValueError
        For nan, inf, integers, or no element along the axis.
    """
    Z = _logits(Z, axis)
    top = Z.max(axis=axis, keepdims=True)
    total = np.log(np.exp(Z - top).sum(axis=axis, keepdims=True)) + top
    return total if keepdims else np.squeeze(total, axis=axis)


def softmax(Z, axis=-1):
    """Give exp(Z_k) / sum_j exp(Z_j): probabilities along `axis` (chapter 8).

    Parameters
    ----------
    Z : array_like of float, any shape
        Finite logits.
    axis : int

    Returns
    -------
    numpy.ndarray
        The shape of Z, in [0, 1], summing to one along `axis`.

    Raises
    ------
    ValueError
        For nan, inf, integers, or no element along the axis.
    """
    Z = _logits(Z, axis)
    E = np.exp(Z - Z.max(axis=axis, keepdims=True))  # shift-invariant; exp stays below overflow
    return E / E.sum(axis=axis, keepdims=True)


def softmax_jacobian(P):
    """Give dP_i/dZ_j = P_i (delta_ij - P_j) for P = softmax(Z) along the last axis (chapter 9).

    Parameters
    ----------
    P : array_like of float, (..., K)

    Returns
    -------
    numpy.ndarray, (..., K, K)
    """
    P = as_floats(P, "P")
    return P[..., :, None] * (np.eye(P.shape[-1], dtype=P.dtype) - P[..., None, :])


def softmax_backward(P, dP, axis=-1):
    """Give dZ from dP, the Jacobian multiplied without being written down (chapter 9).

    Parameters
    ----------
    P, dP : array_like of float, any shape, the same
        P is what `softmax(Z, axis)` gave.
    axis : int
    """
    P, dP = _pair(P, dP, "P")
    return P * (dP - (dP * P).sum(axis=axis, keepdims=True))


def log_softmax(Z, axis=-1):
    """Give Z - logsumexp(Z): the logarithms of the probabilities, never of 0 (chapter 8).

    Parameters
    ----------
    Z : array_like of float, any shape
        Finite logits.
    axis : int

    Returns
    -------
    numpy.ndarray
        The shape of Z, at most 0; its logsumexp along `axis` is 0.

    Raises
    ------
    ValueError
        For nan, inf, integers, or no element along the axis.
    """
    Z = _logits(Z, axis)
    Z = Z - Z.max(axis=axis, keepdims=True)  # the shift first: keeps small differences exact
    return Z - np.log(np.exp(Z).sum(axis=axis, keepdims=True))


def log_softmax_backward(logP, dlogP, axis=-1):
    """Give dZ = dlogP - P sum(dlogP), with logP what `log_softmax(Z, axis)` gave (chapter 9).

    Parameters
    ----------
    logP, dlogP : array_like of float, any shape, the same
    axis : int
    """
    logP, dlogP = _pair(logP, dlogP, "logP")
    return dlogP - np.exp(logP) * dlogP.sum(axis=axis, keepdims=True)


def one_hot(y, K, dtype=np.float64):
    """Give Y with a one at each class and zeros elsewhere.

    Parameters
    ----------
    y : array_like of int, any shape
        Classes 0..K-1.
    K : int
        At least 1.
    dtype : numpy dtype

    Returns
    -------
    numpy.ndarray, y.shape + (K,)

    Raises
    ------
    ValueError
        For a class outside 0..K-1 or classes that are no integers.
    """
    if K < 1:
        raise ValueError(f"K must be at least 1, got {K}")
    return np.eye(K, dtype=dtype)[as_classes(y, K)]


def sigmoid(x):
    """Give 1 / (1 + exp(-x)), element by element, in [0, 1] (chapter 6)."""
    x = as_floats(x, "x")
    e = np.exp(-np.abs(x))  # at most 1, so neither sign overflows
    return np.where(x >= 0, 1, e) / (1 + e)


def sigmoid_derivative(x):
    """Give s(x) s(-x), which keeps its digits where 1 - s(x) would round to 0 (chapter 6)."""
    return sigmoid(x) * sigmoid(-as_floats(x, "x"))


def softplus(x):
    """Give ln(1 + exp(x)) without overflow: minus the log of sigmoid(-x) (chapter 10)."""
    x = as_floats(x, "x")
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def tanh(x):
    """Give tanh x, element by element, in [-1, 1] (chapter 6)."""
    return np.tanh(as_floats(x, "x"))


def tanh_derivative(x):
    """Give 1 - tanh^2 x (chapter 6)."""
    return 1 - tanh(x) ** 2


def relu(x):
    """Give max(x, 0), element by element (chapter 6)."""
    return np.maximum(as_floats(x, "x"), 0)


def relu_derivative(x):
    """Give 1 where x > 0 and 0 elsewhere: at 0 it is 0, the end that PyTorch picks (chapter 6)."""
    return leaky_relu_derivative(x, 0.0)


def leaky_relu(x, negative_slope=0.01):
    """Give x where x > 0 and negative_slope x elsewhere (chapter 6)."""
    x = as_floats(x, "x")
    return np.where(x > 0, x, x.dtype.type(negative_slope) * x)


def leaky_relu_derivative(x, negative_slope=0.01):
    """Give 1 where x > 0 and negative_slope elsewhere, at 0 too, as PyTorch does (chapter 6)."""
    x = as_floats(x, "x")
    return np.where(x > 0, x.dtype.type(1), x.dtype.type(negative_slope))


def gelu(x, approximate="none"):
    """Give x Phi(x), Phi the normal distribution function (chapter 6; Hendrycks & Gimpel 2016).

    Parameters
    ----------
    x : array_like of float, any shape
    approximate : {"none", "tanh"}
        The exact form with erf, or the paper's with tanh, as in ``torch.nn.functional.gelu``.
    """
    x = as_floats(x, "x")
    return x * _gate(x, approximate)


def gelu_derivative(x, approximate="none"):
    """Give d gelu / dx: Phi(x) + x phi(x), or that of the tanh form (chapter 6)."""
    x = as_floats(x, "x")
    gate = _gate(x, approximate)
    if approximate == "none":
        return gate + x * np.exp(-(x**2) / 2) / x.dtype.type(math.sqrt(2 * math.pi))
    du = 2 * _SQRT_2_PI * (1 + 3 * 0.044715 * x**2)  # gate = sigmoid(u)
    return gate + x * gate * _gate(-x, approximate) * du


def _gate(x, approximate):
    if approximate == "none":  # erfc keeps its digits in the left tail, where 1 + erf cancels
        return np.asarray(_erfc(-x / math.sqrt(2)) / 2).astype(x.dtype)
    if approximate != "tanh":
        raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    return sigmoid(2 * _SQRT_2_PI * (x + 0.044715 * x**3))  # (1 + tanh u) / 2 = sigmoid(2u)


def _logits(Z, axis):
    Z = as_finite(Z, "Z")
    if not -Z.ndim <= axis < Z.ndim or Z.shape[axis] == 0:
        raise ValueError(f"Z must have elements along axis {axis}, got shape {Z.shape}")
    return Z


def _pair(value, gradient, name):
    value, gradient = as_floats(value, name), as_floats(gradient, f"d{name}")
    if value.shape != gradient.shape:
        raise ValueError(f"d{name} must be {value.shape} like {name}, got {gradient.shape}")
    return value, gradient
