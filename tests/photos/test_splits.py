import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pp_lib.photos.splits import split


def labels(n, seed=0):
    return np.random.default_rng(seed).integers(0, 3, (n, 3))


def quietly(*args, **kwargs):
    """Split, letting the warnings that a test is not about pass unseen."""
    with warnings.catch_warnings(record=True):
        warnings.simplefilter("always")
        return split(*args, **kwargs)


@settings(deadline=None)  # the first call imports scikit-learn
@given(
    n=st.integers(4, 200),
    how=st.sampled_from(["random", "grouped"]),
    fractions=st.sampled_from([(0.8, 0.2), (0.7, 0.2, 0.1), (0.5, 0.5), (0.01, 0.99)]),
    seed=st.integers(0, 2**32),
)
def test_every_photograph_is_in_one_part(n, how, fractions, seed):
    groups = np.arange(n) // 2 % 50 if how == "grouped" else None
    if groups is not None and len(set(groups)) < len(fractions):
        return
    rng = np.random.default_rng(seed)
    parts = quietly(labels(n), how=how, fractions=fractions, rng=rng, groups=groups)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    assert all(len(part) > 0 and (np.diff(part) > 0).all() for part in parts)
    if how == "random":
        sizes = [len(part) for part in parts]
        # within one photograph of the share; within two where a part of none was lent one
        assert all(abs(s - f * n) < 2 for s, f in zip(sizes, fractions, strict=True))
    else:
        groups_of = [set(groups[part].tolist()) for part in parts]
        assert sum(map(len, groups_of)) == len(set(groups.tolist()))  # no group in two parts


@settings(deadline=None)  # the first call imports scikit-learn
@given(n=st.integers(150, 400), seed=st.integers(0, 2**32))
def test_stratified_parts_have_their_share_of_each_class(n, seed):
    table = labels(n, seed)
    train, val = quietly(table, how="stratified", rng=np.random.default_rng(seed))
    assert sorted([*train, *val]) == list(range(n))
    assert len(val) == round(0.2 * n) or abs(len(val) - 0.2 * n) < 1
    for head in range(3):
        for k in range(3):
            share = (table[val, head] == k).sum() - 0.2 * (table[:, head] == k).sum()
            # nine combinations make up a class, each rounded by less than one photograph
            assert abs(share) < 9


def test_stratified_by_the_combination_of_all_three():
    table = np.repeat([[0, 0, 0], [1, 2, 1], [2, 1, 0], [0, 2, 2]], 25, axis=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is rare here: no word
        _, val = split(table, how="stratified", rng=np.random.default_rng(1))
    combinations, counts = np.unique(table[val], axis=0, return_counts=True)
    assert len(combinations) == 4
    assert counts.tolist() == [5, 5, 5, 5]


def test_rare_combinations_are_shared_out_by_their_rarest_class_and_reported():
    """Five photographs of ISO class 2, no two alike: pooled blindly, none might be validated."""
    table = np.array([[0, 0, 0]] * 60 + [[1, 1, 1]] * 35)
    rare = np.array([[0, 2, 0], [0, 2, 1], [1, 2, 0], [1, 2, 1], [0, 2, 0]])
    table = np.concatenate([table, rare])
    for seed in range(20):
        with pytest.warns(UserWarning, match="5 of 100 photographs have too rare a combination"):
            _, val = split(table, how="stratified", rng=np.random.default_rng(seed))
        assert (table[val, 1] == 2).sum() == 1


@pytest.mark.parametrize("how", ["random", "stratified", "grouped"])
def test_the_generator_decides(how):
    table, groups = labels(200), np.arange(200) % 40 if how == "grouped" else None

    def draw(seed):
        rng = np.random.default_rng(seed)
        return quietly(table, how=how, rng=rng, groups=groups)[1].tolist()

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_a_class_absent_from_a_part_is_reported():
    table = np.array([[0, 0, 0]] * 49 + [[2, 0, 0]])
    with pytest.warns(UserWarning, match=r"no photograph of aperture class 2 .* in part"):
        split(table, rng=np.random.default_rng(0))


def test_few_photographs_to_stratify():
    with pytest.raises(ValueError, match="too few to stratify"):
        quietly(labels(12), how="stratified", rng=np.random.default_rng(0))
    quietly(labels(50), how="stratified", rng=np.random.default_rng(0))  # the notes' fifty


@pytest.mark.parametrize(
    ("n", "options", "message"),
    [
        (1, {}, "number of photographs must be .* got 1:"),
        (0, {}, "number of photographs must be .* got 0:"),
        (9, {"fractions": (0.8, 0.3)}, "sum to 1"),
        (9, {"fractions": (1.0,)}, "two or more"),
        (9, {"fractions": (1.2, -0.2)}, "positive"),
        (9, {"how": "first 80 %"}, "how must be"),
        (9, {"how": "grouped"}, "groups must be given"),
        (9, {"groups": [0] * 9}, "groups must be given"),
        (9, {"how": "grouped", "groups": [0] * 8}, "expected 9 groups"),
        (9, {"how": "grouped", "groups": [0] * 9}, "number of groups must be .* got 1:"),
    ],
)
def test_impossible_splits(n, options, message):
    with pytest.raises(ValueError, match=message):
        split(labels(n), rng=np.random.default_rng(0), **options)


def test_labels_of_another_shape():
    with pytest.raises(ValueError, match=r"\(N, 3\)"):
        split(np.zeros((5, 2)), rng=np.random.default_rng(0))
