"""Saved heads come back whole, on the right backbone, or not at all."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from pp_lib.photos.dataset import eval_transform
from pp_lib.train import (
    ThreeHeads,
    ThreeHeadVGG16,
    load_heads,
    predict,
    read_heads_metadata,
    save_heads,
)


@pytest.fixture
def trained():
    model = ThreeHeadVGG16("random", seed=1).eval()
    with torch.no_grad():
        for p in (*model.shared.parameters(), *model.heads.parameters()):
            p.add_(0.01)
    return model


def test_heads_come_back_bit_for_bit(trained, tmp_path):
    path = save_heads(trained, tmp_path / "new" / "heads.safetensors")
    assert [p.name for p in path.parent.iterdir()] == ["heads.safetensors"]
    about = read_heads_metadata(path)
    assert (about["weights"], about["seed"], about["whole"]) == ("random", 1, False)
    assert list(about["classes"]) == ["aperture", "iso", "shutter"]
    other = load_heads(ThreeHeadVGG16(about["weights"], seed=about["seed"]).eval(), path)
    f = torch.rand(2, 512, 4, 4, generator=torch.Generator().manual_seed(0))
    for name, z in trained.forward_from_features(f).items():
        assert torch.equal(z, other.forward_from_features(f)[name])
    assert not any(name.startswith("features") for name in load_file(path))


def test_the_same_model_gives_the_same_bytes(trained, tmp_path):
    files = {save_heads(trained, tmp_path / f"{i}.safetensors").read_bytes() for i in range(5)}
    assert len(files) == 1
    (content,) = files
    start = 8 + int.from_bytes(content[:8], "little")
    assert start % 8 == 0
    notes = list(json.loads(content[8:start])["__metadata__"])
    assert len(notes) == 6  # 720 orders: five files alike are no chance
    assert notes == sorted(notes)


def test_a_backbone_that_learnt_comes_back_with_its_heads(tmp_path):
    model = ThreeHeads("resnet18", "random", False, seed=1).train()
    model(torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0)))
    path = save_heads(model.eval(), tmp_path / "model.safetensors")
    about = read_heads_metadata(path)
    assert about["whole"]
    other = load_heads(ThreeHeads(about["backbone"], "random", seed=9), path)
    state = other.state_dict()
    assert state["features.bn1.num_batches_tracked"] == 1
    assert all(torch.equal(v, state[name]) for name, v in model.state_dict().items())
    picture = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    (answer,) = predict(picture, heads=path)
    x = eval_transform(128)(torch.from_numpy(picture).permute(2, 0, 1))
    with torch.no_grad():
        expected = model(x[None])["shutter"][0].softmax(dim=0)
    # channels-last memory: the same sums in another order
    np.testing.assert_allclose(answer.probabilities["shutter"], expected, rtol=1e-4)


def test_heads_of_another_backbone_are_refused(trained, tmp_path):
    path = save_heads(trained, tmp_path / "heads.safetensors")
    other = ThreeHeadVGG16("random", seed=2)
    before = {k: v.clone() for k, v in other.state_dict().items()}
    with pytest.raises(ValueError, match=r"another backbone .*seed=1.*seed=2"):
        load_heads(other, path)
    assert all(torch.equal(v, before[k]) for k, v in other.state_dict().items())


@pytest.mark.parametrize(
    "change",
    [
        lambda s: s.pop("heads.iso.bias"),
        lambda s: s.update({"heads.iso.weight": torch.zeros(4, 256)}),
        lambda s: s.update({"extra": torch.zeros(1)}),
    ],
)
def test_wrong_shapes_are_refused(trained, tmp_path, change):
    path = save_heads(trained, tmp_path / "heads.safetensors")
    state = load_file(path)
    change(state)
    save_file(state, path)
    with pytest.raises(ValueError, match="expected .*, got "):
        load_heads(trained, path)


@pytest.mark.parametrize("keep", [0, 5, 1000, -1])
def test_damaged_files_are_refused(trained, tmp_path, keep):
    path = save_heads(trained, tmp_path / "heads.safetensors")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match="damaged"):
        load_heads(trained, path)


def test_a_failed_write_keeps_the_old_file(trained, tmp_path, monkeypatch):
    path = save_heads(trained, tmp_path / "heads.safetensors")
    old = path.read_bytes()

    def fail(*args, **kwargs):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="No space"):
        save_heads(trained, path)
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["heads.safetensors"]
