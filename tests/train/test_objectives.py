"""What training asks for: held against PyTorch, the NumPy twins of chapter 10, and counting."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy

from pp_lib import nn
from pp_lib.photos.bins import HEADS
from pp_lib.train.objectives import (
    balanced_class_weights,
    check_objective,
    head_divisors,
    head_losses,
)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    z = {h: 2 * torch.randn(20, 3, generator=generator) for h in HEADS}
    return z, torch.randint(0, 3, (20, 3), generator=generator)


WEIGHTS = {h: torch.tensor([0.5, 1.0, 3.0]) + j for j, h in enumerate(HEADS)}


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_cross_entropy_is_torchs_and_the_twins(batch, weights, smoothing):
    z, y = batch
    found = head_losses(z, y, class_weights=weights, label_smoothing=smoothing)
    assert found.dtype == torch.float32
    for j, h in enumerate(HEADS):
        w = None if weights is None else weights[h]
        torchs = cross_entropy(z[h], y[:, j], weight=w, label_smoothing=smoothing)
        twin = nn.cross_entropy(
            z[h].double().numpy(), y[:, j].numpy(), None if w is None else w.numpy(), smoothing
        )
        assert found[j] == torchs
        assert found[j].item() == pytest.approx(twin, rel=1e-6)  # float32 against float64


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])
def test_focal_loss_is_the_twins_with_its_gradient(batch, weights, gamma):
    z, y = batch
    z = {h: v.clone().requires_grad_() for h, v in z.items()}
    found = head_losses(z, y, class_weights=weights, focal_gamma=gamma)
    found.sum().backward()
    for j, h in enumerate(HEADS):
        alpha = 1.0 if weights is None else weights[h].numpy()
        arguments = (z[h].detach().double().numpy(), y[:, j].numpy(), alpha, gamma)
        assert found[j].item() == pytest.approx(nn.focal_loss(*arguments), rel=1e-5)
        assert np.allclose(z[h].grad, nn.focal_loss_backward(*arguments), rtol=1e-4, atol=1e-7)


def test_focal_loss_of_a_certain_answer_has_a_slope():
    z = {h: torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True) for h in HEADS}
    head_losses(z, torch.zeros(1, 3, dtype=torch.int64), focal_gamma=0.5).sum().backward()
    assert all(torch.isfinite(v.grad).all() for v in z.values())


@pytest.mark.parametrize("options", [{}, {"class_weights": WEIGHTS}, {"focal_gamma": 2.0},
                                     {"class_weights": WEIGHTS, "focal_gamma": 2.0}])  # fmt: skip
def test_means_of_parts_add_up_to_the_mean(batch, options):
    z, y = batch
    parts = [slice(0, 7), slice(7, 8), slice(8, None)]
    sums = sum(
        head_losses({h: v[p] for h, v in z.items()}, y[p], **options)
        * head_divisors(y[p], **options)
        for p in parts
    )
    expected = head_losses(z, y, **options)
    assert torch.allclose(sums / head_divisors(y, **options), expected, rtol=1e-6)


def test_settings_in_stops_are_judged_by_squares():
    y = torch.tensor([[1.0, 6.0, -8.0], [2.0, 7.0, -5.0]])
    outputs = {h: y[:, [j]] + torch.tensor([[1.0], [-2.0]]) for j, h in enumerate(HEADS)}
    assert head_losses(outputs, y).tolist() == [2.5] * 3
    for options in ({"class_weights": WEIGHTS}, {"label_smoothing": 0.1}, {"focal_gamma": 1.0}):
        with pytest.raises(ValueError, match="are for classes"):
            head_losses(outputs, y, **options)


def test_balanced_weights_are_scikit_learns(batch):
    _, y = batch
    for j, w in enumerate(balanced_class_weights(y).values()):
        expected = compute_class_weight("balanced", classes=np.arange(3), y=y[:, j].numpy())
        assert np.allclose(w, expected, rtol=1e-6)
    y[:, 2] = y[:, 2].clamp(max=1)
    with pytest.raises(ValueError, match="of shutter there is none that is slow"):
        balanced_class_weights(y)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((None, 1.5, 0.0), "label_smoothing must lie in"),
        ((None, float("nan"), 0.0), "label_smoothing must lie in"),
        ((None, 0.0, -1.0), "focal_gamma"),
        ((None, 0.0, float("inf")), "focal_gamma"),
        ((None, 0.1, 1.0), "not both"),
        (({"iso": [1, 1, 1]}, 0.0, 0.0), "must have the heads"),
        ((WEIGHTS | {"iso": [1, 2]}, 0.0, 0.0), "of iso must be 3 positive"),
        ((WEIGHTS | {"iso": [1, 2, 0]}, 0.0, 0.0), "of iso must be 3 positive"),
        ((WEIGHTS | {"iso": [1, 2, float("nan")]}, 0.0, 0.0), "of iso must be 3 positive"),
    ],
)
def test_impossible_options_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        check_objective(*options)
