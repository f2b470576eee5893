"""Figures for the book: one look, pictures that follow the page's theme, and explorers.

>>> from pp_lib.show import figure, plots, style
>>> from pp_lib.show import Axis, Bars, Explorer, Heatmap, Lines, Picture

Names are looked up on first use: an explorer needs ipywidgets, and nothing else here does.
"""

from importlib import import_module

from pp_lib.show import plots, style
from pp_lib.show.figure import Figure, figure

_HOMES = {
    "Axis": "axis",
    "Explorer": "explorer",
    "Bars": "views",
    "Heatmap": "plane",
    "Lines": "plane",
    "Picture": "views",
    "number": "words",
}

__all__ = ["Figure", "figure", "plots", "style", *_HOMES]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
