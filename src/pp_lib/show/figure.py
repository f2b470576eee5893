"""A matplotlib figure as an SVG that follows the page's theme and says what it shows."""

import base64
import io
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_svg import RendererSVG

from pp_lib.show._svg import themed

# A raster whose PNG is smaller than this stays bit-exact.
_SMALL_PNG_BYTES = 20_000
# Noise is part of what these pictures show. At 90 the brightness noise of a photograph keeps its
# strength (7.7 grey levels stay 8.0); at 85 a good tenth of it is gone, and WebP drops its colour.
_JPEG_QUALITY = 90
# More than two pixels for every CSS pixel of the widest figure.
_LONGEST_SIDE_PX = 1400


@dataclass(frozen=True)
class Figure:
    """A finished picture; Jupyter displays it as SVG.

    Attributes
    ----------
    svg : str
        One self-contained ``<svg>`` element whose ink is ``currentColor``.
    alt : str
        What the picture shows, for those who cannot see it.
    caption : str or None
        What the picture means.
    """

    svg: str
    alt: str
    caption: str | None = None

    def _repr_mimebundle_(self, include=None, exclude=None):
        # SVG and not HTML: GitHub's notebook preview drops inline SVG from HTML, and shows this.
        return {"image/svg+xml": self.svg, "text/plain": self.alt}


def figure(fig, *, alt, caption=None):
    """Turn a matplotlib figure into a themed SVG, and close it.

    Greys become the page's text colour (black entirely, lighter greys more transparent), so that
    axes and labels can be read on a white and on a dark page. Colours and white stay as they are:
    to write over a photograph, write in white. Equal figures give equal bytes.

    Parameters
    ----------
    fig : matplotlib.figure.Figure
        The figure. It is closed, or the notebook would show it a second time.
    alt : str
        What the picture shows, in one or two sentences. Required.
    caption : str, optional
        What it means, for instance ``"Figure 2.1. Halving the aperture ..."``. Plain text.

    Returns
    -------
    Figure
        Make it the last line of a cell.

    Raises
    ------
    ValueError
        If `alt` is empty or `fig` is not a matplotlib figure.
    """
    if not hasattr(fig, "savefig"):
        raise ValueError(
            f"fig must be a matplotlib Figure, got {type(fig).__name__}: of an Axes, pass ax.figure"
        )
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError(f"alt must say in words what the figure shows, got {alt!r}")
    if caption is not None and (not isinstance(caption, str) or not caption.strip()):
        raise ValueError(f"caption must be a non-empty text or None, got {caption!r}")
    alt = " ".join(alt.split())
    caption = " ".join(caption.split()) if caption else None
    svg = themed(_draw(fig), alt=alt, caption=caption, compress=_lighter)
    _close(fig)
    return Figure(svg, alt, caption)


class _Renderer(RendererSVG):
    """Write words as text, but formulas as paths.

    Matplotlib places every glyph of a formula by DejaVu's widths, so a formula written as text
    falls apart in any other font; a word is one string and does not.
    """

    def draw_text(self, gc, x, y, s, prop, angle, ismath=False, mtext=None):
        with mpl.rc_context({"svg.fonttype": "path" if ismath else "none"}):
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)


def _draw(fig):
    # The salt makes the ids of clip paths, and with them the bytes, the same in every run.
    with mpl.rc_context({"svg.hashsalt": "photopilot", "svg.image_inline": True}):
        out = io.StringIO()
        dpi, fig.dpi = fig.dpi, 72  # SVG's unit is the point: 72 to the inch
        width, height = fig.get_size_inches()
        svg = _Renderer(72 * width, 72 * height, out, image_dpi=dpi, metadata={"Date": None})
        renderer = MixedModeRenderer(fig, width, height, dpi, svg)
        fig.draw(renderer)
        renderer.finalize()
        fig.dpi = dpi
    return out.getvalue()


def _lighter(uri):
    """Return a photograph's data URI as JPEG where that halves it; anything else unchanged."""
    from PIL import Image

    png = base64.b64decode(uri.partition(",")[2])
    if len(png) < _SMALL_PNG_BYTES:
        return uri
    picture = Image.open(io.BytesIO(png))
    picture.thumbnail((_LONGEST_SIDE_PX, _LONGEST_SIDE_PX))
    if picture.mode == "RGBA" and picture.getextrema()[3][0] < 255:
        return uri  # JPEG has no transparency
    jpeg = io.BytesIO()
    # 4:4:4: the colour noise of a high ISO is part of what these pictures show.
    picture.convert("RGB").save(jpeg, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    if jpeg.tell() > len(png) / 2:
        return uri
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.getvalue()).decode("ascii")


def _close(fig):
    # A figure that pyplot did not make (matplotlib.figure.Figure()) needs no closing.
    from matplotlib import pyplot as plt

    plt.close(fig)
