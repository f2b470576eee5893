"""Put SVG figures into the page itself, so that their ink follows its light or dark theme.

A figure that the page includes with ``<img>`` is a world of its own: ``currentColor`` there knows
nothing of the page's text colour. So every SVG that speaks of ``currentColor``, be it a notebook's
output (`pp_lib.show.figure`) or a Markdown image, becomes ``<figure><svg>...<figcaption>``.
"""

import html
import re
from pathlib import Path
from xml.etree import ElementTree

from docutils import nodes
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

logger = logging.getLogger(__name__)
SVG = "http://www.w3.org/2000/svg"
ElementTree.register_namespace("", SVG)
MARKUP = re.compile(r"\$(?P<math>[^$]+)\$|`(?P<code>[^`]+)`")


class InlineSVG(SphinxTransform):
    """Replace image nodes by raw HTML, once, when a page is read."""

    default_priority = (
        850  # after MyST-NB has written outputs to files, before images are collected
    )

    def apply(self, **kwargs):
        """Go through the page's images in order."""
        seen = {}
        for image in list(self.document.findall(nodes.image)):
            _, path = self.env.relfn2path(image["uri"], self.env.docname)
            if not path.endswith(".svg") or not Path(path).is_file():
                continue
            svg = Path(path).read_text(encoding="utf-8")
            if "currentColor" not in svg:
                continue
            try:
                markup = inline(svg, seen, alt=image.get("alt"))
            except (ElementTree.ParseError, ValueError) as problem:
                logger.warning("%s: %s", path, problem, location=image)
                continue
            self.env.note_dependency(path)
            image.replace_self(nodes.raw("", markup, format="html"))


def inline(svg, seen, *, alt=None):
    """Return the HTML of one figure.

    Parameters
    ----------
    svg : str
        An SVG document.
    seen : dict
        How often each id prefix came on this page; updated, so that a figure that is shown twice
        has two sets of ids.
    alt : str, optional
        Used where the SVG itself has no ``aria-label``.

    Raises
    ------
    ValueError
        If nothing says what the figure shows.
    """
    root = ElementTree.fromstring(svg)
    title = root.find(f"{{{SVG}}}title")
    alt = root.get("aria-label") or alt or (title.text if title is not None else None)
    if not alt:
        raise ValueError("an SVG needs an aria-label, a <title> or the image's alt text")
    root.set("role", "img")
    root.set("aria-label", alt)
    if title is not None:
        root.remove(title)  # said by aria-label; as <title> it would also pop up under the mouse
    # As an attribute it is the fallback of a figure without a page; here the page decides.
    root.attrib.pop("color", None)
    caption = _take_caption(root)
    _renumber(root, seen)
    body = ElementTree.tostring(root, encoding="unicode", short_empty_elements=True)
    figcaption = f"<figcaption>{_markup(caption)}</figcaption>" if caption else ""
    return f'<figure class="pp-figure-box">{body}{figcaption}</figure>\n'


def _take_caption(root):
    """Remove the caption drawn for the bare notebook, and return its words."""
    group = root.find(f"{{{SVG}}}g[@class='pp-caption']")
    if group is None:
        return None
    root.remove(group)
    height = float(root.attrib.pop("data-height"))
    width = root.get("viewBox").split()[2]
    root.set("viewBox", f"0 0 {width} {height:g}")
    root.set("height", f"{height:g}pt")
    return " ".join(line.text for line in group)


def _renumber(root, seen):
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    if not ids:
        return
    key = tuple(ids)
    seen[key] = seen.get(key, 0) + 1
    if seen[key] == 1:
        return
    names = {name: f"{name}-{seen[key]}" for name in ids}
    for element in root.iter():
        for attribute, value in element.attrib.items():
            if attribute == "id":
                element.set(attribute, names[value])
            elif attribute == "href" and value[1:] in names:
                element.set(attribute, "#" + names[value[1:]])
            elif "url(#" in value:
                element.set(
                    attribute,
                    re.sub(r"url\(#([^)]+)\)", lambda m: f"url(#{names.get(m[1], m[1])})", value),
                )


def _markup(caption):
    """Allow $formulas$ and `code` in a caption."""
    out, end = [], 0
    for match in MARKUP.finditer(caption):
        out.append(html.escape(caption[end : match.start()]))
        if match["math"]:
            formula = html.escape(match["math"])
            out.append(f'<span class="math notranslate nohighlight">\\({formula}\\)</span>')
        else:
            out.append(f"<code>{html.escape(match['code'])}</code>")
        end = match.end()
    return "".join(out) + html.escape(caption[end:])


def setup(app):
    """Register the transform."""
    app.add_transform(InlineSVG)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
