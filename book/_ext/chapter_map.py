"""Draw which chapter builds on which, from what the chapters themselves say.

``{chapter-map}`` reads the paragraph "What you need first." of every chapter in the contents: its
links are the arrows. So the map cannot say anything else than the text.
"""

import json
import re
import textwrap
from dataclasses import dataclass
from html import escape
from pathlib import Path

from docutils import nodes
from layered import layout, reduced
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)
CHAPTER = re.compile(r"chapters/(\d\d)_\w+$")
NEED = re.compile(r"^\*\*What you need first\.\*\*(.*?)(?:\n\n|\Z)", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((\d\d_\w+)\.ipynb\)")
CAPTION = (
    "What builds on what. An arrow leads from a chapter to one that needs it; an arrow that "
    "follows from others is left out. The shades are the book's three parts. Choose a chapter to "
    "open it."
)


@dataclass(frozen=True)
class Chapter:
    """A chapter as the map shows it."""

    docname: str
    number: int
    title: str
    part: int
    needs: frozenset  # of docnames


@dataclass(frozen=True)
class Size:
    """Measures of one drawing, in pixels at its natural size."""

    name: str
    box_width: float
    font: float
    characters: int  # that fit into a line
    row_gap: float

    @property
    def line(self):
        """Return the height of a line of text."""
        return 1.25 * self.font


# Two drawings of one map: a telephone gets narrower boxes, not smaller letters.
SIZES = (Size("wide", 178, 14, 20, 24), Size("narrow", 97, 11.5, 13, 20))


class chapter_map(nodes.General, nodes.Element):  # noqa: N801 (docutils names its nodes so)
    """The place of the map; holds ``chapters``, a list of `Chapter`."""


def read_chapter(notebook, docname, part):
    """Return the `Chapter` that a notebook's text describes.

    Parameters
    ----------
    notebook : dict
        The .ipynb file's content.
    docname : str
        Such as ``chapters/03_binning``.
    part : int
        Which part of the book it is in, from 0.

    Raises
    ------
    ValueError
        If it has no title, or does not say what one needs first.
    """
    text = "\n\n".join(
        "".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"
    )
    title = re.search(r"^# (.+)$", text, flags=re.MULTILINE)
    need = NEED.search(text)
    if title is None or need is None:
        raise ValueError(f"{docname} needs a title and a paragraph **What you need first.**")
    needs = frozenset("chapters/" + name for name in LINK.findall(need[1]))
    return Chapter(docname, int(CHAPTER.match(docname)[1]), title[1].strip(), part, needs)


class ChapterMap(SphinxDirective):
    """Read the chapters of the contents and leave the map's node."""

    def run(self):
        """Return the node, or nothing where the chapters cannot be read."""
        site = self.env.external_site_map
        chapters = []
        for part, tree in enumerate(site[site.root.docname].subtrees):
            for docname in map(str, tree.files()):
                if not CHAPTER.match(docname):
                    continue
                path = Path(self.env.doc2path(docname))
                self.env.note_dependency(str(path))
                notebook = json.loads(path.read_text(encoding="utf-8"))
                try:
                    chapters.append(read_chapter(notebook, docname, part))
                except ValueError as problem:
                    logger.warning("%s", problem, location=self.get_location())
                    return []
        return [chapter_map(chapters=chapters)] if chapters else []


def draw(chapters, address):
    """Return the map as HTML.

    Parameters
    ----------
    chapters : list of Chapter
        In the order of the book.
    address : callable
        Gives a docname's address.
    """
    by_name = {c.docname: c for c in chapters}
    needs = {c.docname: {n for n in c.needs if n in by_name} for c in chapters}
    drawings = "".join(_svg(by_name, needs, address, size) for size in SIZES)
    return (
        f'<figure class="pp-figure-box pp-map" role="group" aria-label="Map of the chapters">'
        f"{drawings}<figcaption>{escape(CAPTION)}</figcaption></figure>\n"
    )


def _svg(by_name, needs, address, size):
    plan = layout(reduced(needs), gap=0.07)
    lines = {
        name: textwrap.wrap(f"{c.number} {c.title}", size.characters, break_long_words=False)
        for name, c in by_name.items()
    }
    heights = [0.0] * plan.n_rows
    for name, (_, row) in plan.place.items():
        heights[row] = max(heights[row], len(lines[name]) * size.line + 0.9 * size.font)
    tops = [2 + sum(heights[:r]) + r * size.row_gap for r in range(plan.n_rows)]
    everything = [*plan.place.values(), *(point for path in plan.paths.values() for point in path)]
    left, right = min(x for x, _ in everything), max(x for x, _ in everything)

    def across(x):
        return 2 + (x - left + 0.5) * size.box_width

    what = f"{len(by_name)} chapters, each in a box, and arrows from each to those that need it"
    width = across(right + 0.5) + 2
    height = tops[-1] + heights[-1] + 2
    arrows = "".join(
        f'<g data-arrow="{by_name[a].number}-{by_name[b].number}">'
        + _arrow([(across(x), tops[row], heights[row]) for x, row in path])
        + "</g>"
        for (a, b), path in plan.paths.items()
    )
    boxes = []
    for name, (x, row) in plan.place.items():
        chapter = by_name[name]
        middle, top, high = across(x), tops[row], heights[row]
        first = top + (high - len(lines[name]) * size.line) / 2 + size.font
        words = "".join(
            f'<text x="{middle:.1f}" y="{first + i * size.line:.1f}">{_bold_number(line, i)}</text>'
            for i, line in enumerate(lines[name])
        )
        boxes.append(
            f'<a href="{escape(address(name))}" aria-label="{escape(_spoken(chapter, by_name))}">'
            f'<rect class="part-{chapter.part}" x="{middle - size.box_width / 2:.1f}" '
            f'y="{top:.1f}" width="{size.box_width}" height="{high:.1f}" rx="7"/>{words}</a>'
        )
    return (
        f'<svg class="pp-map-{size.name}" xmlns="http://www.w3.org/2000/svg" role="group" '
        f'aria-label="{what}" viewBox="0 0 {width:.1f} {height:.1f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-size="{size.font}">'
        f'<g class="arrows" aria-hidden="true">{arrows}</g>{"".join(boxes)}</svg>'
    )


def _arrow(stations):
    """Return a curve from a box's lower edge, past the rows between, to a box's upper edge."""
    x, top, high = stations[0]
    y = top + high
    path = f"M{x:.1f} {y:.1f}"
    for i, (x_to, top, high) in enumerate(stations[1:], start=1):
        last = i == len(stations) - 1
        half = (top - y) / 2
        path += f"C{x:.1f} {y + half:.1f} {x_to:.1f} {top - half:.1f} {x_to:.1f} {top:.1f}"
        x, y = x_to, top
        if not last:
            y = top + high
            path += f"V{y:.1f}"
    tip = f"M{x:.1f} {y:.1f}l-3.5 -7h7z"
    return f'<path class="line" d="{path}"/><path class="tip" d="{tip}"/>'


def _bold_number(line, i):
    number, _, rest = line.partition(" ")
    return f'<tspan class="number">{number}</tspan> {escape(rest)}' if i == 0 else escape(line)


def _spoken(chapter, by_name):
    needs = sorted(by_name[n].number for n in chapter.needs if n in by_name)
    *most, last = map(str, needs) if needs else [""]
    listed = f"{', '.join(most)} and {last}" if most else last
    after = f"needs chapter{'s' if most else ''} {listed}" if needs else "needs no other"
    return f"Chapter {chapter.number}, {chapter.title}: {after}"


def visit(translator, node):
    """Write the map into the page."""
    builder = translator.builder
    here = builder.current_docname
    translator.body.append(draw(node["chapters"], lambda n: builder.get_relative_uri(here, n)))
    raise nodes.SkipNode


def setup(app):
    """Register the directive, its node and its style."""
    app.add_node(chapter_map, html=(visit, None))
    app.add_directive("chapter-map", ChapterMap)
    app.add_css_file("chapter_map.css")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
