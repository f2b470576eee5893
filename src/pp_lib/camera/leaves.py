"""Leaves, pebbles and tiles: the shapes that scenes are made of, with their textures."""

from functools import lru_cache

import numpy as np
import scipy.fft

_BANK_SIZE = 512
_BANK_SEED = 20010101  # the bank is part of the world, not of the photograph


def _linear(*colours):
    """Hexadecimal sRGB to linear RGB, (K, 3) float32."""
    values = [[int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)] for colour in colours]
    values = np.array(values)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )


# Each palette: the backdrop's two colours first, then those of the shapes.
PALETTES = (
    _linear("2f4238", "5d7258", "c9582b", "e3a23c", "8b9f4a", "d9cdb4", "7c2f22"),  # autumn
    _linear("24384a", "50708a", "e8d8b0", "d98f5c", "9bb7c4", "f0efe6", "3f8f8a"),  # shore
    _linear("4a3b33", "8a7460", "b5533c", "e9dfc9", "6f8a7a", "d4a24e", "9c8f84"),  # clay
    _linear("2e2a40", "5c5478", "e07a8b", "f2c9a1", "8fb0c9", "c85a3f", "efe6ee"),  # dusk
    _linear("33402c", "70824f", "e9e27a", "f4f1e1", "b34a62", "89b06a", "e59a3a"),  # meadow
    _linear("35353a", "77777c", "d8d4cb", "a9a29a", "c43d34", "e8e6e1", "59616e"),  # stones
    _linear("1f3d3c", "3f7a74", "f0b33d", "e86a4a", "f2e6cf", "7cc0b4", "2c5f8a"),  # market
    _linear("54453a", "a58a6c", "f1e3c6", "8c4a2f", "d7b27a", "5f6f52", "e3c7b5"),  # bread
)


@lru_cache(maxsize=1)
def texture_bank():
    """Draw the textures once a process; leaves take crops of them.

    Returns
    -------
    (T, 512, 512) float32
        Factors around 1, seamless at the borders.
    """
    rng = np.random.default_rng(_BANK_SEED)
    fy = np.fft.fftfreq(_BANK_SIZE)[:, None]
    fx = np.fft.rfftfreq(_BANK_SIZE)[None, :]
    frequency = np.hypot(fy, fx)
    frequency[0, 0] = 1.0

    def noise(slope, stretch_y=1.0, stretch_x=1.0):
        radius = np.hypot(fy * stretch_y, fx * stretch_x)
        radius[0, 0] = 1.0
        white = rng.standard_normal((_BANK_SIZE, _BANK_SIZE), dtype=np.float32)
        spectrum = scipy.fft.rfft2(white)
        spectrum *= (np.maximum(radius, 4 / _BANK_SIZE) ** -slope).astype(np.float32)
        spectrum[0, 0] = 0
        field = scipy.fft.irfft2(spectrum, s=(_BANK_SIZE, _BANK_SIZE))
        return field / field.std()

    y, x = np.mgrid[:_BANK_SIZE, :_BANK_SIZE].astype(np.float32) * np.float32(
        2 * np.pi / _BANK_SIZE
    )
    fields = [
        0.30 * noise(1.0),  # marble: the spectrum of natural pictures
        0.22 * noise(1.4),
        0.28 * noise(0.6),  # felt
        0.30 * noise(0.9, 1.0, 8.0),  # wood grain
        0.30 * noise(0.8, 6.0, 1.0),
        0.22 * np.sign(np.sin(50 * x + 1.2 * noise(1.6))) + 0.1 * noise(0.8),  # stripes
        0.22 * np.sin(70 * y + 1.5 * noise(1.6)) + 0.1 * noise(0.8),
        0.16 * (np.sin(90 * x) + np.sin(90 * y)) + 0.08 * noise(0.8),  # weave
        0.45 * (noise(0.5) > 1.2) + 0.12 * noise(1.0),  # speckles
        0.04 * noise(1.2),  # almost plain: noise and nothing else will show here
        0.03 * noise(1.4),
    ]
    return np.exp(np.stack(fields)).astype(np.float32)


def leaf_scale_px(shape):
    """Give the length that leaves, shadows and lamps are measured by.

    A small picture is filled by a few leaves. A large one shows both larger leaves and more of
    them: its centre is still a picture.

    Parameters
    ----------
    shape : (H, W)

    Returns
    -------
    float
        In pixels.
    """
    return min(min(shape), (256 * min(shape)) ** 0.5)


def backdrop(shape, palette, *, lamps, rng):
    """Paint the layer at the back: a soft ground, many leaves on it, lamps at night.

    Parameters
    ----------
    shape : (H, W)
    palette : (K, 3) float32
        Linear RGB; the first two colours are the ground's.
    lamps : bool
        Whether lights shine between the leaves.
    rng : numpy.random.Generator

    Returns
    -------
    (4, H, W) float32
        Premultiplied RGB and coverage, which is 1 everywhere.
    """
    scale = leaf_scale_px(shape)
    density = shape[0] * shape[1] / scale**2
    cloud = _patch(texture_bank()[1], shape, rng)
    mix = np.clip(1.6 * (cloud - 0.7), 0, 1)
    low, high = palette[:2, :, None, None]
    paint = np.empty((4, *shape), np.float32)
    paint[:3] = low + (high - low) * mix
    paint[:3] *= _patch(texture_bank()[rng.choice((0, 2, 3, 4))], shape, rng)
    paint[3] = 1
    ground = 0.6 * palette[:2].mean(0) + 0.4 * palette  # leaves far away, paler than those in front
    draw_leaves(paint, round(38 * density), 0.03 * scale, 0.15 * scale, ground, rng)
    if lamps:
        for _ in range(round(rng.integers(3, 9) * density)):
            colour = np.array([1.0, rng.uniform(0.55, 0.95), rng.uniform(0.2, 0.8)], np.float32)
            radius = max(1.2, 0.006 * scale * rng.uniform(0.7, 1.6))
            _draw_lamp(paint, rng.uniform(0, 1, 2) * shape, radius, colour * rng.uniform(8, 30))
    return paint


def draw_leaves(paint, count, smallest_px, largest_px, palette, rng):
    """Drop leaves one on another, in place; what falls over a border comes in at the opposite one.

    Parameters
    ----------
    paint : (4, H, W) float32
        Premultiplied RGB and coverage.
    count : int
    smallest_px, largest_px : float
        Range of radii; their density falls with the cube, so all sizes cover alike.
    palette : (K, 3) float32
    rng : numpy.random.Generator
    """
    shape, bank = paint.shape[1:], texture_bank()
    # Inverse of the cumulative distribution of p(r) ~ r^-3.
    u = rng.random(count)
    radii = (smallest_px**-2 + u * (largest_px**-2 - smallest_px**-2)) ** -0.5
    for radius in radii:
        radius = min(radius, min(shape) / 2 - 2)
        centre = rng.random(2) * shape
        half = int(np.ceil(radius)) + 1
        window, dy, dx = _window(centre, half, shape)
        outline, shade = _leaf(dy / np.float32(radius), dx / np.float32(radius), rng)
        cover = np.clip((1 - outline) * np.float32(0.7 * radius) + np.float32(0.5), 0, 1)
        colour = palette[rng.integers(len(palette))] * np.float32(np.exp(0.2 * rng.normal()))
        shade *= _patch(bank[rng.integers(len(bank))], shade.shape, rng)
        shade *= cover
        patch = paint[window]
        patch *= 1 - cover
        patch[:3] += colour[:, None, None] * shade
        patch[3] += cover
        paint[window] = patch  # a copy where the window wraps, the place itself where not


def _leaf(y, x, rng):
    """Outline (1 on the edge) and shading of one shape, on coordinates of -1 .. 1."""
    angle = rng.uniform(0, np.pi)
    sine, cosine = np.float32(np.sin(angle)), np.float32(np.cos(angle))
    u, v = cosine * x + sine * y, cosine * y - sine * x
    shade = np.float32(0.95) - np.float32(0.22) * (y + x)  # the light comes from the upper left
    kind = rng.random()
    if kind < 0.40:  # a pointed leaf with a rib: two circles that meet
        flat = np.float32(rng.uniform(0.5, 1.1))
        height = np.abs(v) + flat
        outline = np.sqrt((u * u + height * height) / (1 + flat * flat))
        shade *= 1 - np.float32(0.35) * np.exp(-((v * np.float32(24)) ** 2))
    elif kind < 0.75:  # a pebble, rounder in the middle
        v = v * np.float32(rng.uniform(1.0, 1.7))
        square = u * u + v * v
        outline = np.sqrt(square)
        shade *= np.float32(1.15) - np.float32(0.35) * square
    else:  # a tile with rounded corners
        v = v * np.float32(rng.uniform(1.0, 2.2))
        u, v = u * np.float32(1.15), v * np.float32(1.15)
        u, v = u * u, v * v
        outline = np.sqrt(np.sqrt(u * u + v * v))
    return outline, shade


def _window(centre, half, shape):
    """Index of a square around a centre, and the distances (h, 1), (1, w) from it."""
    rows = np.arange(int(centre[0]) - half, int(centre[0]) + half + 1)
    columns = np.arange(int(centre[1]) - half, int(centre[1]) + half + 1)
    dy = (rows - centre[0]).astype(np.float32)[:, None]
    dx = (columns - centre[1]).astype(np.float32)[None, :]
    if rows[0] >= 0 and columns[0] >= 0 and rows[-1] < shape[0] and columns[-1] < shape[1]:
        index = (slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    else:
        index = (slice(None), rows[:, None] % shape[0], columns[None, :] % shape[1])
    return index, dy, dx


def _patch(texture, shape, rng):
    """Cut a piece from a seamless texture, turned or mirrored by chance."""
    turn, flip_y, flip_x, top, left = rng.integers(0, (2, 2, 2, _BANK_SIZE, _BANK_SIZE))
    texture = texture.T if turn else texture
    texture = texture[:: 1 - 2 * flip_y, :: 1 - 2 * flip_x]
    if shape[0] <= _BANK_SIZE - top and shape[1] <= _BANK_SIZE - left:
        return texture[top : top + shape[0], left : left + shape[1]]
    rows, columns = np.arange(top, top + shape[0]), np.arange(left, left + shape[1])
    return texture[rows[:, None] % _BANK_SIZE, columns[None, :] % _BANK_SIZE]


def _draw_lamp(paint, centre, radius, light):
    """Draw a small bright disc; out of focus it becomes the disc of the aperture."""
    window, dy, dx = _window(centre, int(np.ceil(radius)) + 1, paint.shape[1:])
    cover = np.clip(radius - np.hypot(dy, dx) + 0.5, 0, 1).astype(np.float32)
    patch = paint[window]
    patch[:3] = patch[:3] * (1 - cover) + light[:, None, None] * cover
    paint[window] = patch
