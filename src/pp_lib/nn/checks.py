"""What a caller may hand in: each check returns the array, or says what was expected and came."""

import numpy as np

REDUCTIONS = ("mean", "sum", "none")
FLOATS = (np.float32, np.float64)


def as_floats(x, name):
    """Give `x` as an array, which must be of float32 or float64; its dtype is kept."""
    x = np.asarray(x)
    if x.dtype not in FLOATS:
        raise ValueError(f"{name} must be of float32 or float64, got {x.dtype}: convert it first")
    return x


def as_finite(x, name):
    """Give `x` as an array of finite float32 or float64."""
    x = as_floats(x, name)
    if not np.isfinite(x).all():
        i = tuple(int(k) for k in np.argwhere(~np.isfinite(x))[0])
        raise ValueError(f"{name} must be finite, got {x[i]} at index {i}")
    return x


def as_logits(Z, name="Z"):
    """Give `Z` as an array of floats, (B, K) with B >= 1 and K >= 1; softmax wants them finite."""
    Z = as_floats(Z, name)
    if Z.ndim != 2 or 0 in Z.shape:
        raise ValueError(f"{name} must be (B, K) with B >= 1 and K >= 1, got {Z.shape}")
    return Z


def as_classes(y, K, name="y"):
    """Give `y` as an array of class indices 0..K-1, of any integer dtype."""
    y = np.asarray(y)
    if y.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold class indices of an integer dtype, got {y.dtype}")
    if y.size and (y.min() < 0 or y.max() >= K):
        raise ValueError(f"{name} must lie in 0..{K - 1}, got {y.min()}..{y.max()}")
    return y


def as_probabilities(P, name, dtype=None):
    """Give `P` as an array of distributions along its last axis: in [0, 1], summing to one.

    Integers and booleans are welcome, because one-hot rows are often written so; they become
    `dtype` (float64 if left out).
    """
    P = np.asarray(P)
    if np.issubdtype(P.dtype, np.integer) or P.dtype == bool:
        P = P.astype(dtype or np.float64)
    P = as_finite(P, name)
    if P.ndim not in (1, 2) or 0 in P.shape:
        raise ValueError(f"{name} must be (K,) or (B, K), B and K at least 1, got {P.shape}")
    sums = P.sum(axis=-1)
    # 1e-5: what rounding leaves in float32 for thousands of classes, and far below any mistake
    if P.min() < 0 or np.abs(sums - 1).max() > 1e-5:
        worst = sums.flat[np.abs(sums - 1).argmax()]
        raise ValueError(
            f"{name} must have rows in [0, 1] that sum to 1, got entries from {P.min()} and a row "
            f"that sums to {worst}"
        )
    return P


def same_shape(x, shape, name):
    """Give `x` if it has the shape; raise otherwise."""
    if x.shape != tuple(shape):
        raise ValueError(f"{name} must be {tuple(shape)}, got {x.shape}")
    return x


def as_generator(rng):
    """Give `rng` if it is a numpy Generator; raise otherwise."""
    if not isinstance(rng, np.random.Generator):
        raise ValueError(
            f"rng must be a numpy.random.Generator, as from default_rng(seed), got {rng!r}"
        )
    return rng


def check_reduction(reduction):
    """Raise unless the reduction is one of PyTorch's three."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction must be one of {REDUCTIONS}, got {reduction!r}")


def reduce(losses, reduction, denominator=None):
    """Give the mean (over `denominator` if given), the sum, or the losses as they are."""
    check_reduction(reduction)
    if reduction == "none":
        return losses
    total = losses.sum()
    count = losses.size if denominator is None else denominator
    return total / losses.dtype.type(count) if reduction == "mean" else total
