"""Settings in stops: against the dial of the camera's tables and the bins' own rule."""

import math
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest

from pp_lib.camera.exposure import EXPOSURE_TIMES_S, F_NUMBERS, ISOS, ev100
from pp_lib.photos.bins import HEADS
from pp_lib.photos.stops import (
    ACROSS,
    classes_of_predictions,
    classes_of_settings,
    from_stops,
    settings_in_stops,
    to_stops,
)

DIALS = {"aperture": F_NUMBERS, "iso": ISOS, "shutter": EXPOSURE_TIMES_S}
# two nominal settings a third of a stop apart are 0.23 (f/16 to f/18, ISO 6400 to 8000) to 0.42
# stops apart, since they are rounded; so a quarter of the smallest step is still the nearest
NEAR = 0.05


def columns(head, values):
    """Put the stops of one head into (N, 3); the other heads' are of a fixed setting."""
    fixed = {"aperture": to_stops(8, "aperture"), "iso": 1.0, "shutter": 7.0}
    return np.stack(
        [values if name == head else np.full(len(values), fixed[name]) for name in HEADS], axis=1
    )


@pytest.mark.parametrize("head", list(HEADS))
def test_every_setting_on_the_dial_keeps_its_class_also_when_it_is_read_a_little_wrong(head):
    stops = np.array([to_stops(v, head) for v in DIALS[head]])
    expected = [HEADS[head].encode(v) for v in DIALS[head]]
    j = list(HEADS).index(head)
    np.testing.assert_array_equal(classes_of_settings(columns(head, stops))[:, j], expected)
    single = classes_of_settings(columns(head, stops).astype(np.float32))[:, j]
    np.testing.assert_array_equal(single, expected)
    for off in (-NEAR, 0, NEAR):
        read = classes_of_predictions(columns(head, stops + off))[:, j]
        np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("head", list(HEADS))
def test_the_setting_across_an_edge_is_its_neighbour_on_the_dial(head):
    dial = sorted(DIALS[head])
    for edge, own, across in zip(
        HEADS[head].edges, HEADS[head].edge_classes, ACROSS[head], strict=True
    ):
        at = dial.index(edge)
        assert across in (dial[at - 1], dial[at + 1])
        assert HEADS[head].encode(edge) == own != HEADS[head].encode(across)


def test_predictions_change_class_half_way_as_chapter_10_has_it():
    borders = {"shutter": [-math.log2(1 / 27.386), -math.log2(1 / 282.843)]}
    borders |= {"aperture": [math.log2(28), math.log2(143)], "iso": [math.log2(5**0.5), 3.161]}
    for head, pair in borders.items():  # geometric means of the settings on both sides
        j = list(HEADS).index(head)
        for border in pair:
            below, above = classes_of_predictions(columns(head, border + np.array([-1e-3, 1e-3])))
            assert abs(below[j] - above[j]) == 1


def test_stops_are_those_of_the_exposure_value():
    record = SimpleNamespace(f_number=Fraction(8), iso=400, exposure_time_s=Fraction(1, 125))
    s = settings_in_stops(record)
    assert list(s) == list(HEADS)
    assert s["aperture"] == 6  # 2 log2 8
    assert s["iso"] == pytest.approx(2, abs=1e-12)
    expected = ev100(record.f_number, record.exposure_time_s, record.iso)
    assert s["aperture"] + s["shutter"] - s["iso"] == pytest.approx(expected, abs=1e-12)
    for (head, u), value in zip(s.items(), (8, 400, 1 / 125), strict=True):
        assert from_stops(u, head) == pytest.approx(value, rel=1e-12)


def test_settings_off_the_dial_keep_the_class_that_the_bins_give_them():
    values = {"aperture": (5.5, 11.4), "iso": (201, 64), "shutter": (1 / 260, 1 / 29)}
    for head, pair in values.items():
        j = list(HEADS).index(head)
        stops = np.array([to_stops(v, head) for v in pair], np.float32)
        found = classes_of_settings(columns(head, stops))[:, j].tolist()
        assert found == [HEADS[head].encode(v) for v in pair]


def test_two_spellings_of_a_stop_are_the_same_and_nonsense_is_refused():
    assert to_stops(Fraction(1, 32), "shutter") == to_stops(Fraction(1, 30), "shutter")
    with pytest.raises(ValueError, match="positive"):
        to_stops(0, "iso")
    with pytest.raises(ValueError, match="kind must be"):
        to_stops(1, "focus")
