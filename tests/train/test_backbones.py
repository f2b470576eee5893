"""Other backbones by name: torchvision's layers, the same heads, the same rules."""

import json

import numpy as np
import pytest
import torch
import torchvision.models
from torch import nn
from typer.testing import CliRunner

from pp_lib.cli import app
from pp_lib.photos import PhotoDataset, simulated_photographs
from pp_lib.photos.dataset import eval_transform
from pp_lib.train import (
    ThreeHeadVGG16,
    evaluate,
    extract_features,
    fit,
    load_heads,
    predict,
    read_heads_metadata,
    save_heads,
)
from pp_lib.train.backbones import BACKBONES
from pp_lib.train.features import backbone_sha256
from pp_lib.train.three_heads import ThreeHeads

OTHERS = [name for name in BACKBONES if name != "vgg16"]
# features of torchvision's published models, without their classifiers; counted by hand from the
# tables of the papers' repositories: all parameters less those of the last linear layers
PARAMETERS = {
    "resnet18": 11_689_512 - (512 * 1000 + 1000),
    "efficientnet_b0": 5_288_548 - (1280 * 1000 + 1000),
    "convnext_tiny": 28_589_128 - (768 * 1000 + 1000) - 2 * 768,  # and a normalisation before it
}


@pytest.fixture(scope="module", params=OTHERS)
def model(request):
    """Give a random frozen model that no test may change."""
    return ThreeHeads(request.param, "random", seed=1).eval()


def photographs(n=2, size=64):
    return torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(0))


def test_the_convolutions_are_torchvisions_and_the_heads_ours(model):
    reference = torchvision.models.get_model(model.backbone, weights=None).eval()
    state = model.features.state_dict()
    prefix = "features." if hasattr(reference, "features") else ""
    missing, unexpected = reference.load_state_dict(
        {prefix + name: v for name, v in state.items()}, strict=False
    )
    assert not unexpected
    assert {name.split(".")[0] for name in missing} <= {"classifier", "fc"}
    seen = {}
    reference.avgpool.register_forward_hook(lambda _, inputs, out: seen.update(f=inputs[0], p=out))
    x = photographs()
    with torch.no_grad():
        reference(x)
        f = model.features(x)
        assert torch.equal(f, seen["f"])
        assert torch.equal(model.avgpool(f), seen["p"])
        p = dict(model.named_parameters())
        z = torch.relu(f.mean(dim=(2, 3)) @ p["shared.0.weight"].T + p["shared.0.bias"])
        z = torch.relu(z @ p["shared.3.weight"].T + p["shared.3.bias"])
        for name, found in model(x).items():
            expected = z @ p[f"heads.{name}.weight"].T + p[f"heads.{name}.bias"]
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_parameters_are_counted(model):
    counts, channels = model.count_parameters(), BACKBONES[model.backbone].channels
    assert counts["features"] == PARAMETERS[model.backbone]
    assert counts["shared.0"] == channels * 512 + 512
    assert counts["heads"] == 3 * (256 * 3 + 3)
    assert counts["trainable"] == counts["total"] - counts["features"]


def test_the_seed_decides_every_number_and_the_global_state_stays(model):
    before = torch.get_rng_state()
    again = ThreeHeads(model.backbone, "random", seed=1).state_dict()
    generator = torch.Generator().manual_seed(1)
    third = ThreeHeads(model.backbone, "random", generator=generator).state_dict()
    other = ThreeHeads(model.backbone, "random", seed=2)
    assert torch.equal(before, torch.get_rng_state())
    state = model.state_dict()
    assert all(torch.equal(v, again[k]) and torch.equal(v, third[k]) for k, v in state.items())
    assert all(torch.isfinite(v).all() for v in state.values())
    assert backbone_sha256(other) != backbone_sha256(model)
    assert not torch.equal(other.heads["iso"].weight, model.heads["iso"].weight)


def test_the_random_start_is_torchvisions(model):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        reference = torchvision.models.get_model(model.backbone, weights=None).state_dict()
    for name, ours in model.features.state_dict().items():
        theirs = reference[name if name in reference else f"features.{name}"]
        if ours.numel() >= 1000:  # a spread of n draws is known to 1/sqrt(2 n): 2 % and less
            assert ours.std().item() == pytest.approx(theirs.std().item(), rel=0.2, abs=1e-12), name
        if (theirs == theirs.flatten()[0]).all():  # nothing drawn: scales, biases, statistics
            assert torch.equal(ours, theirs), name


def test_frozen_statistics_stay_and_thawed_ones_move(model):
    mine = ThreeHeads(model.backbone, "random", seed=1).train()
    before = {k: v.clone() for k, v in mine.features.state_dict().items()}
    sum(z.sum() for z in mine(photographs()).values()).backward()
    assert not any(m.training for m in mine.features.modules())
    assert all(p.grad is None for p in mine.features.parameters())
    assert all(torch.equal(v, before[k]) for k, v in mine.features.state_dict().items())
    mine.set_frozen(False)
    assert mine.features.training
    assert mine.count_parameters()["trainable"] == mine.count_parameters()["total"]
    mine(photographs())
    moved = [k for k, v in mine.features.state_dict().items() if not torch.equal(v, before[k])]
    norms = [m for m in mine.features.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(moved) == 3 * len(norms)  # mean, variance and count of each


def test_buffers_belong_to_the_backbone():
    a, b = (ThreeHeads("resnet18", "random") for _ in range(2))
    assert backbone_sha256(a) == backbone_sha256(b)
    b.features.bn1.running_var[0] += 1e-6
    assert backbone_sha256(a) != backbone_sha256(b)


def test_cached_features_are_the_backbones_and_can_be_trained_on(model, make_pictures, tmp_path):
    data = make_pictures(6, size=64)
    common = {"device": "cpu", "progress": False}
    exact = extract_features(model, data, dtype=torch.float32, batch_size=3, **common)
    with torch.no_grad():
        plain = model.features(data.x)
    # the same sums in another order, through up to 80 layers of float32
    torch.testing.assert_close(exact.features, plain, rtol=1e-3, atol=1e-4 * plain.abs().max())
    cached = extract_features(model, data, **common)
    error = (cached.features.float() - plain).square().mean().sqrt()
    assert error < 0.05 * plain.square().mean().sqrt()  # bfloat16: 8 bits; measured 0.6 to 1.3 %

    mine = ThreeHeads(model.backbone, "random", dropout=0.0, seed=1)
    before = backbone_sha256(mine)
    history = fit(mine, cached, cached, epochs=20, batch_size=6, lr=3e-3, **common)
    # random EfficientNet features of statistics 0 and 1 are 1e-14: only the biases learn there
    assert history.train_loss[-1] < 0.9 * history.train_loss[0]
    assert backbone_sha256(mine) == before
    path = save_heads(mine, tmp_path / "heads.safetensors")
    about = read_heads_metadata(path)
    assert (about["backbone"], about["outputs"]) == (model.backbone, "classes")
    fresh = ThreeHeads(about["backbone"], about["weights"], seed=about["seed"])
    found = evaluate(load_heads(fresh, path), cached, device="cpu")
    expected = evaluate(mine, cached, device="cpu")
    assert torch.equal(found.logits["iso"], expected.logits["iso"])


def test_a_whole_network_trains_from_scratch(make_pictures):
    loader = torch.utils.data.DataLoader(make_pictures(8), batch_size=4)
    mine = ThreeHeads("resnet18", "random", freeze_features=False, dropout=0.0)
    before = backbone_sha256(mine)
    history = fit(mine, loader, loader, epochs=4, lr=1e-3, device="cpu", progress=False)
    assert history.train_loss[-1] < 0.8 * history.train_loss[0]
    assert backbone_sha256(mine) != before


def test_vgg16_by_name_is_the_books_model():
    a = ThreeHeads("vgg16", "random", seed=3).state_dict()
    b = ThreeHeadVGG16("random", seed=3).state_dict()
    assert list(a) == list(b)
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_the_vgg16_of_a_seed_is_the_one_it_always_was():
    """Drawn by hand in the order that the recorded runs and saved heads depend on."""
    state, generator = ThreeHeadVGG16("random", seed=3).state_dict(), torch.Generator()
    generator.manual_seed(3)
    linear = [n for n in state if n.split(".")[0] in ("shared", "heads") and n.endswith("weight")]
    convolutions = [n for n in state if n.startswith("features") and n.endswith("weight")]
    assert len(linear) == 5
    assert len(convolutions) == 13
    for name in linear + convolutions:
        w = torch.empty(state[name].shape)
        fan_out, fan_in = w.shape[0] * w[0, 0].numel(), w.shape[1] * w[0, 0].numel()
        if name in linear:
            bound = (6 / (fan_in + fan_out)) ** 0.5
            w.uniform_(-bound, bound, generator=generator)
        else:
            w.normal_(0, (2 / fan_out) ** 0.5, generator=generator)
        # the bound itself may be computed with another rounding
        torch.testing.assert_close(state[name], w, rtol=1e-6, atol=0)


def test_heads_of_another_backbone_are_refused_by_name(tmp_path):
    path = save_heads(ThreeHeads("resnet18", "random"), tmp_path / "heads.safetensors")
    with pytest.raises(ValueError, match=r"classes on the backbone resnet18.*classes on vgg16"):
        load_heads(ThreeHeadVGG16("random"), path)


@pytest.mark.parametrize("backbone", OTHERS)
def test_the_projects_own_weights_are_of_vgg16_only(backbone):
    with pytest.raises(ValueError, match=rf'of vgg16, got backbone \'{backbone}\'.*"random"'):
        ThreeHeads(backbone, "camera")


@pytest.mark.parametrize("backbone", ["resnet50", "VGG16", "", None])
def test_unknown_backbones_are_refused(backbone):
    with pytest.raises(ValueError, match="vgg16, resnet18, efficientnet_b0, convnext_tiny"):
        ThreeHeads(backbone, "random")


def test_imagenet_weights_are_put_into_the_backbone(monkeypatch, model):
    reference = torchvision.models.get_model(model.backbone, weights=None)
    monkeypatch.setattr(
        "torchvision.models._api.load_state_dict_from_url", lambda *_, **__: reference.state_dict()
    )
    found = ThreeHeads(model.backbone, "imagenet", seed=1)
    features = getattr(reference, "features", reference).state_dict()
    for name, value in found.features.state_dict().items():
        assert torch.equal(value, features[name])
    # same seed, same heads, whatever the weights
    assert torch.equal(found.shared[0].weight, model.shared[0].weight)


def test_imagenet_without_network_names_what_there_is(monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no route")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fail)
    with pytest.raises(RuntimeError, match='choose weights="random"'):
        ThreeHeads("resnet18", "imagenet")


def test_the_command_trains_by_name_and_predicts(tmp_path):
    folder = simulated_photographs(40)
    out = tmp_path / "run"
    options = ["--backbone", "resnet18", "--weights", "random", "--epochs", "2", "--views", "1"]
    options += ["--how", "random", "--seed", "2", "--out", str(out)]
    told = CliRunner().invoke(app, ["train", str(folder), *options])
    assert told.exit_code == 0, told.output
    assert "resnet18" in told.output
    judged = json.loads((out / "summary.json").read_text())["heads"]["iso"]
    assert {"macro_f1", "calibration_error", "stops_to_class", "loss"} <= set(judged)

    picture = np.asarray(PhotoDataset(folder).picture(0).permute(1, 2, 0))
    (answer,) = predict(picture, heads=out / "heads.safetensors")
    about = read_heads_metadata(out / "heads.safetensors")
    model = ThreeHeads(about["backbone"], about["weights"], seed=about["seed"]).eval()
    load_heads(model, out / "heads.safetensors")
    x = eval_transform(128)(torch.from_numpy(picture.copy()).permute(2, 0, 1))
    with torch.no_grad():
        expected = model(x[None])["iso"][0].softmax(dim=0)
    np.testing.assert_allclose(answer.probabilities["iso"], expected, rtol=1e-4)

    refused = CliRunner().invoke(app, ["train", str(folder), "--backbone", "resnet18"])
    assert refused.exit_code != 0
    assert "vgg16" in str(refused.exception)


def test_features_of_another_backbone_are_refused(model):
    channels = BACKBONES[model.backbone].channels
    with pytest.raises(ValueError, match=rf"\(B, {channels}, h, w\)"):
        model.forward_from_features(torch.zeros(1, channels + 1, 2, 2))
    with pytest.raises(ValueError, match="at least 32"):
        model(torch.zeros(1, 3, 31, 64))
