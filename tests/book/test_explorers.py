"""Explorers in a real browser: each control moves the picture to what Python computed.

What Python computed is read from the stored notebook by `unpack` (tests/conftest.py), which shares
no code with explorer.js. That the stored frames are those which the code gives today is held by
tests/colab, which runs every notebook anyway and compares.
"""

import base64
import copy
import io
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pp_lib.show import Axis, Bars, Explorer, Heatmap, Lines, Picture

REPOSITORY = Path(__file__).resolve().parents[2]
# The plane is about 300 by 200 units and points are written to a hundredth of one; float16 in
# between has 11 bits. Together well below 0.3 % of the height of a plane.
PLANE_UNITS = 0.6
PAYLOAD = re.compile(
    r'data-explorer="(?P<digest>\w+)".*?<script type="text/plain">(?P<payload>[^<]+)', re.DOTALL
)
TICK = "⁰¹²³⁴⁵⁶⁷⁸⁹"


def number(text):
    """Read a tick's label as a person would."""
    text = text.replace("\u2212", "-")
    if "10" in text and any(c in text for c in TICK):
        digits, _, power = text.rpartition("10")
        return float(digits.rstrip("·") or 1) * 10.0 ** int(
            power.translate(str.maketrans("⁻" + TICK, "-0123456789"))
        )
    return float(text)


def stored(notebook):
    """Give (digest, payload, text) of each explorer in a notebook."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            html = "".join(data.get("text/html", ""))
            for match in PAYLOAD.finditer(html):
                yield match["digest"], match["payload"], "".join(data["text/plain"])


CHAPTERS = sorted((REPOSITORY / "chapters").glob("*.ipynb"))
WITH_EXPLORER = [path for path in CHAPTERS if any(stored(path))]


# --- one explorer of every kind, on a page of its own --------------------------------------------

X = np.geomspace(0.1, 10, 23)


def frame(k, kind, doubled):
    y = (X**-k if kind == "fall" else X**k) * (1 + doubled)
    gap = np.where(X > 5, np.nan, y)
    return {
        "curve": {"power": y, "gap": gap, "end": np.array([[10.0, y[-1]]]), "cut": np.array([k])},
        "bars": {"a": np.array([k, -2.0, 1.0]), "b": np.array([1.0, k, k])},
        "map": {"z": np.add.outer(k * X[:9], X[:7]), "path": np.array([[0.1, 0.1], [0.15, 0.2]])},
        "picture": np.full((8, 8, 3), int(50 * k), np.uint8) + np.uint8(doubled),
        "says": f"At power {k:g} it is {kind}, {'twice' if doubled else 'once'}: {y[-1]:.4g}.",
    }


@pytest.fixture(scope="module")
def powers():
    return Explorer(
        [
            Axis("k", [0.5, 1.0, 1.5, 2.0], "Power", start=1.0),
            Axis("kind", ["fall", "rise"], "Kind"),
            Axis("doubled", [False, True], "Twice"),
        ],
        frame,
        [
            Lines(
                key="curve",
                title="Powers",
                x=X,
                xlabel="x (s)",
                ylabel="y",
                xlog=True,
                ylog=True,
                marks={"end": "points", "cut": "rules"},
            ),
            Bars(key="bars", title="Bars", labels=("p", "q", "r"), ylabel="height"),
            Heatmap(
                key="map",
                title="Map",
                x=X[:7],
                y=X[:9],
                xlabel="u",
                ylabel="v",
                zlabel="z",
                xlog=True,
                ylog=True,
            ),
            Picture(key="picture", title="Grey"),
        ],
        play="k",
        alt="Powers of x.",
        caption="Explorer 0.1. Powers are straight where both scales are logarithmic.",
    )


@pytest.fixture
def opened(browser, tmp_path):
    """Open some HTML as a page of its own; gives the page, and fails on any complaint."""
    contexts, wrong = [], []

    def open_(body, **options):
        path = tmp_path / f"page{len(contexts)}.html"
        head = "<!doctype html><html lang=en><meta charset=utf-8><title>A page</title>"
        path.write_text(f"{head}<body><main>{body}</main></body></html>", encoding="utf-8")
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)
        page.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            page.wait_for_function("() => document.querySelector('.pp-says')?.textContent")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def page(opened, powers):
    return opened(powers._repr_mimebundle_()[0]["text/html"])


def says(place):
    return place.locator(".pp-says").inner_text()


def expected(powers, **values):
    return powers.frame(**{"k": 1.0, "kind": "fall", "doubled": False, **values})["says"]


def test_it_opens_where_python_says(page, powers):
    assert says(page) == expected(powers)
    assert page.get_by_role("slider").get_attribute("aria-valuetext") == "1"


def test_keys_move_a_slider(page, powers):
    slider = page.get_by_role("slider", name="Power")
    slider.focus()
    for key, k in (("ArrowRight", 1.5), ("ArrowLeft", 1.0), ("End", 2.0), ("Home", 0.5)):
        page.keyboard.press(key)
        assert says(page) == expected(powers, k=k)
        assert slider.get_attribute("aria-valuetext") == f"{k:g}"


def test_the_mouse_drags_a_slider(page, powers):
    box = page.get_by_role("slider", name="Power").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 3, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, middle, steps=4)
    page.mouse.up()
    assert says(page) == expected(powers, k=2.0)


def test_choices_and_switches_by_mouse_and_by_keys(page, powers):
    page.get_by_label("rise").click()
    assert says(page) == expected(powers, kind="rise")
    page.get_by_label("Twice").click()
    assert says(page) == expected(powers, kind="rise", doubled=True)
    page.get_by_label("rise").focus()
    page.keyboard.press("ArrowLeft")
    assert says(page) == expected(powers, doubled=True)
    page.get_by_label("Twice").focus()
    page.keyboard.press("Space")
    assert says(page) == expected(powers)


def test_play_walks_to_the_end_and_reset_returns(page, powers):
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        "text => document.querySelector('.pp-says').textContent === text",
        arg=expected(powers, k=2.0),
        timeout=10_000,
    )
    page.get_by_role("button", name="Play").wait_for(timeout=10_000)  # it has stopped by itself
    page.get_by_role("button", name="Reset").click()
    assert says(page) == expected(powers)


def test_two_on_a_page_do_not_move_each_other(opened, powers):
    other = copy.copy(powers._repr_mimebundle_()[0]["text/html"])
    page = opened(powers._repr_mimebundle_()[0]["text/html"] + other)
    one, two = page.locator(".pp-explorer").all()
    one.get_by_label("rise").click()
    assert says(one) == expected(powers, kind="rise")
    assert says(two) == expected(powers)
    assert two.get_by_label("fall").is_checked()


def test_hovering_tells_values(page, powers):
    plane = page.get_by_role("img", name="Powers")
    box = plane.bounding_box()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
    told = page.locator(".pp-lines .pp-hover").inner_text()
    x = number(re.search(r"x \(s\) ([\d.]+):", told)[1])
    power = number(re.search(r"power ([\d.]+)", told)[1])
    nearest = np.abs(np.log(X / x)).argmin()
    # three digits are told
    assert np.isclose(x, X[nearest], rtol=6e-3)
    assert np.isclose(power, 1 / X[nearest], rtol=6e-3)


def test_without_javascript_there_is_a_picture_and_its_words(opened, powers):
    page = opened(powers._repr_mimebundle_()[0]["text/html"], java_script_enabled=False)
    picture = page.get_by_role("img", name="Powers of x.")
    assert picture.bounding_box()["width"] > 300
    assert page.get_by_text("Explorer 0.1.").is_visible()


def test_paper_has_no_buttons(page):
    page.emulate_media(media="print")
    assert not page.get_by_role("button").all()
    assert page.locator(".pp-says").is_visible()


def test_a_picture_is_the_pixels_that_python_gave(page, powers):
    page.get_by_label("Twice").click()
    source = page.evaluate(
        """async () => {
            const blob = await (await fetch(document.querySelector('.pp-picture img').src)).blob();
            return btoa(String.fromCharCode(...new Uint8Array(await blob.arrayBuffer())));
        }"""
    )
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))))
    np.testing.assert_array_equal(shown, powers.frame(k=1.0, doubled=True)["picture"])


def test_colours_of_a_heat_map_are_those_of_its_values(page, powers):
    href = page.evaluate("() => document.querySelector('.pp-heatmap image').getAttribute('href')")
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(href.partition(",")[2]))))
    z = powers.frame()["map"]["z"]
    every = np.stack([f["map"]["z"] for f in powers._frames])
    import matplotlib as mpl

    wanted = mpl.colormaps["cividis"](mpl.colors.Normalize(every.min(), every.max())(z))
    # one step of 256 in the colour map, which is at most three grey levels of a channel
    difference = np.abs(shown[::-1, :, :3] - 255 * wanted[..., :3])
    assert difference.max() < 4


# --- what is drawn, read off the page as a person would ------------------------------------------

READ = """figure => {
    const ticks = group => [...group.querySelectorAll('text')].map(t =>
        [t.textContent, +t.getAttribute('x'), +t.getAttribute('y'),
         t.getAttribute('text-anchor'), t.getAttribute('transform')]);
    return [...figure.querySelectorAll('.pp-view')].map(view => ({
        kind: view.className,
        words: view.querySelector('.pp-ink') ? ticks(view.querySelector('.pp-ink')) : [],
        curves: [...view.querySelectorAll('.pp-view path.pp-series[data-series]')].map(
            p => [p.dataset.series, p.getAttribute('d')]),
        bars: [...view.querySelectorAll('svg svg rect')].map(
            r => [+r.getAttribute('y'), +r.getAttribute('height')]),
    }));
}"""


def calibrate(at, log):
    """Return the map from numbers to the plane's units that a few labelled ticks define."""
    (a, at_a), (b, at_b) = at[0], at[-1]
    scale = np.log if log else (lambda v: np.asarray(v, float))
    return lambda v: at_a + (scale(v) - scale(a)) / (scale(b) - scale(a)) * (at_b - at_a)


def planes(view, seen):
    """Return the maps of both axes, found from the labels of the ticks alone."""
    upright = [w for w in seen["words"] if w[4] is None]
    ys = [(number(t), y - 4) for t, x, y, anchor, _ in upright if anchor == "end"]
    to_y = calibrate(ys, view["y"]["log"])
    if "x" not in view:
        return None, to_y
    xs = [(number(t), x) for t, x, y, anchor, _ in upright if anchor == "middle" and y < 220]
    return calibrate(xs, view["x"]["log"]), to_y


def corners(path):
    """Return the points of a path of M, L, H, V and h, a nan row between its strokes."""
    points, here = [], [np.nan, np.nan]
    for command, numbers in re.findall(r"([MLHVh])([^MLHVh]*)", path):
        values = [float(v) for v in numbers.split()]
        if command == "h":
            continue
        if command == "M" and points:
            points.append([np.nan, np.nan])
        if command in "ML":
            here = values
        else:
            here = [values[0], here[1]] if command == "H" else [here[0], values[0]]
        points.append(here)
    return np.array(points).reshape(-1, 2)


def wanted_points(view, series, data, index):
    values = data.trace(series["trace"], index)
    if values.ndim == 2:
        return values
    return np.column_stack([data.along(view), values])


def check_drawn(data, index, seen):
    """Compare every curve and bar on the page with the numbers of this frame."""
    compared = 0
    for view, drawn in zip(data.header["views"], seen, strict=True):
        if view["kind"] == "picture":
            continue
        to_x, to_y = planes(view, drawn)
        if view["kind"] == "bars":
            wanted = np.concatenate([data.trace(s["trace"], index) for s in view["series"]])
            tops = np.array([[y, y + h] for y, h in drawn["bars"]])
            off = np.abs(tops - np.where(np.isfinite(wanted), to_y(wanted), tops[:, 0])[:, None])
            assert off.min(axis=1).max() < PLANE_UNITS, view["title"]
            compared += len(tops)
            continue
        paths = dict(map(tuple, drawn["curves"]))
        for series in view["series"]:
            drawn_points = corners(paths[series["name"]])
            if series["mark"] in {"rules", "levels"}:
                values = data.trace(series["trace"], index)
                along = 0 if series["mark"] == "rules" else 1
                there = np.unique(drawn_points[np.isfinite(drawn_points[:, 0])][:, along])
                places = (to_x if along == 0 else to_y)(values[np.isfinite(values)])
                for place in places:
                    assert np.abs(there - place).min() < PLANE_UNITS, (view["title"], series)
                compared += len(places)
                continue
            points = wanted_points(view, series, data, index)
            with np.errstate(divide="ignore", invalid="ignore"):
                points = np.column_stack([to_x(points[:, 0]), to_y(points[:, 1])])
            points = points[np.isfinite(points).all(axis=1)]
            there = drawn_points[np.isfinite(drawn_points).all(axis=1)]
            if series["mark"] == "steps" and len(points):
                there = np.vstack([there[:1], there[2::2]]) if len(there) > 1 else there
                # a gap begins anew, which this reading of steps does not follow
                if len(there) != len(points):
                    continue
            assert len(there) == len(points), (view["title"], series["name"])
            if len(points):
                # beyond the limits a curve is cut off, and its numbers may be large
                size = np.maximum(1, np.abs(points) / 400)
                assert (np.abs(there - points) < PLANE_UNITS * size).all(), (
                    view["title"],
                    series["name"],
                )
                compared += len(points)
    return compared


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_drawn_is_what_python_computed(opened, powers, unpack, scheme):
    page = opened(powers._repr_mimebundle_()[0]["text/html"], color_scheme=scheme)
    data = unpack(powers.payload)
    assert check_drawn(data, [1, 0, 0], page.locator("figure").evaluate(READ)) > 40
    page.get_by_label("rise").click()
    assert check_drawn(data, [1, 1, 0], page.locator("figure").evaluate(READ)) > 40


def test_a_wrong_trace_is_noticed(opened, powers, unpack):
    """Mutate one number of one curve in the page, and the comparison must fail."""
    data = unpack(powers.payload)
    wrong = Explorer(
        powers._axes,
        lambda **at: _nudged(frame(**at)),
        powers._views,
        play="k",
        alt="Powers of x.",
        caption="Explorer 0.1. Powers are straight where both scales are logarithmic.",
    )
    page = opened(wrong._repr_mimebundle_()[0]["text/html"])
    with pytest.raises(AssertionError, match="Powers"):
        check_drawn(data, [1, 0, 0], page.locator("figure").evaluate(READ))


def _nudged(right):
    power = right["curve"]["power"].copy()
    power[7] *= 1.05
    return right | {"curve": right["curve"] | {"power": power}}


# --- every explorer of the built book -------------------------------------------------------------


def moves(data):
    """Yield for each control: its number, the index that a key and that a click lead to."""
    start = [axis["start"] for axis in data.header["axes"]]
    for k, axis in enumerate(data.header["axes"]):
        last = len(axis["texts"]) - 1
        step = 1 if start[k] < last else -1
        far = last if start[k] < last else 0
        yield (
            k,
            axis,
            [*start[:k], start[k] + step, *start[k + 1 :]],
            [
                *start[:k],
                far,
                *start[k + 1 :],
            ],
        )


@pytest.mark.parametrize("notebook", WITH_EXPLORER, ids=lambda path: path.stem)
def test_every_control_of_every_explorer_moves_to_what_python_computed(fresh, unpack, notebook):
    opened = fresh(f"chapters/{notebook.stem}")
    page = opened.page
    explorers = list(stored(notebook))
    figures = page.locator("figure.pp-explorer").all()
    assert len(figures) == len(explorers)
    for figure, (digest, payload, text) in zip(figures, explorers, strict=True):
        data = unpack(payload)
        assert data.digest == digest  # the page holds what the kernel said it gave
        assert f", {digest}]" in text
        figure.scroll_into_view_if_needed()
        figure.locator(".pp-says").wait_for()
        start = [axis["start"] for axis in data.header["axes"]]
        assert figure.locator(".pp-says").text_content() == data.says(start)
        check_drawn(data, start, figure.evaluate(READ))
        for k, axis, by_key, by_mouse in moves(data):
            control = figure.locator(".pp-axis").nth(k)
            forward = by_key[k] > start[k]
            if axis["kind"] == "choice":
                control.locator("input").nth(start[k]).focus()
                page.keyboard.press("ArrowRight" if forward else "ArrowLeft")
            elif axis["kind"] == "switch":
                control.locator("input").focus()
                page.keyboard.press("Space")
            else:
                control.locator("input").focus()
                page.keyboard.press("ArrowRight" if forward else "ArrowLeft")
            assert figure.locator(".pp-says").text_content() == data.says(by_key)
            check_drawn(data, by_key, figure.evaluate(READ))
            if axis["kind"] == "choice":
                control.locator("input").nth(by_mouse[k]).click()
            elif axis["kind"] == "switch":
                control.locator("input").click()  # back where it was
                by_mouse = start
            else:
                box = control.locator("input").bounding_box()
                at_end = box["width"] - 2 if by_mouse[k] else 2
                control.locator("input").click(position={"x": at_end, "y": box["height"] / 2})
            assert figure.locator(".pp-says").text_content() == data.says(by_mouse)
            check_drawn(data, by_mouse, figure.evaluate(READ))
            figure.get_by_role("button", name="Reset").click()
            assert figure.locator(".pp-says").text_content() == data.says(start)
    assert opened.wrong == []


def test_explorers_are_numbered_in_order_and_light():
    for notebook in WITH_EXPLORER:
        number_ = int(notebook.stem.split("_")[0])
        for k, (_, payload, text) in enumerate(stored(notebook), start=1):
            assert text.startswith(f"Explorer {number_}.{k}. "), text[:60]
            assert len(payload) <= 150_000
