"""Stops, EV100 and the exposure program."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pp_lib.camera import EXPOSURE_TIMES_S, F_NUMBERS, ISOS, Settings, auto_exposure, ev100
from pp_lib.camera.exposure import nearest_stop

# The tables round to nominal values; the worst pair (f/3.5 is 3.564, 1/13 is 1/12.7, 1/6 is
# 1/6.35) lies under a sixth of a stop from the true third stop.
NOMINAL_ROUNDING_STOPS = 1 / 6


def test_ev100_of_published_examples():
    # "Sunny 16": f/16 and one over the ISO is bright sun, EV 15 (ISO 2720 tables round to 15).
    assert ev100(16, 1 / 100, 100) == pytest.approx(14.64, abs=0.01)
    assert ev100(1, 1, 100) == 0  # the definition's origin
    assert ev100(Fraction(28, 5), Fraction(1, 60), 400) == pytest.approx(8.8774, abs=1e-3)


@pytest.mark.parametrize("table", [F_NUMBERS, EXPOSURE_TIMES_S, ISOS])
def test_tables_step_by_thirds_of_a_stop(table):
    stops_per_octave = 2 if table is F_NUMBERS else 1
    k = [stops_per_octave * math.log2(value / table[0]) * 3 for value in table]
    for position, value in enumerate(k):
        assert abs(value - position) / 3 < NOMINAL_ROUNDING_STOPS


def test_settings_keep_fractions_exact():
    settings = Settings(5.6, 400, Fraction(1, 250), 50)
    assert settings.f_number == Fraction(28, 5)
    assert settings.ev100 == ev100(Fraction(28, 5), Fraction(1, 250), 400)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("f_number", 0),
        ("f_number", float("nan")),
        ("f_number", "wide"),
        ("iso", -100),
        ("iso", 100.5),
        ("exposure_time_s", "1/0"),
        ("exposure_time_s", None),
        ("exposure_time_s", float("inf")),
        ("focal_length_mm", -50),
    ],
)
def test_settings_refuse_what_no_camera_can_do(name, value):
    good = {"f_number": 8, "iso": 100, "exposure_time_s": "1/60", "focal_length_mm": 50}
    with pytest.raises(ValueError, match=name):
        Settings(**{**good, name: value})


def test_nearest_stop_is_nearest_on_the_log_scale():
    assert nearest_stop(5.657, F_NUMBERS) == Fraction(28, 5)
    assert nearest_stop(0.0333, EXPOSURE_TIMES_S) == Fraction(1, 30)
    with pytest.raises(ValueError, match="> 0"):
        nearest_stop(0, ISOS)


@given(light=st.floats(-6, 20), tripod=st.booleans(), seed=st.integers(0, 2**32))
def test_the_program_exposes_for_the_light_with_stops_of_the_tables(light, tripod, seed):
    settings = auto_exposure(light, tripod=tripod, rng=np.random.default_rng(seed))
    assert settings.f_number in F_NUMBERS
    assert settings.iso in ISOS
    assert settings.exposure_time_s in EXPOSURE_TIMES_S
    # 2.5 standard deviations of 0.25 stops, and half a step of rounding (nominal stops).
    assert abs(settings.ev100 - light) < 2.5 * 0.25 + 1 / 6 + NOMINAL_ROUNDING_STOPS


@pytest.mark.parametrize("light", [-7, 21, float("nan")])
def test_the_program_refuses_light_that_no_scene_has(light):
    with pytest.raises(ValueError, match="light_ev100"):
        auto_exposure(light, rng=np.random.default_rng(0))


def test_no_class_is_rare_and_none_dominates():
    from pp_lib.camera.scene import make_scene

    rng, settings = np.random.default_rng(5), []
    scenes = [make_scene(rng, 32) for _ in range(150)]
    for scene in scenes * 14:
        settings.append(
            auto_exposure(
                scene.light_ev100,
                focal_length_mm=scene.focal_length_mm,
                tripod=scene.tripod,
                rng=rng,
            )
        )
    edges = {
        "aperture": lambda s: (s.f_number >= Fraction(28, 5)) + (s.f_number > 11),
        "iso": lambda s: (s.iso > 200) + (s.iso > 800),
        "shutter": lambda s: (
            (s.exposure_time_s >= Fraction(1, 250)) + (s.exposure_time_s > Fraction(1, 30))
        ),
    }
    for head, encode in edges.items():
        shares = [n / len(settings) for n in Counter(map(encode, settings)).values()]
        assert len(shares) == 3, head
        assert min(shares) > 0.12, (head, shares)
        assert max(shares) < 0.55, (head, shares)


def test_settings_are_correlated_through_the_light():
    rng = np.random.default_rng(0)
    dark = [auto_exposure(4, rng=rng) for _ in range(200)]
    bright = [auto_exposure(15, rng=rng) for _ in range(200)]
    assert np.median([s.iso for s in dark]) >= 4 * np.median([s.iso for s in bright])
    assert np.median([s.f_number for s in dark]) < np.median([s.f_number for s in bright])
