"""Splitting photographs into training and validation (chapter 04).

"The first 80 %" is no split: photographs lie in a folder by camera and date.
"""

import warnings
from collections import Counter

import numpy as np

from pp_lib.photos.bins import HEADS

HOW = ("random", "stratified", "grouped")


def split(
    rows_or_labels,
    *,
    how: str = "random",
    fractions: tuple[float, ...] = (0.8, 0.2),
    rng: np.random.Generator,
    groups=None,
) -> tuple[np.ndarray, ...]:
    """Split photographs into parts.

    Parameters
    ----------
    rows_or_labels : sequence of Row, or (N, 3) array of int
        The photographs, or their classes in the order of `HEADS`.
    how : {"random", "stratified", "grouped"}
        "random": each photograph by itself. "stratified": every part gets its share of each
        combination of the three classes. Combinations of fewer photographs than would give each
        part two are too rare for that: their photographs are shared out by the rarest of their
        three classes instead, and a warning says how many. "grouped": a group (say, a camera) goes
        to one part as a whole; the fractions then are of groups.
    fractions : tuple of float
        One for each part, positive, summing to 1.
    rng : numpy.random.Generator
    groups : sequence of length N, optional
        For "grouped": what group each photograph belongs to.

    Returns
    -------
    tuple of ndarray of int64
        Indices of each part, ascending; together 0 to N - 1, each once.

    Raises
    ------
    ValueError
        If the fractions do not sum to 1, there are too few photographs or groups for one in each
        part (or, stratified, for one of each stratum in each part), or an argument does not fit.

    Warns
    -----
    UserWarning
        If a part has no photograph of some class that other parts have: its accuracy for that
        class means nothing.

    Notes
    -----
    Chapter 04. scikit-learn's train_test_split and GroupShuffleSplit do the drawing.
    """
    labels = _labels(rows_or_labels)
    _check_fractions(fractions)
    if how not in HOW:
        raise ValueError(f"how must be one of {HOW}, got {how!r}")
    if (how == "grouped") != (groups is not None):
        raise ValueError(f"groups must be given for 'grouped' and only then; how is {how!r}")
    if groups is not None and len(groups) != len(labels):
        raise ValueError(f"expected {len(labels)} groups, one a photograph, got {len(groups)}")

    if how == "grouped":
        _, unit_of = np.unique(np.asarray(groups, dtype=str), return_inverse=True)  # (N,)
    else:
        unit_of = np.arange(len(labels))  # each photograph its own
    n_units = int(unit_of.max(initial=-1)) + 1
    sizes = _sizes(n_units, fractions, "groups" if how == "grouped" else "photographs")
    strata = _strata(labels, len(fractions), min(sizes)) if how == "stratified" else None
    parts_of_units = _draw(np.arange(n_units), sizes, strata, rng)
    parts = tuple(np.flatnonzero(np.isin(unit_of, units)) for units in parts_of_units)
    _warn_of_absent_classes(labels, parts)
    return parts


def _labels(rows_or_labels) -> np.ndarray:
    if isinstance(rows_or_labels, np.ndarray):
        labels = rows_or_labels
    else:
        labels = np.array([row.labels for row in rows_or_labels], dtype=np.int64)
    labels = labels.reshape(-1, len(HEADS)) if labels.size == 0 else labels
    if labels.ndim != 2 or labels.shape[1] != len(HEADS):
        raise ValueError(f"labels must be (N, {len(HEADS)}), got {labels.shape}")
    return labels


def _check_fractions(fractions) -> None:
    if len(fractions) < 2 or min(fractions) <= 0:
        raise ValueError(f"expected two or more positive fractions, got {fractions}")
    if abs(sum(fractions) - 1) > 1e-9:  # 0.7 + 0.2 + 0.1 is 1 - 1e-16
        raise ValueError(f"fractions must sum to 1, got {fractions}, which sum to {sum(fractions)}")


def _sizes(n: int, fractions, what: str) -> list[int]:
    """Give whole numbers near n * fractions that sum to n, none of them zero."""
    if n < len(fractions):
        raise ValueError(
            f"the number of {what} must be at least that of the parts, {len(fractions)}, got {n}: "
            "bring more, or split into fewer parts"
        )
    shares = np.array(fractions) * n
    sizes = np.maximum(1, np.floor(shares).astype(int))
    while sizes.sum() != n:  # the largest remainder gains, or pays for a part raised to one
        step = 1 if sizes.sum() < n else -1
        gain = step * (shares - sizes) - np.where((step < 0) & (sizes == 1), np.inf, 0)
        sizes[np.argmax(gain)] += step
    return sizes.tolist()


def _strata(labels: np.ndarray, n_parts: int, smallest_part: int) -> np.ndarray:
    """Give each photograph's stratum: its combination of classes, or its rarest class."""
    combinations = [tuple(row) for row in labels.tolist()]
    counts = Counter(combinations)
    of_class = [Counter(labels[:, h].tolist()) for h in range(labels.shape[1])]

    def rarest_class(row):
        head = min(range(len(row)), key=lambda h: of_class[h][row[h]])
        return head, row[head]

    is_rare = [counts[row] < 2 * n_parts for row in combinations]
    strata = [rarest_class(row) if r else row for row, r in zip(combinations, is_rare, strict=True)]
    if len(set(strata)) > smallest_part:  # a part cannot have one of each: coarser strata
        is_rare = [True] * len(combinations)
        strata = [rarest_class(row) for row in combinations]
    # scikit-learn wants two or more of each, at every cut: what is rarer still joins the largest
    sizes = Counter(strata)
    largest = sizes.most_common(1)[0][0]
    strata = [s if sizes[s] >= n_parts else largest for s in strata]
    if len(set(strata)) > smallest_part:
        raise ValueError(
            f"{len(labels)} photographs are too few to stratify: the smallest part has "
            f"{smallest_part}, there are {len(set(strata))} strata; use how='random'"
        )
    if any(is_rare):
        warnings.warn(
            f"{sum(is_rare)} of {len(labels)} photographs have too rare a combination of classes "
            "to stratify by it; they are shared out by the rarest of their classes",
            UserWarning,
            stacklevel=3,
        )
    codes = {stratum: code for code, stratum in enumerate(sorted(set(strata)))}
    return np.array([codes[stratum] for stratum in strata])


def _draw(units: np.ndarray, sizes: list[int], strata, rng) -> list[np.ndarray]:
    """Cut off one part after the other."""
    from sklearn.model_selection import train_test_split

    parts, rest = [], units
    for k, size in enumerate(sizes[:-1]):
        part, rest = train_test_split(
            rest,
            train_size=size,
            test_size=sum(sizes[k + 1 :]),
            stratify=None if strata is None else strata[rest],
            random_state=int(rng.integers(2**32)),
        )
        parts.append(part)
    return [*parts, rest]


def _warn_of_absent_classes(labels: np.ndarray, parts) -> None:
    absent = []
    for h, (head, bins) in enumerate(HEADS.items()):
        for k in np.unique(labels[:, h]).tolist():
            for p, part in enumerate(parts):
                if not (labels[part, h] == k).any():
                    absent.append(f"{head} class {k} ({bins.names[k]}) in part {p}")
    if absent:
        warnings.warn(f"no photograph of {'; '.join(absent)}", UserWarning, stacklevel=3)
