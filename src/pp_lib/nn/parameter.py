"""A parameter: an array that is learned, and the derivative of the loss by it."""

import numpy as np


class Parameter:
    """An array that an optimizer may change, beside its gradient.

    Attributes
    ----------
    value : numpy.ndarray of float32 or float64, any shape
        What is learned. The array given is kept, not copied.
    grad : numpy.ndarray or None
        dL/dvalue, same shape and dtype; None until a backward pass has set it.
    name : str or None
        For messages only.

    Raises
    ------
    ValueError
        If `value` is not an array of float32 or float64.
    """

    def __init__(self, value, name=None):
        if not isinstance(value, np.ndarray) or value.dtype not in (np.float32, np.float64):
            came = getattr(value, "dtype", type(value).__name__)
            raise ValueError(f"a parameter must be an array of float32 or float64, got {came}")
        self.value = value
        self.grad = None
        self.name = name

    @property
    def shape(self):
        """Give the shape of the value."""
        return self.value.shape

    def __repr__(self):
        """Give name, shape and dtype."""
        return f"Parameter({self.name or ''}{self.value.shape}, {self.value.dtype})"
