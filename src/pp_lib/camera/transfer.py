r"""Transfer functions: what a blur does to each spatial frequency.

Chapter 2. A blur is an integral of the light over a little figure (a disc, a line, a pixel), and in
the frequency domain a product. These products are exact to a fraction of a pixel, and 1 at
frequency 0: no light is lost.
"""

from functools import lru_cache

import numpy as np
import scipy.special

from pp_lib.camera.sensor import PIXEL_PITCH_UM

WAVELENGTH_UM = 0.55  # green, where the eye and the sensor see best


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
    x = np.pi * diameter_px * _radii(tuple(shape))
    small = x < 1e-6  # where the limit 1 - x^2 / 8 is 1 to the last bit
    x[small] = 1.0
    profile = 2 * scipy.special.j1(x) / x
    profile[small] = 1.0
    return _spun(profile, tuple(shape))


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
    nu = np.minimum(_radii(tuple(shape)) * WAVELENGTH_UM * float(f_number) / pixel_pitch_um, 1.0)
    profile = 2 / np.pi * (np.arccos(nu) - nu * np.sqrt(1 - nu**2))
    fy, fx = _frequencies(tuple(shape))
    return _spun(profile, tuple(shape)) * np.sinc(fy) * np.sinc(fx)


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


@lru_cache(maxsize=4)
def _frequencies(shape):
    """Frequencies fy (H, 1) and fx (1, W // 2 + 1) float32, in cycles a pixel."""
    fy = np.fft.fftfreq(shape[0]).astype(np.float32)[:, None]
    return fy, np.fft.rfftfreq(shape[1]).astype(np.float32)[None, :]


def _radii(shape):
    """Radial frequencies at which profiles are tabulated: eight for each of the transform's.

    A table, because Bessel functions and arc cosines of every frequency would cost more than the
    Fourier transforms. Between its entries a straight line errs by less than 1e-4 for discs of up
    to 30 pixels.
    """
    count = 6 * max(shape) + 2  # up to sqrt(1/2), the corner of the frequency plane
    return np.arange(count) / (8 * max(shape))


def _spun(profile, shape):
    """Turn a profile over `_radii` into (H, W // 2 + 1) float32."""
    below, fraction = _places(shape)
    profile = profile.astype(np.float32)
    return profile[below] + fraction * np.diff(profile)[below]


@lru_cache(maxsize=4)
def _places(shape):
    """For each frequency, the table's entry below it and how far it lies towards the next."""
    fy, fx = _frequencies(shape)
    place = np.hypot(fy, fx) * np.float32(8 * max(shape))
    below = place.astype(np.int32)
    return below, place - below.astype(np.float32)
