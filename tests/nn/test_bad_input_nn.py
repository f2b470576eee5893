"""What a caller may get wrong, or take to the edge, in the network by hand: beyond one module."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from pp_lib import nn

Z23, P23, NAN23 = np.zeros((2, 3)), np.full((2, 3), 1 / 3), np.full((2, 3), np.nan)
PROBABILITIES = nn.cross_entropy_loss, nn.cross_entropy_gradient
BINARY = nn.binary_cross_entropy_with_logits, nn.binary_cross_entropy_with_logits_backward
MSE = nn.mse_loss, nn.mse_loss_backward
HEADS = nn.multi_task_loss, nn.multi_task_loss_backward


@pytest.mark.parametrize(
    ("fs", "arguments", "message"),
    [
        (PROBABILITIES, (NAN23, [[1, 0, 0], [0, 1, 0]]), "predictions must be finite, got nan"),
        (PROBABILITIES, (P23.astype(complex), P23), "float32 or float64, got complex128"),
        (PROBABILITIES, (P23.astype(np.float16), P23), "float32 or float64, got float16"),
        (PROBABILITIES, (P23, P23[:, :2] * 1.5), r"targets must be \(2, 3\), got \(2, 2\)"),
        (PROBABILITIES, (np.zeros((2, 0)), np.zeros((2, 0))), r"at least 1, got \(2, 0\)"),
        (BINARY, (Z23.astype(int), P23), "Z must be of float32 or float64, got int64"),
        (BINARY, (Z23, P23.astype(int)), "Y must be of float32 or float64, got int64"),
        (BINARY, (np.full((2, 3), np.inf), P23), "Z must be finite, got inf"),
        (BINARY, (Z23, NAN23), "Y must be finite, got nan"),
        (BINARY, (Z23, P23, np.nan), "pos_weight must be finite, got nan"),
        (MSE, (Z23.astype(int), Z23), "A must be of float32 or float64, got int64"),
        (MSE, (NAN23, Z23), "A must be finite, got nan"),
        (HEADS, ({"iso": Z23, "shutter": NAN23}, {"iso": [0, 1], "shutter": [0, 1]}), "got nan"),
        (HEADS, ({"iso": Z23}, {"iso": [0, 3]}), r"must lie in 0\.\.2, got 0\.\.3"),
        (HEADS, ({"iso": Z23[:0]}, {"iso": []}), r"B >= 1 and K >= 1, got \(0, 3\)"),
        (HEADS, ({"iso": Z23}, {"iso": [[1, 0, 0], [1, 1, 0]]}), "a row that sums to 2"),
        (HEADS, ({"iso": Z23.astype(np.float16)}, {"iso": [0, 1]}), "float64, got float16"),
    ],
)
def test_wrong_arguments_of_losses(fs, arguments, message):
    for f in fs:
        with pytest.raises(ValueError, match=message):
            f(*arguments)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones((1, 4), bool), r"mask must be \(2, 4\), got \(1, 4\)"),  # would broadcast
        (np.ones((4, 2), bool), r"mask must be \(2, 4\), got \(4, 2\)"),
        (np.ones(8, bool), r"mask must be \(2, 4\), got \(8,\)"),
        (np.True_, r"mask must be \(2, 4\), got \(\)"),
    ],
)
def test_a_mask_of_the_wrong_shape(mask, message):
    layer = nn.Dropout(0.5)
    layer.mask = mask
    with pytest.raises(ValueError, match=message):
        layer(np.ones((2, 4)))


@pytest.mark.parametrize("optimizer", [nn.SGD, nn.RMSProp, nn.Adam, nn.AdamW])
@pytest.mark.parametrize(
    ("grad", "message"),
    [
        (None, "b has no gradient: run backward before step"),
        (np.ones(3, np.float32), r"of b must be \(2,\) float32, got \(3,\) float32"),
        (np.ones((2, 1), np.float32), r"of b must be \(2,\) float32, got \(2, 1\) float32"),
        (np.ones(2), r"of b must be \(2,\) float32, got \(2,\) float64"),
        (np.ones(2, int), r"of b must be \(2,\) float32, got \(2,\) int64"),
    ],
)
def test_a_parameter_without_a_gradient_like_it_stops_all(optimizer, grad, message):
    named = {name: nn.Parameter(np.ones(2, np.float32)) for name in "ab"}
    step = optimizer(named)
    named["a"].grad, named["b"].grad = np.ones(2, np.float32), grad
    with pytest.raises(ValueError, match=message):
        step.step()
    assert step.steps == 0
    assert_allclose(named["a"].value, 1, rtol=0)


def test_a_gradient_of_another_dtype_than_the_weights():
    layer = nn.Linear(3, 2, rng=np.random.default_rng(0), dtype=np.float32)
    layer(np.ones((4, 3), np.float32))
    with pytest.raises(ValueError, match="dy must be float32 like the weights, got float64"):
        layer.backward(np.ones((4, 2)))


@pytest.mark.parametrize("scale", [1.0, 1e4])
@pytest.mark.parametrize("K", [1, 3])
@pytest.mark.parametrize("B", [1, 4])
def test_a_whole_network_at_the_edges_is_torchs(B, K, scale):
    """One row, one class, and logits of 1e4 and -1e4, through two layers and two heads."""
    rng = np.random.default_rng(B + K)
    x, y = rng.normal(size=(B, 3)), {head: rng.integers(K, size=B) for head in "ab"}
    trunk = nn.Sequential(nn.Linear(3, 5, rng=rng), nn.ReLU())
    heads = {head: nn.Linear(5, K, rng=rng) for head in "ab"}
    for layer in heads.values():
        layer.weight.value *= scale
        layer.bias.value += np.where(np.arange(K) % 2, -scale, scale)
    named = {f"t.{k}": p for k, p in trunk.parameters().items()}
    named |= {f"{h}.{k}": p for h, layer in heads.items() for k, p in layer.parameters().items()}

    logits = {head: layer(trunk(x)) for head, layer in heads.items()}
    loss = nn.multi_task_loss(logits, y)
    dlogits = nn.multi_task_loss_backward(logits, y)
    trunk.backward(sum(heads[head].backward(dlogits[head]) for head in heads))

    leaf = {name: torch.tensor(p.value, requires_grad=True) for name, p in named.items()}
    z = torch.relu(torch.tensor(x) @ leaf["t.0.weight"].T + leaf["t.0.bias"])
    theirs = sum(
        torch.nn.functional.cross_entropy(
            z @ leaf[f"{h}.weight"].T + leaf[f"{h}.bias"], torch.tensor(y[h])
        )
        for h in heads
    )
    theirs.backward()
    # rounding is relative to the logits, and the gradient of the trunk to the heads' weights
    assert_allclose(loss, theirs.item(), rtol=1e-12, atol=1e-15 * scale)
    for name, p in named.items():
        assert_allclose(p.grad, leaf[name].grad.numpy(), rtol=1e-9, atol=1e-12 * scale)
    if K == 1:
        assert loss == 0
        assert not any(p.grad.any() for p in named.values())
