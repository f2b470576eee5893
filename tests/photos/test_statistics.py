"""Hand-made statistics: each reacts to what it is named after."""

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st

from pp_lib.photos.statistics import STATISTIC_NAMES, hand_made_statistics


def a_picture(*, sigma=(2, 2, 0), noise=2.0, seed=0):
    rng = np.random.default_rng(seed)
    picture = scipy.ndimage.gaussian_filter(rng.standard_normal((128, 128, 3)), sigma, mode="wrap")
    picture = 120 + 30 * picture / picture.std() + noise * rng.standard_normal(picture.shape)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def measured(image):
    return dict(zip(STATISTIC_NAMES, hand_made_statistics(image), strict=True))


def test_there_are_thirty_with_names_of_their_own():
    assert len(STATISTIC_NAMES) == len(set(STATISTIC_NAMES)) == 30
    assert hand_made_statistics(a_picture()).shape == (30,)


@settings(deadline=None, max_examples=30)
@given(
    height=st.integers(48, 90),
    width=st.integers(48, 90),
    level=st.integers(0, 255),
    spread=st.integers(0, 255),
)
def test_always_finite(height, width, level, spread):
    rng = np.random.default_rng(level)
    image = np.clip(level + rng.integers(0, spread + 1, (height, width, 3)), 0, 255)
    assert np.isfinite(hand_made_statistics(image.astype(np.uint8))).all()


def test_noise_is_measured_in_levels():
    quiet, loud = (measured(a_picture(sigma=(8, 8, 0), noise=s)) for s in (4.0, 16.0))
    for name in (
        "noise",
        "noise_flat",
        "noise_flat_dark",
        "noise_flat_bright",
        "noise_chroma_flat",
    ):
        # four times the noise; 8-bit rounding adds a little to the quiet one
        assert loud[name] - quiet[name] == pytest.approx(np.log(4), abs=0.15), name


def test_blur_lowers_sharpness_and_high_frequencies():
    sharp, blurred = (measured(a_picture(sigma=(s, s, 0), noise=0.5)) for s in (1, 4))
    for name in STATISTIC_NAMES[10:16] + STATISTIC_NAMES[18:21] + STATISTIC_NAMES[26:29]:
        assert blurred[name] < sharp[name], name


def test_smear_shows_as_anisotropy():
    even, smeared = (measured(a_picture(sigma=s)) for s in ((2, 2, 0), (1, 4, 0)))
    for name in ("anisotropy_1", "anisotropy_3", "anisotropy_block", "power_anisotropy"):
        assert smeared[name] > even[name], name


def test_tones():
    white = measured(np.full((64, 64, 3), 255, np.uint8))
    assert white["brightness"] == pytest.approx(255)
    assert (white["share_clipped"], white["share_black"], white["saturation"]) == (1, 0, 0)


@pytest.mark.parametrize(
    "image",
    [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 3)), np.zeros((20, 64, 3), np.uint8)],
    ids=["grey", "float", "small"],
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(ValueError, match="image must be"):
        hand_made_statistics(image)
