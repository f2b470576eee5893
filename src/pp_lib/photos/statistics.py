"""Thirty statistics of a photograph that a person would think of: noise, sharpness, smear.

A yardstick beside the network: what do they say about aperture, ISO and shutter (chapter 17)?
"""

import numpy as np

_BLOCK = 16  # pixels; large enough for a noise estimate, small enough to find flat places
_LEAST = 1e-3  # below any noise that 8 bits can hold; keeps logarithms finite
_BANDS = (0.03, 0.06, 0.12, 0.2, 0.3, 0.4, 0.5)  # cycles a pixel
_DIRECTIONS = ((0, 1), (1, 2), (1, 1), (2, 1), (1, 0), (2, -1), (1, -1), (1, -2))

STATISTIC_NAMES = (
    *("brightness", "contrast", "share_clipped", "share_black", "saturation"),
    *("noise", "noise_flat", "noise_flat_dark", "noise_flat_bright", "noise_chroma_flat"),
    *("laplacian_p50", "laplacian_p90", "laplacian_p99", "laplacian_variance"),
    *("gradient_p90", "gradient_p99", "step_ratio_2", "step_ratio_4"),
    *("sharpness_least", "sharpness_median", "sharpness_most"),
    *("anisotropy_1", "anisotropy_3", "anisotropy_block"),
    *("power_band_1", "power_band_2", "power_band_3", "power_band_4", "power_band_5"),
    "power_anisotropy",
)


def hand_made_statistics(image):
    """Measure a developed photograph.

    Parameters
    ----------
    image : (H, W, 3) uint8
        sRGB, H and W at least 48.

    Returns
    -------
    (30,) float64
        In the order of `STATISTIC_NAMES`; finite. Amplitudes are natural logarithms of 8-bit
        levels, powers are logarithms relative to the lowest band.

    Raises
    ------
    ValueError
        If the image is not (H, W, 3) uint8 or too small.

    Notes
    -----
    Chapter 17. The noise filter is J. Immerkaer's, Fast noise variance estimation, CVIU 64(2),
    1996; the variance of the Laplacian as a measure of focus is S. Pertuz et al., Analysis of
    focus measure operators, Pattern Recognition 46(5), 2013.
    """
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(f"image must be (H, W, 3) uint8, got {image.dtype} {image.shape}")
    if min(image.shape[:2]) < 3 * _BLOCK:
        raise ValueError(
            f"image must be at least {3 * _BLOCK} pixels high and wide, got {image.shape}"
        )
    rgb = image.astype(np.float32)
    luma = rgb @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    return np.array(
        [
            *_tones(rgb, luma),
            *_noise(rgb, luma),
            *_sharpness(luma),
            *_block_sharpness(luma),
            *_anisotropy(luma),
            *_spectrum(luma),
        ],
        dtype=np.float64,
    )


def _log(x):
    return np.log(np.maximum(x, _LEAST))


def _tones(rgb, luma):
    spread = rgb.max(2) - rgb.min(2)
    return luma.mean(), luma.std(), (rgb >= 254).mean(), (luma <= 3).mean(), spread.mean()


def _noise_filter(plane):
    """Second differences along both axes: blind to slopes and to edges along an axis."""
    rows = plane[:-2] - 2 * plane[1:-1] + plane[2:]
    return (rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]) / 6  # unit gain for white noise


def _blocks(plane):
    """Cut (H, W) into (number of blocks, pixels a block)."""
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    cut = plane[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    return cut.swapaxes(1, 2).reshape(rows * columns, _BLOCK * _BLOCK)


def _noise(rgb, luma):
    response = np.abs(_noise_filter(luma))
    per_block = _blocks(response).mean(1)
    level = _blocks(luma[1:-1, 1:-1]).mean(1)
    dark = level <= np.median(level)
    chroma = np.abs(_noise_filter(rgb[..., 0] - rgb[..., 1]))
    return (
        _log(np.median(response)),
        _log(np.percentile(per_block, 10)),
        _log(np.percentile(per_block[dark], 15)),
        _log(np.percentile(per_block[~dark], 15) if not dark.all() else 0.0),
        _log(np.percentile(_blocks(chroma).mean(1), 10)),
    )


def _step(luma, dy, dx):
    """Mean absolute difference between pixels a step apart."""
    height, width = luma.shape
    near = luma[: height - dy, max(0, -dx) : width - max(0, dx)]
    return np.abs(luma[dy:, max(0, dx) : width + min(0, dx)] - near)


def _sharpness(luma):
    laplacian = np.abs(
        luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    )
    gradient = np.hypot(luma[2:, 1:-1] - luma[:-2, 1:-1], luma[1:-1, 2:] - luma[1:-1, :-2]) / 2
    steps = [_log((_step(luma, k, 0).mean() + _step(luma, 0, k).mean()) / 2) for k in (1, 2, 4)]
    return (
        *_log(np.percentile(laplacian, (50, 90, 99))),
        _log((laplacian**2).mean()),
        *_log(np.percentile(gradient, (90, 99))),
        steps[1] - steps[0],
        steps[2] - steps[0],
    )


def _block_sharpness(luma):
    """Fine detail beside coarse detail, block by block: from the blurriest to the sharpest."""
    fine = _blocks(np.hypot(_step(luma, 1, 0)[:, :-1], _step(luma, 0, 1)[:-1])).mean(1)
    coarse = _blocks(luma).std(1)[: len(fine)] if len(fine) else fine
    ratio = _log(fine + 0.1) - _log(coarse + 1.0)
    return np.percentile(ratio, (5, 50, 95))


def _anisotropy(luma):
    """How much the steepness differs between directions: motion smooths along its path."""
    result = []
    for scale in (1, 3):
        # Sums of second moments: steps of different length would not compare.
        gy = luma[2 * scale :, scale:-scale] - luma[: -2 * scale, scale:-scale]
        gx = luma[scale:-scale, 2 * scale :] - luma[scale:-scale, : -2 * scale]
        result.append(_coherence((gy * gy).mean(), (gx * gx).mean(), (gx * gy).mean()))
    moments = [_blocks(m).mean(1) for m in (gy * gy, gx * gx, gx * gy)]
    weight = moments[0] + moments[1] + 1.0
    result.append((_coherence(*moments) * weight).sum() / weight.sum())
    return result


def _coherence(yy, xx, xy):
    """Difference of the structure tensor's eigenvalues over their sum, 0 .. 1."""
    return np.sqrt((xx - yy) ** 2 + 4 * xy**2) / (xx + yy + _LEAST)


def _spectrum(luma):
    window = np.hanning(luma.shape[0])[:, None] * np.hanning(luma.shape[1])[None, :]
    power = np.abs(np.fft.fft2((luma - luma.mean()) * window)) ** 2
    fy, fx = np.fft.fftfreq(luma.shape[0])[:, None], np.fft.fftfreq(luma.shape[1])[None, :]
    radius = np.hypot(fy, fx)
    bands = [
        _log(power[(radius >= low) & (radius < high)].mean())
        for low, high in zip(_BANDS[:-1], _BANDS[1:], strict=True)
    ]
    middle = (radius > 0.06) & (radius < 0.25)
    sector = np.floor(np.arctan2(fy, fx) / np.pi * 8).astype(int) % 8
    # Logarithms, or a single strong stripe would speak for its whole sector.
    by_sector = [_log(power[middle & (sector == k)]).mean() for k in range(8)]
    return (*(band - bands[0] for band in bands[1:]), max(by_sector) - min(by_sector))
