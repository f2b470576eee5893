"""The one look of every figure in the book."""

import matplotlib as mpl
from cycler import cycler

# The four of Okabe and Ito's eight colours that keep a contrast of at least 3:1 on white AND on the
# book's dark page. Orange, sky blue and yellow are too light for white paper, so they are left out.
# Source: Okabe and Ito, "Color Universal Design", 2008, https://jfly.uni-koeln.de/color/
# "ink" and "muted" are greys: `figure` turns every grey into the page's own text colour.
COLOURS = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "ink": "#000000",
    "muted": "#595959",
}

# The second carrier beside colour: no figure may need colour vision to be read.
LINE_STYLES = ("-", "--", ":", "-.", (0, (6, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v")
HATCHES = ("", "///", "...", "xxx", "\\\\\\")

_SERIES = [COLOURS[name] for name in ("blue", "vermillion", "green", "purple", "ink")]

_RC = {
    # 5.6 in is 538 CSS pixels: on a 390-pixel telephone 11-point text then still shows at 9 pixels.
    "figure.figsize": (5.6, 3.4),
    "figure.dpi": 100,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "none",
    "font.family": ["DejaVu Sans"],
    "font.size": 11,
    "axes.facecolor": "none",
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.labelsize": 11,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.prop_cycle": cycler(color=_SERIES) + cycler(linestyle=LINE_STYLES),
    "grid.color": "#cccccc",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "hatch.linewidth": 0.8,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.handlelength": 2.6,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "image.cmap": "cividis",
    "image.interpolation": "none",
}


def use():
    """Make the book's look the default for every matplotlib figure made from now on.

    Call it once, in a chapter's first code cell.
    """
    mpl.rcParams.update(_RC)
