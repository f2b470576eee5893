"""Gradients from values alone: central differences, and how two gradients are compared."""

import numpy as np

EPS = 1e-5  # near the cube root of float64's 1.1e-16, where truncation and rounding balance
RTOL_FD = 1e-6  # central differences leave eps^2 f'''/6, about 1e-10, times what f''' may be
ATOL_FD = 1e-8  # rounding of f leaves 1e-16 |f| / eps = 1e-11 |f|; losses sum up to 1e3
TINY = np.finfo(np.float64).tiny  # stands for 0 where one divides


def numerical_gradient(f, x, eps=EPS):
    """Estimate dL/dx from values of L alone, by central differences.

    Parameters
    ----------
    f : callable
        Gives the number L for an array like `x`. Called 2 x.size times, with copies of `x`.
    x : numpy.ndarray of float64 (or float32, which leaves about two right digits), any shape
    eps : float
        Step in each direction, above 0.

    Returns
    -------
    numpy.ndarray
        Shape and dtype of x: (f(x + eps e_i) - f(x - eps e_i)) / (2 eps) at index i.

    Raises
    ------
    ValueError
        If x is no float array, eps not positive or lost beside x, or f gives no single number.

    Notes
    -----
    Chapter 11.
    """
    if not isinstance(x, np.ndarray) or x.dtype not in (np.float32, np.float64):
        came = getattr(x, "dtype", type(x).__name__)
        raise ValueError(f"x must be an array of float32 or float64, got {came}")
    if not eps > 0:
        raise ValueError(f"eps must be above 0, got {eps}")
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        below, above = x.copy(), x.copy()
        below[i] -= eps
        above[i] += eps
        step = float(above[i]) - float(below[i])  # what is left of 2 eps after rounding
        if step == 0:
            raise ValueError(f"eps must change x, got {eps} beside {x[i]} at index {i}")
        gradient[i] = (number(f(above)) - number(f(below))) / step
    return gradient


def relative_error(a, b):
    """Compare two arrays element by element: |a - b| / max(|a|, |b|), and 0 where both are 0.

    Parameters
    ----------
    a, b : array_like of float, same shape

    Returns
    -------
    numpy.ndarray of float64
        Shape of a; from 0 (equal) to 2 (opposite sign), nan where a or b is nan or inf.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    Chapter 11.
    """
    a, b = alike(a, b)
    larger = np.maximum(np.abs(a), np.abs(b))
    with np.errstate(invalid="ignore"):  # inf beside inf has no relative error: nan
        return np.abs(a - b) / np.where(larger == 0, 1, larger)


def assert_gradients_match(analytic, numeric, rtol=RTOL_FD, atol=ATOL_FD):
    """Raise unless |analytic - numeric| <= atol + rtol max(|analytic|, |numeric|) everywhere.

    Parameters
    ----------
    analytic, numeric : array_like of float, same shape
        The gradient derived by hand, and what it is held against.
    rtol, atol : float
        Defaults suit float64, central differences and EPS: an entry above 1e-5 that is 0.1 % off
        is caught.

    Raises
    ------
    AssertionError
        Naming the worst index with both values there. A nan or inf never matches.
    ValueError
        If the shapes differ.

    Notes
    -----
    Chapter 11.
    """
    a, n = alike(analytic, numeric)
    allowed = atol + rtol * np.maximum(np.abs(a), np.abs(n))
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf is nan: never allowed
        excess = np.abs(a - n) / np.maximum(allowed, TINY)
    matches = np.isfinite(a) & np.isfinite(n) & (excess <= 1)
    if not matches.all():
        # The worst is what exceeds its allowance most; what is no number at all is worse still.
        excess = np.where(np.isfinite(a) & np.isfinite(n), excess, np.inf)
        i = np.unravel_index(excess.argmax(), a.shape)
        raise AssertionError(
            f"gradients differ at {(~matches).sum()} of {a.size} entries, worst at index "
            f"{tuple(map(int, i))}: analytic {a[i]:.10g}, numeric {n[i]:.10g}, relative error "
            f"{relative_error(a, n)[i]:.3g}, allowed difference {allowed[i]:.3g}"
        )


def number(value):
    """Give the only element of a loss as a Python number."""
    value = np.asarray(value)
    if value.size != 1:
        raise ValueError(f"the loss must be a single number, got shape {value.shape}")
    return value.item()


def alike(a, b):
    """Give two arrays of the same shape as float64."""
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"both arrays must have the same shape, got {a.shape} and {b.shape}")
    return a, b
