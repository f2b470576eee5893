"""The testers tested: an error of 0.1 % in any layer, loss or optimizer is caught.

Convolution and pooling have the like beside them (tests/nn/test_conv.py), so do the operations of
the engine (test_autograd.py) and all layers inside VGG16 (test_parity.py).
"""

import numpy as np
import pytest
import torch

from pp_lib import nn
from pp_lib.verify import assert_gradients_match, numerical_gradient, torch_parity

THOUSANDTH = 1.001
RTOL = 1e-12  # float64: some hundred operations at most, each right to 1.1e-16
CAUGHT = 5e-4  # half of what was planted: in a sum it stands beside what is right

F = torch.nn.functional
RNG = np.random.default_rng(0)
Z, Y01, A = RNG.standard_normal((4, 3)), RNG.random((4, 3)), RNG.standard_normal((4, 3))
P = RNG.dirichlet(np.ones(3), 4)
y = np.array([0, 2, 1, 2])
WEIGHT = np.array([0.5, 1.0, 2.0])


def heads(Z):
    return {"iso": Z[:2], "shutter": Z[2:]}, {"iso": y[:2], "shutter": y[2:]}


def penalty(w):
    return nn.l2_penalty({"w": nn.Parameter(w)}, 0.3)


def focal_by_torch(z, gamma, alpha):
    p = z.softmax(1)[torch.arange(4), torch.tensor(y)]
    return -(torch.tensor(alpha)[y] * (1 - p) ** gamma * p.log()).mean()


def smoothed(z):
    return F.cross_entropy(z, torch.tensor(y), torch.tensor(WEIGHT), label_smoothing=0.1)


# name: the loss of one array, its gradient, the same in PyTorch, the array
LOSSES = {
    "cross-entropy": (
        lambda z: nn.cross_entropy(z, y),
        lambda z: nn.cross_entropy_backward(z, y),
        lambda z: F.cross_entropy(z, torch.tensor(y)),
        Z,
    ),
    "weighted and smoothed": (
        lambda z: nn.cross_entropy(z, y, WEIGHT, 0.1),
        lambda z: nn.cross_entropy_backward(z, y, WEIGHT, 0.1),
        smoothed,
        Z,
    ),
    "both at once": (
        lambda z: nn.cross_entropy_and_gradient(z, y, WEIGHT, 0.1)[0],
        lambda z: nn.cross_entropy_and_gradient(z, y, WEIGHT, 0.1)[1],
        smoothed,
        Z,
    ),
    "of probabilities": (
        lambda z: nn.cross_entropy_loss(nn.functional.softmax(z), P),
        lambda z: nn.cross_entropy_gradient(nn.functional.softmax(z), P),
        lambda z: F.cross_entropy(z, torch.tensor(P)),
        Z,
    ),
    "focal": (
        lambda z: nn.focal_loss(z, y, WEIGHT, 2.0),
        lambda z: nn.focal_loss_backward(z, y, WEIGHT, 2.0),
        lambda z: focal_by_torch(z, 2.0, WEIGHT),
        Z,
    ),
    "binary": (
        lambda z: nn.binary_cross_entropy_with_logits(z, Y01, WEIGHT),
        lambda z: nn.binary_cross_entropy_with_logits_backward(z, Y01, WEIGHT),
        lambda z: F.binary_cross_entropy_with_logits(
            z, torch.tensor(Y01), pos_weight=torch.tensor(WEIGHT)
        ),
        Z,
    ),
    "mean square": (
        lambda a: nn.mse_loss(a, Y01),
        lambda a: nn.mse_loss_backward(a, Y01),
        lambda a: F.mse_loss(a, torch.tensor(Y01)),
        A,
    ),
    "L2": (
        penalty,
        lambda w: nn.l2_penalty_backward({"w": nn.Parameter(w)}, 0.3)["w"],
        lambda w: 0.15 * (w**2).sum(),
        A,
    ),
    "several heads": (
        lambda z: nn.multi_task_loss(*heads(z)),
        lambda z: np.concatenate(list(nn.multi_task_loss_backward(*heads(z)).values())),
        lambda z: (
            F.cross_entropy(z[:2], torch.tensor(y[:2]))
            + F.cross_entropy(z[2:], torch.tensor(y[2:]))
        ),
        Z,
    ),
}


def one_off(array, i):
    """Give a copy whose entry number i is 0.1 % too large."""
    wrong = array.copy()
    wrong.flat[i] *= THOUSANDTH
    return wrong


@pytest.mark.parametrize("name", LOSSES)
def test_in_any_loss_and_any_entry_of_its_gradient(name):
    value, backward, by_torch, x = LOSSES[name]
    numeric, gradient = numerical_gradient(value, x), backward(x)
    rows = torch_parity(lambda v: (value(v), [backward(v)]), by_torch, x)
    assert max(row.max_relative_error for row in rows) < RTOL
    assert_gradients_match(gradient, numeric)

    rows = torch_parity(lambda v: (value(v) * THOUSANDTH, [backward(v)]), by_torch, x)
    assert rows[0].max_relative_error > CAUGHT
    largest = np.abs(gradient).argmax()
    wrong = one_off(gradient, largest)
    rows = torch_parity(lambda v: (value(v), [wrong]), by_torch, x)
    assert rows[1].max_relative_error > CAUGHT
    for i in range(gradient.size):  # differences look at each entry by itself
        with pytest.raises(AssertionError, match="differ at 1 of 12 entries"):
            assert_gradients_match(one_off(gradient, i), numeric)


def linear_of(W, b):
    layer = nn.Linear(3, 2, rng=np.random.default_rng(0))
    layer.weight.value, layer.bias.value = W, b
    return layer


def dropout_with_mask():
    layer = nn.Dropout(0.4)
    layer.mask = MASK
    return layer


MASK = np.arange(12).reshape(4, 3) % 3 != 1
# name: the layer made of its parameters, the same in PyTorch, the layer's input and parameters
LAYERS = {
    "linear": (linear_of, lambda x, W, b: x @ W.T + b, (A, A[:2].copy(), A[2, :2].copy())),
    "relu": (nn.ReLU, torch.relu, (A,)),
    "dropout": (dropout_with_mask, lambda x: x * torch.tensor(MASK) / 0.6, (A,)),
    "flatten": (nn.Flatten, lambda x: x.reshape(4, 3), (A.reshape(4, 3, 1),)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_in_any_layer_forward_and_backward(name):
    make, by_torch, arrays = LAYERS[name]
    width = 2 if name == "linear" else 3
    seed = np.linspace(1, 2, 4 * width).reshape(4, width)  # every element of y counts differently

    def run(x, *parameters, forward=1.0, wrong=None):
        layer = make(*parameters)
        y = layer(x)
        gradients = [layer.backward(seed), *(p.grad for p in layer.parameters().values())]
        if wrong is not None:
            gradients[wrong] = one_off(gradients[wrong], np.abs(gradients[wrong]).argmax())
        return (forward * y * seed).sum(), gradients

    def reference(*tensors):
        return (by_torch(*tensors) * torch.tensor(seed)).sum()

    def errors(**planted):
        rows = torch_parity(lambda *v: run(*v, **planted), reference, *arrays)
        return [row.max_relative_error for row in rows]

    assert max(errors()) < RTOL
    assert errors(forward=THOUSANDTH)[0] > CAUGHT
    for wrong in range(len(arrays)):
        assert [error > CAUGHT for error in errors(wrong=wrong)] == [
            i == wrong + 1 for i in range(len(arrays) + 1)
        ]


OPTIMIZERS = {
    "SGD": (nn.SGD, torch.optim.SGD, {"lr": 0.1}),
    "momentum": (nn.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    "Nesterov": (nn.SGD, torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "RMSProp": (nn.RMSProp, torch.optim.RMSprop, {"lr": 0.1, "momentum": 0.5}),
    "Adam": (nn.Adam, torch.optim.Adam, {"lr": 0.1, "weight_decay": 0.1}),
    "AdamW": (nn.AdamW, torch.optim.AdamW, {"lr": 0.1, "weight_decay": 0.1}),
}


def worst_error(name, plant=lambda optimizer, before: None, **changed):
    """Run ten steps by the same gradients on both sides; give the largest relative error."""
    ours, theirs, options = OPTIMIZERS[name]
    rng = np.random.default_rng(1)
    p = nn.Parameter(rng.standard_normal((3, 2)))
    leaf = torch.tensor(p.value, requires_grad=True)
    mine, other = ours({"w": p}, **{**options, **changed}), theirs([leaf], **options)
    for _ in range(10):
        before = p.value.copy()
        p.grad = rng.standard_normal((3, 2))
        leaf.grad = torch.tensor(p.grad)
        mine.step()
        plant(mine, before)
        other.step()
    reference = leaf.detach().numpy()
    return np.abs(p.value - reference).max() / np.abs(reference).max()


def state_of(name):
    ours, _, options = OPTIMIZERS[name]
    p = nn.Parameter(np.ones(1))
    optimizer, p.grad = ours({"w": p}, **options), np.ones(1)
    optimizer.step()
    return list(optimizer.state["w"])


# A planted change reaches the weight as 0.1 % of what was stepped, an error in the state as a part
# of that; both are far above the 1e-15 that ten honest steps leave.
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_in_any_optimizer(name):
    def step_too_large(optimizer, before):
        value = optimizer.parameters["w"].value
        value += (THOUSANDTH - 1) * (value - before)

    assert worst_error(name) < 1e-14
    assert worst_error(name, step_too_large) > 1e-5
    for key in state_of(name):

        def state_too_large(optimizer, before, key=key):
            optimizer.state["w"][key] *= THOUSANDTH

        assert worst_error(name, state_too_large) > 1e-6, key
    for key, value in OPTIMIZERS[name][2].items():
        if isinstance(value, float):  # every number of the formula, 0.1 % off
            assert worst_error(name, **{key: value * THOUSANDTH}) > 1e-6, key


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@pytest.mark.parametrize("betas", [(0.9 * THOUSANDTH, 0.999), (0.9, 0.999 / THOUSANDTH)])
def test_in_either_beta(name, betas):
    assert worst_error(name, betas=betas) > 1e-6
