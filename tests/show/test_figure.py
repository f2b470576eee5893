"""A figure is well-formed, labelled, themed, alone with its ids, and the same every time."""

import base64
import io
import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.figure import Figure as MplFigure
from PIL import Image

from pp_lib.show import figure, style
from pp_lib.show.figure import Figure

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def _agg():
    plt.switch_backend("agg")
    with mpl.rc_context():
        style.use()
        yield
    plt.close("all")


def line_plot(slope=1.0):
    fig, ax = plt.subplots()
    ax.plot([0, 1, 2], [0, slope, 2], marker="o", label="a & b")
    ax.fill_between([0, 1], [0, 1], color="black", alpha=0.3)
    ax.bar([1], [1], hatch="///", edgecolor="0.3", color="#0072B2")
    ax.set(xlabel="exposure time in s", ylabel="signal", title=r"$\mathcal{L} = -\log p_y$")
    ax.annotate("here", (1, 1), (1.5, 0.2), arrowprops={"arrowstyle": "->"})
    ax.legend()
    ax.grid(visible=True)
    return fig


def ids(svg):
    return re.findall(r'\bid="([^"]+)"', svg)


@pytest.mark.parametrize("alt", ["", "   \n", None, 7])
def test_alt_is_required(alt):
    with pytest.raises(ValueError, match="alt must say"):
        figure(line_plot(), alt=alt)
    with pytest.raises(TypeError):
        figure(line_plot())


def test_empty_caption_and_axes_instead_of_figure_are_refused():
    with pytest.raises(ValueError, match="caption"):
        figure(line_plot(), alt="A line.", caption=" ")
    with pytest.raises(ValueError, match=r"ax\.figure"):
        figure(plt.gca(), alt="A line.")


def test_displays_svg_and_words_and_nothing_else():
    shown = figure(line_plot(), alt="A line rises.", caption="Figure 1. It rises.")
    bundle = shown._repr_mimebundle_()
    assert set(bundle) == {"image/svg+xml", "text/plain"}
    assert bundle["text/plain"] == "A line rises."
    assert isinstance(shown, Figure)
    assert shown.caption == "Figure 1. It rises."


def test_closes_the_figure_so_that_a_notebook_shows_it_once():
    fig = line_plot()
    figure(fig, alt="A line.")
    assert not plt.fignum_exists(fig.number)
    figure(MplFigure(), alt="A figure that pyplot does not know.")


@given(
    alt=st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1).filter(
        lambda s: s.strip()
    )
)
@settings(max_examples=15, deadline=None)
def test_any_alt_and_caption_give_well_formed_xml_that_says_them(alt):
    svg = figure(MplFigure(figsize=(1, 1)), alt=alt, caption=alt).svg
    root = ElementTree.fromstring(svg)
    words = " ".join(alt.split())
    assert root.get("role") == "img"
    assert root.get("aria-label") == words
    assert root.find(f"{SVG}title").text == words
    drawn = " ".join(t.text for t in root.find(f"{SVG}g[@class='pp-caption']"))
    assert drawn.replace(" ", "") == words.replace(" ", "")


def test_ink_is_the_pages_and_never_black():
    svg = figure(line_plot(), alt="A line.").svg
    assert "currentColor" in svg
    root = ElementTree.fromstring(svg)
    assert root.get("fill") == "currentColor"  # what has no fill of its own inherits this
    paints = set()
    for element in root.iter():
        style_ = element.get("style", "")
        paints.update(re.findall(r"(?:fill|stroke):\s*([^;]+)", style_))
        paints.update(filter(None, (element.get("fill"), element.get("stroke"))))
    paints = {p for p in paints if not p.startswith("url(")}
    assert paints == {"currentColor", "none", "#0072b2"}


@pytest.mark.parametrize(
    ("grey", "opacity"), [("black", None), ("0.2", 0.8), ("0.6", 0.4), ("0.8", 0.2)]
)
def test_a_lighter_grey_is_a_more_transparent_ink(grey, opacity):
    fig = MplFigure()
    fig.text(0.5, 0.5, "word", color=grey)
    style_ = ElementTree.fromstring(figure(fig, alt="A word.").svg).find(f"{SVG}text").get("style")
    found = re.search(r"fill-opacity:([\d.]+)", style_)
    assert (float(found[1]) if found else None) == (
        opacity if opacity is None else pytest.approx(opacity, abs=0.005)  # greys are bytes
    )


def test_white_stays_white_to_write_over_photographs():
    fig = MplFigure()
    fig.text(0.5, 0.5, "word", color="white")
    assert "fill:#ffffff" in figure(fig, alt="A word.").svg


def test_words_are_text_in_the_pages_font_and_formulas_are_paths():
    root = ElementTree.fromstring(figure(line_plot(), alt="A line.").svg)
    words = {t.text for t in root.iter(f"{SVG}text")}
    assert {"exposure time in s", "signal", "here", "a & b"} <= words
    assert not list(root.iter(f"{SVG}tspan"))
    assert all("font-family" not in t.get("style", "") for t in root.iter(f"{SVG}text"))
    assert "sans-serif" in root.get("font-family")


def test_two_figures_on_one_page_share_no_id_and_every_reference_resolves():
    one, two = (figure(line_plot(slope), alt="A line.").svg for slope in (1.0, 1.5))
    assert ids(one)
    assert not set(ids(one)) & set(ids(two))
    for svg in (one, two):
        assert len(ids(svg)) == len(set(ids(svg)))
        references = re.findall(r"url\(#([^)]+)\)", svg) + re.findall(r'href="#([^"]+)"', svg)
        assert set(references) == set(ids(svg))


def test_the_page_gets_no_style_sheet_no_metadata_and_no_outside_address():
    svg = figure(line_plot(), alt="A line.").svg
    assert "<style" not in svg
    assert "<metadata" not in svg
    assert set(re.findall(r"https?://[^\"' ]+", svg)) == {"http://www.w3.org/2000/svg"}


def test_equal_figures_give_equal_bytes_in_another_process_too():
    code = (
        "import matplotlib; matplotlib.use('agg')\n"
        "from matplotlib.figure import Figure\n"
        "from pp_lib.show import figure, style\n"
        "style.use()\n"
        "fig = Figure(); ax = fig.add_subplot(); ax.plot([1, 3, 2], marker='o')\n"
        "ax.bar([1], [1], hatch='//')\n"
        "print(figure(fig, alt='A line.', caption='It bends.').svg)\n"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "MPLCONFIGDIR": str(mpl.get_configdir())},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0].startswith("<svg")


def picture_in(svg):
    uri = ElementTree.fromstring(svg).find(f".//{SVG}image").get("href")
    kind, data = uri.removeprefix("data:image/").split(";base64,")
    return kind, Image.open(io.BytesIO(base64.b64decode(data)))


def test_a_photograph_is_embedded_light_and_true():
    yy, xx = np.mgrid[0:256, 0:256] / 255
    clean = 255 * (0.2 + 0.6 * np.stack([xx, yy, 1 - xx], axis=-1))
    noise = np.random.default_rng(3).normal(0, 7.7, clean.shape)  # grey levels: a high ISO
    photo = np.round(clean + noise).astype(np.uint8)
    fig, ax = plt.subplots()
    ax.imshow(photo)
    svg = figure(fig, alt="A colour ramp.").svg
    kind, picture = picture_in(svg)
    assert kind == "jpeg"
    assert picture.size == (256, 256)
    png = io.BytesIO()
    Image.fromarray(photo).save(png, "PNG")
    assert len(svg) < png.tell() / 2
    # What the picture is there to show is its noise: its brightness noise keeps its strength.
    luma = np.array([0.299, 0.587, 0.114])  # Rec. 601
    left = ((np.asarray(picture) - clean) @ luma).std()
    assert left == pytest.approx(((photo - clean) @ luma).std(), rel=0.1)


def test_a_small_raster_is_embedded_exactly():
    weights = np.random.default_rng(3).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    fig, ax = plt.subplots()
    ax.imshow(weights)
    kind, picture = picture_in(figure(fig, alt="Eight by eight colours.").svg)
    assert kind == "png"
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), weights)


def test_an_older_matplotlibs_font_shorthand_is_understood():
    from pp_lib.show._svg import themed

    old = (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
        "<text style=\"font: italic 700 10px 'DejaVu Sans'; text-anchor: middle\">a</text></svg>"
    )
    style_ = ElementTree.fromstring(themed(old, alt="A letter.")).find(f"{SVG}text").get("style")
    assert set(style_.split(";")) == {
        "text-anchor:middle",
        "font-size:10px",
        "font-style:italic",
        "font-weight:700",
    }
