"""SVG figures go into the page with their own ids, their words and no fallback colour."""

import importlib.util
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from pp_lib.show import figure

REPOSITORY = Path(__file__).resolve().parents[2]

pytest.importorskip("sphinx", reason="the book's tools are absent: pip install -e '.[book]'")
_spec = importlib.util.spec_from_file_location(
    "inline_svg", REPOSITORY / "book" / "_ext" / "inline_svg.py"
)
inline_svg = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(inline_svg)
inline = inline_svg.inline


def drawn(caption=None):
    fig = Figure()
    fig.add_subplot().plot([1, 3, 2], marker="o")
    return figure(fig, alt='A line that "bends" & falls.', caption=caption).svg


def ids(markup):
    return re.findall(r'\bid="([^"]+)"', markup)


def test_the_caption_moves_from_the_picture_below_it():
    plain = ElementTree.fromstring(drawn())
    markup = inline(drawn("Figure 1. It falls."), {})
    assert markup.count("It falls.") == 1
    assert "<figcaption>Figure 1. It falls.</figcaption>" in markup
    box = ElementTree.fromstring(markup)
    svg = box.find("{http://www.w3.org/2000/svg}svg")
    assert svg.get("viewBox") == plain.get("viewBox")
    assert svg.get("height") == plain.get("height")


def test_formulas_and_code_in_a_caption():
    markup = inline(drawn("Below $\\ln 3 < 2$ & `a < b`."), {})
    assert r'<span class="math notranslate nohighlight">\(\ln 3 &lt; 2\)</span>' in markup
    assert "&amp; <code>a &lt; b</code>." in markup


def test_the_words_stay_and_the_ink_is_the_pages():
    svg = ElementTree.fromstring(inline(drawn(), {})).find("{http://www.w3.org/2000/svg}svg")
    assert svg.get("role") == "img"
    assert svg.get("aria-label") == 'A line that "bends" & falls.'
    assert svg.get("color") is None
    assert svg.get("fill") == "currentColor"


def test_one_figure_shown_twice_has_two_sets_of_ids():
    seen = {}
    one, two = inline(drawn(), seen), inline(drawn(), seen)
    assert ids(one)
    assert not set(ids(one)) & set(ids(two))
    for markup in (one, two):
        references = re.findall(r"url\(#([^)]+)\)", markup) + re.findall(r'href="#([^"]+)"', markup)
        assert set(references) == set(ids(markup))


def test_a_drawing_without_words_is_refused():
    silent = '<svg xmlns="http://www.w3.org/2000/svg"><path stroke="currentColor" d="M0 0"/></svg>'
    with pytest.raises(ValueError, match="aria-label"):
        inline(silent, {})
    assert 'aria-label="A dot."' in inline(silent, {}, alt="A dot.")
