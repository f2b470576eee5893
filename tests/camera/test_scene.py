"""Scenes: seamless, metered, reproducible, and what a bad size says."""

from datetime import datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pp_lib.camera import make_scene
from pp_lib.camera.leaves import draw_leaves, texture_bank
from pp_lib.camera.scene import picture_shape

even = st.integers(16, 80).map(lambda half: 2 * half)


@settings(deadline=None, max_examples=25)  # the first scene of a process draws the textures
@given(height=even, width=even, seed=st.integers(0, 2**32))
def test_a_scene_is_one_whole_metered_picture(height, width, seed):
    scene = make_scene(np.random.default_rng(seed), (height, width))
    picture = np.zeros((3, height, width))
    for layer in scene.layers:
        assert layer.paint.shape == (4, height, width)
        assert layer.paint.dtype == np.float32
        assert layer.paint.min() >= 0
        assert layer.paint[3].max() <= 1 + 1e-5  # float32 rounding of many layers of paint
        picture = picture * (1 - layer.paint[3]) + layer.paint[:3]
    np.testing.assert_array_equal(scene.layers[0].paint[3], 1)
    luminance = np.tensordot([0.2126, 0.7152, 0.0722], picture, 1)
    assert luminance.mean() == pytest.approx(0.18, rel=1e-3)
    distances = [layer.distance_m for layer in scene.layers]
    assert distances == sorted(distances, reverse=True)
    assert any(abs(d / scene.focus_distance_m - 1) < 1e-9 for d in distances)
    assert -6 <= scene.light_ev100 <= 20
    assert isinstance(scene.taken_at, datetime)


def test_the_same_seed_gives_the_same_scene():
    one, two = (make_scene(np.random.default_rng(9), 64) for _ in range(2))
    for a, b in zip(one.layers, two.layers, strict=True):
        np.testing.assert_array_equal(a.paint, b.paint)
        assert (a.distance_m, a.velocity_m_s) == (b.distance_m, b.velocity_m_s)


def test_a_leaf_over_the_border_comes_in_at_the_opposite_one():
    palette, shape = np.full((1, 3), 0.5, np.float32), (64, 96)
    for seed in range(30):
        paint = np.zeros((4, *shape), np.float32)
        draw_leaves(paint, 1, 20.0, 20.001, palette, np.random.default_rng(seed))
        # The first number drawn is the leaf's size, the next two its place. Each shape is
        # symmetric about its place, so that is its centre of mass, going around the torus.
        place = np.random.default_rng(seed).random(3)[1:]
        for axis, n in enumerate(shape):
            turns = np.exp(2j * np.pi * (np.arange(n) / n - place[axis]))
            off = np.angle((paint[3].sum(1 - axis) * turns).sum()) / (2 * np.pi) * n
            assert abs(off) < 0.1  # pixels: smoothed edges on whole pixels


def test_textures_are_seamless():
    for texture in texture_bank():
        inside = np.abs(np.diff(texture, axis=0)).mean()
        seam = np.abs(texture[0] - texture[-1]).mean()
        assert seam < 1.5 * inside + 0.01


@pytest.mark.parametrize("size", [255, 30, 0, -64, 64.5, "64", None, (64,), (64, 65), (64, 64, 3)])
def test_sizes_that_are_none(size):
    with pytest.raises(ValueError, match="size must be"):
        picture_shape(size)


def test_sizes_that_are_some():
    assert picture_shape(64) == (64, 64)
    assert picture_shape(np.int64(64)) == (64, 64)
    assert picture_shape((32, 96)) == (32, 96)
