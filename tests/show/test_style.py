"""The palette can be read on both of the book's pages."""

import matplotlib as mpl
import pytest

from pp_lib.show import style
from pp_lib.show.style import COLOURS

# The pages' backgrounds: white, and the dark page of the theme.
BACKGROUNDS = ("#ffffff", "#121212")
# WCAG 2.1, success criterion 1.4.11: graphical objects need 3:1.
GRAPHICS = 3.0


def luminance(colour):
    """WCAG 2.1 relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_formula_gives_the_published_extremes():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("name", sorted(set(COLOURS) - {"ink", "muted"}))
def test_colour_can_be_seen_on_both_pages(name, background):
    assert contrast(COLOURS[name], background) >= GRAPHICS


@pytest.mark.parametrize("name", ["ink", "muted"])
def test_ink_is_grey_so_that_it_follows_the_page(name):
    red, green, blue = (COLOURS[name][i : i + 2] for i in (1, 3, 5))
    assert red == green == blue


def test_use_sets_the_look_and_a_second_carrier_beside_colour():
    with mpl.rc_context():
        style.use()
        assert mpl.rcParams["axes.spines.top"] is False
        assert mpl.rcParams["axes.spines.right"] is False
        cycle = mpl.rcParams["axes.prop_cycle"].by_key()
        assert len(set(map(str, cycle["linestyle"]))) == len(cycle["color"]) == 5
