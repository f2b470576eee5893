"""One thing that the reader of an explorer varies."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """One thing that the reader varies.

    Attributes
    ----------
    name : str
        The keyword under which the frame function gets the value.
    values : sequence
        Numbers or texts, at least two, all different. Numbers make a slider, texts a row of
        buttons, (False, True) a box to tick.
    label : str
        What stands beside it, with the unit.
    start : optional
        The value at first, or a number near it; the first one if unset.
    format : str or callable
        Makes a value's text: ``"{:.2g}"``, or a function.
    """

    name: str
    values: tuple
    label: str
    start: object = None
    format: str | Callable = "{:g}"

    def __post_init__(self):
        values = (v.item() if isinstance(v, np.generic) else v for v in self.values)
        object.__setattr__(self, "values", tuple(values))
        if len(self.values) < 2 or len(set(self.values)) < len(self.values):
            raise ValueError(f"{self.name} needs two different values or more, got {self.values}")
        if self.start is None:
            object.__setattr__(self, "start", self.values[0])
        self.position(self.start)

    @property
    def kind(self):
        """Return ``"slider"``, ``"choice"`` or ``"switch"``."""
        if self.values == (False, True):
            return "switch"
        return "choice" if isinstance(self.values[0], str) else "slider"

    @property
    def texts(self):
        """Return each value's text."""
        if self.kind != "slider":
            return [str(v) for v in self.values]
        make = self.format if callable(self.format) else self.format.format
        return [make(v) for v in self.values]

    def position(self, value):
        """Return which of the values is meant; of numbers the nearest.

        Raises
        ------
        ValueError
            If it is none of them, or a number beyond them.
        """
        if self.kind != "slider":
            if value not in self.values:
                raise ValueError(f"{self.name} must be one of {self.values}, got {value!r}")
            return self.values.index(value)
        low, high = min(self.values), max(self.values)
        if isinstance(value, str) or not low <= value <= high:
            raise ValueError(f"{self.name} must lie between {low:g} and {high:g}, got {value!r}")
        return int(np.argmin(np.abs(np.array(self.values, float) - float(value))))
