"""From matplotlib's SVG to one that a page can take in: themed, labelled, with ids of its own."""

import hashlib
import re
import textwrap
from xml.etree import ElementTree

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Arial, sans-serif"
# Where no page sets the ink (JupyterLab and GitHub show the SVG as an image, which knows nothing of
# the page's theme) this grey has a contrast of 4.4:1 on white and on a page as dark as #0d1117.
_LONELY_INK = "#787878"
_HEX = re.compile(r"#([0-9a-fA-F]{6})\b")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FONT = re.compile(r"^(?P<before>(?:[a-z0-9-]+ )*?)(?P<size>[\d.]+)px(?:/\S+)? .*$")
_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_NO_ROTATION = re.compile(r"rotate\(-?0 ")
_NOT_SHOWN = {f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"}
_CAPTION_SIZE = 10.0


def themed(svg, *, alt, caption=None, compress=lambda uri: uri):
    """Rewrite matplotlib's SVG for a page with a light and a dark theme.

    Parameters
    ----------
    svg : str
        A whole SVG document, as matplotlib writes it.
    alt : str
        Becomes ``aria-label`` and ``<title>``.
    caption : str, optional
        Drawn below the picture for readers of the bare notebook, in a group of class
        ``pp-caption`` that the book replaces by a ``<figcaption>``.
    compress : callable
        Takes and returns the data URI of an embedded raster.

    Returns
    -------
    str
        One ``<svg>`` element; the same input always gives the same bytes.
    """
    root = ElementTree.fromstring(svg)
    _prune(root)
    for element in root.iter():
        _plain_names(element)
        _shorten(element)
        _theme(element)
        if element.tag == "image":
            element.set("href", compress(element.get("href")))
            if element.get("href").startswith("data:image/jpeg"):
                # A photograph is scaled smoothly; small rasters keep their visible pixels.
                element.attrib.pop("style", None)
    _flatten(root)
    width, height = (float(v) for v in root.get("viewBox").split()[2:])
    body = list(root)
    root.clear()
    root.extend(body)
    key = hashlib.sha256(
        (ElementTree.tostring(root, encoding="unicode") + alt + (caption or "")).encode()
    ).hexdigest()[:10]
    _own_ids(root, f"pp-{key}-")
    title = ElementTree.Element("title")
    title.text = alt
    root.insert(0, title)
    if caption:
        group, extra = _caption(caption, width, height)
        root.append(group)
    else:
        extra = 0.0
    attributes = {
        "xmlns": _SVG,
        "class": "pp-figure",
        "role": "img",
        "aria-label": alt,
        "viewBox": f"0 0 {width:g} {height + extra:g}",
        "width": f"{width:g}pt",
        "height": f"{height + extra:g}pt",
        "style": "max-width:100%;height:auto",
        "color": _LONELY_INK,
        "fill": "currentColor",
        "font-family": _FONTS,
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
        "data-height": f"{height:g}",
    }
    for name, value in attributes.items():
        root.set(name, value)
    return ElementTree.tostring(root, encoding="unicode")


def _prune(root):
    """Drop what shows nothing: metadata, unpainted paths, white space between elements."""
    for parent in list(root.iter()):
        for child in list(parent):
            style = _parse(child.get("style", ""))
            unpainted = style.get("fill") == "none" and "stroke" not in style
            # The style sheet would leak into the page, its rules become attributes of the root.
            if child.tag in _NOT_SHOWN or (child.tag == f"{{{_SVG}}}path" and unpainted):
                parent.remove(child)
            child.tail = None
        if not (parent.text or "").strip():
            parent.text = None


def _flatten(element):
    """Replace groups that group nothing by their children."""
    children = []
    for child in element:
        _flatten(child)
        if child.tag in {"g", "defs"} and not len(child):
            continue
        useless = child.tag == "g" and not set(child.attrib) - {"id"}
        children.extend(child if useless else [child])
    element[:] = children


def _plain_names(element):
    element.tag = element.tag.removeprefix(f"{{{_SVG}}}")
    link = element.attrib.pop(f"{{{_XLINK}}}href", None)
    if link is not None:
        element.set("href", link)


def _shorten(element):
    """Write coordinates to a hundredth of a point, which is finer than any screen."""
    for name in ("d", "x", "y", "width", "height"):
        if name in element.attrib:
            value = _LONG_NUMBER.sub(lambda m: f"{float(m[0]):.2f}", element.get(name))
            element.set(name, " ".join(value.split()))
    if _NO_ROTATION.match(element.get("transform", "")):
        del element.attrib["transform"]


def _theme(element):
    """Let greys be the page's ink, and words be set in the page's font."""
    style = _parse(element.attrib.pop("style", ""))
    for paint in ("fill", "stroke"):
        if paint in element.attrib:
            style.setdefault(paint, element.attrib.pop(paint))
        opacity = _ink_opacity(style.get(paint, ""))
        if opacity is None:
            continue
        style[paint] = "currentColor"
        total = opacity * float(style.get(f"{paint}-opacity", 1))
        if total < 1:
            style[f"{paint}-opacity"] = f"{total:.3g}"
    if "font" in style:  # the shorthand that matplotlib wrote before version 3.11
        match = _FONT.match(style.pop("font"))
        if match is None:
            raise ValueError("a text's font was not understood: expected 'italic 10px family'")
        style["font-size"] = f"{float(match['size']):g}px"
        for word in match["before"].split():
            style["font-style" if word in {"italic", "oblique"} else "font-weight"] = word
    if style.get("font-family") != "monospace":
        style.pop("font-family", None)
    if style:
        element.set("style", ";".join(f"{name}:{value}" for name, value in style.items()))


def _parse(style):
    pairs = (item.split(":", 1) for item in style.split(";") if item.strip())
    return {name.strip(): value.strip() for name, value in pairs}


def _ink_opacity(paint):
    """Return how much ink a grey is (black 1, white none at all), or None for any other paint."""
    paint = {"black": "#000000"}.get(paint, paint)
    match = _HEX.fullmatch(paint)
    if match is None:
        return None
    red, green, blue = (int(match[1][i : i + 2], 16) for i in (0, 2, 4))
    if not red == green == blue or red == 255:
        return None  # white stays white, to write over photographs
    return 1 - red / 255


def _own_ids(root, prefix):
    """Drop the ids that nothing points to, and make the others the page's only ones."""
    used = set()
    for element in root.iter():
        used.update(_REFERENCE.findall(" ".join(element.attrib.values())))
        if element.get("href", "").startswith("#"):
            used.add(element.get("href")[1:])
    for element in root.iter():
        name = element.attrib.pop("id", None)
        if name in used:
            element.set("id", prefix + name)
        for key, value in element.attrib.items():
            if key == "href" and value.startswith("#"):
                element.set(key, f"#{prefix}{value[1:]}")
            elif key != "href":
                element.set(key, _REFERENCE.sub(rf"url(#{prefix}\1)", value))


def _caption(caption, width, height):
    """Set the caption below the picture: SVG does not break lines by itself."""
    # Half an em is a little more than the mean width of a letter in the usual screen fonts.
    lines = textwrap.wrap(caption, max(20, int((width - 12) / (0.5 * _CAPTION_SIZE))))
    group = ElementTree.Element("g", {"class": "pp-caption", "fill": "currentColor"})
    for number, line in enumerate(lines):
        text = ElementTree.SubElement(
            group,
            "text",
            {
                "x": "6",
                "y": f"{height + (number + 1) * 1.4 * _CAPTION_SIZE:g}",
                "style": f"font-size:{_CAPTION_SIZE:g}px",
            },
        )
        text.text = line
    return group, (len(lines) * 1.4 + 0.8) * _CAPTION_SIZE
