"""What an explorer can show: bars and pictures here, curves and heat maps in plane.py.

A view knows how to pack its frames for the browser and how to draw one of them with matplotlib.
Its limits are those of all frames together, so that what moves is the data and not the axis.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pp_lib.show import _scales
from pp_lib.show.style import COLOURS

SERIES = ("blue", "vermillion", "green", "purple", "ink")
_DASHES = ("", "6 3", "1.5 2.5", "6 2 1.5 2", "9 2 2 2 2 2")  # as style.LINE_STYLES


@dataclass(frozen=True, kw_only=True)
class View:
    """What all views share.

    Attributes
    ----------
    key : str
        Which entry of a frame is shown.
    title : str
        Stands above the view and names it for screen readers.
    """

    key: str
    title: str

    def series(self, frames):
        """Return {name: [array of each frame]}; all frames must have the same names."""
        frames = [f if isinstance(f, Mapping) else {"": f} for f in frames]
        names = list(frames[0])
        for frame in frames:
            if list(frame) != names:
                raise ValueError(
                    f"{self.key!r} must have the same names in every frame, "
                    f"got {names} and {list(frame)}"
                )
        return {name: [np.asarray(f[name], dtype=float) for f in frames] for name in names}


@dataclass(frozen=True, kw_only=True)
class Bars(View):
    """One bar a label, or one a label and name; a frame's entry is (K,), or a dict of (K,)."""

    labels: tuple
    ylabel: str
    ylog: bool = False
    ylim: tuple | None = None

    def pack(self, frames, payload):
        """Return the view as plain data, its arrays stored in the payload."""
        series = self.series(frames)
        for name, stack in series.items():
            for values in stack:
                if values.shape != (len(self.labels),):
                    raise ValueError(
                        f"{self.key!r} {name!r} must have one value for each of "
                        f"{len(self.labels)} labels, got shape {values.shape}"
                    )
        values = [v for stack in series.values() for v in stack]
        return {
            "kind": "bars",
            "title": self.title,
            "labels": [str(label) for label in self.labels],
            "y": _scales.axis(self.ylabel, self.ylim or self._limits(values), self.ylog),
            "series": [
                series_style(i, name) | {"trace": payload.trace(stack)}
                for i, (name, stack) in enumerate(series.items())
            ],
        }

    def _limits(self, values):
        """Begin at nought, where bars stand on."""
        if self.ylog:
            return _scales.limits(values, True)
        low, high = _scales.limits([*values, np.zeros(1)], False, margin=0)
        room = 0.08 * (high - low)
        return (low - room if low < 0 else low), (high + room if high > 0 else high)

    def draw(self, ax, spec, frame):
        """Draw one frame on a matplotlib Axes."""
        series = self.series([frame])
        width = 0.8 / len(series)
        at = np.arange(len(self.labels))
        for i, (name, (values,)) in enumerate(series.items()):
            colour = COLOURS[SERIES[i % len(SERIES)]]
            offset = (i - (len(series) - 1) / 2) * width
            # As in the browser, every second series is an outline.
            fill = "none" if i % 2 else colour
            ax.bar(at + offset, values, 0.9 * width, color=fill, edgecolor=colour, label=name)
        ax.set_xticks(at, self.labels)
        _scales.prepare(ax, None, spec["y"])
        if len(series) > 1:
            ax.legend()


@dataclass(frozen=True, kw_only=True)
class Picture(View):
    """A photograph or a small raster; a frame's entry is (H, W, 3) or (H, W) uint8."""

    pixelated: bool = False
    quality: int = 80

    def pack(self, frames, payload):
        """Return the view as plain data, its pictures stored in the payload."""
        frames = [np.asarray(frame) for frame in frames]
        for frame in frames:
            colour = frame.ndim == 3 and frame.shape[2] == 3
            if frame.dtype != np.uint8 or not (colour or frame.ndim == 2):
                raise ValueError(
                    f"{self.key!r} must be uint8 and (H, W, 3) or (H, W), "
                    f"got {frame.dtype} {frame.shape}"
                )
        height, width = frames[0].shape[:2]
        return {
            "kind": "picture",
            "title": self.title,
            "pixelated": self.pixelated,
            "width": width,
            "height": height,
        } | payload.pictures(frames, self.quality)

    def draw(self, ax, spec, frame):
        """Draw one frame on a matplotlib Axes."""
        frame = np.asarray(frame)
        cmap = "gray" if frame.ndim == 2 else None
        ax.imshow(frame, cmap=cmap, vmin=0, vmax=255, interpolation="none")
        ax.axis("off")


def series_style(i, name, mark="line", *, above=False):
    """Return how the browser draws series number i, as plain data."""
    colour = COLOURS[SERIES[i % len(SERIES)]]
    return {
        "name": name,
        "mark": mark,
        # Black is the page's ink; over a heat map white is seen on every colour but the lightest.
        "colour": "#ffffff" if above else "currentColor" if colour == "#000000" else colour,
        "dash": _DASHES[i % len(_DASHES)],
        "cap": ("round", "square")[i % 2],  # of points: colour is not the only difference
    }
