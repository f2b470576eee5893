"""A training run that is killed at random moments ends with the bits of one that was not."""

import json
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("small_run.py")
BATCHES = 10  # an epoch: 80 rows, 8 a batch


class Killed:
    """A run as a process; follows what it says."""

    def __init__(self, out, epochs):
        self.process = subprocess.Popen(
            [sys.executable, SCRIPT, out, "--epochs", str(epochs), "--rows", str(8 * BATCHES)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.steps, self.ready = [], threading.Event()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            if line != "ready\n" and line.endswith("\n"):
                self.steps.append(tuple(map(int, line.split())))
            self.ready.set()

    def end(self):
        _, said = self.process.stderr.read(), self.process.wait(timeout=300)
        self.reader.join()
        return said, _


def run_through(out, epochs):
    out.mkdir(exist_ok=True)
    run = Killed(out, epochs)
    code, said = run.end()
    assert code == 0, said
    return run.steps


def result(out):
    history = json.loads((out / "final.json").read_text())
    del history["seconds"], history["gradient"]
    return history, (out / "final.safetensors").read_bytes()


def killed_often(out, epochs, kills, longest_s, tell):
    """Kill the run so often, at most `longest_s` after its first step, and let it end then."""
    rng = random.Random(7)
    out.mkdir()
    for number in range(1, kills + 1):
        run = Killed(out, epochs)
        assert run.ready.wait(timeout=120)
        moment = rng.uniform(0, longest_s)
        deadline = time.monotonic() + 120
        while moment > 0.1 * longest_s and not run.steps and time.monotonic() < deadline:
            time.sleep(0.005)  # one kill in ten falls before the first step
        time.sleep(moment)
        run.process.kill()
        code, said = run.end()
        assert code == -signal.SIGKILL, said
        last = max((p.name for p in out.glob("checkpoints/checkpoint-*")), default="none")
        reached = "epoch {}, batch {}".format(*run.steps[-1]) if run.steps else "no step"
        tell(f"kill {number:2}: {moment:5.3f} s, reached {reached}; last checkpoint {last}")
    steps = run_through(out, epochs)
    assert steps  # there was something left to do
    tell(f"went on at epoch {steps[0][0]}, batch {steps[0][1]} and ended")


def told(line):
    sys.stdout.write(f"{line}\n")


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """Give the result of 40 epochs that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole_run")
    assert len(run_through(out, 40)) == 40 * BATCHES
    return result(out)


def test_two_kills_change_no_bit(whole_run, tmp_path):
    killed_often(tmp_path / "killed", 40, 2, 0.4, told)
    assert result(tmp_path / "killed") == whole_run


@pytest.mark.long
def test_twenty_kills_change_no_bit(tmp_path):
    run_through(tmp_path / "whole_run", 200)
    killed_often(tmp_path / "killed", 200, 20, 0.8, told)
    assert result(tmp_path / "killed") == result(tmp_path / "whole_run")


@pytest.mark.long  # test_resume_fit stops runs within its own process
def test_a_stop_by_sigterm_is_said_and_changes_no_bit(whole_run, tmp_path):
    run = Killed(tmp_path, 40)
    deadline = time.monotonic() + 120
    while len(run.steps) < 25 and time.monotonic() < deadline:
        time.sleep(0.005)
    run.process.terminate()
    code, said = run.end()
    assert code == 1
    epoch, batch = run.steps[-1]
    assert f"stopped after epoch {epoch}" in said
    assert "resume=True" in said
    assert run_through(tmp_path, 40)[0] == (
        (epoch, batch + 1) if batch < BATCHES else (epoch + 1, 1)
    )
    assert result(tmp_path) == whole_run
