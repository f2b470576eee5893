"""Heads that answer in stops: targets, loss, training, errors, files."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from pp_lib.photos import PhotoDataset, read_manifest, simulated_photographs
from pp_lib.photos.bins import HEADS
from pp_lib.photos.dataset import eval_transform, loaders
from pp_lib.train import (
    FeatureSet,
    ThreeHeadVGG16,
    evaluate,
    extract_features,
    fit,
    load_heads,
    predict,
    read_heads_metadata,
    save_heads,
)
from pp_lib.train.objectives import head_losses
from pp_lib.train.three_heads import ThreeHeads

COMMON = {"device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def folder():
    """Give 40 simulated photographs, prepared."""
    return simulated_photographs(40)


def small_model(seed=0):
    return ThreeHeads("resnet18", "random", dropout=0.0, outputs="stops", seed=seed)


def planted(n, seed=0, noise=0.0):
    """Make features whose first channel means tell the three settings, and the settings."""
    g = torch.Generator().manual_seed(seed)
    stops = torch.tensor([4.0, 2.0, 7.0]) + torch.tensor([2.0, 1.5, 2.5]) * torch.randn(
        n, 3, generator=g
    )
    f = 0.3 * torch.randn(n, 512, 1, 1, generator=g)
    f[:, :30] = ((stops - 4) / 3).repeat(1, 10)[:, :, None, None]
    f += noise * torch.randn(f.shape, generator=g)
    return FeatureSet(f, stops, torch.arange(n))


def test_items_and_batches_hold_the_settings_in_stops(folder):
    rows = read_manifest(folder)
    expected = np.array(
        [
            (2 * np.log2(r.f_number), np.log2(r.iso / 100), -np.log2(float(r.exposure_time_s)))
            for r in ((replace(r, f_number=float(r.f_number))) for r in rows)
        ]
    )
    data = PhotoDataset(folder, transform=eval_transform(), targets="stops")
    np.testing.assert_allclose(data.stops, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(list(data[3][1].values()), expected[3], rtol=1e-12, atol=1e-12)
    assert list(data[3][1]) == list(HEADS)
    plain = PhotoDataset(folder, transform=eval_transform())
    assert torch.equal(data[3][0], plain[3][0])
    assert plain[3][1] == dict(zip(HEADS, rows[3].labels, strict=True))
    np.testing.assert_array_equal(data.labels, plain.labels)
    train, val = loaders(folder, rng=np.random.default_rng(2), how="random", targets="stops")
    x, y = next(iter(val))
    assert y["iso"].is_floating_point()
    np.testing.assert_allclose(y["iso"], val.dataset.stops[: len(x), 1], rtol=1e-12, atol=1e-12)
    features = extract_features(small_model(), train, views=2, **COMMON)
    assert features.labels.dtype == torch.float32
    np.testing.assert_allclose(features.labels[: len(train.dataset)], train.dataset.stops, 1e-6)
    np.testing.assert_array_equal(features.classes, np.tile(train.dataset.labels, (2, 1)))


def test_the_loss_and_its_gradient_are_those_on_paper():
    """L_h = mean (a - u)^2 and dL/da = 2 (a - u) / B, and through the head dL/dW = dL/da z^T."""
    model, data = small_model().double(), planted(5)
    model.set_centre(data.labels)
    f = data.features.double()
    u = data.labels.double()
    answers = model.forward_from_features(f)
    a = torch.cat([answers[h] for h in HEADS], dim=1)
    losses = head_losses(answers, u)
    torch.testing.assert_close(losses.double(), (a - u).square().mean(dim=0), rtol=1e-6, atol=0)
    losses.sum().backward()
    z = model.shared(f.flatten(1))  # (5, 256); pooled to one place, there is only one
    for j, head in enumerate(HEADS):
        da = 2 * (a[:, j] - u[:, j]) / 5
        layer = model.heads[head]
        # the library's loss is in float32: 24 bits
        torch.testing.assert_close(layer.weight.grad, (da[:, None] * z).sum(0, keepdim=True),
                                   rtol=1e-5, atol=1e-5)  # fmt: skip
        torch.testing.assert_close(layer.bias.grad, da.sum()[None], rtol=1e-5, atol=1e-5)


def test_the_gradient_is_the_slope_of_the_loss():
    model, data = small_model().double(), planted(5)
    f, u = data.features.double(), data.labels.double()

    def loss():
        answers = model.forward_from_features(f)
        return sum((answers[h][:, 0] - u[:, j]).square().mean() for j, h in enumerate(HEADS))

    head_losses(model.forward_from_features(f), u).sum().backward()
    rng = np.random.default_rng(0)
    for p in (model.shared[0].weight, model.shared[3].bias, model.heads["iso"].weight):
        direction = torch.from_numpy(rng.normal(size=p.shape))
        eps = 1e-5  # small enough that no ReLU flips; central differences err by eps^2
        with torch.no_grad():
            p += eps * direction
            above = loss()
            p -= 2 * eps * direction
            below = loss()
            p += eps * direction
        slope = ((above - below) / (2 * eps)).item()
        assert (p.grad * direction).sum().item() == pytest.approx(slope, rel=1e-4, abs=1e-5)


def test_fit_learns_a_planted_signal():
    train, val = planted(300), planted(100, seed=1)
    model = small_model().set_centre(train.labels)
    before = evaluate(model, val, device="cpu")
    history = fit(model, train, val, epochs=40, batch_size=32, lr=1e-3, **COMMON)
    after = evaluate(model, val, device="cpu")
    assert history.val_loss[-1] < 0.05 * before.loss
    for head in HEADS:
        assert after.stops_error[head] < 0.5 < 1 < before.stops_error[head]
        assert after.accuracy[head] > 0.8
    assert after.loss == pytest.approx(history.best_val_loss, rel=1e-5)


def test_an_evaluation_says_how_far_off_and_in_which_class():
    model = small_model()
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    model.set_centre(torch.tensor([[5.0, 1.0, 7.0]]))  # f/5.66, ISO 200, 1/128 s, always
    u = [[5.0, 1.0, 7.0], [4.0, 3.5, -1.0], [7.0, 0.0, 11.0]]
    data = FeatureSet(torch.zeros(3, 512, 1, 1), torch.tensor(u), torch.arange(3))
    found = evaluate(model, data, device="cpu")
    assert found.stops_error == pytest.approx(
        {"aperture": 1.0, "iso": 3.5 / 3, "shutter": 4.0}, abs=1e-6
    )
    assert found.head_loss == pytest.approx(
        {"aperture": 5 / 3, "iso": 7.25 / 3, "shutter": 80 / 3}, abs=1e-5
    )
    assert found.labels.tolist() == [[1, 0, 1], [0, 2, 2], [1, 0, 0]]
    assert found.predicted.tolist() == [[1, 0, 1]] * 3
    assert found.accuracy == pytest.approx(
        {"aperture": 2 / 3, "iso": 2 / 3, "shutter": 1 / 3}, abs=1e-12
    )
    table = found.summary(labels_train=data.labels)
    assert table["aperture"]["stops_error"] == pytest.approx(1.0, abs=1e-6)
    # f/4 would have to be turned to f/5.6, two nominal settings 0.97 stops apart
    assert table["aperture"]["stops_to_class"] == pytest.approx(2 * np.log2(5.6 / 4) / 3, abs=1e-6)
    assert "loss" not in table["aperture"]


def test_the_summary_of_a_classifier_has_its_own_keys(make_features, make_tiny):
    data = make_features(30)
    found = evaluate(make_tiny(), data, device="cpu")
    table = found.summary(labels_train=data.labels, stops=np.zeros((30, 3)))
    for j, head in enumerate(HEADS):
        assert table[head]["loss"] == pytest.approx(found.head_loss[head], rel=1e-5)
        assert table[head]["majority"] == pytest.approx(
            (data.labels[:, j] == data.labels[:, j].bincount().argmax()).double().mean().item(),
            abs=1e-12,
        )
        assert {"macro_f1", "calibration_error", "stops_to_class"} <= set(table[head])


def test_photographs_train_a_regressor_as_well_as_cached_features(folder):
    train, val = loaders(folder, size=32, batch_size=8, rng=np.random.default_rng(2),
                         how="random", targets="stops")  # fmt: skip
    model = small_model().set_centre(train.dataset.stops)
    torch.testing.assert_close(model.centre.double(), torch.tensor(train.dataset.stops).mean(0),
                               rtol=1e-6, atol=0)  # fmt: skip
    history = fit(model, train, val, epochs=2, lr=1e-3, **COMMON)
    assert np.isfinite(history.val_loss).all()
    found = evaluate(model, val, device="cpu")
    np.testing.assert_allclose(found.stops, val.dataset.stops, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(found.labels, val.dataset.labels)


def test_files_keep_the_centre_and_say_what_heads_answer(tmp_path):
    model = small_model().set_centre(torch.tensor([[4.0, 2.0, 7.0]]))
    path = save_heads(model, tmp_path / "heads.safetensors")
    assert read_heads_metadata(path)["outputs"] == "stops"
    other = load_heads(small_model(), path)
    assert other.centre.tolist() == [4.0, 2.0, 7.0]
    with pytest.raises(ValueError, match="heads for stops on the backbone resnet18"):
        load_heads(ThreeHeads("resnet18", "random"), path)
    with pytest.raises(ValueError, match="must answer classes"):
        predict(np.zeros((128, 128, 3), np.uint8), heads=path)


def test_classes_and_stops_are_not_mixed(folder, make_features):
    classes, stops = make_features(8, channels=512), planted(8)
    regressor, classifier = small_model(), ThreeHeads("resnet18", "random")
    for model, data in ((regressor, classes), (classifier, stops)):
        with pytest.raises(ValueError, match='build the model with outputs="'):
            evaluate(model, data, device="cpu")
        with pytest.raises(ValueError, match='build the model with outputs="'):
            fit(model, data, data, epochs=1, batch_size=4, **COMMON)
    loader = DataLoader(PhotoDataset(folder, transform=eval_transform(32), targets="stops"))
    with pytest.raises(ValueError, match="val has stops"):
        fit(classifier, classes, loader, epochs=1, batch_size=4, **COMMON)
    broken = replace(stops, labels=torch.full((8, 3), torch.nan))
    with pytest.raises(ValueError, match="finite"):
        evaluate(regressor, broken, device="cpu")


def test_impossible_arguments_are_refused(folder):
    with pytest.raises(ValueError, match="outputs must be one of classes, stops"):
        ThreeHeads("vgg16", "random", outputs="logits")
    with pytest.raises(ValueError, match="targets must be one of classes, stops"):
        PhotoDataset(folder, targets="labels")
    with pytest.raises(ValueError, match="only outputs"):
        ThreeHeads("resnet18", "random").set_centre(torch.zeros(1, 3))
    for wrong in (torch.zeros(3), torch.full((1, 3), torch.inf), torch.zeros(0, 3)):
        with pytest.raises(ValueError, match="stops must be"):
            small_model().set_centre(wrong)


def test_the_books_model_has_no_centre_and_its_old_names():
    names = list(ThreeHeadVGG16("random").state_dict())
    assert len(names) == 36
    assert "centre" not in names
    regressor = ThreeHeads("vgg16", "random", outputs="stops")
    assert set(regressor.state_dict()) - set(names) == {"centre"}
    assert isinstance(regressor.heads["iso"], nn.Linear)
    assert regressor.count_parameters()["heads"] == 3 * 257
