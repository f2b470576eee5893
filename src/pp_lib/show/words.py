"""Numbers as a sentence has them."""

import math

PLAIN = 1e-3, 1e5  # between these a number needs no power of ten
SUPERSCRIPTS = str.maketrans(
    "-0123456789", "\u207b\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"
)


def number(value, digits=3):
    """Write a number for a sentence: 0.25, or 1.3 × 10⁻²⁴ where zeros would have to be counted.

    Parameters
    ----------
    value : float
    digits : int
        Significant digits, at least 1.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If `digits` is less than 1.

    Examples
    --------
    >>> number(0.25), number(1.33e-24), number(2.0e6, digits=2)
    ('0.25', '1.33 × 10⁻²⁴', '2 × 10⁶')
    """
    if digits < 1:
        raise ValueError(f"digits must be at least 1, got {digits}")
    if value == 0 or not math.isfinite(value) or PLAIN[0] <= abs(value) < PLAIN[1]:
        return f"{float(f'{value:.{digits}g}'):.10g}"
    factor, power = f"{value:.{digits - 1}e}".split("e")
    if "." in factor:
        factor = factor.rstrip("0").rstrip(".")
    return f"{factor} × 10{str(int(power)).translate(SUPERSCRIPTS)}"
