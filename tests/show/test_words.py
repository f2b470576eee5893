"""Numbers in sentences: they must mean what they are rounded from."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pp_lib.show import number

DIGITS = "⁰¹²³⁴⁵⁶⁷⁸⁹"


def read(text):
    """Read a number as a person would."""
    factor, _, power = text.partition(" × 10")
    sign = -1 if power.startswith("⁻") else 1
    digits = "".join(str(DIGITS.index(c)) for c in power.lstrip("⁻"))
    return float(factor) * 10.0 ** (sign * int(digits or 0))


@given(st.floats(min_value=1e-290, max_value=1e290), st.integers(1, 6), st.sampled_from([-1, 1]))
def test_what_is_read_is_what_was_meant(value, digits, sign):
    text = number(sign * value, digits)
    # half a unit in the last of the digits, and the roundings of reading it
    assert math.isclose(read(text), sign * value, rel_tol=0.51 * 10.0 ** (1 - digits))
    assert "e" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.25, "0.25"), (1.33e-24, "1.33 × 10⁻²⁴"), (2e6, "2 × 10⁶"), (math.inf, "inf")],
)
def test_examples(value, text):
    assert number(value) == text


def test_no_digits():
    with pytest.raises(ValueError, match="at least 1"):
        number(1.0, 0)
