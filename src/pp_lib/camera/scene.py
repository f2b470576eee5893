"""Scenes to photograph: dead leaves at different distances, some of them swaying, under a light.

Chapter 2. Shapes with power-law sizes that hide one another have the statistics of natural
pictures (Lee, Mumford & Huang, Occlusion models for natural images, IJCV 41, 2001).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import scipy.fft

from pp_lib.camera.leaves import PALETTES, backdrop, draw_leaves, leaf_scale_px
from pp_lib.camera.sensor import PIXEL_PITCH_UM

MEAN_REFLECTANCE = 0.18  # what a light meter takes the world for
LENSES_MM = (24, 28, 35, 50, 70, 85)
_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32)[:, None, None]
# Magnification times focal length, in millimetres: how close photographers go with a lens.
_CLOSENESS_MM = (0.3, 0.55)
_DAYLIGHT, _TUNGSTEN = np.array([1.0, 1.0, 1.0]), np.array([1.45, 1.0, 0.5])


@dataclass(frozen=True, eq=False)
class Layer:
    """One sheet of shapes, parallel to the sensor.

    Parameters
    ----------
    paint : (4, H, W) float32
        Linear RGB premultiplied by coverage, then coverage 0 .. 1.
    distance_m : float
        From the lens.
    velocity_m_s : (2,) floats
        Down and to the right, across the line of sight.
    reach_m : float
        How far it sways.
    """

    paint: np.ndarray
    distance_m: float
    velocity_m_s: tuple = (0.0, 0.0)
    reach_m: float = 0.01


@dataclass(frozen=True, eq=False)
class Scene:
    """What stands before the camera; it knows nothing of the settings.

    Parameters
    ----------
    layers : tuple of Layer
        Back to front; the first covers everything.
    light_ev100 : float
        Light level: what a meter reads, in stops.
    focus_distance_m : float
        Where the lens is focused.
    focal_length_mm : int
        The lens the scene is framed with.
    illuminant_rgb : (3,) floats
        Colour of the light, green = 1.
    tripod : bool
        Whether the camera stands still.
    shake_rad_s : (2,) floats
        How fast the hand turns the camera, down and to the right.
    shake_reach_rad : float
        How far at most.
    taken_at : datetime
        A time of day that goes with the light.
    """

    layers: tuple
    light_ev100: float
    focus_distance_m: float
    focal_length_mm: int
    illuminant_rgb: tuple
    tripod: bool
    shake_rad_s: tuple
    shake_reach_rad: float
    taken_at: datetime


def picture_shape(size):
    """Read a size as (H, W).

    Parameters
    ----------
    size : int or (H, W)
        Even, because a Bayer mosaic repeats every two pixels, and at least 32.

    Returns
    -------
    (int, int)

    Raises
    ------
    ValueError
        If it is anything else.
    """
    pair = (size, size) if isinstance(size, int | np.integer) else size
    try:
        height, width = (int(length) for length in pair if length == int(length))
    except (TypeError, ValueError) as error:
        raise ValueError(f"size must be a whole number or (H, W), got {size!r}") from error
    if height % 2 or width % 2 or min(height, width) < 32:
        raise ValueError(f"size must be even and at least 32, got {size!r}")
    return height, width


def make_scene(rng, size=256):
    """Arrange a still life.

    Parameters
    ----------
    rng : numpy.random.Generator
    size : int or (H, W)
        Pixels; even, at least 32.

    Returns
    -------
    Scene
        Four layers, of which one is in focus; mean reflectance 0.18.

    Raises
    ------
    ValueError
        If the size is odd, too small or no size at all.
    """
    shape = picture_shape(size)
    light_ev100 = _light_level(rng)
    focal_length_mm = int(rng.choice(LENSES_MM))
    tripod = bool(rng.random() < (0.30 if light_ev100 < 12 else 0.12))
    palette = PALETTES[rng.integers(len(PALETTES))]
    focus_distance_m, distances_m = _distances(focal_length_mm, rng)
    paints = _paint(shape, palette, light_ev100, rng)
    _cast_shadows(paints)
    _normalise(paints)
    layers = tuple(
        Layer(paint, distance_m, *_sway(distance_m, focal_length_mm, rng))
        for paint, distance_m in zip(paints, distances_m, strict=True)
    )
    angle, speed = rng.uniform(0, 2 * np.pi), 0.018 * np.exp(0.3 * rng.standard_normal())
    shake_rad_s = (0.0, 0.0) if tripod else (speed * np.sin(angle), speed * np.cos(angle))
    warmth = float(np.clip((8.5 - light_ev100) / 4 + 0.4 * rng.standard_normal(), 0, 1))
    illuminant = _DAYLIGHT ** (1 - warmth) * _TUNGSTEN**warmth
    return Scene(
        layers=layers,
        light_ev100=light_ev100,
        focus_distance_m=focus_distance_m,
        focal_length_mm=focal_length_mm,
        illuminant_rgb=tuple(float(x) for x in illuminant),
        tripod=tripod,
        shake_rad_s=shake_rad_s,
        shake_reach_rad=0.001 * np.exp(0.3 * rng.standard_normal()),
        taken_at=_time_of_day(light_ev100, rng),
    )


def _light_level(rng):
    """Night streets, rooms, shade, sun: where people take photographs."""
    mean, spread = ((4.5, 1.0), (8.0, 1.3), (11.5, 1.2), (14.5, 0.7))[
        rng.choice(4, p=(0.14, 0.30, 0.32, 0.24))
    ]
    return float(mean + spread * np.clip(rng.standard_normal(), -2, 2))


def _distances(focal_length_mm, rng):
    """Focus distance, and the layers' distances back to front, one of them in focus."""
    focus_m = 1e-3 * focal_length_mm**2 / rng.uniform(*_CLOSENESS_MM)
    focused = rng.choice(3, p=(0.25, 0.35, 0.40))
    # Blur goes with 1 - focus/distance: steps on that scale are even steps of blur.
    gaps = rng.uniform(0.10, 0.28, size=3)
    position = np.array([gaps[0] + gaps[1], gaps[1], 0.0, -gaps[2]])
    position -= position[focused]
    return focus_m, [float(focus_m / (1 - p)) for p in position]


def _sway(distance_m, focal_length_mm, rng):
    """Velocity and reach, such that on the sensor near and far things move alike."""
    m_per_px = 1e-3 * PIXEL_PITCH_UM * distance_m / focal_length_mm
    if rng.random() < 0.15:
        return (0.0, 0.0), 10 * m_per_px
    angle = rng.uniform(0, 2 * np.pi)
    speed = 280 * np.exp(0.35 * rng.standard_normal()) * m_per_px
    reach = 22 * np.exp(0.3 * rng.standard_normal()) * m_per_px
    return (speed * np.sin(angle), speed * np.cos(angle)), reach


def _paint(shape, palette, light_ev100, rng):
    """Four layers of leaves, back to front; the first has no hole."""
    scale = leaf_scale_px(shape)
    paints = [backdrop(shape, palette, lamps=light_ev100 < 7, rng=rng)]
    density = shape[0] * shape[1] / scale**2
    for count, smallest, largest in ((14, 0.05, 0.16), (9, 0.08, 0.22), (3, 0.10, 0.26)):
        paint = np.zeros((4, *shape), np.float32)
        draw_leaves(paint, round(count * density), smallest * scale, largest * scale, palette, rng)
        paints.append(paint)
    return paints


def _cast_shadows(paints):
    """Darken what lies behind a leaf, softly and a little below it: it shows depth."""
    shape = paints[0].shape[1:]
    fy = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    fx = np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]
    spread = np.float32(0.02 * leaf_scale_px(shape))
    soft = np.exp(-2 * (np.pi * spread) ** 2 * (fy**2 + fx**2))
    offset = round(0.03 * leaf_scale_px(shape))
    for k, behind in enumerate(paints[:-1]):
        spectrum = scipy.fft.rfft2(paints[k + 1][3]) * soft
        shadow = scipy.fft.irfft2(spectrum, s=shape, overwrite_x=True)
        shadow = np.roll(shadow, (offset, offset // 2), axis=(0, 1))
        behind[:3] *= 1 - np.float32(0.6) * np.clip(shadow, 0, 1)


def _normalise(paints):
    """Scale all layers alike so that the picture's mean luminance is the meter's."""
    clear = 1 - paints[-1][3]
    mean = float((_LUMINANCE * paints[-1][:3]).sum(0).mean())
    for paint in reversed(paints[:-1]):
        mean += float((clear * (_LUMINANCE * paint[:3]).sum(0)).mean())
        clear = clear * (1 - paint[3])
    for paint in paints:
        paint[:3] *= np.float32(MEAN_REFLECTANCE / mean)


def _time_of_day(light_ev100, rng):
    """Pick a moment in 2024 that goes with the light: noon is bright, the evening dark."""
    day = datetime(2024, 1, 1) + timedelta(days=int(rng.integers(366)))
    start, end = (9, 17) if light_ev100 >= 9 else (17, 23.9)
    return day + timedelta(seconds=int(3600 * rng.uniform(start, end)))
