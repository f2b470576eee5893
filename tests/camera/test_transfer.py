"""Blurs in the frequency domain against moments, published values and kernels drawn by hand."""

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from pp_lib.camera.transfer import diffraction_transfer, disc_transfer, line_transfer

# float32 arithmetic over 64 x 64 frequencies
FLOAT32_ROUNDING = 2e-5
even = st.integers(16, 40).map(lambda half: 2 * half)


def kernel_of(transfer, shape):
    return np.fft.fftshift(scipy.fft.irfft2(transfer, s=shape))


@given(height=even, width=even, diameter=st.floats(0, 20), dy=st.floats(-9, 9), dx=st.floats(-9, 9))
def test_no_blur_gains_or_loses_light(height, width, diameter, dy, dx):
    shape = (height, width)
    for transfer in (
        disc_transfer(diameter, shape),
        line_transfer(dy, dx, shape),
        diffraction_transfer(1 + diameter, shape),
    ):
        assert transfer.dtype == np.float32
        assert transfer.shape == (height, width // 2 + 1)
        assert kernel_of(transfer, shape).sum() == pytest.approx(1, abs=FLOAT32_ROUNDING)


def curvature_at_zero(transfer, shape):
    """Variances along y and x, from the transfer's second derivative at frequency 0."""
    n_y, n_x = shape
    return [
        (1 - transfer[1, 0]) * n_y**2 / (2 * np.pi**2),
        (1 - transfer[0, 1]) * n_x**2 / (2 * np.pi**2),
    ]


@pytest.mark.parametrize("diameter", [3.0, 7.5, 14.0])
def test_disc_has_the_spread_of_an_even_disc(diameter):
    shape = (512, 512)
    for variance in curvature_at_zero(disc_transfer(diameter, shape), shape):
        # An even disc has variance c^2 / 16 along an axis; the series' next term is < 1 % here.
        assert variance == pytest.approx(diameter**2 / 16, rel=0.01)


def test_line_has_the_spread_of_an_even_line_along_its_path_only():
    shape = (512, 512)
    along, across = curvature_at_zero(line_transfer(12.0, 0.0, shape), shape)
    assert along == pytest.approx(12.0**2 / 12, rel=0.01)
    assert across == pytest.approx(0, abs=1e-3)


def test_disc_agrees_with_a_kernel_drawn_on_the_pixels():
    rng = np.random.default_rng(0)
    smooth = scipy.ndimage.gaussian_filter(rng.standard_normal((96, 96)), 2, mode="wrap")
    diameter, fine = 9.0, 16
    grid = (np.arange(13 * fine) + 0.5) / fine - 6.5
    disc = np.hypot(grid[:, None], grid[None, :]) <= diameter / 2
    kernel = disc.reshape(13, fine, 13, fine).mean((1, 3))
    drawn = scipy.ndimage.convolve(smooth, kernel / kernel.sum(), mode="wrap")
    spectrum = scipy.fft.rfft2(smooth) * disc_transfer(diameter, smooth.shape)
    ours = scipy.fft.irfft2(spectrum, s=smooth.shape)
    # Drawing on pixels adds a pixel's own blur: 1 % for structures of some five pixels.
    assert np.abs(ours - drawn).max() < 0.02 * np.abs(drawn).max()


def test_line_agrees_with_a_running_mean():
    rng = np.random.default_rng(0)
    smooth = scipy.ndimage.gaussian_filter(rng.standard_normal((64, 96)), 2, mode="wrap")
    spectrum = scipy.fft.rfft2(smooth) * line_transfer(0.0, 9.0, smooth.shape)
    ours = scipy.fft.irfft2(spectrum, s=smooth.shape)
    mean = scipy.ndimage.uniform_filter1d(smooth, 9, axis=1, mode="wrap")
    assert np.abs(ours - mean).max() < 0.02 * np.abs(mean).max()


def test_diffraction_has_the_published_modulation():
    # Goodman's table: at half the cut-off frequency 1 / (wavelength N) a perfect lens keeps 0.391.
    pitch_um, N, n = 1.0, 10.0, 512
    transfer = diffraction_transfer(N, (n, n), pitch_um)
    half_cutoff = 0.5 / (0.55 * N)  # cycles a micrometre = cycles a pixel
    k = half_cutoff * n
    low, high = int(k), int(k) + 1
    pixel = np.sinc(half_cutoff)  # the pixel's own share
    value = np.interp(k, [low, high], transfer[0, [low, high]]) / pixel
    assert value == pytest.approx(0.391, abs=0.002)
    beyond = int(1.1 * 2 * half_cutoff * n)
    assert transfer[0, beyond] == pytest.approx(0, abs=1e-6)
