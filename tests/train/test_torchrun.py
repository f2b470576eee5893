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
    out.mkdir()
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
    for kind in ("train", "val"):
        assert shared[f"{kind}_loss"] == pytest.approx(alone[f"{kind}_loss"], rel=1e-5)
        for name, values in alone[f"{kind}_head_loss"].items():
            assert shared[f"{kind}_head_loss"][name] == pytest.approx(values, rel=1e-5)
        assert shared[f"{kind}_accuracy"] == alone[f"{kind}_accuracy"]
    for name, value in weights.items():
        torch.testing.assert_close(weights_shared[name], value, rtol=1e-4, atol=1e-5)
    assert alone["train_loss"][-1] < alone["train_loss"][0]
