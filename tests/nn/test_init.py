"""First weights against torch's fans and gains, and against the distributions they name."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from pp_lib.nn import init

# One multiplication and one square root written in another order.
RTOL = 1e-14

shapes = st.one_of(
    st.tuples(*[st.integers(1, 9)] * 2),
    st.tuples(*[st.integers(1, 5)] * 4),
)
gains = st.floats(0.01, 10)
RULES = [init.xavier_uniform, init.xavier_normal, init.he_uniform, init.he_normal]


def torch_fans(shape):
    return torch.nn.init._calculate_fan_in_and_fan_out(torch.empty(shape))


@settings(deadline=None)
@given(shapes)
def test_fans_are_torchs(shape):
    assert init.fan_in_fan_out(shape) == torch_fans(shape)


@pytest.mark.parametrize(
    ("nonlinearity", "param"),
    [
        *[(name, None) for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu")],
        *[("leaky_relu", slope) for slope in (None, 0.0, 0.01, 0.2, math.sqrt(5))],
    ],
)
def test_gains_are_torchs(nonlinearity, param):
    theirs = torch.nn.init.calculate_gain(nonlinearity, param)
    assert init.gain(nonlinearity, param) == pytest.approx(theirs, rel=RTOL)


@settings(deadline=None)
@given(shapes, gains, st.integers(0, 2**32 - 1))
def test_xavier_is_the_named_distribution(shape, gain, seed):
    fan_in, fan_out = torch_fans(shape)
    bound = gain * math.sqrt(6 / (fan_in + fan_out))
    uniform = np.random.default_rng(seed).uniform(-1, 1, shape) * bound
    normal = np.random.default_rng(seed).normal(0, 1, shape) * bound / math.sqrt(3)
    rng = np.random.default_rng
    # atol: U(-a, a) is drawn as -a + 2a u, which cancels near 0
    drawn = init.xavier_uniform(shape, gain=gain, rng=rng(seed))
    assert_allclose(drawn, uniform, rtol=RTOL, atol=4e-16 * bound)
    drawn = init.xavier_normal(shape, gain=gain, rng=rng(seed))
    assert_allclose(drawn, normal, rtol=RTOL)


@settings(deadline=None)
@given(shapes, gains, st.integers(0, 2**32 - 1), st.sampled_from(["fan_in", "fan_out"]))
def test_he_is_the_named_distribution(shape, gain, seed, mode):
    fan = dict(zip(("fan_in", "fan_out"), torch_fans(shape), strict=True))[mode]
    uniform = np.random.default_rng(seed).uniform(-1, 1, shape) * gain * math.sqrt(3 / fan)
    normal = np.random.default_rng(seed).normal(0, 1, shape) * gain / math.sqrt(fan)
    drawn = init.he_uniform(shape, gain=gain, mode=mode, rng=np.random.default_rng(seed))
    assert_allclose(drawn, uniform, rtol=RTOL, atol=1e-15 * gain)
    drawn = init.he_normal(shape, gain=gain, mode=mode, rng=np.random.default_rng(seed))
    assert_allclose(drawn, normal, rtol=RTOL)


@pytest.mark.parametrize("rule", RULES)
def test_a_large_draw_is_torchs_distribution(rule):
    shape = (200, 300)
    theirs = {
        init.xavier_uniform: torch.nn.init.xavier_uniform_,
        init.xavier_normal: torch.nn.init.xavier_normal_,
        init.he_uniform: lambda w, generator: torch.nn.init.kaiming_uniform_(
            w, nonlinearity="relu", generator=generator
        ),
        init.he_normal: lambda w, generator: torch.nn.init.kaiming_normal_(
            w, nonlinearity="relu", generator=generator
        ),
    }[rule](torch.empty(shape), generator=torch.Generator().manual_seed(1)).numpy()
    ours = rule(shape, rng=np.random.default_rng(2))
    # two samples of 60,000 with fixed seeds: p would be below 1e-3 for a factor 1.05 of the spread
    assert stats.ks_2samp(ours.ravel(), theirs.ravel()).pvalue > 1e-3
    assert stats.ks_2samp(1.05 * ours.ravel(), theirs.ravel()).pvalue < 1e-3


@pytest.mark.parametrize("rule", RULES)
def test_float32_sees_the_same_weights(rule):
    single = rule((4, 3), rng=np.random.default_rng(5), dtype=np.float32)
    double = rule((4, 3), rng=np.random.default_rng(5))
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert_array_equal(single, double.astype(np.float32))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g: init.fan_in_fan_out((3,)), r"\(out, in, \*kernel\).*got \(3,\)"),
        (lambda g: init.fan_in_fan_out((3, 0)), r"got \(3, 0\)"),
        (lambda g: init.gain("softmax"), "got 'softmax'"),
        (lambda g: init.he_uniform((2, 2), mode="in", rng=g), "'fan_out', got 'in'"),
        (lambda g: init.he_normal((2, 2), rng=7), "numpy.random.Generator.*got 7"),
        (lambda g: init.xavier_normal((2, 2), rng=g, dtype=int), "dtype must be float32"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0))
