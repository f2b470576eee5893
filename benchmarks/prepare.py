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
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from rows import exit_status, row

HEIGHT, WIDTH = 3648, 5472
CLAIM = 10


def write_large(path, height, width):
    from pp_lib.camera import simulate, write_dng

    side = min(1024, height)
    photograph = simulate(1, seed=0, size=side, workers=1, progress=False)[0]
    repeats = (-(-height // side), -(-width // side))
    mosaic = np.tile(photograph.mosaic, repeats)[:height, :width]
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


def timed(function, *args):
    """Give (wall time, processor time) in s; the second is summed over threads."""
    wall, processor = time.perf_counter(), time.process_time()
    function(*args)
    return np.array([time.perf_counter() - wall, time.process_time() - processor])


def measure(quick=False, copies=12, workers=2, rounds=3):
    """Give the benchmark's rows for the table."""
    copies, rounds = (3, 1) if quick else (copies, rounds)
    height, width = (512, 768) if quick else (HEIGHT, WIDTH)
    with tempfile.TemporaryDirectory() as base:
        folder, out = Path(base, "photos"), Path(base, "out")
        folder.mkdir()
        write_large(folder / "00.dng", height, width)
        for i in range(1, copies):
            shutil.copyfile(folder / "00.dng", folder / f"{i:02d}.dng")
        paths = sorted(folder.iterdir())
        prepared(folder, out, len(paths), workers)  # imports, page cache
        ahd, ours = [], []
        for _ in range(rounds):
            ahd.append(timed(full_size_ahd, paths[:3]) / 3)
            ours.append(timed(prepared, folder, out, len(paths), workers) / len(paths))
    ahd, ours = np.min(ahd, axis=0), np.min(ours, axis=0)
    for name, (wall_s, processor_s) in (
        ("full-size AHD, one thread", ahd),
        (f"prepare(size=256), {workers} threads", ours),
    ):
        print(
            f"{name:30s} {1000 * wall_s:7.1f} ms a photograph ({1 / wall_s:5.2f} a second), "
            f"{1000 * processor_s:7.1f} ms of processor time"
        )
    print(f"ratio: {ahd[0] / ours[0]:.1f} (claim: at least {CLAIM})")
    of_processor = workers * ahd[1] / ours[1]
    print(f"ratio of processor times, once for each thread: {of_processor:.1f}")
    return [
        row(
            f"prepare, a RAW file of {height * width / 1e6:.0f} megapixels, {workers} threads",
            "to label and picture, against the notes' full-size development alone, in one thread",
            ours=1000 * ours[0],
            theirs=1000 * ahd[0],
            ratio=ahd[0] / ours[0],
            unit="ms",
            at_least=CLAIM,
        )
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=12)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    return exit_status(
        measure(copies=options.copies, workers=options.workers, rounds=options.rounds)
    )


if __name__ == "__main__":
    sys.exit(main())
