"""A whole run: what it writes down, and that it can be read again."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from scipy.stats import entropy
from torch.utils.data import DataLoader

from pp_lib.photos.journal import locked
from pp_lib.train import ThreeHeadVGG16, load_heads, loop, read_heads_metadata, run, train_heads

QUICK = {"weights": "random", "batch_size": 8, "device": "cpu", "progress": False}


@pytest.fixture
def pictures(make_pictures, monkeypatch):
    train, val = make_pictures(24), make_pictures(8, seed=1)
    monkeypatch.setattr(
        run, "loaders", lambda *_, **__: (DataLoader(train, batch_size=8), DataLoader(val))
    )
    return train, val


def test_a_run_leaves_its_verdict_its_history_and_its_heads(pictures, tmp_path):
    before = torch.get_rng_state()
    result = train_heads(
        "prepared", weights="random", epochs=2, batch_size=8, views=2, seed=3, device="cpu",
        out=tmp_path, progress=False,
    )  # fmt: skip
    assert torch.equal(before, torch.get_rng_state())
    assert (result.n_train, result.n_val) == (24, 8)
    labels = pictures[1].labels.numpy()
    expected = sum(entropy(np.bincount(column)) for column in labels.T)
    assert result.entropy == pytest.approx(expected, abs=1e-12)
    assert result.loss == result.history.best_val_loss

    assert json.loads((tmp_path / "history.json").read_text()) == result.history.to_dict()
    written = json.loads((tmp_path / "summary.json").read_text())
    assert written == json.loads(json.dumps(result.summary()))
    assert written["stop_reason"] == "epochs done"
    lines = result.table().splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["aperture", "iso", "shutter", "sum"]

    about = read_heads_metadata(tmp_path / "heads.safetensors")
    assert (about["weights"], about["seed"]) == ("random", 3)
    load_heads(ThreeHeadVGG16(about["weights"], seed=about["seed"]), tmp_path / "heads.safetensors")


@pytest.mark.parametrize("mode", ["fine-tuned", pytest.param("scratch", marks=pytest.mark.long)])
def test_a_backbone_that_learns_is_saved_with_its_heads(pictures, tmp_path, mode):
    result = train_heads("prepared", mode=mode, epochs=1, seed=2, out=tmp_path, **QUICK)
    assert result.history.lr == [1e-4]
    state = load_file(tmp_path / "model.safetensors")
    drawn = ThreeHeadVGG16("random", seed=2).state_dict()
    assert state.keys() == drawn.keys()
    assert not torch.equal(state["features.0.weight"], drawn["features.0.weight"])
    assert not (tmp_path / "heads.safetensors").exists()


def test_a_run_goes_on_in_its_folder(pictures, tmp_path, monkeypatch):
    whole = train_heads("prepared", epochs=2, views=2, out=tmp_path / "whole_run", **QUICK)
    options = {"views": 2, "out": tmp_path / "stopped", **QUICK}
    train_heads("prepared", epochs=1, **options)
    with monkeypatch.context() as patch:  # the features are there: a call would raise
        patch.setattr("pp_lib.train.feature_cache.extract_features", None)
        again = train_heads("prepared", epochs=2, resume=True, **options)
    assert again.loss == whole.loss
    heads, expected = (
        load_file(tmp_path / folder / "heads.safetensors") for folder in ("stopped", "whole_run")
    )
    assert all(torch.equal(value, heads[name]) for name, value in expected.items())
    lines = (tmp_path / "stopped" / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["epoch", "1", "2"]
    with pytest.raises(ValueError, match=r"\(lr: expected 0.001, came 0.002\)"):
        train_heads("prepared", epochs=2, resume=True, lr=0.002, **options)
    with (
        locked(tmp_path / "stopped"),
        pytest.raises(RuntimeError, match="another process is training in"),
    ):
        train_heads("prepared", epochs=2, resume=True, **options)


def test_an_unfinished_run_is_not_begun_anew(pictures, tmp_path, monkeypatch):
    def stopped(model, *args, **options):
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(model, *args, **options)

    evaluate = loop.evaluate
    with monkeypatch.context() as patch:
        patch.setattr(loop, "evaluate", stopped)
        with pytest.raises(RuntimeError, match="stopped after epoch 1, all saved in"):
            train_heads("prepared", epochs=2, out=tmp_path, **QUICK)
    assert not (tmp_path / "heads.safetensors").exists()
    monkeypatch.setattr("pp_lib.train.feature_cache.extract_features", None)  # not even tried
    with pytest.raises(ValueError, match="not finished.*00001-0000000.*resume=True"):
        train_heads("prepared", epochs=2, out=tmp_path, **QUICK | {"batch_size": 4})


def test_options_reach_the_loop(pictures, monkeypatch):
    seen = {}

    def spy(*args, **options):
        seen.update(options)
        raise InterruptedError

    monkeypatch.setattr(run, "fit", spy)
    with pytest.raises(InterruptedError):
        train_heads("prepared", epochs=1, class_weights="balanced", focal_gamma=2.0, **QUICK)
    counts = np.bincount(pictures[0].labels[:, 1])
    assert seen["class_weights"]["iso"].numpy() == pytest.approx(24 / (3 * counts))
    assert (seen["focal_gamma"], seen["label_smoothing"], seen["lr"]) == (2.0, 0.0, 1e-3)
    assert seen["checkpoints"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "thawed"}, "mode must be one of frozen, fine-tuned, scratch, got 'thawed'"),
        ({"mode": "scratch", "weights": "camera"}, "begins with drawn weights.*from 'camera'"),
        ({"class_weights": "fair"}, "class_weights must be None or \"balanced\", got 'fair'"),
    ],
)
def test_modes_and_weights_that_there_are_none_of(options, words):
    with pytest.raises(ValueError, match=words):
        train_heads("prepared", **QUICK | options)
