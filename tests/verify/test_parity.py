"""Parity tested: what agrees, what is caught, what is refused; and the whole VGG16."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from pp_lib import nn
from pp_lib.nn.conv import AdaptiveAvgPool2d, Conv2d, MaxPool2d
from pp_lib.nn.losses import cross_entropy, cross_entropy_backward
from pp_lib.photos import simulated_photographs
from pp_lib.photos.bins import HEADS
from pp_lib.photos.dataset import PhotoDataset, eval_transform
from pp_lib.train import ThreeHeadVGG16
from pp_lib.verify import (
    RTOL_VGG16,
    assert_gradients_match,
    numerical_gradient,
    parity,
    torch_parity,
    vgg16_parity,
)

RTOL_PARITY = 1e-13  # float64: some ten operations, each right to 1.1e-16
FLOAT32, FLOAT64 = map(np.dtype, ("float32", "float64"))


def logits_and_classes(B, K):
    rng = np.random.default_rng(0)
    return rng.standard_normal((B, K)), rng.integers(K, size=B)


def by_hand(Z, y):
    return cross_entropy(Z, y), [cross_entropy_backward(Z, y)]


@pytest.mark.parametrize(("B", "K"), [(1, 3), (5, 3), (32, 10)])
def test_parity_of_the_cross_entropy(B, K):
    rows = torch_parity(by_hand, torch.nn.functional.cross_entropy, *logits_and_classes(B, K))
    assert [(row.name, row.shape, row.count) for row in rows] == [
        ("loss", (), 1),
        ("gradient 0", (B, K), B * K),
    ]
    assert max(row.max_relative_error for row in rows) < RTOL_PARITY


def test_parity_catches_a_thousandth_in_loss_and_gradient():
    def wrong_loss(Z, y):
        return 1.001 * by_hand(Z, y)[0], by_hand(Z, y)[1]

    def wrong_gradient(Z, y):
        loss, (dZ,) = by_hand(Z, y)
        dZ.flat[np.abs(dZ).argmax()] *= 1.001
        return loss, [dZ]

    for i, wrong in enumerate([wrong_loss, wrong_gradient]):
        rows = torch_parity(wrong, torch.nn.functional.cross_entropy, *logits_and_classes(5, 3))
        assert rows[i].max_relative_error == pytest.approx(1e-3, rel=1e-6)
        assert rows[1 - i].max_relative_error < RTOL_PARITY


def test_softmax_over_the_whole_batch_passes_differences_but_not_parity():
    # The classic bug: normalise over all numbers, not row by row. The gradient of that wrong loss
    # is right, so finite differences are content; only another's answer shows the mistake.
    def whole_batch(Z, y):
        P = np.exp(Z - Z.max())
        P /= P.sum()
        Y = np.eye(Z.shape[1])[y]
        return -np.log(P[np.arange(len(y)), y]).mean(), [P - Y / len(y)]

    Z, y = logits_and_classes(5, 3)
    analytic = whole_batch(Z, y)[1][0]
    assert_gradients_match(analytic, numerical_gradient(lambda v: whole_batch(v, y)[0], Z))
    rows = torch_parity(whole_batch, torch.nn.functional.cross_entropy, Z, y)
    assert min(row.max_relative_error for row in rows) > 0.1


def test_parity_of_several_arrays_unused_ones_and_zeros():
    def ours(a, b, c):
        return (a * b).sum(), [b, a, np.zeros_like(c)]

    arrays = [np.arange(4.0), np.ones(4), np.ones((2, 2))]
    rows = torch_parity(ours, lambda a, b, c: (a * b).sum(), *arrays)
    assert [row.max_relative_error for row in rows] == [0, 0, 0, 0]
    rows = torch_parity(
        lambda a, b, c: (ours(a, b, c)[0], [b, a, c]), lambda a, b, c: (a * b).sum(), *arrays
    )
    assert rows[3].max_relative_error == np.inf
    rows = torch_parity(
        lambda a, b, c: (ours(a, b, c)[0], [b * np.nan, a, 0 * c]),
        lambda a, b, c: (a * b).sum(),
        *arrays,
    )
    assert rows[1].max_relative_error == np.inf  # nan would pass every "greater than" for a worst


def test_parity_refuses():
    Z, y = logits_and_classes(5, 3)
    loss_torch = torch.nn.functional.cross_entropy
    with pytest.raises(ValueError, match="must give 1 gradients.* got 0"):
        torch_parity(lambda Z, y: (0.0, []), loss_torch, Z, y)
    with pytest.raises(ValueError, match=r"same shape, got \(3, 5\) and \(5, 3\)"):
        torch_parity(lambda Z, y: (0.0, [Z.T]), loss_torch, Z, y)
    with pytest.raises(ValueError, match=r"must give one number, got \(5, 3\)"):
        torch_parity(by_hand, lambda Z, y: Z, Z, y)


def test_importing_verify_does_not_load_torch():
    code = "import sys, pp_lib.verify; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def model():
    return ThreeHeadVGG16("random")


def batch_and_masks(seed=1, B=2, size=33):
    """Make photographs of noise, classes and masks; 33 leaves a row over at the first pooling."""
    rng = np.random.default_rng(seed)
    classes = {head: rng.integers(3, size=B) for head in ("aperture", "iso", "shutter")}
    masks = rng.random((B, 512)) < 0.5, rng.random((B, 256)) < 0.5
    return (rng.standard_normal((B, 3, size, size)), classes), masks


def test_every_partial_derivative_of_vgg16(model):
    before = {name: p.clone() for name, p in model.named_parameters()}
    batch, masks = batch_and_masks()
    rows = vgg16_parity(model, batch, masks=masks)
    expected = [(name, tuple(p.shape), p.numel()) for name, p in model.named_parameters()]
    assert [row[:3] for row in rows] == expected
    assert len(rows) == 36
    assert sum(row.count for row in rows) == 27_693_897
    assert max(row.max_relative_error for row in rows) < RTOL_VGG16[FLOAT64] == 1e-10
    assert sum(row.ties for row in rows) == 0  # two numbers in 10^15 that meet, among 600,000
    # the caller's model is as it was: float32, frozen, without gradients
    for name, p in model.named_parameters():
        assert torch.equal(p, before[name])
        assert p.grad is None
        assert p.requires_grad == (not name.startswith("features"))


def test_vgg16_in_float32_without_dropout_from_a_loader_s_tensors(model):
    (x, classes), _ = batch_and_masks(seed=2)
    batch = torch.from_numpy(x).float(), {h: torch.from_numpy(c) for h, c in classes.items()}
    rows = vgg16_parity(model, batch, dtype=np.float32)
    assert max(row.max_relative_error for row in rows) < RTOL_VGG16[FLOAT32] == 1e-4


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two pictures of the simulated camera, as the network gets them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHOTOPILOT_CACHE", str(tmp_path_factory.mktemp("cache")))
        folder = simulated_photographs(2, progress=False)
    pictures = PhotoDataset(folder, transform=eval_transform(128))
    classes = dict(zip(HEADS, pictures.labels.T, strict=True))
    return torch.stack([x for x, _ in pictures]), classes


def test_float32_on_photographs_and_a_thousandth_there(model, photographs, monkeypatch):
    rows = vgg16_parity(model, photographs, dtype=np.float32)
    assert max(row.max_relative_error for row in rows) < RTOL_VGG16[FLOAT32]
    assert sum(row.ties for row in rows) < 20  # of 8 million; 3 where this was written
    honest = Conv2d.backward

    def wrong(self, dy):  # in one of the 13 convolutions, the weight alone
        dx = honest(self, dy)
        if (self.C, self.K) == (128, 256):
            self.weight.grad *= np.float32(1.001)
        return dx

    monkeypatch.setattr(Conv2d, "backward", wrong)
    caught = vgg16_parity(model, photographs, dtype=np.float32)
    assert [row.name for row in caught if row.max_relative_error > RTOL_VGG16[FLOAT32]] == [
        "features.10.weight"
    ]


def round_coarsely(monkeypatch):
    """Let convolutions by hand be right to 5e-6 of their largest number only."""
    honest, rng = Conv2d.forward, np.random.default_rng(0)

    def rounded(self, x):
        y = honest(self, x)
        return y + 5e-6 * np.abs(y).max() * rng.uniform(-1, 1, y.shape).astype(y.dtype)

    monkeypatch.setattr(Conv2d, "forward", rounded)


def test_ties_are_settled_and_counted(model, monkeypatch):
    batch, masks = batch_and_masks()
    round_coarsely(monkeypatch)
    settled = vgg16_parity(model, batch, masks=masks, dtype=np.float32)
    raw = vgg16_parity(model, batch, masks=masks, dtype=np.float32, settle_ties=False)
    assert max(row.max_relative_error for row in settled) < RTOL_VGG16[FLOAT32]
    assert max(row.max_relative_error for row in raw) > 10 * RTOL_VGG16[FLOAT32]
    assert sum(row.ties for row in settled) > 0
    assert {row.name for row in settled if row.ties} <= {
        name for name, _ in model.named_parameters() if name.endswith("weight")
    }


def test_a_decision_that_is_no_tie_is_not_settled(model, monkeypatch):
    # The wrong way for each picture's and channel's clearest unit, where no rounding reaches.
    honest = nn.ReLU.forward

    def wrong(self, x):
        y = honest(self, x)
        clearest = x == x.max(axis=tuple(range(2, x.ndim)) or -1, keepdims=True)
        self.branch = self.branch & ~clearest
        return y

    batch, masks = batch_and_masks()
    monkeypatch.setattr(nn.ReLU, "forward", wrong)
    rows = vgg16_parity(model, batch, masks=masks, dtype=np.float32)
    before_a_relu = [row for row in rows if not row.name.startswith("heads")]
    assert min(row.max_relative_error for row in before_a_relu) > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layer", [Conv2d, AdaptiveAvgPool2d, MaxPool2d, nn.Linear, nn.ReLU])
def test_a_thousandth_in_the_forward_of_any_layer_is_caught(
    model, monkeypatch, torch_gradients, layer, dtype
):
    batch, masks = batch_and_masks()
    honest, references = layer.forward, torch_gradients[dtype]
    monkeypatch.setattr(parity, "_gradients_by_torch", lambda *_: references)
    monkeypatch.setattr(layer, "forward", lambda self, x: honest(self, x) * x.dtype.type(1.001))
    rows = vgg16_parity(model, batch, masks=masks, dtype=dtype)
    assert max(row.max_relative_error for row in rows) > 5e-4


def test_what_an_error_decides_is_not_settled(model, monkeypatch, torch_gradients):
    # A shift of 0.1 % sends thousands of units the other way, and none of them is a tie.
    batch, masks = batch_and_masks()
    honest, references = Conv2d.forward, torch_gradients[np.float32]
    monkeypatch.setattr(parity, "_gradients_by_torch", lambda *_: references)

    def shifted(self, x):
        y = honest(self, x)
        return y + np.abs(y).max() * x.dtype.type(1e-3)

    monkeypatch.setattr(Conv2d, "forward", shifted)
    rows = vgg16_parity(model, batch, masks=masks, dtype=np.float32)
    assert sum(row.ties for row in rows) == 0
    assert min(row.max_relative_error for row in rows) > 5e-4


def test_masks_reach_both_sides(model, monkeypatch):
    batch, masks = batch_and_masks()
    honest, seen = parity._gradients_by_torch, {}

    def without_masks(model, x, y, masks):
        seen.update(masks=masks)
        return honest(model, x, y, None)

    monkeypatch.setattr(parity, "_gradients_by_torch", without_masks)
    rows = vgg16_parity(model, batch, masks=masks)
    assert seen["masks"] is not None
    assert min(row.max_relative_error for row in rows) > 1e-3


@pytest.mark.parametrize(
    ("layer", "last_row_hit"),
    [
        (Conv2d, "features.26.bias"),
        (MaxPool2d, "features.28.bias"),
        (AdaptiveAvgPool2d, "features.28.bias"),
        (nn.Flatten, "features.28.bias"),
        (nn.Linear, "shared.3.bias"),
        (nn.ReLU, "shared.3.bias"),
        (nn.Dropout, "shared.3.bias"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_thousandth_in_any_layer_shows_in_every_row_before_it(
    model, monkeypatch, torch_gradients, layer, last_row_hit, dtype
):
    batch, masks = batch_and_masks()
    honest, references = layer.backward, torch_gradients[dtype]
    monkeypatch.setattr(parity, "_gradients_by_torch", lambda *_: references)
    monkeypatch.setattr(layer, "backward", lambda self, dy: honest(self, dy) * dtype(1.001))
    rows = vgg16_parity(model, batch, masks=masks, dtype=dtype)
    names = [row.name for row in rows]
    hit = [row.max_relative_error > 5e-4 for row in rows]
    assert hit == [i <= names.index(last_row_hit) for i in range(36)]


@pytest.fixture(scope="module")
def torch_gradients(model):
    seen, honest = [], parity._gradients_by_torch
    batch, masks = batch_and_masks()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            parity, "_gradients_by_torch", lambda *args: seen.append(honest(*args)) or seen[-1]
        )
        for dtype in (np.float32, np.float64):
            vgg16_parity(model, batch, masks=masks, dtype=dtype)
    return dict(zip((np.float32, np.float64), seen, strict=True))


def test_vgg16_parity_refuses(model):
    (x, y), masks = batch_and_masks()
    for args, given, message in [
        ((torch.nn.Linear(2, 2), (x, y)), None, "must be a ThreeHeadVGG16, got Linear"),
        ((model, (x.astype(np.uint8), y)), None, "floating and standardised, got uint8"),
        ((model, (x[0], y)), None, r"\(B, 3, H, W\).* got \(3, 33, 33\)"),
        ((model, (x[:0], y)), None, r"none of them 0, got \(0, 3, 33, 33\)"),
        ((model, (x[:, :2], y)), None, r"\(B, 3, H, W\).* got \(2, 2, 33, 33\)"),
        ((model, (x, y["iso"])), None, "dict, head -> "),
        ((model, (x, {"iso": y["iso"]})), None, "iso"),
        ((model, (x, y | {"iso": y["iso"] + 3})), None, r"0\.\.2, got"),
        ((model, (x, y | {"iso": y["iso"][:1]})), None, r"\(2,\), got \(1,\)"),
        ((model, (x, y)), masks[:1], "masks must be two, .* got 1"),
        ((model, (x, y)), masks[::-1], r"mask must be \(2, 512\), got \(2, 256\)"),
        ((model, (np.full_like(x, np.nan), y)), None, "finite, got nan"),
    ]:
        with pytest.raises(ValueError, match=message):
            vgg16_parity(*args, masks=given)
    for dtype in (np.float16, "wide", int):
        with pytest.raises(ValueError, match="dtype must be float64 or float32, got"):
            vgg16_parity(model, (x, y), dtype=dtype)
