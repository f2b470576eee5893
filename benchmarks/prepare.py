"""Images a second of `prepare`, against full-size AHD development in one thread, in one run.

    python benchmarks/prepare.py [--copies 12] [--workers 2] [--rounds 3]

The photographs are copies of one 20-megapixel DNG that the simulated camera's `write_dng` writes
(5472 x 3648; a simulated mosaic of 1024 x 1024, tiled, because speed does not depend on the scene).
Both sides read the same files from the same, warm page cache. The sides take turns, and the best
round of each counts, since whatever else the machine does can only slow a round down. Processor
time is printed beside it: on a machine that others keep busy, two threads do not get two cores.
"""

import os

# LibRaw has OpenMP inside; "one thread" must be one, and `prepare` brings its own threads
os.environ["OMP_NUM_THREADS"] = "1"

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

HEIGHT, WIDTH = 3648, 5472
CLAIM = 10


def write_20_megapixels(path):
    from pp_lib.camera import simulate, write_dng

    photograph = simulate(1, seed=0, size=1024, workers=1, progress=False)[0]
    repeats = (-(-HEIGHT // 1024), -(-WIDTH // 1024))
    mosaic = np.tile(photograph.mosaic, repeats)[:HEIGHT, :WIDTH]
    write_dng(path, replace(photograph, mosaic=np.ascontiguousarray(mosaic)))


def full_size_ahd(paths):
    """Develop every pixel by AHD in this thread: what a straightforward script does."""
    import rawpy

    for path in paths:
        with rawpy.imread(str(path)) as raw:
            raw.postprocess(use_camera_wb=True, no_auto_bright=True)


def prepared(folder, out, n, workers):
    from pp_lib.photos import prepare

    shutil.rmtree(out, ignore_errors=True)
    report = prepare(folder, out, size=256, workers=workers, progress=False)
    if report.usable != n:
        raise RuntimeError(f"expected {n} usable photographs: {report}")


def measure(function, *args):
    """Give (wall time, processor time) in s; the second is summed over threads."""
    wall, processor = time.perf_counter(), time.process_time()
    function(*args)
    return np.array([time.perf_counter() - wall, time.process_time() - processor])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as base:
        folder, out = Path(base, "photos"), Path(base, "out")
        folder.mkdir()
        write_20_megapixels(folder / "00.dng")
        for i in range(1, options.copies):
            shutil.copyfile(folder / "00.dng", folder / f"{i:02d}.dng")
        paths = sorted(folder.iterdir())
        prepared(folder, out, len(paths), options.workers)  # imports, page cache
        ahd, ours = [], []
        for _ in range(options.rounds):
            ahd.append(measure(full_size_ahd, paths[:3]) / 3)
            ours.append(measure(prepared, folder, out, len(paths), options.workers) / len(paths))
    ahd, ours = np.min(ahd, axis=0), np.min(ours, axis=0)
    for name, (wall_s, processor_s) in (
        ("full-size AHD, one thread", ahd),
        (f"prepare(size=256), {options.workers} threads", ours),
    ):
        print(
            f"{name:30s} {1000 * wall_s:7.1f} ms a photograph ({1 / wall_s:5.2f} a second), "
            f"{1000 * processor_s:7.1f} ms of processor time"
        )
    print(f"ratio: {ahd[0] / ours[0]:.1f} (claim: at least {CLAIM})")
    print(
        f"ratio of processor times, once for each thread: {options.workers * ahd[1] / ours[1]:.1f}"
    )


if __name__ == "__main__":
    main()
