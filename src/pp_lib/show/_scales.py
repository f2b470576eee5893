"""Axes of an explorer: limits, ticks and their labels, the same in the browser and on paper."""

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from pp_lib.show.words import number


def limits(arrays, log, *, margin=0.04):
    """Return the limits that hold every finite value, with a margin on each side."""
    values = np.concatenate([np.ravel(a) for a in arrays]) if arrays else np.empty(0)
    values = values[np.isfinite(values) & ((values > 0) if log else True)]
    if values.size == 0:
        what = "positive and finite" if log else "finite"
        raise ValueError(f"no value is {what}: give the limits")
    low, high = float(values.min()), float(values.max())
    if log:
        low, high = np.log10(low), np.log10(high)
    room = margin * (high - low) or (margin and 0.5)
    low, high = low - room, high + room
    return (10**low, 10**high) if log else (low, high)


def cell_edges(centres, log):
    """Return the n + 1 edges of n cells that are evenly spaced on their scale."""
    at = np.log(np.asarray(centres, float)) if log else np.asarray(centres, float)
    if at.ndim != 1 or len(at) < 2:
        raise ValueError(f"expected two centres of cells or more, got shape {at.shape}")
    step = np.diff(at)
    if not np.allclose(step, step[0], rtol=1e-3):
        raise ValueError(
            "cells must be evenly spaced" + (" on the logarithmic scale" if log else "")
        )
    edges = np.append(at - step[0] / 2, at[-1] + step[0] / 2)
    return np.exp(edges) if log else edges


def edges(centres, log):
    """Return the outer edges of the cells, the first centre's first."""
    every = cell_edges(centres, log)
    return float(every[0]), float(every[-1])


def axis(label, limits, log):
    """Return an axis as plain data: its label, limits, scale and labelled ticks.

    Raises
    ------
    ValueError
        If the limits are equal, not finite, or not positive on a logarithmic scale.
    """
    low, high = (float(v) for v in limits)
    if not (np.isfinite([low, high]).all() and low != high and (min(low, high) > 0 or not log)):
        kind = "positive, finite" if log else "finite"
        raise ValueError(f"limits of {label!r} must be {kind} and different, got {low}, {high}")
    ends = sorted((low, high))
    if log:
        ticks = LogLocator(10).tick_values(*ends)
        if sum((ticks >= ends[0]) & (ticks <= ends[1])) < 3:
            ticks = LogLocator(10, subs=(1, 2, 5)).tick_values(*ends)
    else:
        ticks = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(*ends)
    steps = np.diff(ticks, prepend=2 * ticks[0] - ticks[1])  # a logarithmic scale's grow
    # Of a logarithmic scale's width even a billionth may hold decades of its lower end.
    below, above = (1e-9 * e for e in ends) if log else (1e-9 * (ends[1] - ends[0]),) * 2
    ticks = [
        [float(t), _tick_label(t, step)]
        for t, step in zip(ticks, steps, strict=True)
        if ends[0] - below <= t <= ends[1] + above
    ]
    every = -(-len(ticks) // 6)
    return {
        "label": label,
        "limits": [low, high],
        "log": bool(log),
        "ticks": ticks[::every],
    }


def _tick_label(value, step):
    """Return the words at a tick, in as many digits as tell it from one that is `step` away."""
    if value == 0:
        return "0"
    # Steps of 2.5 need a digit behind their own first one.
    digits = max(1, _exponent(value) - _exponent(step) + 2)
    words = number(value, digits).replace(" \u00d7 ", "\u00b7")
    return words.removeprefix("1\u00b7").replace("-", "\u2212")


def _exponent(value):
    return int(np.floor(np.log10(abs(value)) + 1e-9))


def prepare(ax, x, y):
    """Give a matplotlib Axes these axes; None leaves one alone."""
    for name, spec in (("x", x), ("y", y)):
        if spec is None:
            continue
        getattr(ax, f"set_{name}scale")("log" if spec["log"] else "linear")
        getattr(ax, f"set_{name}lim")(*spec["limits"])
        getattr(ax, f"set_{name}label")(spec["label"])
        its = getattr(ax, f"{name}axis")
        its.set_major_locator(FixedLocator([t for t, _ in spec["ticks"]]))
        its.set_minor_locator(NullLocator())
        its.set_ticklabels([text for _, text in spec["ticks"]])


def colour_map():
    """Return 256 colours (256, 3) uint8 that differ in lightness, and so without colour vision."""
    return (255 * mpl.colormaps["cividis"](np.arange(256))[:, :3]).round().astype(np.uint8)
