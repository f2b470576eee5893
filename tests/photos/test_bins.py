import math
from fractions import Fraction
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pp_lib.photos.bins import (
    APERTURE,
    EXACT_TOLERANCE,
    HEADS,
    ISO,
    NOMINAL_TOLERANCE,
    SHUTTER,
    _stops,
    labels,
    nominal_stop,
)

# Third stops as lens makers print them (ISO 517, and every camera's dial), written out once more.
F_NUMBERS = [1, 1.1, 1.2, 1.4, 1.6, 1.8, 2, 2.2, 2.5, 2.8, 3.2, 3.5, 4, 4.5, 5, 5.6, 6.3, 7.1, 8, 9]
F_NUMBERS += [10, 11, 13, 14, 16, 18, 20, 22, 25, 29, 32]
DENOMINATORS = [4, 5, 6, 8, 10, 13, 15, 20, 25, 30, 40, 50, 60, 80, 100, 125, 160, 200, 250, 320]
DENOMINATORS += [400, 500, 640, 800, 1000, 1250, 1600, 2000, 2500, 3200, 4000, 5000, 6400, 8000]
LONG_TIMES = [0.3, 0.4, 0.5, 0.6, 0.8, 1, 1.3, 1.6, 2, 2.5, 3.2, 4, 5, 6, 8, 10, 13, 15, 20, 25, 30]


@pytest.mark.parametrize(
    ("f_number", "k"),
    [
        *((n, 0) for n in (0.95, 1.4, 4.5, 5, 5.5, Fraction("5.59") * Fraction("0.98"))),
        *(
            (n, 1)
            for n in (5.6, Fraction(28, 5), 5.657, 5.66, 4 * math.sqrt(2), 6, 8, 10, 11, 11.3)
        ),
        *((n, 1) for n in (11.31, 8 * math.sqrt(2), np.float32(5.6), np.int16(8))),
        *((n, 2) for n in (12, 13, 16, 22, Fraction(64))),
    ],
)
def test_aperture_classes(f_number, k):
    assert APERTURE.encode(f_number) == k


@pytest.mark.parametrize(
    ("iso", "k"),
    [(1, 0), (100, 0), (199, 0), (200, 0), (200.0, 0), (201, 1), (250, 1), (320, 1), (399, 1)]
    + [(400, 1), (800, 1), (np.uint16(800), 1), (801, 2), (1000, 2), (102400, 2)],
)
def test_iso_classes_leave_no_gap(iso, k):
    assert ISO.encode(iso) == k


@pytest.mark.parametrize(
    ("exposure_time_s", "k"),
    [
        *((Fraction(1, n), 0) for n in (320, 260, 500, 8000, 32258)),
        *((Fraction(1, n), 1) for n in (250, 256, 249, 125, 60, 33, 32, 30)),
        *(
            (t, 1)
            for t in (1 / 250, 0.004, 0.0039, 0.033, 0.0333, 0.034, 1 / 30, np.float32(1 / 30))
        ),
        *((t, 1) for t in (Fraction(10, 300), Fraction(33, 1000), Fraction(34, 1000))),
        *((Fraction(1, n), 2) for n in (29, 28, 25, 20, 4)),
        *((t, 2) for t in (0.035, 1, 30, Fraction(5, 2))),
    ],
)
def test_shutter_classes(exposure_time_s, k):
    assert SHUTTER.encode(exposure_time_s) == k


@pytest.mark.parametrize("spelling", [0.033, 0.0333, 0.034, 1 / 30, Fraction(10, 300), 2**-5])
def test_every_spelling_of_a_thirtieth_is_a_thirtieth(spelling):
    assert nominal_stop(spelling, "shutter") == Fraction(1, 30)


@pytest.mark.parametrize("own", [Fraction(1, 33), Fraction(1, 29), Fraction(1, 260), 0.012])
def test_a_telephones_times_stay_as_they_are(own):
    assert nominal_stop(own, "shutter") == own


@pytest.mark.parametrize("kind", ["aperture", "shutter"])
def test_each_nominal_stop_and_its_exact_stop_are_one(kind):
    nominals = F_NUMBERS if kind == "aperture" else LONG_TIMES + [1 / d for d in DENOMINATORS]
    per_stop = 6 if kind == "aperture" else 3
    for nominal in nominals:
        snapped = nominal_stop(nominal, kind)
        assert abs(float(snapped) - nominal) < 1e-12  # a float64 and its fraction
        exact = 2 ** (round(per_stop * math.log2(nominal)) / per_stop)
        # a nominal stop is at most 7 % (1/15 for 1/16) from the exact one: the book's own tables
        assert abs(exact / nominal - 1) < 0.07
        assert nominal_stop(exact, kind) == snapped


@pytest.mark.parametrize("kind", ["aperture", "shutter"])
def test_no_value_is_near_two_stops(kind):
    """Snapping is unambiguous: what spells one stop ends before what spells the next begins."""
    reach = []
    for nominal, exact in _stops(kind):
        near, tight = NOMINAL_TOLERANCE[kind], EXACT_TOLERANCE
        low = min(nominal * (1 - near), exact * (1 - tight))
        reach.append((low, max(nominal * (1 + near), exact * (1 + tight))))
    reach.sort()
    assert all(high < low for (_, high), (low, _) in zip(reach, reach[1:], strict=False))


positive = st.fractions(min_value=Fraction(1, 10**6), max_value=10**6, max_denominator=10**6)

# the book's edges, written out once more
CLASS_OF = {
    "aperture": lambda n: 0 if n < Fraction("5.6") else 1 if n <= 11 else 2,
    "iso": lambda s: 0 if s <= 200 else 1 if s <= 800 else 2,
    "shutter": lambda t: 0 if t < Fraction(1, 250) else 1 if t <= Fraction(1, 30) else 2,
}


EDGES = {
    "aperture": (Fraction("5.6"), 11),
    "iso": (200, 800),
    "shutter": (Fraction(1, 250), Fraction(1, 30)),
}


@settings(deadline=None)  # a loaded machine is no failure
@given(
    head=st.sampled_from(sorted(HEADS)),
    k=st.sampled_from([0, 1]),
    ratio=st.just(1) | st.fractions(min_value=Fraction(1, 2), max_value=2, max_denominator=20),
)
def test_a_class_is_where_the_nominal_stop_lies_among_the_edges(head, k, ratio):
    value = EDGES[head][k] * ratio
    assert HEADS[head].encode(value) == CLASS_OF[head](nominal_stop(value, head))


@settings(deadline=None)  # a loaded machine is no failure
@given(a=positive, b=positive, head=st.sampled_from(sorted(HEADS)))
def test_classes_never_fall_as_the_setting_grows(a, b, head):
    low, high = sorted((a, b))
    assert HEADS[head].encode(low) <= HEADS[head].encode(high)


@settings(deadline=None)  # a loaded machine is no failure
@given(value=positive, kind=st.sampled_from(sorted(HEADS)))
def test_snapping_twice_is_snapping_once(value, kind):
    once = nominal_stop(value, kind)
    assert nominal_stop(once, kind) == once


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf, -math.inf, np.float32("nan")])
@pytest.mark.parametrize("bins", HEADS.values(), ids=HEADS)
def test_what_no_setting_can_be_is_refused(bins, value):
    with pytest.raises(ValueError, match="positive and finite"):
        bins.encode(value)


@pytest.mark.parametrize("value", ["5.6", None, True, [5.6], np.array([5.6]), 1j])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(TypeError, match="real number"):
        APERTURE.encode(value)


def test_labels_come_in_the_order_of_the_heads():
    record = SimpleNamespace(f_number=Fraction(16), iso=100, exposure_time_s=Fraction(1, 60))
    assert list(labels(record).items()) == [("aperture", 2), ("iso", 0), ("shutter", 1)]


def test_unknown_kind():
    with pytest.raises(ValueError, match="kind must be"):
        nominal_stop(1, "focus")


def test_the_simulated_camera_writes_nominal_stops():
    from pp_lib.camera import EXPOSURE_TIMES_S
    from pp_lib.camera import F_NUMBERS as CAMERA_F_NUMBERS

    for kind, table in (("aperture", CAMERA_F_NUMBERS), ("shutter", EXPOSURE_TIMES_S)):
        assert [nominal_stop(value, kind) for value in table] == list(table)
