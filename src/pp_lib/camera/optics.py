r"""The lens: from a scene's layers to the light that falls on the sensor.

Chapter 2. Three blurs, each an integral of the light over a little figure: the circle of
confusion of what is out of focus, the line along which something moves while the shutter is open,
and the Airy disc by which a small aperture spreads even a perfect point. In the frequency domain
each is a product with a known transfer function, exact to a fraction of a pixel.
"""

from functools import lru_cache

import numpy as np
import scipy.fft
import scipy.special

from pp_lib.camera.sensor import PIXEL_PITCH_UM

WAVELENGTH_UM = 0.55  # green, where the eye and the sensor see best
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


def disc_transfer(diameter_px, shape):
    r"""Transfer function of an evenly filled disc: :math:`2 J_1(\pi c \rho) / (\pi c \rho)`.

    Parameters
    ----------
    diameter_px : float
        c >= 0.
    shape : (H, W)

    Returns
    -------
    (H, W // 2 + 1) float32
        Over the frequencies of `scipy.fft.rfft2`; 1 at frequency 0, so no light is lost.
    """
    radius, bins = _radial_frequencies(tuple(shape))
    x = np.pi * diameter_px * radius
    x[0] = 1.0
    profile = 2 * scipy.special.j1(x) / x
    profile[0] = 1.0
    return profile.astype(np.float32)[bins]


def diffraction_transfer(f_number, shape, pixel_pitch_um=PIXEL_PITCH_UM):
    r"""Transfer function of a round aperture and of the square pixel behind it.

    .. math:: \frac{2}{\pi}\left(\arccos\nu - \nu\sqrt{1 - \nu^2}\right), \quad
        \nu = \lambda N \rho / p

    Parameters
    ----------
    f_number : positive number
        N: the blur grows with it, about 1.3 pixels at f/11, 2.6 at f/22.
    shape : (H, W)
    pixel_pitch_um : positive number
        p.

    Returns
    -------
    (H, W // 2 + 1) float32

    Notes
    -----
    Chapter 2. J. Goodman, Introduction to Fourier Optics, section 6.3.
    """
    radius, bins = _radial_frequencies(tuple(shape))
    nu = np.minimum(radius * WAVELENGTH_UM * float(f_number) / pixel_pitch_um, 1.0)
    profile = 2 / np.pi * (np.arccos(nu) - nu * np.sqrt(1 - nu**2))
    fy, fx = _frequencies(tuple(shape))
    return profile.astype(np.float32)[bins] * np.sinc(fy) * np.sinc(fx)


def line_transfer(dy_px, dx_px, shape):
    r"""Transfer function of a straight motion: :math:`\operatorname{sinc}(f_y d_y + f_x d_x)`.

    Parameters
    ----------
    dy_px, dx_px : float
        The path on the sensor while the shutter is open.
    shape : (H, W)

    Returns
    -------
    (H, W // 2 + 1) float32
    """
    fy, fx = _frequencies(tuple(shape))
    return np.sinc(fy * np.float32(dy_px) + fx * np.float32(dx_px))


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
        paint = _blur(layer.paint, _layer_transfer(layer, scene, settings))
        picture = paint[:3] if picture is None else picture * (1 - paint[3]) + paint[:3]
    transfer = diffraction_transfer(settings.f_number, picture.shape[1:])
    path = _path(scene.shake_rad_s, scene.shake_reach_rad, 1.0, settings)
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
    path = _path(layer.velocity_m_s, layer.reach_m, layer.distance_m, settings)
    if np.hypot(*path) > _NEGLIGIBLE_PX:
        line = line_transfer(*path, shape)
        transfer = line if transfer is None else transfer * line
    return transfer


def _path(velocity, reach, distance_m, settings):
    """(dy, dx) in pixels of something moving across; angles are distances at 1 m."""
    # A small angle in radians times the focal length is a length on the sensor.
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


@lru_cache(maxsize=4)
def _frequencies(shape):
    """Frequencies fy (H, 1) and fx (1, W // 2 + 1) float32, in cycles a pixel."""
    fy = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    return fy, np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]


@lru_cache(maxsize=4)
def _radial_frequencies(shape):
    """Fine grid of radial frequencies, and for each 2-D frequency its place in it.

    A table, because Bessel functions and arc cosines of every frequency would cost more than the
    Fourier transforms; the grid is 16 times finer than the transform's own.
    """
    fy, fx = _frequencies(shape)
    count = 16 * max(shape)
    bins = np.rint(np.hypot(fy, fx) * np.float32((count - 1) / np.sqrt(0.5))).astype(np.int32)
    return np.linspace(0, np.sqrt(0.5), count), bins
