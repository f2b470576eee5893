"""The rows that every benchmark gives, and the table that they make.

A row says what was measured: `ours` and `theirs` in `unit`, and their `ratio`, which is how many
times better ours is unless the claim says otherwise. What must hold is that the ratio (or `ours`,
where there is no ratio) is at least or at most the `target`; rows without a target only report.
"""

from math import isfinite

KEYS = ("name", "claim", "ours", "theirs", "ratio", "bound", "target", "unit", "met")
BOUNDS = ("at least", "at most", None)


class Absent(RuntimeError):  # noqa: N818  news, not a failure
    """What is to be measured is not there; the message says what, and no number is given."""


def row(name, claim, *, ours, unit, theirs=None, ratio=None, at_least=None, at_most=None):
    """Give one row of the table.

    Parameters
    ----------
    name, claim : str
        What was measured; what is claimed of it, in words.
    ours, theirs : float
        In `unit`; `theirs` is None where nothing is compared.
    ratio : float, optional
    at_least, at_most : float, optional
        The target, of the ratio where there is one, else of `ours`. One of them or none.
    """
    if at_least is not None and at_most is not None:
        raise ValueError(f"{name}: a target is at_least or at_most, got both")
    numbers = {"ours": ours, "theirs": theirs, "ratio": ratio}
    for key, value in numbers.items():
        if value is not None and not isfinite(value):
            raise ValueError(f"{name}: {key} must be a finite number, got {value}")
    judged = ours if ratio is None else ratio
    bound, target, met = None, None, None
    if at_least is not None:
        bound, target, met = "at least", at_least, judged >= at_least
    elif at_most is not None:
        bound, target, met = "at most", at_most, judged <= at_most
    numbers = {key: None if value is None else _short(value) for key, value in numbers.items()}
    met = None if met is None else bool(met)
    values = {"name": name, "claim": claim, **numbers, "bound": bound, "target": target}
    return {**values, "unit": unit, "met": met}


def _short(value):
    return float(f"{float(value):.4g}")


def text_of(value):
    """Give a number as the table shows it: three or four digits, nothing for None."""
    if value is None:
        return ""
    if value == 0 or 1e-3 <= abs(value) < 1e6:
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:.1e}"


def cells_of(row):
    """Give a row's six cells: name, ours, theirs, ratio, target, met."""
    unit = f" {row['unit']}"
    ours, theirs, ratio = (text_of(row[key]) for key in ("ours", "theirs", "ratio"))
    target = f"{row['bound']} {text_of(row['target'])}" if row["bound"] else ""
    met = {True: "yes", False: "NO", None: ""}[row["met"]]
    return [row["name"], ours + unit, theirs and theirs + unit, ratio, target, met]


HEAD = ["measured", "ours", "theirs", "ratio", "target", "met"]


def table(rows):
    """Give the table as text, its columns as wide as they need to be."""
    lines = [HEAD, *map(cells_of, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def exit_status(rows):
    """Give 0 if every target is met, else 1."""
    return 0 if all(row["met"] is not False for row in rows) else 1
