"""Figures for the book: one look, pictures that follow the page's theme, plots that take an Axes.

>>> from pp_lib.show import figure, plots, style
"""

from pp_lib.show import plots, style
from pp_lib.show.figure import Figure, figure

__all__ = ["Figure", "figure", "plots", "style"]
