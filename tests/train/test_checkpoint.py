"""Saved heads come back whole, on the right backbone, or not at all."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from pp_lib.train import ThreeHeadVGG16, load_heads, read_heads_metadata, save_heads


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
    assert (about["weights"], about["seed"]) == ("random", 1)
    assert list(about["classes"]) == ["aperture", "iso", "shutter"]
    other = load_heads(ThreeHeadVGG16(about["weights"], seed=about["seed"]).eval(), path)
    f = torch.rand(2, 512, 4, 4, generator=torch.Generator().manual_seed(0))
    for name, z in trained.forward_from_features(f).items():
        assert torch.equal(z, other.forward_from_features(f)[name])
    assert not any(name.startswith("features") for name in load_file(path))


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
