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
