"""A figure with sliders: computed here, frame by frame, and looked at without a kernel.

The browser's half, explorer.js, holds no mathematics: it picks among the frames that Python
computed. The built book, where no kernel runs, shows the same half with a stand-in for the model.
"""

import base64
import hashlib
import html
import itertools
import zlib
from pathlib import Path

import anywidget
import numpy as np
import traitlets
from matplotlib import pyplot as plt

from pp_lib.show._payload import Payload
from pp_lib.show.figure import figure

HEAVIEST_BYTES = 150_000
_HERE = Path(__file__).parent


class Explorer(anywidget.AnyWidget):
    """A figure that answers to sliders, with or without a kernel.

    Parameters
    ----------
    axes : sequence of Axis
        The frames are computed for every combination of their values.
    frame : callable
        Gets one value of each axis by name. Returns a dict: under each view's key what that view
        shows, and under ``"says"`` one sentence that says in words what is seen.
    views : sequence of Lines, Bars, Picture or Heatmap
    alt : str
        What can be seen and varied, for those who cannot see it.
    caption : str
        ``"Explorer 8.1. ..."``: what to look for. Plain text.
    play : str, optional
        The axis that the play button walks along.

    Attributes
    ----------
    value : dict
        The value of each axis now. Set it to move the sliders, observe it to follow them.
    says : str
        The sentence of the frame that is shown.

    Raises
    ------
    ValueError
        If an argument is not as described, or all frames together weigh more than 150 kB.
    """

    _esm = _HERE / "explorer.js"
    _css = _HERE / "explorer.css"
    payload = traitlets.Unicode().tag(sync=True)
    index = traitlets.List(traitlets.Int()).tag(sync=True)
    value = traitlets.Dict()

    def __init__(self, axes, frame, views, *, alt, caption, play=None):
        self._axes = tuple(axes)
        self._views = tuple(views)
        self._alt, self._caption = _words("alt", alt), _words("caption", caption)
        names = [axis.name for axis in self._axes]
        if not names or len(set(names)) < len(names) or not self._views:
            raise ValueError(f"expected axes of different names and a view, got axes {names}")
        if play is not None and play not in names:
            raise ValueError(f"play must be one of {names}, got {play!r}")
        grid = itertools.product(*(axis.values for axis in self._axes))
        self._frames = [frame(**dict(zip(names, point, strict=True))) for point in grid]
        payload = Payload()
        self._specs = [
            view.pack([self._part(f, view.key) for f in self._frames], payload)
            for view in self._views
        ]
        says = [_words("says", self._part(f, "says")) for f in self._frames]
        header = {
            "alt": self._alt,
            "caption": self._caption,
            "axes": [
                {"label": a.label, "kind": a.kind, "texts": a.texts, "start": a.position(a.start)}
                for a in self._axes
            ],
            "play": None if play is None else names.index(play),
            "views": self._specs,
            "says": payload.sentences(says),
        }
        text = payload.text(header)
        if len(text) > HEAVIEST_BYTES:
            raise ValueError(
                f"{len(self._frames)} frames weigh {len(text):,} bytes, of {HEAVIEST_BYTES:,} "
                "allowed: fewer values, shorter curves or smaller pictures"
            )
        start = [axis.position(axis.start) for axis in self._axes]
        super().__init__(payload=text, index=start)

    def _part(self, frame, key):
        if not isinstance(frame, dict) or key not in frame:
            got = sorted(frame) if isinstance(frame, dict) else type(frame).__name__
            raise ValueError(f"frame must return a dict with the key {key!r}, got {got}")
        return frame[key]

    @traitlets.validate("index")
    def _valid_index(self, proposal):
        index = proposal["value"]
        sizes = [len(axis.values) for axis in self._axes]
        fits = len(index) == len(sizes) and all(
            0 <= i < n for i, n in zip(index, sizes, strict=True)
        )
        if not fits:
            raise traitlets.TraitError(f"index must be a place in a grid of {sizes}, got {index}")
        return index

    @traitlets.validate("value")
    def _valid_value(self, proposal):
        """Complete what was set by what is there, and take the axes' own values."""
        wanted = proposal["value"]
        unknown = set(wanted) - {axis.name for axis in self._axes}
        if unknown:
            raise traitlets.TraitError(
                f"value may name {[axis.name for axis in self._axes]}, got {sorted(unknown)}"
            )
        return {
            axis.name: axis.values[
                axis.position(wanted[axis.name]) if axis.name in wanted else self.index[i]
            ]
            for i, axis in enumerate(self._axes)
        }

    @traitlets.observe("index")
    def _follow_index(self, change):
        self.value = {a.name: a.values[i] for a, i in zip(self._axes, change["new"], strict=True)}

    @traitlets.observe("value")
    def _follow_value(self, change):
        self.index = [axis.position(change["new"][axis.name]) for axis in self._axes]

    def frame(self, **values):
        """Return what the frame function returned here, or where the values say.

        Parameters
        ----------
        **values
            One value an axis; those not given are as shown now.
        """
        here = self.value | values
        if set(here) != {axis.name for axis in self._axes}:
            raise ValueError(f"expected values of {list(self.value)}, got {sorted(values)}")
        place = [axis.position(here[axis.name]) for axis in self._axes]
        sizes = [len(axis.values) for axis in self._axes]
        return self._frames[int(np.ravel_multi_index(place, sizes))]

    @property
    def says(self):
        """Return the sentence of the frame that is shown."""
        return _words("says", self.frame()["says"])

    @property
    def digest(self):
        """Return 16 hexadecimal digits of everything the browser is given."""
        return hashlib.sha256(zlib.decompress(base64.b64decode(self.payload))).hexdigest()[:16]

    def still(self):
        """Draw the frame that is shown as a `pp_lib.show.Figure`."""
        ncols = min(2, len(self._views))
        nrows = -(-len(self._views) // ncols)
        width_in = 5.6 if ncols == 1 else 7.6
        fig, grid = plt.subplots(
            nrows, ncols, figsize=(width_in, 3.1 * nrows), squeeze=False, layout="constrained"
        )
        frame = self.frame()
        for ax in grid.flat[len(self._views) :]:
            ax.axis("off")
        for ax, view, spec in zip(grid.flat, self._views, self._specs, strict=False):
            view.draw(ax, spec, frame[view.key])
            ax.set_title(view.title)
        return figure(fig, alt=f"{self._alt} Now: {self.says}", caption=None)

    def _repr_mimebundle_(self, **kwargs):
        live = super()._repr_mimebundle_(**kwargs)
        data, metadata = live if isinstance(live, tuple) else (live, {})
        text = f"{self._caption} {self.says} [{len(self._frames)} frames, {self.digest}]"
        return data | {"text/html": self._html(), "text/plain": text}, metadata

    def _html(self):
        """Return HTML that needs no kernel: a still picture until the script runs."""
        still = base64.b64encode(self.still().svg.encode()).decode("ascii")
        script = (_HERE / "explorer.js").read_text("utf-8")
        style = (_HERE / "explorer.css").read_text("utf-8")
        digest = self.digest
        return (
            f"<style>{style}</style>\n"
            f'<figure class="pp-explorer" data-explorer="{digest}">'
            f'<img src="data:image/svg+xml;base64,{still}" alt="{html.escape(self._alt)}">'
            f"<figcaption>{html.escape(self._caption)}</figcaption>"
            f'<script type="text/plain">{self.payload}</script></figure>\n'
            f'<script type="module">\n{script}\nstart("{digest}");\n</script>'
        )


def _words(name, text):
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} must be a text that says something, got {text!r}")
    return " ".join(text.split())
