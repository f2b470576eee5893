"""The plots that chapters share: each takes an Axes and returns it (a grid has many: a Figure)."""

import numpy as np
from matplotlib import pyplot as plt

from pp_lib.show._grid import photo_grid
from pp_lib.show.style import COLOURS, LINE_STYLES, MARKERS

__all__ = ["bars", "confusion", "histogram_with_edges", "learning_curves", "photo_grid"]

_CYCLE = [COLOURS[name] for name in ("blue", "vermillion", "green", "purple", "ink")]


def bars(ax, names, values, *, label="{:g}", colour="blue", reference=None, reference_name=None):
    """Draw one labelled horizontal bar a name, the first on top.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    names : sequence of str, length n
    values : sequence of float, length n
    label : str
        Format of the number written at the end of each bar; ``""`` writes none.
    colour : str
        A key of `pp_lib.show.style.COLOURS`.
    reference : float, optional
        Draws a dashed line there, for instance the accuracy of guessing.
    reference_name : str, optional
        Written beside that line.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If names and values differ in number, or a value is not finite.
    """
    values = np.asarray(values, dtype=float)
    if values.shape != (len(names),):
        raise ValueError(f"expected {len(names)} values, one a name, got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"values must be finite, got {values}")
    at = np.arange(len(names))
    drawn = ax.barh(at, values, height=0.65, color=COLOURS[colour])
    ax.set_yticks(at, names)
    ax.invert_yaxis()
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    if label:
        ax.bar_label(drawn, [label.format(v) for v in values], padding=3, fontsize=10)
        ax.margins(x=0.12)
    if reference is not None:
        ax.axvline(reference, color=COLOURS["ink"], linestyle="--", linewidth=1)
        if reference_name:
            ax.annotate(
                reference_name,
                (reference, 1),
                xycoords=("data", "axes fraction"),
                xytext=(3, 2),
                textcoords="offset points",
                fontsize=9,
                va="bottom",
            )
    return ax


def histogram_with_edges(ax, values, edges, *, names=None, bins=40, log=False):
    """Draw a histogram with the edges of the classes over it.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    values : array (n,)
        In the unit that the x axis names.
    edges : sequence of float
        The inner class edges, ascending.
    names : sequence of str, optional
        The ``len(edges) + 1`` classes' names, written above them.
    bins : int or array
        As in `numpy.histogram`; a number is spaced evenly (in log where `log`).
    log : bool
        A logarithmic x axis; all values must then be positive.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no value, one is not finite or (in log) not positive, or names do not fit edges.
    """
    values = np.asarray(values, dtype=float)
    edges = [float(edge) for edge in edges]
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"values must be (n,) with n > 0, got shape {values.shape}")
    if not np.isfinite(values).all() or (log and values.min() <= 0):
        raise ValueError("values must be finite, and positive on a log axis")
    if edges != sorted(edges):
        raise ValueError(f"edges must ascend, got {edges}")
    if names is not None and len(names) != len(edges) + 1:
        raise ValueError(
            f"{len(edges)} edges make {len(edges) + 1} classes, got {len(names)} names"
        )
    low, high = min(values.min(), *edges), max(values.max(), *edges)
    if np.isscalar(bins):
        space = np.geomspace if log else np.linspace
        bins = space(low, high if high > low else low + 1, bins + 1)
    ax.hist(values, bins=bins, color=COLOURS["blue"])
    if log:
        ax.set_xscale("log")
    for edge in edges:
        ax.axvline(edge, color=COLOURS["ink"], linestyle="--", linewidth=1)
    if names is not None:
        limits = ax.transData.inverted().transform(ax.transAxes.transform([(0, 0), (1, 0)]))[:, 0]
        middle = (lambda a, b: np.sqrt(a * b)) if log else (lambda a, b: (a + b) / 2)
        bounds = [limits[0], *edges, limits[1]]
        for name, left, right in zip(names, bounds[:-1], bounds[1:], strict=True):
            ax.annotate(
                name,
                (middle(left, right), 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=9,
            )
        ax.set_xlim(*limits)
    ax.set_ylabel("photographs")
    return ax


def learning_curves(ax, curves, *, reference=None, reference_name=None, ylabel="loss (nats)"):
    """Draw one curve an entry over the epochs, each named at its end.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    curves : dict of str to sequence of float
        Name and one value an epoch; the first value belongs to epoch 1.
    reference : float, optional
        A dotted horizontal line, for instance the label entropy.
    reference_name : str, optional
        Written at the end of that line.
    ylabel : str
        The axis's name, with its unit.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If there is no curve, more than five (as many as can be told apart), or one is empty.
    """
    if not 1 <= len(curves) <= len(_CYCLE):
        raise ValueError(f"expected 1 to {len(_CYCLE)} curves, got {len(curves)}: use more axes")
    ends = {}
    for i, (name, values) in enumerate(curves.items()):
        values = np.asarray(values, dtype=float)
        if values.ndim != 1 or values.size == 0:
            raise ValueError(f"curve {name!r} must be (epochs,) and not empty, got {values.shape}")
        epochs = np.arange(1, values.size + 1)
        ax.plot(epochs, values, color=_CYCLE[i], linestyle=LINE_STYLES[i])
        ax.plot(epochs[-1], values[-1], color=_CYCLE[i], marker=MARKERS[i])
        ends[name] = (epochs[-1], values[-1], _CYCLE[i])
    if reference is not None:
        last = max(x for x, _, _ in ends.values())
        ax.plot([1, last], [reference] * 2, color=COLOURS["muted"], ls=(0, (2, 2)), lw=1)
        if reference_name:
            ends[reference_name] = (last, reference, COLOURS["ink"])
    _name_ends(ax, ends)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.set_xlabel("epoch")
    ax.set_ylabel(ylabel)
    return ax


def confusion(ax, counts, names):
    """Draw a confusion matrix: rows are the truth, columns what the model said.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    counts : array (K, K) of int
        ``counts[i, j]`` photographs of class i were called j.
    names : sequence of str, length K

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If counts is not (K, K) of non-negative whole numbers.
    """
    counts = np.asarray(counts)
    k = len(names)
    if counts.shape != (k, k) or (counts < 0).any() or (counts != np.floor(counts)).any():
        raise ValueError(f"counts must be ({k}, {k}) whole numbers >= 0, got {counts!r}")
    # A row without photographs has no shares; it stays blank and shows its zeros.
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # (K, K)
    for i in range(k):
        for j in range(k):
            # Opacity, not a colour map: the ink on top stays readable in both themes up to 0.55.
            box = plt.Rectangle(
                (j - 0.48, i - 0.48), 0.96, 0.96, color=COLOURS["blue"], alpha=0.55 * share[i, j]
            )
            ax.add_patch(box)
            weight = "bold" if i == j else "normal"
            ax.text(j, i, f"{counts[i, j]:d}", ha="center", va="center", weight=weight)
    ax.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), aspect="equal")
    ax.set_xticks(range(k), names)
    ax.set_yticks(range(k), names)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xlabel("said")
    ax.set_ylabel("true")
    return ax


def _name_ends(ax, ends):
    """Write each curve's name at its last point, in its colour, apart where they would overlap."""
    order = sorted(ends, key=lambda name: ends[name][1])
    low, high = ax.get_ylim()
    height_pt = ax.get_position().height * ax.figure.get_size_inches()[1] * 72
    gap = 12 / height_pt * (high - low)
    previous = -np.inf
    for name in order:
        x, y, colour = ends[name]
        at = max(y, previous + gap)
        previous = at
        ax.annotate(
            name,
            (x, y),
            xytext=(7, (at - y) / (high - low) * height_pt),
            textcoords="offset points",
            va="center",
            fontsize=10,
            color=colour,
            annotation_clip=False,
        )
