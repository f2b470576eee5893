"""Thirty statistics and scikit-learn: the same pixels, the same answers, the same summary."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from pp_lib.photos import PhotoDataset, read_manifest, simulated_photographs
from pp_lib.photos.bins import HEADS
from pp_lib.photos.dataset import eval_transform
from pp_lib.photos.statistics import hand_made_statistics
from pp_lib.train.baselines import statistics_baseline, statistics_of


@pytest.fixture(scope="module")
def halves():
    """Give 120 simulated photographs in two halves, prepared."""
    folder = simulated_photographs(120)
    rows = read_manifest(folder)
    transform = eval_transform()  # not to be used: statistics are of the photographs themselves
    return [PhotoDataset(folder, part, transform) for part in (rows[::2], rows[1::2])]


@pytest.fixture(scope="module")
def measured(halves):
    return [
        (statistics_of([d.picture(i) for i in range(len(d))], progress=False), d.labels)
        for d in halves
    ]


def test_statistics_are_of_the_centre_as_prepared(halves, measured):
    picture = np.asarray(halves[0].picture(5))  # (3, 256, 256)
    expected = hand_made_statistics(
        np.ascontiguousarray(picture[:, 64:192, 64:192].transpose(1, 2, 0))
    )
    np.testing.assert_array_equal(measured[0][0][5], expected)
    with pytest.raises(ValueError, match="at least 300 x 300"):
        statistics_of([picture], 300, progress=False)


def test_logistic_regression_is_scikit_learns(measured):
    (X, y), (X_test, y_test) = measured
    found = statistics_baseline(*measured, method="logistic")
    scaler = StandardScaler().fit(X)
    for j, head in enumerate(HEADS):
        model = LogisticRegression(max_iter=2000).fit(scaler.transform(X), y[:, j])
        p = model.predict_proba(scaler.transform(X_test))
        assert found[head]["accuracy"] == model.score(scaler.transform(X_test), y_test[:, j])
        # scikit-learn's log_loss would cut one photograph's 97 nats short, to 36
        losses = -np.log(p[np.arange(len(p)), y_test[:, j]])
        assert found[head]["loss"] == pytest.approx(losses.mean(), rel=1e-9)
        assert found[head]["majority"] == np.mean(y_test[:, j] == np.bincount(y[:, j]).argmax())


@pytest.mark.parametrize("method", ["logistic", "boosting"])
def test_data_sets_and_their_statistics_give_the_same_and_noise_is_read(halves, measured, method):
    found = statistics_baseline(*halves, method=method, progress=False)
    assert found == statistics_baseline(*measured, method=method)
    # ISO is noise, which the statistics measure: far above guessing even from 60 photographs
    assert found["iso"]["low"] > found["iso"]["majority"]
    assert {"loss", "calibration_error", "macro_f1"} <= set(found["shutter"])


def test_a_class_never_seen_costs_infinitely_and_a_lone_class_is_always_answered(measured):
    (X, y), (X_test, y_test) = measured
    kept = y[:, 1] != 1
    only = y[kept].copy()
    only[:, 0] = 1
    found = statistics_baseline((X[kept], only), (X_test, y_test), method="logistic")
    assert 1 in y_test[:, 1]
    assert found["iso"]["loss"] == np.inf
    scaler = StandardScaler().fit(X[kept])
    model = LogisticRegression(max_iter=2000).fit(scaler.transform(X[kept]), y[kept, 1])
    assert found["iso"]["accuracy"] == model.score(scaler.transform(X_test), y_test[:, 1])
    assert np.isfinite(found["shutter"]["loss"])
    assert found["aperture"]["accuracy"] == np.mean(y_test[:, 0] == 1)


def test_what_cannot_be_judged_is_refused(measured):
    with pytest.raises(ValueError, match="boosting, logistic"):
        statistics_baseline(*measured, method="forest")
    X, y = measured[0]
    with pytest.raises(ValueError, match="statistics must be"):
        statistics_baseline((X[:5], y), measured[1])
    with pytest.raises(ValueError, match="one column a head"):
        statistics_baseline((X, y[:, 0]), measured[1])
