"""Metrics against scikit-learn, SciPy and published tables."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binomtest, entropy
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, log_loss

from pp_lib.train import (
    accuracy,
    confusion,
    label_entropy,
    majority_accuracy,
    summary,
    wilson_interval,
)
from pp_lib.train.calibration import expected_calibration_error, probabilities_of
from pp_lib.train.calibration import log_loss as our_log_loss
from pp_lib.train.metrics import macro_f1
from pp_lib.train.stops import stops_error, stops_to_class

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
def test_macro_f1_is_scikit_learns(pairs):
    y, predicted = np.array(pairs).T
    expected = f1_score(y, predicted, average="macro")
    assert macro_f1(y, predicted) == pytest.approx(expected, abs=EXACT)


def test_macro_f1_counts_a_rare_class_as_much_as_a_frequent_one():
    y, predicted = np.repeat([0, 1], [98, 2]), np.zeros(100, int)
    # class 0: 2 * 98 / (98 + 100); class 1 was never answered: 0
    assert macro_f1(y, predicted) == pytest.approx((196 / 198 + 0) / 2, abs=EXACT)


def scores(n, k, largest):
    return arrays(np.float64, (n, k), elements=st.floats(-largest, largest))


@given(st.lists(CLASSES, min_size=1, max_size=30).flatmap(
    lambda y: st.tuples(st.just(np.array(y)), scores(len(y), 3, 15))))  # fmt: skip
def test_log_loss_is_scikit_learns_where_that_does_not_clip(case):
    y, logits = case
    e = np.exp(logits)  # at most e^30 apart: far above the 2e-16 at which scikit-learn clips
    expected = log_loss(y, e / e.sum(axis=1, keepdims=True), labels=[0, 1, 2])
    assert our_log_loss(y, logits) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    shifted = our_log_loss(y, logits + 700)
    assert shifted == pytest.approx(expected, rel=1e-9, abs=1e-11)  # 700 costs 3 of 16 digits


@pytest.mark.parametrize(
    ("y", "logits", "expected"),
    [
        ([1], [[0.0, 0.0, 0.0]], np.log(3)),
        ([1], [[1000.0, 0.0, 0.0]], 1000.0),  # p = e^-1000 is 0 in float64
        ([0, 1], [[1000.0, 0.0], [1000.0, 0.0]], 500.0),
        ([1], [[0.0, -np.inf, 0.0]], np.inf),
        ([0], [[0.0, -np.inf, 0.0]], np.log(2)),
        ([0], [[1e300, -1e300]], 0.0),
        ([0], np.array([[20.0, 0.0]], np.float32), np.log1p(np.exp(-20))),  # 0 in float32
    ],
)
def test_log_loss_in_closed_form(y, logits, expected):
    # log1p keeps digits that the sum 1 + e^-20 does not have: 1e-16 of 2e-9
    assert our_log_loss(y, logits) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize(
    ("y", "logits"),
    [
        ([0], [[np.nan, 0.0]]),
        ([0], [[np.inf, 0.0]]),
        ([0], [[-np.inf, -np.inf]]),
        ([2], [[0.0, 0.0]]),
        ([0, 1], [[0.0, 0.0]]),
        ([0], [0.0, 0.0]),
        ([0], np.zeros((1, 0))),
    ],
)
def test_log_loss_refuses_what_are_no_logits(y, logits):
    with pytest.raises(ValueError, match="logits must be|labels must be"):
        our_log_loss(y, logits)


def slow_calibration_error(y, p, n_bins):
    """Guo et al. 2017, equation 3, bin by bin and photograph by photograph."""
    error = 0.0
    for b in range(n_bins):
        inside = [i for i in range(len(y)) if b / n_bins < max(p[i]) <= (b + 1) / n_bins]
        if inside:
            right = sum(list(p[i]).index(max(p[i])) == y[i] for i in inside)
            sure = sum(max(p[i]) for i in inside)
            error += len(inside) / len(y) * abs(right / len(inside) - sure / len(inside))
    return error


@given(
    st.lists(CLASSES, min_size=1, max_size=30).flatmap(
        lambda y: st.tuples(st.just(np.array(y)), scores(len(y), 3, 4))
    ),
    st.sampled_from([1, 2, 15]),
)
def test_calibration_error_is_that_of_a_slow_computation(case, n_bins):
    y, logits = case
    p = probabilities_of(logits)
    expected = slow_calibration_error(y, np.minimum(p, 1), n_bins)
    assert expected_calibration_error(y, p, n_bins) == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize(
    ("right", "confidence", "expected"),
    [
        ([1, 1, 1, 0], [0.75, 0.75, 0.75, 0.75], 0.0),
        ([0, 0], [1.0, 1.0], 1.0),
        ([1, 0], [0.9, 0.9], 0.4),
        ([1, 0], [1.0, 0.6], 0.3),  # two bins: gaps 0 and 0.6, half of the photographs each
        ([1, 0], [0.66, 0.62], 0.14),  # one bin, 9/15 to 10/15: |1/2 - 0.64|
        ([1, 0], [10 / 15, 0.62], abs(0.5 - (10 / 15 + 0.62) / 2)),  # a bin has its upper end
    ],
)
def test_calibration_error_in_closed_form(right, confidence, expected):
    c = np.array(confidence)
    p = np.stack([c, 1 - c], axis=1)
    assert expected_calibration_error(1 - np.array(right), p) == pytest.approx(expected, abs=EXACT)


@pytest.mark.parametrize("p", [[[0.5, 0.6]], [[1.5, -0.5]], [0.5, 0.5], [[np.nan, 1.0]]])
def test_calibration_error_refuses_what_are_no_probabilities(p):
    with pytest.raises(ValueError, match="probabilities must be"):
        expected_calibration_error([0], p)


def test_stops_error_is_the_mean_distance():
    assert stops_error([0.0, 4.0], [1.0, 1.5]) == pytest.approx(1.75, abs=EXACT)
    with pytest.raises(ValueError, match="finite"):
        stops_error([np.nan], [0.0])


@pytest.mark.parametrize(
    ("head", "value", "y", "predicted", "nearest"),
    [  # the nearest third stop of the predicted class, as a photographer would turn the dial
        ("aperture", 5.6, 1, 0, 5.0),
        ("aperture", 5.6, 1, 2, 13.0),
        ("aperture", 1.4, 0, 1, 5.6),
        ("aperture", 22.0, 2, 0, 5.0),
        ("iso", 200.0, 0, 1, 250.0),
        ("iso", 6400.0, 2, 0, 200.0),
        ("iso", 6400.0, 2, 1, 800.0),
        ("iso", 100.0, 0, 2, 1000.0),
        ("shutter", 1 / 260, 0, 1, 1 / 250),
        ("shutter", 1 / 1000, 0, 2, 1 / 25),
        ("shutter", 2.0, 2, 1, 1 / 30),
        ("shutter", 2.0, 2, 0, 1 / 320),
    ],
)
def test_stops_to_a_class_are_those_to_its_nearest_setting(head, value, y, predicted, nearest):
    scale = {"aperture": 2, "iso": 1, "shutter": -1}[head]
    stops = scale * np.log2(np.array([value / (100 if head == "iso" else 1)]))
    expected = abs(scale * np.log2(value / nearest))
    assert stops_to_class([y], stops, [predicted], head) == pytest.approx(expected, abs=1e-9)
    assert stops_to_class([y], stops, [y], head) == 0
    both = stops_to_class([y, y], [*stops, *stops], [predicted, y], head)
    assert both == pytest.approx(expected / 2, abs=1e-9)


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


def test_summary_grows_with_what_it_is_given():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, (40, 3))
    logits = {name: rng.normal(size=(40, 3)) for name in ("aperture", "iso", "shutter")}
    predicted = np.stack([z.argmax(axis=1) for z in logits.values()], axis=1)
    stops, predicted_stops = rng.normal(size=(2, 40, 3))
    plain = summary(labels, predicted)
    found = summary(labels, predicted, logits=logits, stops=stops, predicted_stops=predicted_stops)
    for j, (name, z) in enumerate(logits.items()):
        head, y = found[name], labels[:, j]
        e = np.exp(z)
        assert head["loss"] == pytest.approx(log_loss(y, e / e.sum(axis=1, keepdims=True)))
        expected = slow_calibration_error(y, probabilities_of(z), 15)
        assert head["calibration_error"] == pytest.approx(expected, abs=EXACT)
        distance = np.abs(stops - predicted_stops)[:, j].mean()
        assert head["stops_error"] == pytest.approx(distance, abs=EXACT)
        assert head["stops_to_class"] == stops_to_class(y, stops[:, j], predicted[:, j], name)
        assert plain[name]["macro_f1"] == f1_score(y, predicted[:, j], average="macro")
        assert set(head) - set(plain[name]) == {
            *("loss", "calibration_error", "stops_error", "stops_to_class")
        }
    losses = [found[name]["loss"] for name in logits]
    assert found["sum"]["loss"] == pytest.approx(sum(losses), abs=EXACT)
    with pytest.raises(ValueError, match="missing"):
        summary(labels, predicted, predicted_stops=predicted_stops)


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
