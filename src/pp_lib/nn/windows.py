"""What layers on images share: where windows lie, and which arrays are refused."""

import itertools
from numbers import Integral

import numpy as np


def pair(name, value, least=1):
    """Read an int, or a pair of ints for rows and columns, each at least `least`."""
    both = value if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(isinstance(n, Integral) and n >= least for n in both):
        raise ValueError(f"{name} must be an int or a pair of ints, at least {least}, got {value}")
    return int(both[0]), int(both[1])


def count_windows(size, kernel_size, stride, padding=(0, 0)):
    """Count the whole windows that fit over the rows and the columns of an image."""
    sizes = zip(size, kernel_size, stride, padding, strict=True)
    counts = tuple((n + 2 * p - k) // s + 1 for n, k, s, p in sizes)
    if min(counts) < 1:
        raise ValueError(
            f"the image with its padding must be at least as large as the window {kernel_size}, "
            f"got {tuple(size)} with padding {padding}"
        )
    return counts


def windows(kernel_size, stride, counts):
    """For every place (i, j) in a window, index what lies there in all the windows at once.

    Yields
    ------
    i, j : int
        Row and column in the window, in reading order.
    index : tuple
        Selects from an array (..., H, W) an array (..., OH, OW), a view.
    """
    (sh, sw), (OH, OW) = stride, counts
    for i, j in itertools.product(range(kernel_size[0]), range(kernel_size[1])):
        yield i, j, np.s_[..., i : i + sh * OH : sh, j : j + sw * OW : sw]


def check_images(x, channels=None, dtype=None):
    """Refuse what is not an array (B, C, H, W) of one float dtype with at least one image."""
    C, wanted = channels or "C", "float32 or float64" if dtype is None else np.dtype(dtype).name
    if not isinstance(x, np.ndarray):
        raise ValueError(f"x must be an array (B, {C}, H, W), got {type(x).__name__}")
    if x.ndim != 4 or 0 in x.shape or (channels and x.shape[1] != channels):
        raise ValueError(f"x must be (B, {C}, H, W), none of them 0, got {x.shape}")
    if x.dtype.name not in wanted.split(" or "):
        raise ValueError(f"x must be {wanted}, got {x.dtype}: cast with astype")


def check_gradient(dy, y_shape, dtype):
    """Refuse a dL/dy that has not the shape and dtype of y; y_shape None means no forward yet."""
    if y_shape is None:
        raise ValueError("backward needs a forward before it: call forward(x) first")
    if not isinstance(dy, np.ndarray) or dy.shape != y_shape or dy.dtype != dtype:
        came = f"{dy.shape} {dy.dtype}" if isinstance(dy, np.ndarray) else type(dy).__name__
        raise ValueError(f"dy must be like y, {y_shape} {np.dtype(dtype)}, got {came}")
