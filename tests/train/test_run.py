"""A whole run: what it writes down, and that it can be read again."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import entropy
from torch.utils.data import DataLoader

from pp_lib.train import ThreeHeadVGG16, load_heads, read_heads_metadata, run, train_heads


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
