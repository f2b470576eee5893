"""Features that are kept: the same as asking the backbone again."""

from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader, SubsetRandomSampler

from pp_lib.train import FeatureSet, ThreeHeadVGG16, extract_features

# bfloat16 keeps 8 bits, so each of 13 layers rounds by up to 0.4 %; independent errors add up like
# sqrt(13) and average out over a layer's sums. Measured: 0.6 % of the features' root mean square.
RTOL_BF16 = 0.02


def rms(t):
    return t.float().square().mean().sqrt().item()


def channels_last(x):
    return x.to(memory_format=torch.channels_last)


def test_float32_features_are_exactly_the_backbones(frozen_model, make_pictures):
    data = make_pictures(6)
    found = extract_features(
        frozen_model, data, dtype=torch.float32, batch_size=4, device="cpu", progress=False
    )
    with torch.no_grad():
        parts = [frozen_model.features(channels_last(x)) for x in data.x.split(4)]
        plain = frozen_model.features(data.x)
    assert torch.equal(found.features, torch.cat(parts))
    # the same sums in another order: float32 through 13 layers
    torch.testing.assert_close(found.features, plain, rtol=1e-4, atol=1e-5 * plain.max().item())
    assert torch.equal(found.labels, data.labels)
    assert torch.equal(found.photo, torch.arange(6))


def test_bfloat16_features_are_near_and_equal_autocast(frozen_model, make_pictures):
    data = make_pictures(4, size=64)
    found = extract_features(frozen_model, data, device="cpu", progress=False)
    with torch.no_grad():
        exact = frozen_model.features(data.x)
        with torch.autocast("cpu", torch.bfloat16):
            autocast = frozen_model.features(channels_last(data.x))
    assert found.features.dtype == torch.bfloat16
    assert found.features.shape == (4, 512, 2, 2)
    assert rms(found.features - exact) < RTOL_BF16 * rms(exact)
    assert torch.equal(found.features, autocast)


def test_the_model_is_not_changed(make_pictures):
    model = ThreeHeadVGG16("random", freeze_features=False).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    extract_features(model, make_pictures(2), device="cpu", progress=False)
    assert model.features.training
    assert all(p.requires_grad for p in model.parameters())
    assert model.features[0].weight.is_contiguous()
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_views_differ_are_ordered_and_follow_the_seed(frozen_model, make_pictures):
    data = make_pictures(3, jitter=1.0)
    common = {"views": 2, "device": "cpu", "progress": False}
    before = torch.get_rng_state()
    a = extract_features(frozen_model, data, seed=1, **common)
    b = extract_features(frozen_model, data, seed=1, **common)
    c = extract_features(frozen_model, data, seed=2, **common)
    d = extract_features(frozen_model, data, seed=1, num_workers=1, **common)
    assert torch.equal(before, torch.get_rng_state())
    assert len(a) == 6
    assert a.photo.tolist() == [0, 1, 2, 0, 1, 2]
    assert torch.equal(a.labels, torch.cat([data.labels, data.labels]))
    assert torch.equal(a.features, b.features)
    assert torch.equal(a.features, d.features)  # whoever reads the pictures
    assert not torch.equal(a.features, c.features)
    assert not torch.equal(a.features[:3], a.features[3:])


def test_a_loader_is_read_in_the_order_of_its_data(frozen_model, make_pictures):
    data = make_pictures(5)
    shuffled = DataLoader(data, batch_size=2, shuffle=True, drop_last=True)
    found = extract_features(frozen_model, shuffled, device="cpu", progress=False)
    expected = extract_features(frozen_model, data, device="cpu", progress=False)
    assert torch.equal(found.features, expected.features)
    with pytest.raises(ValueError, match="1 out of 5"):
        extract_features(frozen_model, DataLoader(data, sampler=SubsetRandomSampler([0])))


def test_features_can_be_trained_on(frozen_model, make_pictures):
    found = extract_features(frozen_model, make_pictures(2), device="cpu", progress=False)
    model = ThreeHeadVGG16("random")
    model.forward_from_features(found.features)["iso"].sum().backward()
    assert model.shared[0].weight.grad is not None


def test_nothing_to_extract_is_refused(frozen_model, make_pictures):
    with pytest.raises(ValueError, match="no photograph"):
        extract_features(frozen_model, make_pictures(0))
    with pytest.raises(ValueError, match="views"):
        extract_features(frozen_model, make_pictures(1), views=0)


def test_a_feature_set_refuses_what_does_not_fit():
    good = FeatureSet(
        torch.zeros(2, 4, 1, 1), torch.zeros(2, 3, dtype=torch.int64), torch.arange(2)
    )
    for wrong in (
        {"features": torch.zeros(2, 4)},
        {"features": torch.zeros(2, 4, 1, 1, dtype=torch.int64)},
        {"features": torch.zeros(3, 4, 1, 1)},
        {"labels": torch.zeros(2, 2, dtype=torch.int64)},
        {"labels": torch.zeros(2, 3, dtype=torch.int32)},
        {"labels": torch.zeros(2, 1)},
        {"photo": torch.arange(3)},
    ):
        with pytest.raises(ValueError, match="must be"):
            replace(good, **wrong)
