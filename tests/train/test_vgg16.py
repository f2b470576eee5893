"""The model: its parameters, its start, its answers, what it refuses."""

import urllib.error

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models import vgg16

from pp_lib.train import ThreeHeadVGG16


def test_parameter_counts_are_those_of_the_book(frozen_model):
    assert frozen_model.count_parameters() == {
        "features": 14_714_688,
        "shared.0": 12_845_568,
        "shared.3": 131_328,
        "heads": 2_313,
        "total": 27_693_897,
        "trainable": 12_979_209,
    }


def test_forward_equals_a_hand_assembled_vgg16(frozen_model):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, 64, 48, generator=generator)
    reference = vgg16(weights=None, init_weights=False).eval()
    reference.features.load_state_dict(frozen_model.features.state_dict())
    p = dict(frozen_model.named_parameters())
    with torch.no_grad():
        z = torch.flatten(reference.avgpool(reference.features(x)), 1)
        z = torch.relu(z @ p["shared.0.weight"].T + p["shared.0.bias"])
        z = torch.relu(z @ p["shared.3.weight"].T + p["shared.3.bias"])
        logits = frozen_model(x)
        assert list(logits) == ["aperture", "iso", "shutter"]
        for name, found in logits.items():
            expected = z @ p[f"heads.{name}.weight"].T + p[f"heads.{name}.bias"]
            # the same sums in another order: float32 has 24 bits, 25,088 terms
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
            assert found.shape == (2, 3)


def test_forward_is_backbone_then_heads(frozen_model):
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole, parts = (
            frozen_model(x),
            frozen_model.forward_from_features(frozen_model.features(x)),
        )
    for name in whole:
        assert torch.equal(whole[name], parts[name])


def test_linear_layers_start_xavier_uniform_with_zero_bias(frozen_model):
    for layer in frozen_model.modules():
        if isinstance(layer, nn.Linear):
            bound = (6 / (layer.in_features + layer.out_features)) ** 0.5  # Glorot & Bengio 2010
            w = layer.weight.detach()
            assert w.abs().max() <= bound
            # A uniform's mean square is bound^2/3, known from n samples to 0.9/sqrt(n) of itself;
            # the smallest layer has n = 768: 25 % is seven standard errors.
            assert w.square().mean().item() == pytest.approx(bound**2 / 3, rel=0.25)
            assert not layer.bias.any()


def test_random_convolutions_start_like_torchvisions(frozen_model):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        reference = vgg16(weights=None).features
    for ours, theirs in zip(frozen_model.features, reference, strict=True):
        assert type(ours) is type(theirs)
        if isinstance(ours, nn.Conv2d):
            # the smallest layer has 1,728 weights: its spread is known to 1.7 %, two of them 2.4 %
            assert ours.weight.std().item() == pytest.approx(theirs.weight.std().item(), rel=0.12)
            assert not ours.bias.any()
            assert ours.weight.device.type == "cpu"


def test_seed_decides_the_start_and_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    a = ThreeHeadVGG16("random", seed=3).state_dict()
    b = ThreeHeadVGG16("random", generator=torch.Generator().manual_seed(3)).state_dict()
    c = ThreeHeadVGG16("random", seed=4).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(a[k], b[k]) for k in a)
    assert not torch.equal(a["features.0.weight"], c["features.0.weight"])
    assert not torch.equal(a["heads.iso.weight"], c["heads.iso.weight"])


def test_frozen_backbone_stays_in_evaluation_mode_and_gets_no_gradient():
    model = ThreeHeadVGG16("random").train()
    assert model.training
    assert model.shared.training
    assert not any(m.training for m in model.features.modules())
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    sum(z.sum() for z in model(x).values()).backward()
    assert all(p.grad is None for p in model.features.parameters())
    assert all(p.grad is not None for p in model.heads.parameters())
    assert model.shared[0].weight.grad is not None


def test_unfrozen_backbone_learns():
    model = ThreeHeadVGG16("random", freeze_features=False).train()
    assert model.features.training
    assert model.count_parameters()["trainable"] == 27_693_897
    x = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    sum(z.sum() for z in model(x).values()).backward()
    assert all(p.grad is not None for p in model.features.parameters())
    model.set_frozen(True)
    assert not model.features.training
    assert model.count_parameters()["trainable"] == 12_979_209


def test_pixels_of_a_frozen_model_still_have_gradients(frozen_model):
    x = torch.zeros(1, 3, 32, 32, requires_grad=True)
    frozen_model(x + 1)["iso"].sum().backward()
    assert x.grad.abs().sum() > 0  # what saliency maps are made of


def test_dropout_acts_in_training_only():
    model = ThreeHeadVGG16("random", dropout=0.5)
    f = torch.ones(1, 512, 1, 1)
    model.train()
    assert not torch.equal(model.forward_from_features(f)["iso"],
                           model.forward_from_features(f)["iso"])  # fmt: skip
    model.eval()
    assert torch.equal(model.forward_from_features(f)["iso"],
                       model.forward_from_features(f)["iso"])  # fmt: skip


@pytest.mark.parametrize("weights", ["Imagenet", None, "", "resnet"])
def test_unknown_weights_are_refused(weights):
    with pytest.raises(ValueError, match="imagenet, camera, random"):
        ThreeHeadVGG16(weights)


@pytest.mark.parametrize("dropout", [-0.1, 1, 1.5, float("nan")])
def test_impossible_dropout_is_refused(dropout):
    with pytest.raises(ValueError, match="dropout"):
        ThreeHeadVGG16("random", dropout=dropout)


@settings(max_examples=40, deadline=None)
@given(shape=st.lists(st.sampled_from([1, 2, 3, 4, 31, 32]), min_size=0, max_size=5))
def test_only_batches_of_colour_images_of_32_pixels_are_taken(frozen_model, shape):
    x = torch.zeros(shape)
    if len(shape) == 4 and shape[1] == 3 and min(shape[2:]) >= 32:
        assert frozen_model(x)["iso"].shape == (shape[0], 3)
    else:
        with pytest.raises(ValueError, match="images must be"):
            frozen_model(x)


def test_bytes_are_refused_with_the_way_out(frozen_model):
    with pytest.raises(ValueError, match="eval_transform"):
        frozen_model(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    with pytest.raises(ValueError, match="int64"):
        frozen_model(torch.zeros(1, 3, 32, 32, dtype=torch.int64))


@pytest.mark.parametrize("shape", [(1, 512), (1, 511, 4, 4), (512, 4, 4)])
def test_wrong_features_are_refused(frozen_model, shape):
    with pytest.raises(ValueError, match=r"\(B, 512, h, w\)"):
        frozen_model.forward_from_features(torch.zeros(shape))


def test_imagenet_weights_are_put_into_the_backbone(monkeypatch, frozen_model):
    state = {f"features.{k}": v + 1 for k, v in frozen_model.features.state_dict().items()}
    state["classifier.0.weight"] = torch.zeros(1)
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda *args, **kwargs: state
    )
    model = ThreeHeadVGG16("imagenet")
    assert torch.equal(model.features[0].weight, state["features.0.weight"])
    # same seed, same heads, whatever the backbone
    assert torch.equal(model.shared[0].weight, frozen_model.shared[0].weight)


@pytest.mark.parametrize(
    "error",
    [urllib.error.URLError("no route"), RuntimeError("invalid hash value"), OSError("full")],
)
def test_imagenet_without_network_names_the_alternatives(monkeypatch, error):
    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(RuntimeError, match=r'(?s)cannot be had.*"camera".*"random"') as caught:
        ThreeHeadVGG16("imagenet")
    assert caught.value.__cause__ is error
