"""The map on the first page says what the chapters say, and can be read and used by everyone."""

import copy
import json
import re
from pathlib import Path

import pytest
from built_book import title_of
from hypothesis import given
from hypothesis import strategies as st

REPOSITORY = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((REPOSITORY / "chapters").glob("*.ipynb"))
networkx = pytest.importorskip("networkx", reason="networkx is absent: pip install networkx")
# Rounded to tenths of a pixel in the drawing, once for each of the two ends.
PIXEL = 0.11


@st.composite
def graphs(draw):
    """Draw what up to fourteen nodes need, each only such as come before it."""
    n = draw(st.integers(1, 14))
    return {i: draw(st.sets(st.integers(0, i - 1))) if i else set() for i in range(n)}


def as_networkx(needs):
    graph = networkx.DiGraph()
    graph.add_nodes_from(needs)
    graph.add_edges_from((a, b) for b, direct in needs.items() for a in direct)
    return graph


# --- the layout -------------------------------------------------------------------------------


@given(graphs())
def test_what_follows_from_other_arrows_is_left_out(extension, needs):
    ours = extension("layered").reduced(needs)
    reference = networkx.transitive_reduction(as_networkx(needs))
    assert {(a, b) for b, direct in ours.items() for a in direct} == set(reference.edges)


@given(graphs())
def test_arrows_point_down_and_boxes_stand_apart(extension, needs):
    layered = extension("layered")
    plan = layered.layout(layered.reduced(needs), gap=0.1)
    assert set(plan.place) == set(needs)
    for (start, end), points in plan.paths.items():
        assert (points[0], points[-1]) == (plan.place[start], plan.place[end])
        rows = [row for _, row in points]
        assert rows == list(range(rows[0], rows[-1] + 1))
        assert len(rows) >= 2
    boxes = sorted((row, x) for x, row in plan.place.values())
    for (row, x), (next_row, next_x) in zip(boxes, boxes[1:], strict=False):
        assert row != next_row or next_x - x >= 1.1 - 1e-9
    for points in plan.paths.values():  # an arrow that passes a row passes between its boxes
        for x, row in points[1:-1]:
            assert all(r != row or abs(x - box) > 0.5 for box, r in plan.place.values())


def test_a_chapter_that_needs_a_later_one_is_refused(extension):
    with pytest.raises(ValueError, match="1 needs 2, which does not come before it"):
        extension("layered").reduced({1: {2}, 2: set()})


def test_the_order_in_a_row_avoids_crossings(extension):
    layered = extension("layered")
    rows = [["a", "b"], ["c", "d"]]
    assert layered.crossings(rows, [("a", "d"), ("b", "c")]) == 1
    assert layered.crossings(rows, [("a", "c"), ("b", "d")]) == 0
    plan = layered.layout({"r": set(), "a": {"r"}, "b": {"r"}, "c": {"b"}, "d": {"a"}}, gap=0.1)
    assert (plan.place["a"] < plan.place["b"]) == (plan.place["d"] < plan.place["c"])


# --- the text ---------------------------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_what_one_needs_is_said_before_the_first_section(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    text = "\n\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    before = text.partition("\n## ")[0]
    assert before.count("**What you need first.**") == text.count("**What you need first.**") == 1
    paragraph = before.partition("**What you need first.**")[2].partition("\n\n")[0]
    for number, name in re.findall(r"\[chapter (\d+)\]\(([^)]+)\)", paragraph):
        assert (path.parent / name).is_file()
        assert int(name[:2]) == int(number) < int(path.stem[:2])


def test_a_link_more_is_an_arrow_more(extension):
    read = extension("chapter_map").read_chapter
    notebook = json.loads(NOTEBOOKS[-1].read_text(encoding="utf-8"))
    name = f"chapters/{NOTEBOOKS[-1].stem}"
    changed = copy.deepcopy(notebook)
    cell = next(c for c in changed["cells"] if "**What you need first.**" in "".join(c["source"]))
    text = "".join(cell["source"])
    assert "01_procurement" not in text
    mark = "**What you need first.**"
    cell["source"] = text.replace(mark, mark + " See [chapter 1](01_procurement.ipynb).")
    before, after = read(notebook, name, 2), read(changed, name, 2)
    assert after.needs - before.needs == {"chapters/01_procurement"}
    cell["source"] = text.replace(mark, "")
    with pytest.raises(ValueError, match="What you need first"):
        read(changed, name, 2)


def test_one_chapter_alone_is_a_map_too(extension):
    chapter_map = extension("chapter_map")
    needs = frozenset({"chapters/01_one"})  # which is not in this map
    alone = chapter_map.Chapter("chapters/03_three", 3, "Three & more", 0, needs)
    drawn = chapter_map.draw([alone], lambda name: f"{name}.html")
    assert drawn.count('href="chapters/03_three.html"') == 2
    assert "Chapter 3, Three &amp; more: needs no other" in drawn
    assert "data-arrow" not in drawn


# --- the page ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def said(soup):
    """Give {number: numbers of the chapters it needs}, as the chapters' built pages say it."""
    needs = {}
    for path in NOTEBOOKS:
        mark = soup(f"chapters/{path.stem}").find("strong", string="What you need first.")
        links = mark.find_parent("p").select("a:not(.pp-term, .citation)")
        needs[int(path.stem[:2])] = {int(Path(link["href"]).stem[:2]) for link in links}
    return needs


def drawings(soup):
    return soup("book/index").select("figure.pp-map > svg")


def test_the_arrows_are_what_the_chapters_say(soup, said):
    reference = networkx.transitive_reduction(as_networkx(said))
    assert len(drawings(soup)) == 2
    for svg in drawings(soup):
        arrows = {tuple(map(int, g["data-arrow"].split("-"))) for g in svg.select("[data-arrow]")}
        assert arrows == set(reference.edges)
        boxes = {int(a.select_one(".number").get_text()): a.find("rect") for a in svg.select("a")}
        assert set(boxes) == set(said)
        for group in svg.select("[data-arrow]"):
            start, end = (boxes[int(n)] for n in group["data-arrow"].split("-"))
            numbers = [float(x) for x in re.findall(r"-?[\d.]+", group.path["d"])]
            assert abs(numbers[0] - middle(start)) < PIXEL
            assert abs(numbers[1] - float(start["y"]) - float(start["height"])) < PIXEL
            assert abs(numbers[-2] - middle(end)) < PIXEL
            assert abs(numbers[-1] - float(end["y"])) < PIXEL


def middle(rect):
    return float(rect["x"]) + float(rect["width"]) / 2


def test_a_box_leads_to_its_chapter_and_says_what_it_needs(soup, said):
    for svg in drawings(soup):
        assert svg["aria-label"]
        for link in svg.select("a"):
            page = soup(f"chapters/{Path(link['href']).stem}")
            number = int(Path(link["href"]).stem[:2])
            title = title_of(page, number=False)
            words = " ".join(" ".join(t.get_text() for t in link.select("text")).split())
            assert words == f"{number} {title}"
            label = link["aria-label"]
            assert label.startswith(f"Chapter {number}, {title}: needs ")
            named = {int(n) for n in re.findall(r"\d+", label.rpartition(": needs ")[2])}
            assert named == said[number]


@pytest.mark.parametrize(("width", "shown"), [(1280, "wide"), (390, "narrow")])
def test_words_stay_in_their_boxes_and_can_be_read(visit, width, shown):
    page = visit("book/index", width=width).page
    visible = page.locator("figure.pp-map > svg:visible")
    assert visible.count() == 1
    assert visible.get_attribute("class") == f"pp-map-{shown}"
    measured = visible.evaluate(
        """svg => [...svg.querySelectorAll('a')].map(a => {
            const box = a.querySelector('rect').getBoundingClientRect();
            const words = [...a.querySelectorAll('text')].map(t => t.getBoundingClientRect());
            const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
            return {
                inside: words.every(w => w.left >= box.left && w.right <= box.right
                    && w.top >= box.top && w.bottom <= box.bottom),
                letters: parseFloat(getComputedStyle(a).fontSize) * scale,
                label: a.getAttribute('aria-label'),
            };
        })"""
    )
    assert len(measured) == len(NOTEBOOKS)
    assert [m["label"] for m in measured if not m["inside"]] == []
    assert min(m["letters"] for m in measured) >= 11  # CSS pixels, as small print has
    wide = page.evaluate("() => document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_map_takes_the_pages_ink_and_shows_the_focus(fresh, scheme):
    opened = fresh("book/index", scheme=scheme)
    links = opened.page.locator("figure.pp-map > svg:visible a")
    arrow = opened.page.locator("figure.pp-map > svg:visible .line").first
    ink = opened.page.locator("figure.pp-map figcaption").evaluate("e => getComputedStyle(e).color")
    assert arrow.evaluate("e => getComputedStyle(e).stroke") == ink
    look = "e => { const s = getComputedStyle(e.querySelector('rect')); return s.strokeWidth }"
    links.first.focus()
    before = links.nth(1).evaluate(look)
    opened.page.keyboard.press("Tab")
    assert links.nth(1).evaluate("e => e === document.activeElement")
    assert links.nth(1).evaluate(look) != before
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_url("**/chapters/02_camera.html")
