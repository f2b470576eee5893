r"""The lens: from a scene's layers to the light that falls on the sensor.

Chapter 2. Three blurs, each an integral of the light over a little figure: the circle of
confusion of what is out of focus, the line along which something moves while the shutter is open,
and the Airy disc by which a small aperture spreads even a perfect point.
"""

import numpy as np
import scipy.fft

from pp_lib.camera.sensor import PIXEL_PITCH_UM
from pp_lib.camera.transfer import diffraction_transfer, disc_transfer, line_transfer

_NEGLIGIBLE_PX = 0.25  # blurs below a quarter of a pixel cannot be seen beside the pixel itself


def circle_of_confusion_px(
    f_number, focal_length_mm, focus_distance_m, subject_distance_m, pixel_pitch_um=PIXEL_PITCH_UM
):
    r"""Diameter of the disc into which a thin lens spreads a point out of focus.

    .. math:: c = \frac{f^2}{N (s - f)} \, \frac{|d - s|}{d}

    Parameters
    ----------
    f_number : positive number
        N.
    focal_length_mm : positive number
        f.
    focus_distance_m, subject_distance_m : positive number
        s and d, from the lens, beyond the focal length.
    pixel_pitch_um : positive number

    Returns
    -------
    float
        In pixels; 0 in focus; halves when N doubles.

    Raises
    ------
    ValueError
        If a quantity is not positive or a distance lies within the focal length.

    Notes
    -----
    Chapter 2. S. Ray, Applied Photographic Optics, 3rd edition (2002), chapter 22.
    """
    N, f = float(f_number), float(focal_length_mm)
    s, d = 1e3 * float(focus_distance_m), 1e3 * float(subject_distance_m)
    if not (N > 0 and f > 0 and pixel_pitch_um > 0):
        raise ValueError(
            "f_number, focal_length_mm and pixel_pitch_um must be > 0, "
            f"got {f_number}, {focal_length_mm}, {pixel_pitch_um}"
        )
    if not (s > f and d > f):
        raise ValueError(
            f"distances must exceed the focal length of {f:g} mm, got {s:g} mm and {d:g} mm"
        )
    blur_mm = f**2 / (N * (s - f)) * abs(d - s) / d
    return 1e3 * blur_mm / pixel_pitch_um


def path_px(rate_px_s, reach_px, exposure_time_s):
    r"""Path on the sensor: even at first, bounded by how far a hand or a leaf sways.

    .. math:: \ell = A \left(1 - e^{-v t / A}\right)

    Parameters
    ----------
    rate_px_s : float
        v >= 0.
    reach_px : float
        A > 0.
    exposure_time_s : float
        t > 0.

    Returns
    -------
    float
        In pixels, between 0 and A; v t while that is small.
    """
    return reach_px * -np.expm1(-rate_px_s * float(exposure_time_s) / reach_px)


def image_on_sensor(scene, settings):
    """Blur each layer by its own circle and path, lay them over each other, then shake.

    Parameters
    ----------
    scene : Scene
    settings : Settings

    Returns
    -------
    (3, H, W) float32
        Linear RGB >= 0, 0.18 = what the meter reads. Brightness does not depend on the settings:
        the sensor accounts for t and N.

    Notes
    -----
    Chapter 2. Layers are composed back to front with premultiplied colour: T. Porter and T. Duff,
    Compositing digital images, SIGGRAPH 1984. The picture wraps around at its border, so no light
    is lost there.
    """
    picture = None
    for layer in scene.layers:  # back to front
        transfer = _layer_transfer(layer, scene, settings)
        if picture is None:  # the backdrop covers everything: no need to blur its coverage
            picture = _blur(layer.paint[:3], transfer)
            continue
        paint = _blur(layer.paint, transfer)
        picture = picture * (1 - paint[3]) + paint[:3]
    transfer = diffraction_transfer(settings.f_number, picture.shape[1:])
    path = exposure_path_px(scene.shake_rad_s, scene.shake_reach_rad, 1.0, settings)
    if np.hypot(*path) > _NEGLIGIBLE_PX:
        transfer *= line_transfer(*path, picture.shape[1:])
    return np.maximum(_blur(picture, transfer), 0)


def _layer_transfer(layer, scene, settings):
    """Product of defocus and motion, or None where neither can be seen."""
    shape, transfer = layer.paint.shape[1:], None
    circle = circle_of_confusion_px(
        settings.f_number, settings.focal_length_mm, scene.focus_distance_m, layer.distance_m
    )
    if circle > _NEGLIGIBLE_PX:
        transfer = disc_transfer(circle, shape)
    path = exposure_path_px(layer.velocity_m_s, layer.reach_m, layer.distance_m, settings)
    if np.hypot(*path) > _NEGLIGIBLE_PX:
        line = line_transfer(*path, shape)
        transfer = line if transfer is None else transfer * line
    return transfer


def exposure_path_px(velocity, reach, distance_m, settings):
    """Give the path of something that moves across while the shutter is open.

    Parameters
    ----------
    velocity : (2,) floats
        Down and to the right, in m/s; or a hand's turn in rad/s with a distance of 1 m, because a
        small angle times the focal length is a length on the sensor.
    reach : float
        In m (or rad), > 0.
    distance_m : float
    settings : Settings

    Returns
    -------
    (float, float)
        Down and to the right, in pixels.

    Raises
    ------
    ValueError
        If the reach is not positive.
    """
    if not reach > 0:
        raise ValueError(f"reach must be > 0, got {reach!r}; something that stands has velocity 0")
    px_per_m = 1e3 * float(settings.focal_length_mm) / (PIXEL_PITCH_UM * distance_m)
    speed = float(np.hypot(*velocity))
    if speed == 0:
        return 0.0, 0.0
    length = path_px(speed * px_per_m, reach * px_per_m, settings.exposure_time_s)
    return length * velocity[0] / speed, length * velocity[1] / speed


def _blur(planes, transfer):
    """Convolve (C, H, W) planes; small pictures all at once, large ones plane by plane."""
    if transfer is None:
        return planes
    shape = planes.shape[1:]
    blurred = np.empty(planes.shape, np.float32)
    step = len(planes) if planes[0].size <= 2**20 else 1  # bounds the memory of 20 megapixels
    for k in range(0, len(planes), step):
        spectrum = scipy.fft.rfft2(planes[k : k + step])
        spectrum *= transfer
        blurred[k : k + step] = scipy.fft.irfft2(spectrum, s=shape, overwrite_x=True)
    return blurred
