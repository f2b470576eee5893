"""First values of the weights: Xavier's and He's variances, uniform and normal.

Names and formulas are those of ``torch.nn.init``; the generator is passed. (Chapter 7.)
"""

import math

import numpy as np

from pp_lib.nn.checks import FLOATS, as_generator

RELU_GAIN = math.sqrt(2)  # ReLU halves the mean square of what comes in


def fan_in_fan_out(shape):
    """Give how many inputs one output sums, and how many outputs one input reaches (chapter 7).

    Parameters
    ----------
    shape : tuple of int
        (out, in) of a linear layer, or (out, in, height, width) of a convolution.

    Returns
    -------
    (int, int)

    Raises
    ------
    ValueError
        For fewer than two axes or an axis of length 0.
    """
    if len(shape) < 2 or min(shape) < 1:
        raise ValueError(f"shape must be (out, in, *kernel), all at least 1, got {tuple(shape)}")
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def gain(nonlinearity, param=None):
    """Give the factor by which a nonlinearity shrinks, undone, as ``calculate_gain`` (chapter 7).

    Parameters
    ----------
    nonlinearity : {"linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"}
    param : float, optional
        The negative slope of leaky_relu, 0.01 if left out.

    Raises
    ------
    ValueError
        For another nonlinearity.
    """
    slope = 0.01 if param is None else param
    gains = {
        **dict.fromkeys(("linear", "conv2d", "sigmoid"), 1.0),
        "tanh": 5 / 3,
        "relu": RELU_GAIN,
        "leaky_relu": math.sqrt(2 / (1 + slope**2)),
        "selu": 3 / 4,
    }
    if nonlinearity not in gains:
        raise ValueError(f"nonlinearity must be one of {sorted(gains)}, got {nonlinearity!r}")
    return gains[nonlinearity]


def xavier_uniform(shape, *, gain=1.0, rng, dtype=np.float64):
    """Draw from U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)) (chapter 7; Glorot & Bengio 2010).

    Parameters
    ----------
    shape : tuple of int
        (out, in) or (out, in, height, width).
    gain : float
    rng : numpy.random.Generator
    dtype : numpy.float32 or numpy.float64
        Draws are made in float64 and rounded, so both dtypes see the same weights.

    Returns
    -------
    numpy.ndarray of `dtype`, `shape`
    """
    return _uniform(shape, gain * math.sqrt(2 / sum(fan_in_fan_out(shape))), rng, dtype)


def xavier_normal(shape, *, gain=1.0, rng, dtype=np.float64):
    """Draw from N(0, gain^2 2 / (fan_in + fan_out)); arguments as `xavier_uniform` (chapter 7)."""
    return _normal(shape, gain * math.sqrt(2 / sum(fan_in_fan_out(shape))), rng, dtype)


def he_uniform(shape, *, gain=RELU_GAIN, mode="fan_in", rng, dtype=np.float64):
    """Draw from U(-a, a), a = gain sqrt(3 / fan) (chapter 7; He et al. 2015).

    Parameters
    ----------
    shape : tuple of int
        (out, in) or (out, in, height, width).
    gain : float
        sqrt(2) for ReLU; see `gain`.
    mode : {"fan_in", "fan_out"}
        Whether the forward or the backward signal keeps its variance.
    rng : numpy.random.Generator
    dtype : numpy.float32 or numpy.float64

    Returns
    -------
    numpy.ndarray of `dtype`, `shape`
    """
    return _uniform(shape, gain / math.sqrt(_fan(shape, mode)), rng, dtype)


def he_normal(shape, *, gain=RELU_GAIN, mode="fan_in", rng, dtype=np.float64):
    """Draw from N(0, gain^2 / fan); arguments as `he_uniform` (chapter 7)."""
    return _normal(shape, gain / math.sqrt(_fan(shape, mode)), rng, dtype)


def _fan(shape, mode):
    fans = dict(zip(("fan_in", "fan_out"), fan_in_fan_out(shape), strict=True))
    if mode not in fans:
        raise ValueError(f"mode must be 'fan_in' or 'fan_out', got {mode!r}")
    return fans[mode]


def _uniform(shape, std, rng, dtype):
    bound = math.sqrt(3) * std  # U(-a, a) has the variance a^2 / 3
    return as_generator(rng).uniform(-bound, bound, shape).astype(_float(dtype))


def _normal(shape, std, rng, dtype):
    return as_generator(rng).normal(0, std, shape).astype(_float(dtype))


def _float(dtype):
    if dtype not in FLOATS:
        raise ValueError(f"dtype must be float32 or float64, got {dtype}")
    return dtype
