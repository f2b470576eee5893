"""What data/runs/record.py wrote down: two runs that differ in their backbone only."""

import math

import pytest

from pp_lib.photos.bins import HEADS
from pp_lib.train import recorded_run
from pp_lib.train.repository import PUBLISHED

RUNS = ("camera", "random")
ADDED_IN_ANOTHER_ORDER = 1e-6  # three float32 losses


@pytest.fixture(params=RUNS)
def run(request):
    return recorded_run(request.param)


def test_an_unknown_run_is_refused():
    with pytest.raises(ValueError, match="one of camera, random, backbone, limits, got 'gpu'"):
        recorded_run("gpu")


def test_every_published_run_can_be_read():
    names = [name for name in PUBLISHED if name.startswith("data/runs/")]
    runs = ("camera", "random", "backbone", "limits")
    assert names == [f"data/runs/{run}.json" for run in runs]


def test_the_runs_differ_in_their_backbone_only():
    camera, random = (recorded_run(name) for name in RUNS)
    assert (camera["options"].pop("weights"), random["options"].pop("weights")) == RUNS
    for key in ("options", "device", "versions"):
        assert camera[key] == random[key]
    for key in ("n_train", "n_val", "entropy"):
        assert camera["summary"][key] == random["summary"][key]
    for head in HEADS:  # the same photographs to check with
        for key in ("majority", "entropy"):
            ours = camera["summary"]["heads"][head][key]
            assert ours == random["summary"]["heads"][head][key]


def test_each_epoch_is_recorded_and_adds_up(run):
    history = run["history"]
    epochs = len(history["val_loss"])
    assert epochs == run["summary"]["epochs"] <= run["options"]["epochs"]
    for part in ("train", "val"):
        assert len(history[f"{part}_loss"]) == epochs
        for head in HEADS:
            assert len(history[f"{part}_head_loss"][head]) == epochs
            assert all(0 <= share <= 1 for share in history[f"{part}_accuracy"][head])
        for epoch, loss in enumerate(history[f"{part}_loss"]):
            heads = sum(history[f"{part}_head_loss"][head][epoch] for head in HEADS)
            assert math.isclose(loss, heads, rel_tol=ADDED_IN_ANOTHER_ORDER)


def test_the_verdict_is_that_of_the_best_epoch(run):
    history, summary = run["history"], run["summary"]
    best = min(range(len(history["val_loss"])), key=history["val_loss"].__getitem__)
    assert best + 1 == history["best_epoch"] == summary["best_epoch"]
    assert math.isclose(summary["loss"], history["val_loss"][best], rel_tol=ADDED_IN_ANOTHER_ORDER)
    for head, judged in summary["heads"].items():
        assert math.isclose(judged["accuracy"], history["val_accuracy"][head][best], rel_tol=1e-6)


def test_the_derivatives_were_right_before_and_after(run):
    allowed = {"float64": 1e-10, "float32": 1e-4}
    for when in ("before", "after"):
        for dtype, table in run["parity"][when].items():
            assert len(table) == 36
            assert sum(row["count"] for row in table) == 27_693_897
            assert max(row["max_relative_error"] for row in table) < allowed[dtype]


def test_the_speed_is_that_of_the_epochs_that_ran(run):
    history = run["history"]
    seen = len(history["seconds"]) * run["options"]["views"] * run["summary"]["n_train"]
    assert math.isclose(run["heads_photographs_per_s"], seen / sum(history["seconds"]))
