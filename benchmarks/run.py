"""Run every benchmark, one after another, and write benchmarks/results.json.

    python benchmarks/run.py [--quick] [--only digits adam]

Each script runs in a process of its own, so that threads and memory are its own too. One that
fails is reported, the others go on, and the exit status is 1; so it is where a target is missed.
`--only` and `--quick` print the table and write no file: what is recorded is one whole run.
"""

import argparse
import importlib
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
# in the order of the table
SCRIPTS = (
    *("prepare", "epoch", "features", "simulate", "digits", "adam", "vgg16_by_hand"),
    *("settings_leave_traces", "growth", "gpu", "chapters"),
)
NOT_BENCHMARKS = {"roof", "rows", "run"}
PACKAGES = ("numpy", "scipy", "torch", "torchvision", "rawpy", "pillow", "scikit-learn")
LIMIT_S = 1200
BUSY = 1.0  # processes that want a core before anything is measured


def measure_here(script, quick, out):
    """Import one script, measure, and write what it gives."""
    from rows import Absent

    try:
        answer = {"rows": importlib.import_module(script).measure(quick=quick)}
    except Absent as absent:
        print(f"absent: {absent}")
        answer = {"absent": str(absent)}
    Path(out).write_text(json.dumps(answer))


def measured(script, quick):
    """Run one script apart; give (its answer, or what went wrong under "failed"; its seconds)."""
    print(f"== {script}", flush=True)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "answer.json")
        command = [sys.executable, __file__, "--one", script, str(out)]
        try:
            status = subprocess.run([*command, *["--quick"] * quick], timeout=LIMIT_S).returncode
        except subprocess.TimeoutExpired:
            return {"failed": f"no answer after {LIMIT_S} s"}, LIMIT_S
        seconds = time.perf_counter() - start
        if status != 0:
            return {"failed": f"it ended with status {status}"}, seconds
        return json.loads(out.read_text()), seconds


def machine():
    """Say on what the numbers were measured."""
    cpu = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*:\s*(.+)", cpu.read_text()) if cpu.is_file() else None
    memory = None
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        memory = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": cores,
        "cpu": model[1].strip() if model else platform.processor() or platform.machine(),
        "memory_gib": memory,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run at all?")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, metavar="SCRIPT")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure_here(options.one[0], options.quick, options.one[1])
        return 0
    from rows import exit_status, table

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if load is not None and load > BUSY:
        print(f"the machine is busy (load {load:.1f}): what is measured now is not for the record")
    rows, absent, failed, seconds = [], {}, {}, {}
    for script in options.only or SCRIPTS:
        answer, seconds[script] = measured(script, options.quick)
        rows += [{"script": script, **row} for row in answer.get("rows", [])]
        absent |= {script: answer["absent"]} if "absent" in answer else {}
        failed |= {script: answer["failed"]} if "failed" in answer else {}
    print("\n" + table(rows))
    for script, why in absent.items():
        print(f"{script}: no rows, {why}")
    for script, why in failed.items():
        print(f"{script}: FAILED, {why}")
    print(f"in all {sum(seconds.values()):.0f} s")
    if not (options.quick or options.only):
        results = {
            "date": datetime.now(UTC).date().isoformat(),
            "machine": machine() | {"load_before": load},
            "versions": {
                "python": platform.python_version(),
                **{name: version(name) for name in PACKAGES},
            },
            "seconds": {script: round(value, 1) for script, value in seconds.items()},
            "rows": rows,
            "absent": absent,
            "failed": failed,
        }
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        print(f"written to {RESULTS.relative_to(HERE.parent)}; `make book` shows it")
    # small sizes meet no targets, and are not meant to
    return 1 if failed or (not options.quick and exit_status(rows)) else 0


if __name__ == "__main__":
    sys.exit(main())
