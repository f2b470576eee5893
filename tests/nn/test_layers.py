"""Layers against torch's: values, gradients, names, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal

from pp_lib.nn import Dropout, Flatten, Layer, Linear, Parameter, ReLU, Sequential, init

# A sum of at most ten products, in another order than torch's: a few roundings of its terms.
RTOL, ATOL = 1e-12, 1e-13
# The same in float32.
RTOL_32, ATOL_32 = 1e-5, 1e-5

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 6)
any_array = hnp.arrays(
    np.float64, hnp.array_shapes(max_dims=4, max_side=5), elements=st.floats(-1e4, 1e4)
)


def torch_linear(layer):
    out_features, in_features = layer.weight.shape
    theirs = torch.nn.Linear(in_features, out_features, bias=layer.bias is not None)
    theirs = theirs.to(getattr(torch, str(layer.weight.value.dtype)))
    with torch.no_grad():
        for name, p in theirs.named_parameters():
            p.copy_(torch.from_numpy(layer.parameters()[name].value))
    return theirs


def assert_same_as_torch(ours, theirs, x, rng, rtol=RTOL, atol=ATOL):
    leaf = torch.tensor(x, requires_grad=True)
    y = theirs(leaf)
    dy = rng.normal(size=tuple(y.shape)).astype(x.dtype)
    y.backward(torch.from_numpy(dy))
    mine = ours(x)
    assert mine.dtype == x.dtype
    assert_allclose(mine, y.detach().numpy(), rtol=rtol, atol=atol)
    dx = ours.backward(dy)
    assert dx.dtype == x.dtype
    assert_allclose(dx, leaf.grad.numpy(), rtol=rtol, atol=atol)
    reference = dict(theirs.named_parameters())
    assert list(ours.parameters()) == list(reference)
    for name, p in ours.parameters().items():
        assert p.grad.shape == p.value.shape
        assert p.grad.dtype == p.value.dtype
        assert_allclose(p.grad, reference[name].grad.numpy(), rtol=rtol, atol=atol)


@settings(deadline=None)
@given(
    seeds, st.lists(sizes, max_size=3), sizes, sizes, st.booleans(), st.sampled_from(["f4", "f8"])
)
def test_linear_is_torchs(seed, batch, D, K, bias, dtype):
    rng = np.random.default_rng(seed)
    layer = Linear(D, K, bias, rng=rng, dtype=np.dtype(dtype).type)
    if bias:
        layer.bias.value[:] = rng.normal(size=K)
    x = rng.normal(size=(*batch, D)).astype(dtype)
    tolerances = (RTOL, ATOL) if dtype == "f8" else (RTOL_32, ATOL_32)
    assert_same_as_torch(layer, torch_linear(layer), x, rng, *tolerances)


def test_linear_starts_with_xavier_and_zero():
    layer = Linear(7, 5, rng=np.random.default_rng(3))
    expected = init.xavier_uniform((5, 7), rng=np.random.default_rng(3))
    assert_array_equal(layer.weight.value, expected)
    assert_array_equal(layer.bias.value, np.zeros(5))
    assert list(Linear(7, 5, bias=False, rng=np.random.default_rng(3)).parameters()) == ["weight"]


@settings(deadline=None)
@given(any_array, seeds)
def test_relu_and_flatten_are_torchs(x, seed):
    rng = np.random.default_rng(seed)
    x[rng.random(x.shape) < 0.2] = 0  # the kink is met often
    assert_same_as_torch(ReLU(), torch.nn.ReLU(), x, rng)
    assert_same_as_torch(Flatten(), torch.nn.Flatten() if x.ndim > 1 else Column(), x, rng)


class Column(torch.nn.Module):
    """torch's Flatten refuses one axis; (B,) is B rows of one number."""

    def forward(self, x):
        return x.reshape(-1, 1)


@settings(deadline=None)
@given(any_array, seeds, st.floats(0, 0.95))
def test_dropout_with_torchs_mask_is_torchs(x, seed, p):
    leaf = torch.tensor(x, requires_grad=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        y = torch.nn.functional.dropout(torch.where(leaf == 0, leaf, leaf), p)
        torch.manual_seed(seed)
        mask = torch.nn.functional.dropout(torch.ones_like(leaf), p) > 0  # the same draws
    dy = np.random.default_rng(seed).normal(size=x.shape)
    y.backward(torch.from_numpy(dy))
    layer = Dropout(p)
    layer.mask = mask.numpy()
    assert_allclose(layer(x), y.detach().numpy(), rtol=1e-15)
    assert_allclose(layer.backward(dy), leaf.grad.numpy(), rtol=1e-15)


def test_dropout_draws_keeps_the_mean_and_remembers():
    layer = Dropout(0.3, np.random.default_rng(1))
    assert layer.mask is None
    x = np.ones((200, 500))
    y = layer(x)
    # 100,000 draws: the standard error of the share is 0.0014, of the mean 0.0021
    assert layer.mask.mean() == pytest.approx(0.7, abs=0.006)
    assert y.mean() == pytest.approx(1, abs=0.008)
    assert_allclose(y, layer.mask / 0.7, rtol=1e-15)
    assert_array_equal(layer.backward(x), y)
    first = layer.mask
    layer(x)
    assert (layer.mask != first).any()


def test_a_given_mask_stays_until_it_is_taken_back():
    layer = Dropout(0.5, np.random.default_rng(1))
    layer.mask = [[1, 0, 1]]
    x = np.array([[1.0, 2.0, 3.0]])
    for _ in range(3):
        assert_array_equal(layer(x), [[2, 0, 6]])
    layer.mask = None
    assert len({tuple(layer(x)[0]) for _ in range(50)}) > 1


def test_dropout_at_its_ends_and_in_evaluation():
    x = np.array([[1.0, -2.0]])
    rng = np.random.default_rng(0)
    assert_array_equal(Dropout(0.0, rng)(x), x)
    assert_array_equal(Dropout(1.0, rng)(x), [[0, 0]])
    layer = Dropout(0.9).eval()  # neither mask nor generator is needed
    assert_array_equal(layer(x), x)
    assert_array_equal(layer.backward(x), x)
    assert Dropout(0.5, rng)(x.astype(np.float32)).dtype == np.float32


@settings(deadline=None, max_examples=50)
@given(seeds, sizes, st.lists(sizes, min_size=2, max_size=4))
def test_a_sequence_is_torchs(seed, B, widths):
    rng = np.random.default_rng(seed)
    ours, theirs = [Flatten()], [torch.nn.Flatten()]
    for D, K in zip(widths[:-1], widths[1:], strict=True):
        linear = Linear(D, K, rng=rng)
        linear.bias.value[:] = rng.normal(size=K)
        ours += [linear, ReLU()]
        theirs += [torch_linear(linear), torch.nn.ReLU()]
    x = rng.normal(size=(B, 1, widths[0]))
    assert_same_as_torch(Sequential(*ours), torch.nn.Sequential(*theirs), x, rng)


def test_a_sequence_names_counts_and_switches():
    rng = np.random.default_rng(0)
    inner = Sequential(Linear(128, 64, rng=rng), Dropout(0.5, rng))
    network = Sequential(Linear(784, 128, rng=rng), ReLU(), inner, ReLU(), Linear(64, 10, rng=rng))
    names = ["0.weight", "0.bias", "2.0.weight", "2.0.bias", "4.weight", "4.bias"]
    assert list(network.parameters()) == names
    assert sum(p.value.size for p in network.parameters().values()) == 109_386
    assert network.eval() is network
    assert not inner[1].training
    assert network.train().training
    assert inner[1].training
    assert len(network) == 5
    assert network[2] is inner


def test_gradients_are_set_not_added():
    rng = np.random.default_rng(0)
    layer, x, dy = Linear(3, 2, rng=rng), rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    layer(x)
    layer.backward(dy)
    once = layer.weight.grad.copy()
    layer.backward(dy)
    assert_array_equal(layer.weight.grad, once)


def test_where_x_is_data_only_dx_is_left_out():
    rng = np.random.default_rng(0)
    network = Sequential(Linear(3, 2, rng=rng), ReLU(), Linear(2, 2, rng=rng))
    x, dy = rng.normal(size=(4, 3)), rng.normal(size=(4, 2))
    network(x)
    assert network.backward(dy).shape == x.shape
    whole = [p.grad for p in network.parameters().values()]
    network[0].input_gradient = False
    assert network.backward(dy) is None
    for p, grad in zip(network.parameters().values(), whole, strict=True):
        assert_array_equal(p.grad, grad)


@pytest.mark.parametrize("B", [1, 3])
def test_one_row_and_one_class(B):
    rng = np.random.default_rng(0)
    layer = Linear(1, 1, rng=rng)
    assert_same_as_torch(layer, torch_linear(layer), np.full((B, 1), 1e4), rng)


def linear():
    return Linear(3, 2, rng=np.random.default_rng(0))


def masked(mask, p=0.5):
    layer = Dropout(p)
    layer.mask = mask
    return layer


BACKWARD_FIRST = "backward needs a forward before it"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear()(np.zeros((2, 4))), r"x must be \(B, 3\) with B >= 1, got \(2, 4\)"),
        (lambda: linear()(np.zeros((0, 3))), r"B >= 1, got \(0, 3\)"),
        (lambda: linear()(np.float64(1)), r"got \(\)"),
        (lambda: linear()(np.zeros((2, 3), np.float32)), "float64 like the weights, got float32"),
        (lambda: linear()(np.zeros((2, 3), int)), "x must be of float32 or float64, got int64"),
        (lambda: linear().backward(np.zeros((2, 2))), BACKWARD_FIRST),
        (lambda: ReLU().backward(np.zeros(2)), BACKWARD_FIRST),
        (lambda: Dropout().backward(np.zeros(2)), BACKWARD_FIRST),
        (lambda: Flatten().backward(np.zeros((2, 2))), BACKWARD_FIRST),
        (lambda: Flatten()(np.zeros((0, 3))), r"B >= 1, got \(0, 3\)"),
        (lambda: Dropout(1.5), r"p must lie in \[0, 1\], got 1.5"),
        (lambda: Dropout(float("nan")), r"got nan"),
        (lambda: Dropout(0.5, 7), "Generator.*got 7"),
        (lambda: Dropout(0.5)(np.zeros(2)), "generator or a mask"),
        (lambda: masked([1, 0])(np.zeros((2, 2))), r"mask must be \(2, 2\), got \(2,\)"),
        (lambda: masked([2.0, 0.0]), "mask must hold True and False"),
        (lambda: Sequential(linear(), np.tanh), "takes layers, got ufunc"),
        (lambda: Sequential(*[ReLU()] * 2), "only once"),
        (lambda: Linear(0, 2, rng=np.random.default_rng(0)), "at least 1"),
        (lambda: Linear(2, 2, rng=None), "Generator.*got None"),
        (lambda: Linear(2, 2, rng=np.random.default_rng(0), dtype=np.float16), "float32 or"),
        (lambda: Parameter(np.zeros(2, int)), "float32 or float64, got int64"),
        (lambda: Parameter([1.0]), "float32 or float64, got list"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    ("layer", "x"),
    [(linear(), np.zeros((2, 3))), (ReLU(), np.zeros((2, 3))), (Flatten(), np.zeros((2, 3, 1)))],
)
def test_a_gradient_of_the_wrong_shape_is_named(layer, x):
    layer(x)
    with pytest.raises(ValueError, match=r"dy must be \(2, [23]\), got \(3, 3\)|\(2, 4\), got"):
        layer.backward(np.zeros((3, 3)))


def test_a_layer_that_writes_nothing_says_so():
    for call in (Layer(), Layer().backward):
        with pytest.raises(NotImplementedError, match="Layer must write"):
            call(np.zeros(1))
