"""Functions and derivatives against torch's, and against what must hold at the edges."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special

from pp_lib.nn import functional

# Both sides round a handful of float64 operations; torch's own sums run in another order.
RTOL = 1e-12
# Near 0 the result is a difference of numbers of order 1 (or of the logits): a few roundings.
ATOL = 1e-14

activation_inputs = hnp.arrays(
    np.float64, hnp.array_shapes(max_dims=3, max_side=6), elements=st.floats(-1e4, 1e4)
)
moderate = hnp.arrays(
    np.float64, hnp.array_shapes(max_dims=3, max_side=6), elements=st.floats(-30, 30)
)


@st.composite
def logits_and_axis(draw):
    Z = draw(activation_inputs)
    return Z, draw(st.integers(-Z.ndim, Z.ndim - 1))


def torch_value_and_gradient(function, x, upstream=None):
    leaf = torch.tensor(x, requires_grad=True)
    value = function(leaf)
    upstream = torch.ones_like(value) if upstream is None else torch.tensor(upstream)
    value.backward(upstream)
    return value.detach().numpy(), leaf.grad.numpy()


@settings(deadline=None)
@given(logits_and_axis())
def test_logsumexp_and_its_derivative_are_torchs(case):
    Z, axis = case
    value, gradient = torch_value_and_gradient(lambda z: torch.logsumexp(z, axis), Z)
    assert_allclose(functional.logsumexp(Z, axis), value, rtol=RTOL, atol=1e-11)  # logits up to 1e4
    assert_allclose(
        functional.softmax(Z, axis), gradient, rtol=1e-11, atol=ATOL
    )  # torch: exp(z - lse)
    assert functional.logsumexp(Z, axis, keepdims=True).ndim == Z.ndim


@settings(deadline=None)
@given(logits_and_axis(), st.integers(0, 2**32 - 1))
def test_softmax_and_log_softmax_are_torchs(case, seed):
    Z, axis = case
    upstream = np.random.default_rng(seed).normal(size=Z.shape)
    for ours, back, theirs in (
        (functional.softmax, functional.softmax_backward, torch.softmax),
        (functional.log_softmax, functional.log_softmax_backward, torch.log_softmax),
    ):
        value, gradient = torch_value_and_gradient(lambda z, f=theirs: f(z, axis), Z, upstream)
        mine = ours(Z, axis)
        assert_allclose(mine, value, rtol=RTOL, atol=ATOL)
        assert_allclose(back(mine, upstream, axis), gradient, rtol=RTOL, atol=1e-13)


@settings(deadline=None)
@given(moderate)
def test_the_jacobian_is_torchs(Z):
    z = Z.ravel()
    theirs = torch.autograd.functional.jacobian(lambda t: torch.softmax(t, 0), torch.tensor(z))
    assert_allclose(
        functional.softmax_jacobian(functional.softmax(z)), theirs.numpy(), rtol=RTOL, atol=ATOL
    )


ACTIVATIONS = {
    "sigmoid": (functional.sigmoid, functional.sigmoid_derivative, torch.sigmoid),
    "softplus": (
        functional.softplus,
        functional.sigmoid,
        lambda x: torch.logaddexp(x, torch.zeros_like(x)),
    ),
    "tanh": (functional.tanh, functional.tanh_derivative, torch.tanh),
    "relu": (functional.relu, functional.relu_derivative, torch.relu),
    "leaky_relu": (
        functional.leaky_relu,
        functional.leaky_relu_derivative,
        torch.nn.functional.leaky_relu,
    ),
    "leaky_relu 0.3": (
        lambda x: functional.leaky_relu(x, 0.3),
        lambda x: functional.leaky_relu_derivative(x, 0.3),
        lambda x: torch.nn.functional.leaky_relu(x, 0.3),
    ),
    "gelu": (functional.gelu, functional.gelu_derivative, torch.nn.functional.gelu),
    "gelu tanh": (
        lambda x: functional.gelu(x, "tanh"),
        lambda x: functional.gelu_derivative(x, "tanh"),
        lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    ),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@settings(deadline=None, max_examples=60)
@given(x=st.one_of(moderate, activation_inputs))
def test_activations_and_derivatives_are_torchs(name, x):
    ours, derivative, theirs = ACTIVATIONS[name]
    value, gradient = torch_value_and_gradient(theirs, x)
    # torch writes Phi as 1 + erf, which cancels in the left tail: |x| times one rounding there
    atol = 1e-14 if "gelu" in name else 1e-15
    assert_allclose(ours(x), value, rtol=RTOL, atol=atol)
    assert_allclose(derivative(x), gradient, rtol=RTOL, atol=1e-14)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_inputs_stay_finite_and_the_dtype_stays(name, dtype):
    x = np.array([-1e4, -1.0, 0.0, 1.0, 1e4], dtype)
    ours, derivative, _ = ACTIVATIONS[name]
    for y in (ours(x), derivative(x)):
        assert y.dtype == dtype
        assert np.isfinite(y).all()


def test_the_left_tails_keep_their_digits():
    x = np.array([-10.0, -30.0])
    assert_allclose(functional.gelu(x), x * special.ndtr(x), rtol=1e-12)
    assert_allclose(
        functional.sigmoid_derivative(-x), special.expit(x) * special.expit(-x), rtol=1e-14
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_of_ten_thousand_are_simply_right(dtype):
    Z = np.array([[1e4, -1e4, 0], [-1e4, -1e4, -1e4]], dtype)
    third = dtype(1) / dtype(3)
    assert_allclose(functional.softmax(Z), [[1, 0, 0], [third] * 3], rtol=1e-7)
    assert_allclose(functional.log_softmax(Z)[0], [0, -2e4, -1e4], rtol=1e-7)
    assert_allclose(functional.logsumexp(Z), [1e4, -1e4 + math.log(3)], rtol=1e-7)
    for f in (functional.softmax, functional.log_softmax, functional.logsumexp):
        assert f(Z).dtype == dtype


@settings(deadline=None)
@given(activation_inputs)
def test_log_probabilities_have_logsumexp_zero_not_sum_zero(Z):
    assert_allclose(functional.logsumexp(functional.log_softmax(Z)), 0, atol=1e-11)


def test_one_class_has_probability_one():
    assert_array_equal(functional.softmax(np.array([[7.0]])), [[1.0]])
    assert_array_equal(functional.log_softmax(np.array([[-1e4]])), [[0.0]])


@settings(deadline=None)
@given(hnp.arrays(np.int64, hnp.array_shapes(max_dims=2), elements=st.integers(0, 6)))
def test_one_hot_is_torchs(y):
    theirs = torch.nn.functional.one_hot(torch.tensor(y), 7).numpy()
    assert_array_equal(functional.one_hot(y, 7), theirs)
    assert functional.one_hot(y, 7, np.float32).dtype == np.float32


@pytest.mark.parametrize("f", [functional.softmax, functional.log_softmax, functional.logsumexp])
@pytest.mark.parametrize(
    ("Z", "message"),
    [
        (np.array([1.0, np.nan]), r"finite, got nan at index \(1,\)"),
        (np.array([[0.0], [np.inf]]), r"finite, got inf at index \(1, 0\)"),
        (np.array([0.0, -np.inf]), "finite, got -inf"),
        (np.array([1, 2]), "float32 or float64, got int64"),
        (np.array([1, 2], np.float16), "float32 or float64, got float16"),
        (np.array(["a"]), "float32 or float64"),
        (np.zeros((2, 0)), r"elements along axis -1, got shape \(2, 0\)"),
        (np.array(1.0), r"elements along axis -1, got shape \(\)"),
    ],
)
def test_bad_logits_are_named(f, Z, message):
    with pytest.raises(ValueError, match=message):
        f(Z)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: functional.one_hot([0, 3], 3), r"0\.\.2, got 0\.\.3"),
        (lambda: functional.one_hot([-1], 3), r"0\.\.2, got -1"),
        (lambda: functional.one_hot([0.0], 3), "integer dtype, got float64"),
        (lambda: functional.one_hot([0], 0), "K must be at least 1"),
        (lambda: functional.gelu(np.zeros(1), "erf"), "'none' or 'tanh', got 'erf'"),
        (lambda: functional.relu(np.zeros(1, int)), "float32 or float64, got int64"),
        (lambda: functional.softmax_backward(np.ones(2), np.ones(3)), r"dP must be \(2,\) like P"),
        (lambda: functional.log_softmax_backward(np.ones(2), np.ones(3)), r"dlogP must be \(2,\)"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
