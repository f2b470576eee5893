"""Take photographs: a scene, a program that chooses the settings, a lens, a sensor.

Chapter 2. `simulate` is the book's source of photographs whose pixels follow from their EXIF.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from pp_lib.camera.exposure import Settings, auto_exposure
from pp_lib.camera.optics import image_on_sensor
from pp_lib.camera.scene import make_scene, picture_shape
from pp_lib.camera.sensor import (
    BLACK_LEVEL,
    SENSITIVITY_RGB,
    WHITE_LEVEL,
    bayer,
    photo_electrons,
    read_out,
)

# A worker costs about as much to start as a process needs for this many photographs.
_FEWEST_FOR_WORKERS = 48


@dataclass(frozen=True, eq=False)
class Photograph:
    """What the camera holds after the shutter has closed.

    Parameters
    ----------
    mosaic : (H, W) uint16
        RGGB, black_level .. white_level.
    settings : Settings
    taken_at : datetime
    light_ev100 : float
        The scene's light level; the settings' own `ev100` differs by the exposure error.
    as_shot_neutral : (3,) floats
        What the channels say to white; white balance divides by it.
    black_level, white_level : int
    seed : tuple of (int, int) or None
        (seed, i) of `simulate`.
    """

    mosaic: np.ndarray
    settings: Settings
    taken_at: datetime
    light_ev100: float
    as_shot_neutral: tuple
    black_level: int = BLACK_LEVEL
    white_level: int = WHITE_LEVEL
    seed: tuple | None = None


def take_photograph(scene, settings, rng, size=None, *, seed=None):
    """Photograph a scene.

    Parameters
    ----------
    scene : Scene
    settings : Settings
    rng : numpy.random.Generator
        For the noise; all else is given by the scene and the settings.
    size : int or (H, W), optional
        Keep only the central part; even, at most the scene's. None keeps all.
    seed : (int, int), optional
        Noted on the photograph.

    Returns
    -------
    Photograph

    Raises
    ------
    ValueError
        If the size is odd or larger than the scene.
    """
    irradiance = image_on_sensor(scene, settings)
    if size is not None:
        irradiance = _centre(irradiance, picture_shape(size))
    neutral = tuple(q * w for q, w in zip(SENSITIVITY_RGB, scene.illuminant_rgb, strict=True))
    mean_e = bayer(photo_electrons(irradiance, settings, scene.light_ev100, neutral))
    mosaic = read_out(mean_e, settings.iso, rng)
    return Photograph(mosaic, settings, scene.taken_at, scene.light_ev100, neutral, seed=seed)


def simulate(n, *, seed=0, size=256, workers=None, progress=True):
    """Take n photographs of n scenes.

    Parameters
    ----------
    n : int
        >= 0.
    seed : int
        >= 0. Photograph i depends only on (seed, i, size): `simulate(10)[:5]` equals
        `simulate(5)`, whatever the number of workers.
    size : int or (H, W)
        Even, at least 32.
    workers : int, optional
        Processes. None: as many as there are cores, and one for a few photographs.
    progress : bool
        Show a progress bar.

    Returns
    -------
    list of Photograph

    Raises
    ------
    ValueError
        If n, seed, size or workers is out of range.
    RuntimeError
        If a worker process dies.
    """
    wanted = 1 if workers is None else workers
    for name, value, least in (("n", n, 0), ("seed", seed, 0), ("workers", wanted, 1)):
        if not isinstance(value, int | np.integer) or value < least:
            raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}")
    shape = picture_shape(size)
    jobs = [(seed, i, shape) for i in range(n)]
    if workers is None:
        workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        workers = workers if n * shape[0] * shape[1] >= _FEWEST_FOR_WORKERS * 256**2 else 1
    bar = _progress_bar(n, progress)
    if workers == 1 or n < 2:
        return list(bar(map(_take_one, jobs)))
    # spawn, not fork: a forked copy of a process with running threads can hang. An executor, not
    # a Pool: if a worker dies it says so, where a Pool waits for ever.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, n), mp_context=context) as executor:
        try:
            return list(bar(executor.map(_take_one, jobs, chunksize=min(8, -(-n // workers)))))
        except BrokenProcessPool as error:
            raise RuntimeError(
                "a worker process ended early. In a script, call simulate under "
                "`if __name__ == '__main__':`, because workers import the script; or there was "
                "too little memory. simulate(..., workers=1) needs no other process"
            ) from error


def _take_one(job):
    seed, i, shape = job
    # Three independent streams: the scene does not change when the program draws once more.
    streams = np.random.default_rng([seed, i]).spawn(3)
    scene = make_scene(streams[0], shape)
    settings = auto_exposure(
        scene.light_ev100,
        focal_length_mm=scene.focal_length_mm,
        tripod=scene.tripod,
        rng=streams[1],
    )
    return take_photograph(scene, settings, streams[2], seed=(int(seed), i))


def _progress_bar(n, progress):
    from tqdm.auto import tqdm  # not at import: `import pp_lib.camera` is NumPy and SciPy only

    return lambda jobs: tqdm(jobs, total=n, desc="simulate", unit="photo", disable=not progress)


def _centre(planes, shape):
    (height, width), (rows, columns) = planes.shape[1:], shape
    if rows > height or columns > width:
        raise ValueError(f"size must be at most the scene's {(height, width)}, got {shape}")
    # Even offsets keep the corner of the crop on a red pixel's neighbours the same way.
    top, left = (height - rows) // 4 * 2, (width - columns) // 4 * 2
    return planes[:, top : top + rows, left : left + columns]
