"""Features on the disk are used where they are these features, and only there."""

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from pp_lib.train import feature_cache
from pp_lib.train.feature_cache import kept_features


class Convolution(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, stride=2)
        nn.init.constant_(self.features.weight, scale)
        nn.init.zeros_(self.features.bias)


@pytest.fixture
def features(make_pictures, tmp_path, monkeypatch):
    """Give a function for features, and how often they were extracted."""
    extract, calls = feature_cache.extract_features, []

    def counted(*args, **options):
        calls.append(options)
        return extract(*args, **options)

    monkeypatch.setattr(feature_cache, "extract_features", counted)

    def get(scale=1.0, n=6, views=2, seed=0, path=tmp_path / "new" / "features.safetensors"):
        loader = DataLoader(make_pictures(n, size=8, jitter=0.5), batch_size=4)
        options = {"views": views, "seed": seed, "progress": False, "device": "cpu"}
        return kept_features(path, Convolution(scale), loader, {"seed": seed}, **options)

    return get, calls


def same(a, b):
    return all(
        torch.equal(getattr(a, name), getattr(b, name)) for name in ("features", "labels", "photo")
    )


def test_what_was_kept_comes_back(features):
    get, calls = features
    first = get()
    assert first.features.dtype == torch.bfloat16
    assert same(get(), first)
    assert len(calls) == 1
    assert same(get(path=None), first)
    assert len(calls) == 2


@pytest.mark.parametrize("other", [{"scale": 2.0}, {"n": 7}, {"views": 1}, {"seed": 1}])
def test_other_features_are_computed_anew(features, other):
    get, calls = features
    first, second = get(), get(**other)
    assert len(calls) == 2
    assert not (len(first) == len(second) and same(first, second))
    assert same(second, get(**other))
    assert len(calls) == 2


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_a_damaged_file_is_computed_anew(features, tmp_path, keep):
    get, calls = features
    first = get()
    path = tmp_path / "new" / "features.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.warns(UserWarning, match="damaged.*computed again"):
        assert same(get(), first)
    assert same(get(), first)
    assert len(calls) == 2


def test_a_full_disk_names_the_file(features, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_cache, "write_atomically", full)
    with pytest.raises(OSError, match=r"cannot write .*features\.safetensors: No space left"):
        features[0]()
