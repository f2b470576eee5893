"""Finite differences tested: what they measure, what they catch, what they say."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pp_lib.verify import (
    ATOL_FD,
    RTOL_FD,
    assert_gradients_match,
    numerical_gradient,
    relative_error,
)

VALUES = st.floats(-3, 3)
ARRAYS = hnp.arrays(np.float64, hnp.array_shapes(max_dims=3, max_side=4), elements=VALUES)


@given(x=ARRAYS)
def test_central_differences_of_what_calculus_knows(x):
    before = x.copy()
    assert_gradients_match(np.cos(x), numerical_gradient(lambda v: np.sin(v).sum(), x))
    assert_gradients_match(3 * x**2, numerical_gradient(lambda v: (v**3).sum(), x))
    np.testing.assert_array_equal(x, before)


def test_central_differences_are_exact_for_a_parabola_up_to_rounding():
    # f''' = 0, so only rounding is left: 1e-16 of f = 25, divided by the step
    numeric = numerical_gradient(lambda v: float(v**2), np.array(5.0))
    assert numeric.shape == ()
    assert abs(numeric - 10) < 25 * 2.3e-16 / 1e-5 * 2


@pytest.mark.parametrize(("eps", "expected"), [(1e-2, 1.7e-5), (1e-3, 1.7e-7), (1e-4, 1.7e-9)])
def test_the_error_falls_with_the_square_of_eps(eps, expected):
    x = np.zeros(1)
    error = abs(numerical_gradient(lambda v: np.sin(v).sum(), x, eps).item() - 1)
    assert error == pytest.approx(expected, rel=0.05)  # eps^2 / 6


def test_float32_keeps_its_dtype_and_about_two_digits():
    x = np.linspace(-1, 1, 5, dtype=np.float32)
    numeric = numerical_gradient(lambda v: np.sin(v).sum(), x, eps=1e-3)
    assert numeric.dtype == np.float32
    np.testing.assert_allclose(numeric, np.cos(x), rtol=1e-2)


@pytest.mark.parametrize(
    ("x", "eps", "f", "message"),
    [
        ([1.0], 1e-5, np.sum, "float32 or float64, got list"),
        (np.array([1]), 1e-5, np.sum, "float32 or float64, got int64"),
        (np.ones(2), 0, np.sum, "eps must be above 0, got 0"),
        (np.ones(2), float("nan"), np.sum, "eps must be above 0, got nan"),
        (np.full(2, 1e20), 1e-5, np.sum, r"eps must change x, got 1e-05 beside 1e\+20"),
        (np.ones(2), 1e-5, lambda v: v, r"single number, got shape \(2,\)"),
    ],
)
def test_numerical_gradient_refuses(x, eps, f, message):
    with pytest.raises(ValueError, match=message):
        numerical_gradient(f, x, eps)


def test_relative_error_of_known_numbers():
    a, b = np.array([1.0, 0.0, 0.0, -2.0, np.nan]), np.array([1.001, 0.0, 3.0, 2.0, 1.0])
    np.testing.assert_allclose(relative_error(a, b), [0.001 / 1.001, 0, 1, 2, np.nan], rtol=1e-12)
    with pytest.raises(ValueError, match=r"same shape, got \(2,\) and \(3,\)"):
        relative_error(np.ones(2), np.ones(3))


@given(data=st.data(), error=st.floats(1e-3, 1) | st.floats(-1, -1e-3))
def test_a_thousandth_is_caught_wherever_it_sits(data, error):
    gradient = data.draw(ARRAYS)
    i = tuple(data.draw(st.integers(0, n - 1)) for n in gradient.shape)
    gradient[i] = data.draw(st.floats(1e-4, 1e4)) * data.draw(st.sampled_from([-1, 1]))
    assert_gradients_match(gradient, gradient)
    planted = gradient.copy()
    planted[i] *= 1 + error
    with pytest.raises(AssertionError) as caught:
        assert_gradients_match(planted, gradient)
    message = str(caught.value)
    assert f"worst at index {i}" in message
    assert f"analytic {planted[i]:.10g}" in message
    assert f"numeric {gradient[i]:.10g}" in message
    assert f"1 of {gradient.size} entries" in message


def test_the_worst_of_several_is_named():
    numeric = np.ones((2, 3))
    analytic = numeric * [[1, 1.001, 1], [0.9, 1, 1.01]]
    with pytest.raises(AssertionError, match=r"at 3 of 6 entries, worst at index \(1, 0\)"):
        assert_gradients_match(analytic, numeric)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_a_number_never_matches_and_is_the_worst(bad):
    for both in ([bad, 2.0, 5.0], [bad, 2.0, 1.0]):
        with pytest.raises(AssertionError, match=r"worst at index \(0,\)"):
            assert_gradients_match(np.array(both), np.array([bad, 2.0, 1.0]))
    with pytest.raises(AssertionError, match=r"worst at index \(1,\)"):
        assert_gradients_match(np.array([1.0, bad]), np.array([5.0, 2.0]))


def test_tolerances_are_kept_to_the_letter():
    one = np.ones(1)
    assert_gradients_match(one + 0.9 * (RTOL_FD + ATOL_FD), one)
    with pytest.raises(AssertionError):
        assert_gradients_match(one + 1.1 * (RTOL_FD + ATOL_FD), one)
    assert_gradients_match(np.zeros(1), np.zeros(1), rtol=0, atol=0)
    with pytest.raises(AssertionError, match="worst"):
        assert_gradients_match(np.zeros(1), np.full(1, 1e-300), rtol=0, atol=0)
    with pytest.raises(ValueError, match="same shape"):
        assert_gradients_match(np.ones((3, 1)), np.ones(3))  # would broadcast
