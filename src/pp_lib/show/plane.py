"""Views on a plane: curves, points and rules, alone or above a heat map."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from pp_lib.show import _scales
from pp_lib.show.style import COLOURS, LINE_STYLES, MARKERS
from pp_lib.show.views import SERIES, View, series_style

MARKS = ("line", "points", "steps", "rules", "levels")


@dataclass(frozen=True, kw_only=True)
class Lines(View):
    """Curves, points and rules over one plane.

    A frame's entry is an array (n,) over `x`, an array (n, 2) of points, or a dict of these by
    name. `marks` says how a name is drawn: ``"line"`` (the default), ``"points"``, ``"steps"``,
    ``"rules"`` (vertical lines at the values) or ``"levels"`` (horizontal ones). nan is a gap.
    """

    x: object = None
    xlabel: str
    ylabel: str
    xlog: bool = False
    ylog: bool = False
    xlim: tuple | None = None
    ylim: tuple | None = None
    marks: Mapping = field(default_factory=dict)

    def pack(self, frames, payload):
        """Return the view as plain data, its arrays stored in the payload."""
        series = self.series(frames)
        _check_marks(self.marks, series)
        points = {name: self._points(name, s) for name, s in series.items()}
        xlim = self.xlim or _scales.limits(self._values(points, 0), self.xlog)
        ylim = self.ylim or _scales.limits(self._values(points, 1), self.ylog)
        return {
            "kind": "lines",
            "title": self.title,
            "x": _scales.axis(self.xlabel, xlim, self.xlog),
            "y": _scales.axis(self.ylabel, ylim, self.ylog),
            "series": [
                series_style(i, name, self.marks.get(name, "line"))
                | {"trace": payload.trace([np.atleast_1d(v) for v in stack])}
                for i, (name, stack) in enumerate(series.items())
            ],
            "along": None if self.x is None else payload.array(np.asarray(self.x, float)),
        }

    def draw(self, ax, spec, frame):
        """Draw one frame on a matplotlib Axes."""
        for i, (name, (values,)) in enumerate(self.series([frame]).items()):
            _draw_series(ax, i, name, self.marks, self._points(name, [values])[0])
        _scales.prepare(ax, spec["x"], spec["y"])

    def _points(self, name, stack):
        mark = self.marks.get(name, "line")
        return [_as_points(f"{self.key}.{name}", mark, v, self.x) for v in stack]

    def _values(self, points, column):
        return [p[:, column] for stack in points.values() for p in stack]


@dataclass(frozen=True, kw_only=True)
class Heatmap(View):
    """Colour over a plane, with curves and points above it.

    A frame's entry is an array (len(y), len(x)), or a dict with that array as ``"z"`` and, by
    name, what `Lines` draws. `x` and `y` are the cells' centres, evenly spaced on their scale.
    """

    x: object
    y: object
    xlabel: str
    ylabel: str
    zlabel: str
    xlog: bool = False
    ylog: bool = False
    zlog: bool = False
    zlim: tuple | None = None
    marks: Mapping = field(default_factory=dict)

    def pack(self, frames, payload):
        """Return the view as plain data, its arrays stored in the payload."""
        series = self.series([f if isinstance(f, Mapping) else {"z": f} for f in frames])
        if "z" not in series:
            raise ValueError(f"{self.key!r} needs an entry 'z', got {list(series)}")
        z = series.pop("z")
        _check_marks(self.marks, series)
        shape = (len(self.y), len(self.x))
        for values in z:
            if values.shape != shape:
                raise ValueError(
                    f"{self.key!r} must be (len(y), len(x)) = {shape}, got {values.shape}"
                )
        for name, stack in series.items():
            for values in stack:
                _as_points(f"{self.key}.{name}", self.marks.get(name, "line"), values, None)
        return {
            "kind": "heatmap",
            "title": self.title,
            "x": _scales.axis(self.xlabel, _scales.edges(self.x, self.xlog), self.xlog),
            "y": _scales.axis(self.ylabel, _scales.edges(self.y, self.ylog), self.ylog),
            "z": _scales.axis(
                self.zlabel, self.zlim or _scales.limits(z, self.zlog, margin=0), self.zlog
            ),
            "colours": payload.array(_scales.colour_map()),
            "trace": payload.trace(z),
            "series": [
                series_style(i, name, self.marks.get(name, "line"), above=True)
                | {"trace": payload.trace(stack)}
                for i, (name, stack) in enumerate(series.items())
            ],
            "along": None,
        }

    def draw(self, ax, spec, frame):
        """Draw one frame on a matplotlib Axes."""
        frame = frame if isinstance(frame, Mapping) else {"z": frame}
        norm = "log" if self.zlog else "linear"
        low, high = spec["z"]["limits"]
        edges = [
            _scales.cell_edges(v, log) for v, log in ((self.x, self.xlog), (self.y, self.ylog))
        ]
        z = np.clip(np.asarray(frame["z"], float), low, high)
        mesh = ax.pcolormesh(*edges, z, norm=norm, rasterized=True)
        mesh.set_clim(low, high)
        ax.figure.colorbar(mesh, ax=ax, label=self.zlabel)
        others = {name: values for name, values in frame.items() if name != "z"}
        for i, (name, values) in enumerate(others.items()):
            mark = self.marks.get(name, "line")
            points = _as_points(name, mark, np.asarray(values, float), None)
            _draw_series(ax, i, name, self.marks, points, colour="#ffffff")
        _scales.prepare(ax, spec["x"], spec["y"])


def _check_marks(marks, series):
    for name, mark in marks.items():
        if name not in series or mark not in MARKS:
            raise ValueError(
                f"marks must map one of {list(series)} to one of {', '.join(MARKS)}, "
                f"got {name!r}: {mark!r}"
            )


def _as_points(where, mark, values, x):
    """Return (n, 2) points; nan where a rule or a level has no second coordinate."""
    if mark in {"rules", "levels"} and values.ndim <= 1:
        values = np.atleast_1d(values)
        empty = np.full_like(values, np.nan)
        return np.column_stack((values, empty) if mark == "rules" else (empty, values))
    if values.ndim == 2 and values.shape[1] == 2:
        return values
    if values.ndim == 1 and x is not None and values.shape == np.shape(x):
        return np.column_stack((np.asarray(x, float), values))
    along = "none" if x is None else np.shape(x)
    raise ValueError(f"{where} must be (n, 2), or (n,) as x ({along}), got {values.shape}")


def _draw_series(ax, i, name, marks, points, colour=None):
    mark = marks.get(name, "line")
    colour = colour or COLOURS[SERIES[i % len(SERIES)]]
    dash = LINE_STYLES[i % len(LINE_STYLES)]
    if mark in {"rules", "levels"}:
        draw = ax.axvline if mark == "rules" else ax.axhline
        for j, value in enumerate(points[:, 0 if mark == "rules" else 1]):
            draw(value, color=colour, linestyle=dash, label=name if j == 0 else None)
    elif mark == "points":
        marker = MARKERS[i % len(MARKERS)]
        ax.plot(*points.T, color=colour, marker=marker, linestyle="none", label=name)
    else:
        steps = "steps-post" if mark == "steps" else "default"
        ax.plot(*points.T, color=colour, linestyle=dash, drawstyle=steps, label=name)
    if name:
        ax.legend()
