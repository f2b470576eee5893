"""What metrics take: class numbers in one column, or in one column a head."""

import numpy as np

from pp_lib.photos.bins import HEADS


def as_labels(y):
    """Give (N,) class numbers as an array, or raise ValueError."""
    y = np.asarray(y)
    if y.ndim != 1 or y.size == 0 or not np.issubdtype(y.dtype, np.integer):
        raise ValueError(f"labels must be (N,) integers, N >= 1, got {y.shape} {y.dtype}")
    if y.min() < 0:
        raise ValueError(f"labels must be 0 or more, got {y.min()}")
    return y


def as_pair(y, predicted):
    """Give labels and predictions, two (N,), or raise ValueError."""
    y, predicted = as_labels(y), as_labels(predicted)
    if y.shape != predicted.shape:
        raise ValueError(f"labels {y.shape} and predictions {predicted.shape} differ in length")
    return y, predicted


def one_column_a_head(values):
    """Give (N, 3) as an array, or raise ValueError."""
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] != len(HEADS):
        raise ValueError(f"labels must be (N, {len(HEADS)}), one column a head, got {values.shape}")
    return values
