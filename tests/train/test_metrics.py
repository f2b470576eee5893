"""Metrics against scikit-learn, SciPy and published tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, entropy
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss

from pp_lib.train import (
    accuracy,
    confusion,
    label_entropy,
    majority_accuracy,
    summary,
    wilson_interval,
)

CLASSES = st.integers(0, 2)
PAIRS = st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=60)
EXACT = 1e-12  # float64, at most 60 terms


@given(PAIRS)
def test_accuracy_and_confusion_are_scikit_learns(pairs):
    y, predicted = np.array(pairs).T
    assert accuracy(y, predicted) == pytest.approx(accuracy_score(y, predicted), abs=EXACT)
    expected = confusion_matrix(y, predicted, labels=[0, 1, 2])
    np.testing.assert_array_equal(confusion(y, predicted), expected)


@given(PAIRS)
def test_majority_is_scikit_learns_most_frequent(pairs):
    y, y_train = np.array(pairs).T
    for reference in (y, y_train):
        dummy = DummyClassifier(strategy="most_frequent").fit(reference[:, None], reference)
        expected = dummy.score(y[:, None], y)
        assert majority_accuracy(y, reference) == pytest.approx(expected, abs=EXACT)
    assert majority_accuracy(y) == majority_accuracy(y, y)


@given(PAIRS)
def test_label_entropy_is_scipys_and_the_best_constant_answers_loss(pairs):
    y, _ = np.array(pairs).T
    counts = np.bincount(y, minlength=3)
    assert label_entropy(y) == pytest.approx(entropy(counts), abs=EXACT)
    if np.all(counts):
        constant = np.tile(counts / len(y), (len(y), 1))
        assert label_entropy(y) == pytest.approx(log_loss(y, constant), abs=EXACT)


def test_label_entropy_at_its_ends():
    assert label_entropy(np.array([1, 1, 1])) == 0
    assert label_entropy(np.array([0, 1, 2])) == pytest.approx(np.log(3), abs=EXACT)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [  # Newcombe, Statistics in Medicine 17 (1998) 857, table I, score method without correction
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_interval_as_published(successes, n, low, high):
    assert wilson_interval(successes, n) == pytest.approx((low, high), abs=5e-5)  # four digits


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
       st.sampled_from([0.5, 0.9, 0.95, 0.99]))  # fmt: skip
def test_wilson_interval_is_scipys(counted, confidence):
    successes, n = counted
    expected = binomtest(successes, n).proportion_ci(confidence, method="wilson")
    found = wilson_interval(successes, n, confidence)
    assert found == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert 0 <= found[0] <= successes / n <= found[1] <= 1


def test_the_notes_nine_of_sixteen_is_a_wide_interval():
    low, high = wilson_interval(9, 16)
    assert (round(low, 2), round(high, 2)) == (0.33, 0.77)


@pytest.mark.parametrize("arguments", [(1, 0), (-1, 3), (4, 3), (1, 3, 0.0), (1, 3, 1.0)])
def test_wilson_refuses_what_is_no_proportion(arguments):
    with pytest.raises(ValueError, match="need|confidence"):
        wilson_interval(*arguments)


def test_summary_puts_every_head_beside_its_baselines():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 3, (2, 50, 3))
    train = np.zeros((10, 3), dtype=int)
    found = summary(labels, predicted, train)
    assert list(found) == ["aperture", "iso", "shutter", "sum"]
    for j, name in enumerate(["aperture", "iso", "shutter"]):
        head = found[name]
        assert head["accuracy"] == accuracy_score(labels[:, j], predicted[:, j])
        assert head["majority"] == np.mean(labels[:, j] == 0)
        assert head["low"] < head["accuracy"] < head["high"]
    entropies = [entropy(np.bincount(column)) for column in labels.T]
    assert found["sum"]["entropy"] == pytest.approx(sum(entropies), abs=EXACT)


@pytest.mark.parametrize("y", [[], [[1]], [0.5], [-1]])
def test_labels_that_are_none_are_refused(y):
    with pytest.raises(ValueError, match="labels must be"):
        label_entropy(np.array(y))


def test_mismatches_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        accuracy(np.array([1]), np.array([1, 2]))
    with pytest.raises(ValueError, match="0..2, got 3"):
        confusion(np.array([3]), np.array([0]))
    with pytest.raises(ValueError, match="one column a head"):
        summary(np.zeros((4, 2), int), np.zeros((4, 2), int))
