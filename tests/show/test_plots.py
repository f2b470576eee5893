"""Axes in, Axes out; what is drawn is what was given; malformed input is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from pp_lib.show import figure, plots


@pytest.fixture(autouse=True)
def _agg():
    plt.switch_backend("agg")
    yield
    plt.close("all")


@pytest.fixture
def ax():
    return plt.subplots()[1]


def test_every_plot_returns_its_axes(ax):
    assert plots.bars(ax, ["a", "b"], [1, 2], reference=1, reference_name="guessing") is ax
    ax = plt.subplots()[1]
    assert plots.histogram_with_edges(ax, [1, 2, 3, 9], [2.5], names=["low", "high"]) is ax
    ax = plt.subplots()[1]
    assert plots.learning_curves(ax, {"a": [3, 2, 1]}, reference=1, reference_name="floor") is ax
    ax = plt.subplots()[1]
    assert plots.confusion(ax, [[1, 2], [3, 4]], ["a", "b"]) is ax


def test_bars_have_the_values_lengths_and_the_first_is_on_top(ax):
    plots.bars(ax, ["a", "b"], [1.5, 2.5])
    assert [patch.get_width() for patch in ax.patches] == [1.5, 2.5]
    assert ax.yaxis_inverted()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=50), st.booleans())
@settings(max_examples=25, deadline=None)
def test_histogram_loses_no_value(values, log):
    ax = Figure().add_subplot()
    plots.histogram_with_edges(ax, values, [5.6, 11], log=log)
    assert sum(patch.get_height() for patch in ax.patches) == len(values)


def test_curves_begin_at_epoch_one_and_carry_two_marks(ax):
    plots.learning_curves(ax, {"a": [3, 2], "b": [2, 1]})
    lines = [line for line in ax.lines if len(line.get_xdata()) == 2]
    assert [list(line.get_xdata()) for line in lines] == [[1, 2], [1, 2]]
    assert len({line.get_color() for line in lines}) == 2
    assert len({line.get_linestyle() for line in lines}) == 2
    colour_of = {text.get_text(): text.get_color() for text in ax.texts}
    assert colour_of == dict(zip("ab", (line.get_color() for line in lines), strict=True))


def test_curves_that_end_together_have_names_apart(ax):
    plots.learning_curves(ax, {"a": [3, 1], "b": [2, 1], "c": [4, 1.001]})
    ax.figure.canvas.draw()
    heights = sorted(t.get_window_extent().y0 for t in ax.texts)
    assert min(np.diff(heights)) > 8  # pixels at 100 dpi; a line of text is about 14


def test_confusion_shows_every_count_and_an_empty_row_stays_blank(ax):
    plots.confusion(ax, np.array([[5, 1], [0, 0]]), ["a", "b"])
    assert [t.get_text() for t in ax.texts] == ["5", "1", "0", "0"]
    assert [patch.get_alpha() for patch in ax.patches][2:] == [0, 0]


@given(n=st.integers(1, 9), ncols=st.integers(1, 5), grey=st.booleans())
@settings(max_examples=15, deadline=None)
def test_photo_grid_shows_every_photograph(n, ncols, grey):
    photos = [np.full((4, 6) if grey else (4, 6, 3), i, np.uint8) for i in range(n)]
    fig = plots.photo_grid(photos, [f"photo {i}" for i in range(n)], ncols=ncols)
    shown = [ax for ax in fig.axes if ax.images]
    assert len(shown) == n
    for i, ax in enumerate(shown):
        np.testing.assert_array_equal(np.asarray(ax.images[0].get_array()), photos[i])
        assert ax.get_title() == f"photo {i}"
    assert figure(fig, alt="Photographs.").svg.count("<image") == n


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda ax: plots.photo_grid([]), "at least one"),
        (lambda ax: plots.photo_grid([np.zeros((3, 4, 4))]), r"\(H, W, 3\)"),
        (lambda ax: plots.photo_grid([np.full((4, 4, 3), 7.0)]), r"lie in \[0, 1\]"),
        (lambda ax: plots.photo_grid([np.full((4, 4, 3), np.nan)]), r"lie in \[0, 1\]"),
        (lambda ax: plots.photo_grid([np.zeros((4, 4, 3))], ["a", "b"]), "one title"),
        (lambda ax: plots.photo_grid([np.zeros((4, 4, 3))], ncols=0), "ncols"),
        (lambda ax: plots.bars(ax, ["a"], [1, 2]), "one a name"),
        (lambda ax: plots.bars(ax, ["a"], [float("nan")]), "finite"),
        (lambda ax: plots.histogram_with_edges(ax, [], [1]), "n > 0"),
        (lambda ax: plots.histogram_with_edges(ax, [0, 1], [1], log=True), "positive"),
        (lambda ax: plots.histogram_with_edges(ax, [1], [2, 1]), "ascend"),
        (lambda ax: plots.histogram_with_edges(ax, [1], [2], names=["a"]), "2 classes"),
        (lambda ax: plots.learning_curves(ax, {}), "1 to 5"),
        (lambda ax: plots.learning_curves(ax, {"a": []}), "not empty"),
        (lambda ax: plots.confusion(ax, [[1]], ["a", "b"]), r"\(2, 2\)"),
        (lambda ax: plots.confusion(ax, [[-1]], ["a"]), ">= 0"),
        (lambda ax: plots.confusion(ax, [[0.5]], ["a"]), "whole"),
    ],
)
def test_malformed_input_is_refused_with_what_was_expected(ax, call, message):
    with pytest.raises(ValueError, match=message):
        call(ax)
