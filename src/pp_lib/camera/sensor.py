"""The sensor: from light to photons, from photons to 14-bit numbers behind a Bayer filter.

Chapter 2. A pixel counts electrons; counting is Poisson, so the signal carries its own noise.
"""

import numpy as np

PIXEL_PITCH_UM = 4.3  # an APS-C sensor with 20 megapixels
FULL_WELL_E = 36_000  # electrons that fill the 14-bit range at ISO 100
BLACK_LEVEL, WHITE_LEVEL = 512, 16_383
READ_NOISE_E = 2.5  # before the amplifier, so ISO lifts it
ADC_NOISE_DN = 2.0  # behind the amplifier, so ISO does not
# Green catches most light; white balance divides by these, which lifts red's and blue's noise.
SENSITIVITY_RGB = (0.6, 1.0, 0.75)
# Above this mean the Poisson distribution is drawn as a Gaussian: its skewness, 1/sqrt(64), is
# then at most 1/8 and lost beside read noise and rounding.
GAUSSIAN_ABOVE_E = 64.0


def gain_dn_per_e(iso):
    """Numbers that one electron is worth: ISO is only an amplifier.

    Parameters
    ----------
    iso : positive number

    Returns
    -------
    float
        In DN (14-bit counts) an electron; proportional to ISO.
    """
    return (WHITE_LEVEL - BLACK_LEVEL) / FULL_WELL_E * iso / 100


def photo_electrons(irradiance, settings, light_ev100, neutral=SENSITIVITY_RGB):
    r"""Mean number of electrons a pixel collects.

    .. math:: \mu = e_\text{full}\, q_c\, r\, 2^{EV_\text{light}}\, t / N^2

    Parameters
    ----------
    irradiance : (3, H, W) float32
        The picture on the sensor, 0.18 = what the meter read, 1.0 saturates green at the right
        exposure.
    settings : Settings
        ISO plays no part: it does not change the light.
    light_ev100 : float
        Light level in stops.
    neutral : (3,) floats
        What the channels say to white, relative to green = 1.

    Returns
    -------
    (3, H, W) float32
        Mean electrons, >= 0. Doubling t, or dividing N by sqrt(2), doubles them.
    """
    t, N = float(settings.exposure_time_s), float(settings.f_number)
    scale = FULL_WELL_E * 2.0**light_ev100 * t / N**2
    return irradiance * (scale * np.asarray(neutral, np.float32))[:, None, None].astype(np.float32)


def bayer(rgb):
    """Keep one colour a pixel: red and green in even rows, green and blue in odd ones.

    Parameters
    ----------
    rgb : (3, H, W) array
        H and W even.

    Returns
    -------
    (H, W) array
        RGGB mosaic.

    Raises
    ------
    ValueError
        If the shape is not (3, even, even).
    """
    if rgb.ndim != 3 or rgb.shape[0] != 3 or rgb.shape[1] % 2 or rgb.shape[2] % 2:
        raise ValueError(f"rgb must be (3, H, W) with even H and W, got {rgb.shape}")
    mosaic = rgb[1].copy()
    mosaic[0::2, 0::2] = rgb[0, 0::2, 0::2]
    mosaic[1::2, 1::2] = rgb[2, 1::2, 1::2]
    return mosaic


def read_out(mean_e, iso, rng):
    """Count photons, amplify, add read noise, clip, round.

    Parameters
    ----------
    mean_e : (H, W) float32
        Mean electrons a pixel, >= 0.
    iso : positive number
    rng : numpy.random.Generator

    Returns
    -------
    (H, W) uint16
        0 .. WHITE_LEVEL; darkness is BLACK_LEVEL. Variance in electrons = mean + read noise
        squared (+ rounding).

    Notes
    -----
    Chapter 2. A. El Gamal and H. Eltoukhy, CMOS image sensors, IEEE Circuits and Devices
    Magazine 21(3), 2005.
    """
    mean_e = np.asarray(mean_e, np.float32)
    gain = gain_dn_per_e(iso)
    read_variance_e2 = READ_NOISE_E**2 + (ADC_NOISE_DN / gain) ** 2
    few = mean_e < GAUSSIAN_ABOVE_E
    # Two independent Gaussians add up to one of the summed variance: one draw serves both.
    variance = np.where(few, np.float32(0), mean_e) + np.float32(read_variance_e2)
    electrons = rng.standard_normal(mean_e.shape, dtype=np.float32)
    electrons *= np.sqrt(variance, out=variance)
    electrons += mean_e
    if few.any():
        mean_few = mean_e[few]
        electrons[few] += rng.poisson(mean_few) - mean_few
    electrons *= np.float32(gain)
    electrons += np.float32(BLACK_LEVEL + 0.5)  # truncation then rounds
    return np.clip(electrons, 0, WHITE_LEVEL, out=electrons).astype(np.uint16)
