"""kill -9 at random moments of `prepare`, then once more to the end: the bytes of a quiet run.

The 20 kills: pytest -m long -s tests/photos/test_kill_prepare.py prints when each one struck.
"""

import csv
import itertools
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

SIZE = 64
N_DNGS, N_JPEGS = 120, 12
N_USABLE = N_DNGS + N_JPEGS
PREPARE = """
import sys
import exifread, rawpy, tqdm.auto, PIL.Image, PIL.PngImagePlugin
from pp_lib.photos.prepare import prepare
print("ready", flush=True)
prepare(sys.argv[1], sys.argv[2], size=int(sys.argv[3]), workers=2, progress=False)
"""


def command(folder, out):
    return [sys.executable, "-c", PREPARE, str(folder), str(out), str(SIZE)]


def started(folder, out):
    """Start a run, and wait until its imports are done: the moments are those of the work."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command(folder, out), **pipes)
    assert process.stdout.readline() == b"ready\n"
    return process


def contents(out):
    """Everything that prepare promises, byte for byte, and the names of all else that is there."""
    named = {
        str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()
    }
    journal = named.pop(".journal.jsonl")  # its lines come in the order in which work ended
    done = [json.loads(line)["done"] for line in journal.splitlines() if b'"done"' in line]
    return named, sorted(line["source"] for line in done)


@pytest.fixture(scope="module")
def photos(make, tmp_path_factory):
    """Simulated DNGs of 64 to 130 pixels, some JPEGs, and files that are rejected."""
    from pp_lib.camera import simulate, write_dng

    folder = tmp_path_factory.mktemp("photos")
    originals = [
        photograph
        for size in (64, 96, 130)
        for photograph in simulate(4, seed=size, size=size, workers=1, progress=False)
    ]
    for i in range(N_DNGS):
        write_dng(folder / f"{i:03d}.dng", originals[i % len(originals)])
    for i in range(N_JPEGS):
        make.jpeg(folder / f"j{i}.jpg", image=make.pixels(80, 90, seed=i))
        (folder / f"noise{i}.nef").write_bytes(np.random.default_rng(i).bytes(500))
    make.jpeg(folder / "no_iso.jpg", make.settings(iso=None))
    return folder


@pytest.fixture(scope="module")
def undisturbed(photos, tmp_path_factory):
    """What a run leaves that nobody disturbs, and how long it takes."""
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    process = started(photos, out)
    start = time.perf_counter()
    assert process.wait() == 0
    seconds = time.perf_counter() - start
    with open(out / "manifest.csv", newline="") as stream:
        assert len(list(csv.DictReader(stream))) == N_USABLE
    return contents(out), seconds


def count_images(out):
    return len(list((out / "images").glob("[!.]*"))) if out.exists() else 0


def kill_and_restart(photos, base, undisturbed, n_kills, rng):
    """Kill runs at random moments until so many were struck. Give the log.

    After each kill a copy of what is left is run to its end; the next kill strikes the original,
    up to four in a row, so that what kills leave behind adds up.
    """
    expected, seconds = undisturbed
    log, out, in_a_row, outs = [], None, 4, itertools.count()
    while len(log) < n_kills:
        if in_a_row == 4:
            out, in_a_row = base / f"out{next(outs)}", 0
        # what was in work is done apart at first, each in a process of its own: 1 s is for these
        left_s = seconds * (1.1 - count_images(out) / N_USABLE) + (1.0 if in_a_row else 0.0)
        moment_s = rng.uniform(0.0, left_s)
        process = started(photos, out)
        try:
            process.wait(moment_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        complaint = process.communicate()[1].decode()
        if process.returncode == 0:  # it was done before the moment came: no kill
            assert contents(out) == expected
            in_a_row = 4
            continue
        assert process.returncode == -signal.SIGKILL, complaint
        in_a_row += 1
        n_images = count_images(out)
        # a manifest that is there describes pictures that are all there
        assert not (out / "manifest.csv").exists() or n_images == N_USABLE
        copy = base / f"copy{len(log)}"
        if out.exists():
            shutil.copytree(out, copy)
        run = subprocess.run(command(photos, copy), capture_output=True, check=False)
        assert run.returncode == 0, run.stderr.decode()
        assert contents(copy) == expected
        log.append(
            f"kill {len(log) + 1:2d}, {in_a_row} in a row, {moment_s:5.2f} s into the work: "
            f"{n_images:3d} of {N_USABLE} images; run to the end: the same bytes"
        )
    return log


def test_three_kills(photos, undisturbed, tmp_path):
    log = kill_and_restart(photos, tmp_path, undisturbed, 3, np.random.default_rng(1))
    print("\n" + "\n".join(log))  # noqa: T201  for -s


@pytest.mark.long
def test_twenty_kills(photos, undisturbed, tmp_path):
    log = kill_and_restart(photos, tmp_path, undisturbed, 20, np.random.default_rng(20))
    print("\n" + "\n".join(log))  # noqa: T201  for -s
    struck = [int(line.split(": ")[1].split()[0]) for line in log]
    assert len({n for n in struck if 0 < n < N_USABLE}) >= 5  # most in the midst of the work
