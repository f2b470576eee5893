"""How fast is the simulated camera? Photographs a second, against a plain one-process reference.

The reference photographs the same scenes the way one would first write it down: kernels drawn on
the pixel grid in float64, one convolution a layer and a channel, Poisson numbers for every pixel.

    python benchmarks/simulate.py [--photographs 400] [--size 256]
"""

import argparse
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import scipy.ndimage
import scipy.signal
from rows import exit_status, row

from pp_lib.camera import auto_exposure, circle_of_confusion_px, make_scene, sensor, simulate
from pp_lib.camera.optics import exposure_path_px, image_on_sensor


def disc_kernel(diameter_px, fine=8):
    half = int(np.ceil(diameter_px / 2)) + 1
    grid = (np.arange((2 * half + 1) * fine) + 0.5) / fine - half - 0.5
    disc = np.hypot(grid[:, None], grid[None, :]) <= diameter_px / 2
    kernel = disc.reshape(2 * half + 1, fine, 2 * half + 1, fine).mean((1, 3))
    return kernel / kernel.sum() if kernel.sum() else np.ones((1, 1))


def line_kernel(dy, dx):
    half = int(np.ceil(max(abs(dy), abs(dx)) / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1))
    for s in np.linspace(-0.5, 0.5, 8 * half + 1):  # spread each point over its four neighbours
        y, x = half + s * dy, half + s * dx
        i, j = int(y), int(x)
        a, b = y - i, x - j
        kernel[i : i + 2, j : j + 2] += np.outer((1 - a, a), (1 - b, b))
    return kernel / kernel.sum()


def convolve(plane, kernel):
    padded = np.pad(plane, kernel.shape[0] // 2, mode="wrap")
    return scipy.signal.fftconvolve(padded, kernel, mode="valid")


def plain_irradiance(scene, settings):
    picture = 0.0
    for layer in scene.layers:
        circle = circle_of_confusion_px(
            settings.f_number, settings.focal_length_mm, scene.focus_distance_m, layer.distance_m
        )
        path = exposure_path_px(layer.velocity_m_s, layer.reach_m, layer.distance_m, settings)
        planes = layer.paint.astype(np.float64)
        for kernel in (disc_kernel(circle), line_kernel(*path)):
            planes = np.stack([convolve(plane, kernel) for plane in planes])
        picture = picture * (1 - planes[3]) + planes[:3]
    # The Airy disc is nearly a Gaussian of 0.42 wavelengths times N; the pixel adds its square.
    sigma_px = 0.42 * 0.55 * float(settings.f_number) / sensor.PIXEL_PITCH_UM
    shake = line_kernel(*exposure_path_px(scene.shake_rad_s, scene.shake_reach_rad, 1.0, settings))
    for plane in picture:
        plane[:] = scipy.ndimage.gaussian_filter(plane, np.hypot(sigma_px, 0.29), mode="wrap")
        plane[:] = convolve(plane, shake)
    return np.maximum(picture, 0)


def plain_photograph(seed, i, size):
    streams = np.random.default_rng([seed, i]).spawn(3)
    scene = make_scene(streams[0], size)
    settings = auto_exposure(
        scene.light_ev100,
        focal_length_mm=scene.focal_length_mm,
        tripod=scene.tripod,
        rng=streams[1],
    )
    irradiance = plain_irradiance(scene, settings)
    q = np.multiply(sensor.SENSITIVITY_RGB, scene.illuminant_rgb)[:, None, None]
    light = 2.0**scene.light_ev100 * float(settings.exposure_time_s / settings.f_number**2)
    mean_e = sensor.bayer(irradiance * q * light * sensor.FULL_WELL_E)
    gain, rng = sensor.gain_dn_per_e(settings.iso), streams[2]
    electrons = rng.poisson(mean_e) + rng.normal(0, sensor.READ_NOISE_E, mean_e.shape)
    counts = electrons * gain + rng.normal(0, sensor.ADC_NOISE_DN, mean_e.shape)
    return np.rint(np.clip(counts + sensor.BLACK_LEVEL, 0, sensor.WHITE_LEVEL)).astype(np.uint16)


def rate(count, take, clock=time.process_time):
    # Process time by default: the ratio then does not depend on what else the machine does.
    start = clock()
    take()
    return count / (clock() - start)


def measure(quick=False, n=400, size=256):
    """Give the benchmark's rows for the table."""
    n, size = (12, 64) if quick else (n, size)
    cores = len(os.sched_getaffinity(0))
    simulate(2, seed=1, size=size, workers=1, progress=False)  # textures, tables
    few = max(n // 10, 10)
    plain = rate(few, lambda: [plain_photograph(0, i, size) for i in range(few)])
    one = rate(n, lambda: simulate(n, size=size, workers=1, progress=False))
    take_all = lambda: simulate(n, size=size, workers=cores, progress=False)  # noqa: E731
    all_cores = rate(n, take_all, clock=time.perf_counter)
    print(f"{n} photographs of {size} x {size} pixels, {cores} cores:")
    print(f"  plain reference, one process  {plain:7.1f} a CPU second")
    print(f"  simulate, one process         {one:7.1f} a CPU second: {one / plain:.1f} x")
    print(f"  simulate, {cores} workers           {all_cores:7.1f} a second, start included")
    scene = make_scene(np.random.default_rng(0), size)
    settings = auto_exposure(10.0, rng=np.random.default_rng(0))
    plain_picture, picture = plain_irradiance(scene, settings), image_on_sensor(scene, settings)
    difference = np.abs(plain_picture - picture).mean() / picture.mean()
    print(f"  mean difference between the two pictures: {100 * difference:.2f} % of the mean")
    return [
        row(
            f"simulate, {size} px, one process",
            "the same scenes against one convolution a layer and a channel, per CPU second",
            ours=one,
            theirs=plain,
            ratio=one / plain,
            unit="photos/s",
        ),
        row(
            f"simulate, {size} px, {cores} processes",
            "their start included",
            ours=all_cores,
            unit="photos/s",
        ),
        row(
            "simulate, its picture against the plain reference's",
            "mean difference over the mean",
            ours=100 * difference,
            unit="%",
        ),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=400)
    parser.add_argument("--size", type=int, default=256)
    options = parser.parse_args()
    return exit_status(measure(n=options.photographs, size=options.size))


if __name__ == "__main__":
    sys.exit(main())
