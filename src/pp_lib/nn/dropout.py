"""Dropout, whose mask can be given, so that a pass can be repeated elsewhere."""

import numpy as np

from pp_lib.nn.checks import as_floats, as_generator, same_shape
from pp_lib.nn.layers import Layer


class Dropout(Layer):
    """Put each element to 0 with probability p and divide the rest by 1 - p (chapter 14).

    The division (inverted scaling) keeps the mean, so that nothing is left to do in evaluation,
    where all passes unchanged.

    Parameters
    ----------
    p : float
        From 0 to 1.
    rng : numpy.random.Generator, optional
        Needed in training unless a mask is given.

    Raises
    ------
    ValueError
        For p outside [0, 1].
    """

    def __init__(self, p=0.5, rng=None):
        if not 0 <= p <= 1:
            raise ValueError(f"p must lie in [0, 1], got {p}")
        self.p = p
        self._rng = None if rng is None else as_generator(rng)
        self._given = None

    @property
    def mask(self):
        """Give the mask: True where an element is kept, the shape of x; None before it is known.

        One that is set stays in force for every forward in training until None is set; otherwise
        it is the one drawn by the latest forward.
        """
        return self._given if self._given is not None else getattr(self, "_drawn", None)

    @mask.setter
    def mask(self, mask):
        mask = None if mask is None else np.asarray(mask)
        if mask is not None and mask.dtype != bool:
            if not np.isin(mask, (0, 1)).all():
                raise ValueError("mask must hold True and False, or 1 and 0: which are kept")
            mask = mask.astype(bool)
        self._given = mask

    def forward(self, x):
        """Give x where kept, divided by 1 - p, and 0 elsewhere; in evaluation, x.

        Raises
        ------
        ValueError
            For a given mask of another shape than x; in training with neither mask nor generator.
        """
        x = as_floats(x, "x")
        self._shape, self._factor = x.shape, None
        if not self.training:
            return x
        if self._given is None:
            if self._rng is None:
                raise ValueError("Dropout needs a generator or a mask in training, got neither")
            self._drawn = self._rng.random(x.shape) >= self.p
        scale = 0.0 if self.p == 1 else 1 / (1 - self.p)
        self._factor = same_shape(self.mask, x.shape, "mask") * x.dtype.type(scale)
        return x * self._factor

    def backward(self, dy):
        """Give dy through the same mask and scale; dy must have the shape of x."""
        dy = same_shape(as_floats(dy, "dy"), self._recall("_shape"), "dy")
        return dy if self._factor is None else dy * self._factor
