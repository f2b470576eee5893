"""Convolution and pooling: against torch, by finite differences, and what they refuse."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.nn import functional

from pp_lib.nn.conv import AdaptiveAvgPool2d, Conv2d, MaxPool2d
from pp_lib.verify import assert_gradients_match, numerical_gradient

RTOL = 1e-12  # float64: sums of some hundred products, each right to 1.1e-16, in another order
ATOL = 1e-12  # such sums of numbers up to 10 may cancel to nearly nothing
RTOL32, ATOL32 = 1e-5, 1e-4  # float32: the same argument with 6e-8

VALUES = st.floats(-3, 3).map(lambda v: round(v, 3))  # no subnormals, whose rounding differs
PAIRS = st.integers(1, 3) | st.tuples(st.integers(1, 3), st.integers(1, 3))


def as_pair(n):
    return n if isinstance(n, tuple) else (n, n)


def draw_array(data, shape, values=VALUES):
    return data.draw(hnp.arrays(np.float64, shape, elements=values))


def seed_for(y):
    """A dL/dy in which every element counts differently."""
    return np.linspace(-1, 2, y.size).reshape(y.shape).astype(y.dtype)


def torch_with_gradients(function, seed, *values):
    tensors = [torch.tensor(v, requires_grad=True) for v in values]
    y = function(*tensors)
    y.backward(torch.from_numpy(seed))
    return [y.detach().numpy(), *(t.grad.numpy() for t in tensors)]


def check_layer(layer, x, function, rtol=RTOL, atol=ATOL):
    """Compare y, dx and the parameters' gradients; function takes torch's x, weight, bias."""
    y = layer.forward(x)
    dx = layer.backward(seed_for(y))
    parameters = layer.parameters().values()
    ours = [y, dx, *(p.grad for p in parameters)]
    theirs = torch_with_gradients(function, seed_for(y), x, *(p.value for p in parameters))
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype == x.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@settings(deadline=None)  # the first call into torch takes a second
@given(data=st.data())
def test_convolution_is_torchs(data):
    B, C, K = (data.draw(st.integers(1, 3)) for _ in "BCK")
    kernel, stride = data.draw(PAIRS), data.draw(PAIRS)
    padding = data.draw(st.integers(0, 2) | st.tuples(st.integers(0, 2), st.integers(0, 2)))
    least = [max(1, k - 2 * p) for k, p in zip(as_pair(kernel), as_pair(padding), strict=True)]
    H, W = (data.draw(st.integers(n, n + 5)) for n in least)
    bias = data.draw(st.booleans())
    rng = np.random.default_rng(0)
    layer = Conv2d(C, K, kernel, stride, padding, bias, rng=rng)
    check_layer(
        layer,
        draw_array(data, (B, C, H, W)),
        lambda x, W, b=None: functional.conv2d(x, W, b, stride, padding),
    )


@settings(deadline=None)  # the first call into torch takes a second
@given(data=st.data())
def test_max_pooling_is_torchs_with_many_ties(data):
    kernel = data.draw(PAIRS)
    stride = data.draw(st.none() | PAIRS)
    H, W = (data.draw(st.integers(k, k + 5)) for k in as_pair(kernel))
    x = draw_array(data, (2, 2, H, W), st.sampled_from([0.0, 0.0, -1.0, 2.0, -np.inf]))
    check_layer(MaxPool2d(kernel, stride), x, lambda x: functional.max_pool2d(x, kernel, stride))


@settings(deadline=None)  # the first call into torch takes a second
@given(data=st.data())
def test_adaptive_pooling_is_torchs_down_and_up(data):
    size = data.draw(st.integers(1, 8) | st.tuples(st.integers(1, 8), st.integers(1, 8)))
    H, W = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 9))
    x = draw_array(data, (2, 2, H, W))
    check_layer(AdaptiveAvgPool2d(size), x, lambda x: functional.adaptive_avg_pool2d(x, size))


@pytest.mark.parametrize(("dtype", "rtol", "atol"), [("f8", RTOL, ATOL), ("f4", RTOL32, ATOL32)])
def test_both_dtypes_are_kept_at_the_sizes_of_vgg16(dtype, rtol, atol):
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 16, 12, 12)).astype(dtype)
    conv = Conv2d(16, 24, 3, padding=1, rng=rng, dtype=dtype)
    check_layer(conv, x, lambda x, W, b: functional.conv2d(x, W, b, padding=1), rtol, atol)
    check_layer(MaxPool2d(2), x, lambda x: functional.max_pool2d(x, 2), rtol, atol)
    small = rng.standard_normal((2, 16, 4, 4)).astype(dtype)
    check_layer(
        AdaptiveAvgPool2d(7), small, lambda x: functional.adaptive_avg_pool2d(x, 7), rtol, atol
    )


def test_the_first_of_equal_numbers_wins_and_a_nan_always_does():
    layer = MaxPool2d(2)
    x = np.array([[[[1.0, 5.0, np.nan, 7.0], [5.0, 5.0, 8.0, 9.0]]]])
    np.testing.assert_array_equal(layer.forward(x), [[[[5.0, np.nan]]]])
    dx = layer.backward(np.array([[[[2.0, 3.0]]]]))
    np.testing.assert_array_equal(dx, [[[[0, 2, 3, 0], [0, 0, 0, 0]]]])


def layers_by_name():
    rng = np.random.default_rng(2)
    return {
        "conv": Conv2d(2, 3, 3, stride=2, padding=1, rng=rng),
        "conv without bias": Conv2d(2, 3, (1, 2), bias=False, rng=rng),
        "max": MaxPool2d(3, 2),
        "average": AdaptiveAvgPool2d((3, 7)),
    }


@pytest.mark.parametrize("name", layers_by_name())
def test_finite_differences(name):
    layer, rng = layers_by_name()[name], np.random.default_rng(3)
    x = rng.permutation(2 * 2 * 5 * 4).reshape(2, 2, 5, 4) / 10.0  # no ties: no kinks nearby
    seed = rng.standard_normal(layer.forward(x).shape)
    dx = layer.backward(seed)
    gradients = {key: p.grad for key, p in layer.parameters().items()}
    assert_gradients_match(dx, numerical_gradient(lambda v: (layer.forward(v) * seed).sum(), x))
    for key, parameter in layer.parameters().items():
        value = parameter.value

        def loss(v, parameter=parameter):
            parameter.value = v
            return (layer.forward(x) * seed).sum()

        numeric = numerical_gradient(loss, value)
        parameter.value = value
        assert_gradients_match(gradients[key], numeric)


@pytest.mark.parametrize("name", layers_by_name())
def test_an_error_of_a_thousandth_in_any_gradient_is_caught(name):
    # The tester tested: one element of one gradient 0.1 % off, for each gradient in turn.
    layer, rng = layers_by_name()[name], np.random.default_rng(4)
    x = rng.standard_normal((2, 2, 5, 4))
    seed = seed_for(layer.forward(x))
    honest = layer.backward

    for which in [None, *layer.parameters()]:

        def planted(dy, which=which):
            dx = honest(dy)
            wrong = dx if which is None else layer.parameters()[which].grad
            wrong.flat[np.abs(wrong).argmax()] *= 1.001
            return dx

        layer.backward = planted
        conv = {"conv": {"stride": 2, "padding": 1}}.get(name, {})
        function = {
            "max": lambda x: functional.max_pool2d(x, 3, 2),
            "average": lambda x: functional.adaptive_avg_pool2d(x, (3, 7)),
        }.get(name, lambda *v, conv=conv: functional.conv2d(*v, **conv))
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            check_layer(layer, x, function)
        numeric = numerical_gradient(lambda v: (layer.forward(v) * seed).sum(), x)
        if which is None:
            layer.forward(x)
            with pytest.raises(AssertionError, match=r"gradients differ at 1 of 80"):
                assert_gradients_match(layer.backward(seed), numeric)
        layer.backward = honest
        check_layer(layer, x, function)


def test_gradients_are_set_not_added_and_inputs_left_alone():
    layer = layers_by_name()["conv"]
    x = np.random.default_rng(5).standard_normal((2, 2, 5, 4))
    before, seed = x.copy(), seed_for(layer(x))
    layer.backward(seed)
    first = {name: p.grad.copy() for name, p in layer.parameters().items()}
    layer.backward(seed)
    for name, parameter in layer.parameters().items():
        np.testing.assert_array_equal(parameter.grad, first[name])
    np.testing.assert_array_equal(x, before)


def test_initial_parameters_are_drawn_as_in_torch_and_repeat():
    a, b = (Conv2d(8, 64, 3, rng=np.random.default_rng(6)) for _ in range(2))
    bound = 1 / np.sqrt(8 * 3 * 3)  # torch: kaiming_uniform with a = sqrt(5), which is this
    for name, parameter in a.parameters().items():
        np.testing.assert_array_equal(parameter.value, b.parameters()[name].value)
        assert np.abs(parameter.value).max() <= bound
    # 4,608 draws: the standard deviation of the sample is within 3 % of bound / sqrt(3)
    assert a.weight.value.std() == pytest.approx(bound / np.sqrt(3), rel=0.03)
    reference = torch.nn.Conv2d(8, 64, 3)
    shapes = {name: tuple(p.shape) for name, p in reference.named_parameters()}
    assert {name: p.value.shape for name, p in a.parameters().items()} == shapes


def test_memory_does_not_grow_with_the_columns_of_the_batch():
    rng = np.random.default_rng(7)
    x = rng.standard_normal((16, 8, 32, 32))
    layer = Conv2d(8, 8, 3, padding=1, rng=rng)
    one_photograph = x[0].nbytes * 9
    tracemalloc.start()
    layer.backward(layer.forward(x))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # y, dx and the sum for the bias are as large as x; then the columns, for one photograph only
    assert peak < 3 * x.nbytes + 2 * one_photograph
    assert 16 * one_photograph > 2 * peak  # all columns at once would have been far more


CONV = {"rng": np.random.default_rng(8)}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Conv2d(0, 1, 3, **CONV), r"at least 1, got \(0, 1\)"),
        (lambda: Conv2d(1, 1, 0, **CONV), "kernel_size must be .* at least 1, got 0"),
        (lambda: Conv2d(1, 1, (3, 3, 3), **CONV), r"kernel_size .* got \(3, 3, 3\)"),
        (lambda: Conv2d(1, 1, 3, stride=0, **CONV), "stride must be .* at least 1, got 0"),
        (lambda: Conv2d(1, 1, 3, padding=-1, **CONV), "padding must be .* at least 0, got -1"),
        (lambda: Conv2d(1, 1, 3, padding="same", **CONV), "padding must be .* got same"),
        (lambda: Conv2d(1, 1, 2.5, **CONV), "kernel_size must be an int .* got 2.5"),
        (lambda: Conv2d(1, 1, 3, dtype=np.float16, **CONV), "float32 or float64, got float16"),
        (lambda: Conv2d(1, 1, 3, rng=0), "rng must be a numpy.random.Generator"),
        (lambda: MaxPool2d(0), "kernel_size must be"),
        (lambda: MaxPool2d(2, 0), "stride must be"),
        (lambda: AdaptiveAvgPool2d(0), "output_size must be"),
    ],
)
def test_impossible_layers_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


@pytest.mark.parametrize("name", layers_by_name())
@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 5, 4)), r"\(B, (C|2), H, W\).* got \(2, 5, 4\)"),
        (np.zeros((0, 2, 5, 4)), r"none of them 0, got \(0, 2, 5, 4\)"),
        (np.zeros((1, 2, 0, 4)), r"none of them 0, got \(1, 2, 0, 4\)"),
        (np.zeros((1, 2, 5, 4), int), "float64, got int64"),
        (np.zeros((1, 2, 5, 4), np.float16), "float64, got float16"),
        ([[[[1.0]]]], "must be an array .* got list"),
    ],
)
def test_wrong_photographs_are_refused(name, x, message):
    with pytest.raises(ValueError, match=message):
        layers_by_name()[name].forward(x)


def test_convolution_names_channels_dtype_and_size():
    layer = layers_by_name()["conv"]
    with pytest.raises(ValueError, match=r"\(B, 2, H, W\).* got \(1, 3, 5, 4\)"):
        layer.forward(np.zeros((1, 3, 5, 4)))
    with pytest.raises(ValueError, match="x must be float64, got float32"):
        layer.forward(np.zeros((1, 2, 5, 4), np.float32))
    with pytest.raises(ValueError, match=r"as large as the window \(3, 3\), got \(2, 9\)"):
        MaxPool2d(3).forward(np.zeros((1, 1, 2, 9)))


@pytest.mark.parametrize("name", layers_by_name())
def test_wrong_gradients_are_refused(name):
    layer = layers_by_name()[name]
    with pytest.raises(ValueError, match="backward needs a forward before it"):
        layer.backward(np.zeros((1, 1, 1, 1)))
    y = layer.forward(np.zeros((2, 2, 5, 4)))
    with pytest.raises(ValueError, match=r"dy must be like y, \(2, .*got \(1, "):
        layer.backward(y[:1])
    with pytest.raises(ValueError, match="float64, got .* float32"):
        layer.backward(y.astype(np.float32))
    with pytest.raises(ValueError, match="got list"):
        layer.backward(y.tolist())
