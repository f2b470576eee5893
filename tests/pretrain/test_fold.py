"""Folding a normalisation changes the network and not the function."""

import pytest
import torch
from torch import nn
from torchvision.models import vgg16, vgg16_bn

from pp_pretrain.fold import CameraNet, fold_batch_norm


def random_statistics(features, seed):
    """Give each normalisation numbers as training may leave them, and nastier ones."""
    generator = torch.Generator().manual_seed(seed)
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.bias, std=0.5, generator=generator)
        if isinstance(layer, nn.BatchNorm2d):
            n = layer.num_features
            layer.weight.data = 0.5 + torch.rand(n, generator=generator)
            layer.weight.data[: n // 4] *= -1
            layer.bias.data = 0.5 * torch.randn(n, generator=generator)
            layer.running_mean = 0.5 * torch.randn(n, generator=generator)
            layer.running_var = 0.5 + torch.rand(n, generator=generator)
            layer.running_var[-2:] = 1e-6  # below eps = 1e-5: a channel that hardly varies
            layer.weight.data[-2:] *= 1e-2  # ... and whose amplification training keeps in bounds
    return features.eval()


@pytest.fixture(scope="module")
def features_bn():
    return random_statistics(CameraNet(seed=1).features, seed=2)


# Rounding of float32 grows over 13 layers to about 1e-5 of the outputs' size, that of float64 to
# about 1e-14; forgetting eps or the convolution's bias changes the outputs by more than 1e-2.
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-10)])
def test_the_folded_network_is_the_same_function(features_bn, dtype, tolerance):
    x = torch.randn(2, 3, 48, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = vgg16_bn(weights=None, init_weights=False).features.to(dtype).eval()
    features.load_state_dict(features_bn.state_dict())
    before = {k: v.clone() for k, v in features.state_dict().items()}
    with torch.no_grad():
        expected, found = features(x.to(dtype)), fold_batch_norm(features)(x.to(dtype))
    assert expected.abs().max() > 0.1  # not a network that has died
    assert found.dtype == dtype
    assert (found - expected).abs().max() <= tolerance * max(1, expected.abs().max())
    assert all(torch.equal(v, before[k]) for k, v in features.state_dict().items())


def test_torchvision_takes_the_folded_weights(features_bn):
    plain = vgg16(weights=None, init_weights=False).features
    plain.load_state_dict(fold_batch_norm(features_bn).state_dict(), strict=True)


def test_each_channel_by_hand():
    features = random_statistics(vgg16_bn(weights=None, init_weights=False).features, seed=3)
    convolution, norm = features[0], features[1]
    folded = fold_batch_norm(features)[0]
    for c in (0, 63):  # a negative gamma; a variance below eps
        s = norm.weight[c].item() / (norm.running_var[c].item() + 1e-5) ** 0.5
        bias = s * (convolution.bias[c] - norm.running_mean[c]) + norm.bias[c]
        torch.testing.assert_close(folded.weight[c], s * convolution.weight[c])
        torch.testing.assert_close(folded.bias[c], bias)


def test_other_networks_are_refused():
    with pytest.raises(ValueError, match="vgg16_bn"):
        fold_batch_norm(vgg16(weights=None, init_weights=False).features)
    with pytest.raises(ValueError, match="other layers"):
        fold_batch_norm(CameraNet().features[:10])


def test_a_seed_decides_the_weights_and_nothing_else_changes():
    before = torch.get_rng_state()
    one, same, other = CameraNet(3), CameraNet(3), CameraNet(4)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.features[40].weight, same.features[40].weight)
    assert not torch.equal(one.features[40].weight, other.features[40].weight)
    assert all(torch.isfinite(v).all() for v in one.state_dict().values())
    assert len(one(torch.rand(2, 3, 40, 33))) == 3
