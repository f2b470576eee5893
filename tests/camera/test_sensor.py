"""Photons against Poisson's law, amplifier, clipping, mosaic."""

import numpy as np
import pytest

from pp_lib.camera import Settings
from pp_lib.camera.sensor import (
    ADC_NOISE_DN,
    BLACK_LEVEL,
    FULL_WELL_E,
    READ_NOISE_E,
    WHITE_LEVEL,
    bayer,
    gain_dn_per_e,
    photo_electrons,
    read_out,
)

SHAPE = (600, 600)
PIXELS = SHAPE[0] * SHAPE[1]


def read_level(mean_e, iso, seed=0):
    plane = np.full(SHAPE, mean_e, np.float32)
    return read_out(plane, iso, np.random.default_rng(seed)).astype(np.float64)


@pytest.mark.parametrize("mean_e", [20.0, 63.0, 65.0, 400.0])
@pytest.mark.parametrize("iso", [800, 6400])
def test_mean_and_variance_follow_theory(mean_e, iso):
    gain = (16383 - 512) / 36_000 * iso / 100  # written out, not taken from the module
    counts = read_level(mean_e, iso)
    variance = gain**2 * (mean_e + 2.5**2) + 2.0**2 + 1 / 12  # photons, two read noises, rounding
    # Five standard errors of the estimates; the Poisson's excess kurtosis 1/mean widens the second.
    assert counts.mean() - 512 == pytest.approx(gain * mean_e, abs=5 * np.sqrt(variance / PIXELS))
    error = variance * np.sqrt((2 + 1 / mean_e) / PIXELS)
    assert counts.var() == pytest.approx(variance, abs=5 * error)


def test_few_photons_are_skewed_as_poisson_says():
    mean_e, iso = 20.0, 6400
    counts = read_level(mean_e, iso)
    skewness = ((counts - counts.mean()) ** 3).mean() / counts.std() ** 3
    expected = mean_e / (mean_e + READ_NOISE_E**2) ** 1.5  # third moment of a Poisson is its mean
    assert skewness == pytest.approx(expected, abs=5 * np.sqrt(6 / PIXELS))


def test_noise_at_iso_3200_is_plainly_larger():
    # The same picture: 32 times fewer photons, so a signal-to-noise ratio sqrt(32) lower (and a
    # little more: read noise).
    grey_e = 0.18 * FULL_WELL_E
    ratios = []
    for iso in (100, 3200):
        counts = read_level(grey_e * 100 / iso, iso) - BLACK_LEVEL
        ratios.append(counts.mean() / counts.std())
    assert ratios[0] / ratios[1] == pytest.approx(np.sqrt(32), rel=0.05)


def test_iso_lifts_the_signal_but_collects_no_light():
    assert gain_dn_per_e(800) == 8 * gain_dn_per_e(100)
    scene = np.full((3, 4, 4), 0.18, np.float32)
    low, high = (photo_electrons(scene, Settings(8, iso, "1/60", 50), 10.0) for iso in (100, 800))
    np.testing.assert_array_equal(low, high)


@pytest.mark.parametrize(
    ("f_number", "time", "iso"), [(8, "1/60", 100), (4, "1/240", 100), (8, "1/480", 800)]
)
def test_equal_exposures_give_equal_signals(f_number, time, iso):
    settings = Settings(f_number, iso, time, 50)
    scene = np.full((3, *SHAPE), 0.18, np.float32)
    mean_e = photo_electrons(scene, settings, settings.ev100)[1]
    counts = read_out(mean_e, iso, np.random.default_rng(1)).astype(float)
    # The meter's grey lands at 18 % of the range. Standard error under 1 count, five of them.
    assert counts.mean() - BLACK_LEVEL == pytest.approx(0.18 * (WHITE_LEVEL - BLACK_LEVEL), abs=5)


def test_a_stop_is_a_factor_of_two():
    scene = np.ones((3, 2, 2), np.float32)
    one = photo_electrons(scene, Settings(8, 100, "1/60", 50), 10.0)
    np.testing.assert_allclose(photo_electrons(scene, Settings(8, 100, "1/30", 50), 10.0), 2 * one)
    np.testing.assert_allclose(photo_electrons(scene, Settings(4, 100, "1/60", 50), 10.0), 4 * one)
    np.testing.assert_allclose(photo_electrons(scene, Settings(8, 100, "1/60", 50), 11.0), 2 * one)


def test_too_much_light_clips_and_darkness_is_the_black_level():
    assert (read_level(10 * FULL_WELL_E, 100) == WHITE_LEVEL).all()
    dark = read_level(0.0, 100)
    noise_dn = np.hypot(READ_NOISE_E * gain_dn_per_e(100), ADC_NOISE_DN)
    assert dark.mean() == pytest.approx(BLACK_LEVEL, abs=5 * noise_dn / np.sqrt(PIXELS))
    assert dark.min() < BLACK_LEVEL < dark.max()  # the black level keeps noise from being cut off


def test_mosaic_keeps_red_green_green_blue():
    rgb = np.arange(3 * 4 * 6).reshape(3, 4, 6)
    mosaic = bayer(rgb)
    np.testing.assert_array_equal(mosaic[0::2, 0::2], rgb[0, 0::2, 0::2])
    np.testing.assert_array_equal(mosaic[0::2, 1::2], rgb[1, 0::2, 1::2])
    np.testing.assert_array_equal(mosaic[1::2, 0::2], rgb[1, 1::2, 0::2])
    np.testing.assert_array_equal(mosaic[1::2, 1::2], rgb[2, 1::2, 1::2])


@pytest.mark.parametrize("shape", [(3, 3, 4), (3, 4, 5), (4, 4, 4), (4, 4)])
def test_mosaic_refuses_odd_shapes(shape):
    with pytest.raises(ValueError, match="even"):
        bayer(np.zeros(shape))
