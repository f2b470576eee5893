"""Two processes that share every batch take the steps that one process takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SCRIPT = Path(__file__).with_name("small_run.py")
TOGETHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def run(out, *arguments, before=()):
    out.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, *before, SCRIPT, out, "--dropout", "0", *arguments],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads((out / "final.json").read_text()), load_file(out / "final.safetensors"), done


# 33 rows are four batches of 8 and one of 1, in which the second process has no row of its own
@pytest.mark.parametrize(
    "arguments",
    [("--weights",), pytest.param(("--kind", "loader"), marks=pytest.mark.long)],
)
def test_two_processes_give_the_losses_of_one(tmp_path, arguments):
    alone, weights, _ = run(tmp_path / "one", *arguments)
    shared, weights_shared, done = run(tmp_path / "two", *arguments, before=TOGETHER)
    assert done.stdout.count("ready") == 2
    # Adam does not mind a gradient that is too large by a factor, so losses would not show it
    assert shared["gradient"] == pytest.approx(alone["gradient"], rel=1e-5, abs=1e-7)
    for kind in ("train", "val"):
        assert shared[f"{kind}_loss"] == pytest.approx(alone[f"{kind}_loss"], rel=1e-5)
        for name, values in alone[f"{kind}_head_loss"].items():
            assert shared[f"{kind}_head_loss"][name] == pytest.approx(values, rel=1e-5)
        assert shared[f"{kind}_accuracy"] == alone[f"{kind}_accuracy"]
    for name, value in weights.items():
        torch.testing.assert_close(weights_shared[name], value, rtol=1e-4, atol=1e-5)
    assert alone["train_loss"][-1] < alone["train_loss"][0]


@pytest.mark.long
def test_two_processes_stop_together_and_go_on(tmp_path):
    whole, weights, _ = run(tmp_path / "whole_run", "--epochs", "150", before=TOGETHER)
    out = tmp_path / "stopped"
    out.mkdir()
    command = [sys.executable, *TOGETHER, SCRIPT, out, "--dropout", "0", "--epochs", "150"]
    launcher = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in launcher.stdout:
        if line.startswith("2 "):  # the second epoch
            break
    launcher.terminate()
    said = launcher.communicate(timeout=120)[1]
    assert said.count("RuntimeError: stopped after epoch") == 2, said
    history, again, _ = run(out, "--epochs", "150", before=TOGETHER)
    assert history["val_loss"] == whole["val_loss"]
    assert all(torch.equal(value, again[name]) for name, value in weights.items())
