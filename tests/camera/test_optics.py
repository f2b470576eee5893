"""Thin lens, paths, and the picture on the sensor."""

from dataclasses import replace
from datetime import datetime
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pp_lib.camera import Layer, Scene, Settings, circle_of_confusion_px, make_scene
from pp_lib.camera.optics import exposure_path_px, image_on_sensor, path_px


def a_scene(layers, focus_distance_m=2.0, shake_rad_s=(0.0, 0.0)):
    return Scene(
        layers=tuple(layers),
        light_ev100=10.0,
        focus_distance_m=focus_distance_m,
        focal_length_mm=50,
        illuminant_rgb=(1.0, 1.0, 1.0),
        tripod=True,
        shake_rad_s=shake_rad_s,
        shake_reach_rad=1.0,
        taken_at=datetime(2024, 5, 1, 12),
    )


def a_point(distance_m, size=128, **motion):
    paint = np.zeros((4, size, size), np.float32)
    paint[3] = 1
    y, x = np.mgrid[:size, :size] - size // 2
    paint[:3] = np.exp(-(y**2 + x**2) / 8)  # a soft point: a hard one would ring
    return Layer(paint, distance_m, **motion)


def variances(picture):
    """Second moments of one channel's light along y and x, in square pixels.

    From the slowest frequency, as the logarithm of a transform begins with -2 (pi f)^2 variance:
    sums of light times distance squared would mostly count what lies far away.
    """
    spectrum, n = np.abs(np.fft.fft2(picture[1])), picture.shape[1]
    return [
        np.log(spectrum[0, 0] / s) * n**2 / (2 * np.pi**2) for s in (spectrum[1, 0], spectrum[0, 1])
    ]


def test_circle_of_confusion_by_hand():
    # 50 mm, f/2, focus 2 m, subject 3 m: 2500 / (2 * 1950) * 1000 / 3000 = 0.213675 mm
    assert circle_of_confusion_px(2, 50, 2, 3, 1.0) == pytest.approx(213.675, abs=1e-3)
    assert circle_of_confusion_px(2, 50, 2, 2, 1.0) == 0


def test_circle_of_confusion_gives_the_published_hyperfocal_distance():
    # Focused at H = f^2 / (N c) + f, infinity has the circle c. For 50 mm, f/8, c = 0.03 mm the
    # depth-of-field tables say H = 10.47 m (Ray 2002, chapter 22).
    assert circle_of_confusion_px(8, 50, 10.4667, 1e9, 1.0) == pytest.approx(30, rel=1e-4)


@given(N=st.floats(1, 32), s=st.floats(0.5, 50), d=st.floats(0.5, 50))
def test_circle_of_confusion_halves_when_the_f_number_doubles(N, s, d):
    one, two = circle_of_confusion_px(N, 50, s, d), circle_of_confusion_px(2 * N, 50, s, d)
    assert two == pytest.approx(one / 2, rel=1e-12)


@pytest.mark.parametrize("bad", [(0, 50, 2, 3), (8, -1, 2, 3), (8, 50, 0.05, 3), (8, 50, 2, 0)])
def test_circle_of_confusion_refuses_what_no_lens_can_do(bad):
    with pytest.raises(ValueError, match="must"):
        circle_of_confusion_px(*bad)


def test_path_is_speed_times_time_and_stays_within_reach():
    assert path_px(100, 20, 1e-4) == pytest.approx(0.01, rel=1e-3)  # second order: v t / 2 A
    assert path_px(100, 20, 1e6) == pytest.approx(20)
    with pytest.raises(ValueError, match="reach"):
        exposure_path_px((1.0, 0.0), 0.0, 2.0, Settings(8, 100, "1/60", 50))


@pytest.mark.parametrize("f_number", [2, 4, 8])
def test_a_point_spreads_into_the_circle_that_the_thin_lens_says(f_number):
    settings = Settings(f_number, 100, "1/100", 50)
    focused = image_on_sensor(a_scene([a_point(2.0)]), settings)
    spread = image_on_sensor(a_scene([a_point(2.3)]), settings)
    circle = circle_of_confusion_px(f_number, 50, 2.0, 2.3)
    # Variances add up, so the difference is the disc's alone: c^2 / 16 along each axis. 6 %:
    # the series' next term, for a circle of a quarter of the picture.
    for both, airy in zip(variances(spread), variances(focused), strict=True):
        assert both - airy == pytest.approx(circle**2 / 16, rel=0.06)


def test_a_moving_point_draws_a_line_as_long_as_its_path():
    motion = {"velocity_m_s": (0.0, 0.5), "reach_m": 10.0}
    settings = Settings(8, 100, "1/125", 50)
    still = variances(image_on_sensor(a_scene([a_point(2.0)]), settings))
    moving = variances(image_on_sensor(a_scene([a_point(2.0, **motion)]), settings))
    # 0.5 m/s for 8 ms is 4 mm, 2 m away: 0.1 mm on the sensor of a 50 mm lens, 23.26 pixels.
    length = 0.5 / 125 * 50e-3 / 2.0 / 4.3e-6
    assert moving[1] - still[1] == pytest.approx(length**2 / 12, rel=0.05)
    assert moving[0] - still[0] == pytest.approx(0, abs=0.3)


def test_a_shaking_hand_smears_near_and_far_alike():
    settings = Settings(8, 100, "1/60", 50)
    scene = a_scene([a_point(2.0)], shake_rad_s=(0.02, 0.0))
    still = variances(image_on_sensor(a_scene([a_point(2.0)]), settings))
    length = 0.02 / 60 * 50e-3 / 4.3e-6
    assert variances(image_on_sensor(scene, settings))[0] - still[0] == pytest.approx(
        length**2 / 12, rel=0.08
    )


@given(
    f_number=st.sampled_from([Fraction(7, 5), 4, 11, 22]),
    time=st.sampled_from(["1/2000", "1/60", "1/2"]),
)
def test_the_lens_neither_makes_nor_loses_light(f_number, time):
    scene = make_scene(np.random.default_rng(1), 64)
    backdrop = replace(scene, layers=scene.layers[:1])
    settings = Settings(f_number, 100, time, scene.focal_length_mm)
    before = scene.layers[0].paint[:3].mean((1, 2))
    after = image_on_sensor(backdrop, settings).mean((1, 2))
    # Clipping the ringing beside bright lamps at zero adds a little light: under 1 %.
    np.testing.assert_allclose(after, before, rtol=0.01)


def test_a_near_layer_hides_what_lies_behind():
    far, near = np.ones((2, 4, 64, 64), np.float32)
    far[:3], near[:3] = 0.8, 0.2
    picture = image_on_sensor(a_scene([Layer(far, 3.0), Layer(near, 2.0)]), Settings(8, 100, 1, 50))
    np.testing.assert_allclose(picture, 0.2, atol=1e-5)


def test_the_scene_is_left_as_it_was():
    scene = make_scene(np.random.default_rng(2), 64)
    before = [layer.paint.copy() for layer in scene.layers]
    image_on_sensor(scene, Settings(2, 100, "1/10", 50))
    for layer, paint in zip(scene.layers, before, strict=True):
        np.testing.assert_array_equal(layer.paint, paint)
