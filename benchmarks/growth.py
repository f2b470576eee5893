"""Does the work grow in proportion, and does the memory stay? 1,000, 3,000, 10,000 photographs.

    python benchmarks/growth.py [--sizes 1000 3000 10000] [--workers 2]

Photographs of 128 pixels are simulated, written as DNG, and prepared. `simulate` gives a list, so
it is asked for 25 at a time, under another seed each time: as many as that are in memory at once.
The larger sets hold the smaller ones. `prepare` runs for each size in a process of its own, on a
new folder, twice, and the quicker one counts: what else a computer does can only slow it down.
Memory is the largest that a process ever held (VmHWM of Linux). The line through the processors'
time against number is that of least squares of relative distances, because the noise of a long time
is longer too; it is printed with how far off the worst is.
From the largest size the table goes on to 10^5 and 10^7 by multiplication, which is no measurement.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rows import Absent, exit_status, row

SIZE = 128
AT_ONCE = 25
SIZES = (1000, 3000, 10_000)
BEYOND = (100_000, 10_000_000)
MOST_DRIFT = 1.25  # time per photograph at the largest size, over that at the smallest
MOST_GROWTH = 1.5  # memory, likewise
MOST_OFF = 10  # % of a point's time
ROUNDS = 2  # of prepare, the quicker counts


def peak_mib():
    """Give the most memory that this process ever held, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


def take(folder, number, count):
    """Simulate one lot, write it, and give the worker's peak memory and its processor's time."""
    from pp_lib.camera import simulate, write_dng

    start = time.process_time()
    for i, photograph in enumerate(
        simulate(count, seed=number, size=SIZE, workers=1, progress=False)
    ):
        write_dng(Path(folder, f"{number:06d}_{i:02d}.dng"), photograph)
    return peak_mib(), time.process_time() - start


def simulated(base, sizes, workers):
    """Fill a folder for each size, the earlier ones' photographs linked.

    Gives for each size (seconds, seconds of processors, largest worker's MiB), of all so far.
    """
    found, before, spent, of_processors = [], 0, 0.0, 0.0
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(take, [str(base)] * workers, range(workers), [0] * workers))  # imports
        for size in sizes:
            folder = base / str(size)
            folder.mkdir()
            for path in sorted((base / str(before)).glob("*")) if before else ():
                os.link(path, folder / path.name)
            lots = range(before // AT_ONCE, -(-size // AT_ONCE))
            counts = [min(AT_ONCE, size - AT_ONCE * lot) for lot in lots]
            start = time.perf_counter()
            peaks, seconds = zip(
                *pool.map(take, [str(folder)] * len(lots), lots, counts), strict=True
            )
            spent += time.perf_counter() - start
            of_processors += sum(seconds)
            found.append((spent, of_processors, max(peaks)))
            before = size
    return found


def prepared_apart(folder, out, workers):
    """Prepare in processes of their own; give (seconds, seconds of processors, MiB)."""
    rounds = []
    for k in range(ROUNDS):
        command = [sys.executable, __file__, "--prepare", str(folder), f"{out}-{k}", "--workers"]
        run = subprocess.run(
            [*command, str(workers)], stdout=subprocess.PIPE, text=True, check=True
        )
        rounds.append(json.loads(run.stdout))
    walls, seconds, mib = zip(*rounds, strict=True)
    return min(walls), min(seconds), max(mib)


def prepare_here(folder, out, workers):
    from pp_lib.photos import prepare

    folder, n = Path(folder), len(os.listdir(folder))
    start = time.perf_counter(), time.process_time()
    report = prepare(folder, out, size=SIZE, workers=workers, progress=False)
    seconds = time.perf_counter() - start[0], time.process_time() - start[1]
    if report.usable != n:
        raise RuntimeError(f"expected {n} usable photographs: {report}")
    return *seconds, peak_mib()


def growth(sizes, workers):
    """Give rows (n, three numbers of `simulated`, three of `prepared_apart`)."""
    if list(sizes) != sorted(set(sizes)) or any(n % AT_ONCE for n in sizes[:-1]):
        raise ValueError(f"sizes must rise, in multiples of {AT_ONCE}; got {sizes}")
    with tempfile.TemporaryDirectory() as base:
        base = Path(base)
        rows = []
        for n, taken in zip(sizes, simulated(base, sizes, workers), strict=True):
            rows.append((n, *taken, *prepared_apart(base / str(n), base / f"out{n}", workers)))
            print(said(rows[-1]), flush=True)
    return rows


def said(row):
    n, *numbers = row
    texts = [f"{n:>8,} photographs"]
    for name, (wall_s, processor_s, mib) in (
        ("simulate", numbers[:3]),
        ("prepare", numbers[3:]),
    ):
        texts.append(
            f"{name} {1000 * wall_s / n:.1f} ms each ({1000 * processor_s / n:.1f} of processor "
            f"time), {mib:.0f} MiB a process"
        )
    return "; ".join(texts)


def line(numbers, seconds):
    """Fit seconds = fixed + each * n; give (fixed, each, largest residual over the time there)."""
    each, fixed = np.polyfit(numbers, seconds, 1, w=1 / np.asarray(seconds))
    off = np.abs(np.polyval([each, fixed], numbers) - seconds) / seconds
    return fixed, each, off.max()


def measure(quick=False, sizes=None, workers=None):
    """Give the benchmark's rows for the table."""
    if not Path("/proc/self/status").is_file():
        raise Absent("the peak of memory is read from /proc/self/status, which Linux has")
    sizes = sizes or ((25, 50) if quick else SIZES)
    workers = workers or len(os.sched_getaffinity(0))
    found = growth(sizes, workers)
    columns = np.array(found, dtype=float).T
    numbers, rows = columns[0], []
    for name, (wall_s, seconds, mib) in (
        (f"simulate {SIZE} px, write DNG", columns[1:4]),
        (f"prepare {SIZE} px", columns[4:]),
    ):
        # the processors' time: what else the machine does has no part in it
        fixed, each, off = line(numbers, seconds)
        each_ms = 1000 * seconds / numbers
        print(
            f"{name}, processor time: {fixed:+.1f} s and {1000 * each:.2f} ms a photograph; off "
            f"the line by {100 * off:.1f} % at the most"
        )
        span = f"{sizes[0]:,} to {sizes[-1]:,} photographs"
        for what, unit, first, last, target in (
            ("processor time for each", "ms", each_ms[0], each_ms[-1], MOST_DRIFT),
            ("peak memory", "MiB", mib[0], mib[-1], MOST_GROWTH),
        ):
            rows.append(
                row(
                    f"{name}, {span}: {what}",
                    "at the largest number over that at the smallest",
                    ours=last,
                    theirs=first,
                    ratio=last / first,
                    unit=unit,
                    at_most=target,
                )
            )
        rows.append(
            row(
                f"{name}, {span}: off a straight line",
                "processor time against number, the worst point's distance over its time",
                ours=100 * off,
                unit="%",
                at_most=MOST_OFF,
            )
        )
        slope_kib = 1024 * (mib[-1] - mib[0]) / (numbers[-1] - numbers[0])
        for n in BEYOND:
            hours = n * wall_s[-1] / numbers[-1] / 3600
            gib = (mib[-1] + max(slope_kib, 0) * (n - numbers[-1]) / 1024) / 1024
            print(
                f"  {n:>12,} by multiplication, {workers} workers: {hours:9.1f} h, {gib:6.1f} GiB"
            )
            rows.append(
                row(
                    f"{name}, {n:,} photographs, {workers} processes or threads",
                    f"not measured: multiplied from {sizes[-1]:,}; so {gib:.1f} GiB a process",
                    ours=hours,
                    unit="h",
                )
            )
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--prepare", nargs=2, metavar=("FOLDER", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.prepare:
        print(json.dumps(prepare_here(*options.prepare, options.workers)))
        return 0
    rows = measure(sizes=tuple(options.sizes), workers=options.workers)
    return exit_status(rows)


if __name__ == "__main__":
    sys.exit(main())
