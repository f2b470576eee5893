"""Where hand-written gradients are put to the test: finite differences, and PyTorch's autograd."""

from typing import NamedTuple

import numpy as np

EPS = 1e-5  # near the cube root of float64's 1.1e-16, where truncation and rounding balance
RTOL_FD = 1e-6  # central differences leave eps^2 f'''/6, about 1e-10, times what f''' may be
ATOL_FD = 1e-8  # rounding of f leaves 1e-16 |f| / eps = 1e-11 |f|; losses sum up to 1e3
TINY = np.finfo(np.float64).tiny  # stands for 0 where one divides


class ParityRow(NamedTuple):
    """How well one array of a computation agrees with PyTorch's.

    `max_relative_error` is the largest difference, relative to the array's largest number: a sum
    that cancels to nearly nothing has few right digits in either library, and which ones is chance.
    """

    name: str
    shape: tuple
    count: int
    max_relative_error: float


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
        gradient[i] = (_number(f(above)) - _number(f(below))) / step
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
    a, b = _alike(a, b)
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
    a, n = _alike(analytic, numeric)
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


def torch_parity(function_numpy, function_torch, *arrays):
    """Compare a loss and its gradients, written by hand, with PyTorch's.

    Parameters
    ----------
    function_numpy : callable
        ``function_numpy(*arrays) -> (loss, gradients)``, one gradient for each float array.
    function_torch : callable
        ``function_torch(*tensors) -> loss``, a tensor of one number.
    *arrays : numpy.ndarray
        Float arrays are differentiated by; others (class indices, masks) are handed through.

    Returns
    -------
    list of ParityRow
        ``loss``, then ``gradient 0``, ``gradient 1`` and so on, numbered as the arrays are.

    Raises
    ------
    ValueError
        If the number of gradients or a shape is not as said here.

    Notes
    -----
    Chapters 9 and 11. Parity sees what finite differences cannot: a right gradient of a wrong loss.
    """
    import torch

    loss, gradients = function_numpy(*(a.copy() for a in arrays))
    tensors = [torch.tensor(a) for a in arrays]
    floats = {i: t.requires_grad_() for i, t in enumerate(tensors) if t.is_floating_point()}
    loss_torch = function_torch(*tensors)
    if loss_torch.numel() != 1:
        raise ValueError(f"function_torch must give one number, got {tuple(loss_torch.shape)}")
    if len(gradients) != len(floats):
        raise ValueError(
            f"function_numpy must give {len(floats)} gradients, one for each float array, got "
            f"{len(gradients)}"
        )
    references = torch.autograd.grad(
        loss_torch, list(floats.values()), allow_unused=True, materialize_grads=True
    )
    rows = [_parity("loss", _number(loss), loss_torch.item())]
    for i, gradient, reference in zip(floats, gradients, references, strict=True):
        rows.append(_parity(f"gradient {i}", gradient, reference.numpy()))
    return rows


def _parity(name, found, reference):
    found, reference = _alike(found, reference)
    difference, scale = np.abs(found - reference).max(), np.abs(reference).max()
    error = difference / scale if scale else (np.inf if difference else 0.0)
    # nan compares as neither better nor worse than anything; inf is the worst there is
    return ParityRow(
        name, found.shape, found.size, float(np.nan_to_num(error, nan=np.inf, posinf=np.inf))
    )


def _number(value):
    value = np.asarray(value)
    if value.size != 1:
        raise ValueError(f"the loss must be a single number, got shape {value.shape}")
    return value.item()


def _alike(a, b):
    a, b = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"both arrays must have the same shape, got {a.shape} and {b.shape}")
    return a, b
