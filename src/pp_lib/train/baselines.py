"""What a network has to beat: thirty statistics that a person would think of, and scikit-learn.

The baselines that do not look at photographs, `majority_accuracy` and `label_entropy`, are in
every `summary`.
"""

import numpy as np
from tqdm.auto import tqdm

from pp_lib.photos.bins import HEADS
from pp_lib.photos.statistics import hand_made_statistics

from .checks import one_column_a_head
from .metrics import summary

METHODS = ("boosting", "logistic")


def statistics_of(images, size=128, *, progress=True):
    """Measure the centre of each photograph.

    Parameters
    ----------
    images : sequence of (3, H, W) uint8 tensors or arrays
    size : int
        Side of the central crop, pixels, at most H and W.

    Returns
    -------
    (N, 30) float64 ndarray
        See `hand_made_statistics`.
    """
    rows = []
    for image in tqdm(images, desc="statistics", unit="photo", disable=not progress):
        image = np.asarray(image)
        height, width = image.shape[-2:]
        if min(height, width) < size:
            raise ValueError(f"images must be at least {size} x {size} pixels, got {image.shape}")
        top, left = (height - size) // 2, (width - size) // 2
        crop = image[:, top : top + size, left : left + size]
        rows.append(hand_made_statistics(np.ascontiguousarray(crop.transpose(1, 2, 0))))
    return np.stack(rows)  # (N, 30)


def statistics_baseline(train, test, *, method="boosting", size=128, seed=0, progress=True):
    """Judge what thirty hand-made statistics say about the settings, as `summary` judges.

    Parameters
    ----------
    train, test : PhotoDataset, or pair of (N, 30) statistics and (N, 3) classes
        Of a data set the photographs are measured as they are, without its transform.
    method : {"boosting", "logistic"}
        Gradient boosting, or logistic regression on standardised statistics.
    size : int
        Side of the central crop of a data set's photographs, pixels.
    seed : int
        Decides what boosting keeps back to stop early, where it does.

    Returns
    -------
    dict
        `summary` of the answers to `test`, with ``loss`` and ``calibration_error``. A class that
        `train` has none of gets no probability: where it occurs in `test` the loss is infinite.

    Raises
    ------
    ValueError
        For an unknown method, no photographs, and arrays that do not fit together.
    """
    X_train, y_train = _measured(train, size, progress)
    X_test, y_test = _measured(test, size, progress)
    p = fitted_probabilities(X_train, y_train, X_test, method=method, seed=seed)
    predicted = np.stack([p[head].argmax(axis=1) for head in HEADS], axis=1)
    with np.errstate(divide="ignore"):  # ln 0 is minus infinity, as it should be
        logits = {head: np.log(p[head]) for head in HEADS}
    return summary(y_test, predicted, y_train, logits=logits)


def fitted_probabilities(X_train, y_train, X_test, *, method="boosting", seed=0):
    """Give each head's probabilities, (M, 3), of rows `X_test` after learning from `X_train`.

    Parameters are those of `statistics_baseline`; X (N, D) may hold any D numbers a photograph.
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    probabilities = {}
    for j, (head, bins) in enumerate(HEADS.items()):
        p = np.zeros((len(X_test), bins.n_classes))
        seen = np.unique(y_train[:, j])
        if len(seen) == 1:  # nothing to learn
            p[:, seen] = 1
        else:
            model = _classifier(method, seed).fit(X_train, y_train[:, j])
            p[:, model.classes_] = model.predict_proba(X_test)
        probabilities[head] = p
    return probabilities


def _classifier(method, seed):
    if method == "boosting":
        from sklearn.ensemble import HistGradientBoostingClassifier

        return HistGradientBoostingClassifier(
            max_iter=300, learning_rate=0.06, l2_regularization=1.0, random_state=seed
        )
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))


def _measured(data, size, progress):
    if isinstance(data, tuple):
        X, y = np.asarray(data[0]), one_column_a_head(data[1])
    else:
        pictures = [data.picture(i) for i in range(len(data))]
        X, y = statistics_of(pictures, size, progress=progress), data.labels
    if X.ndim != 2 or len(X) != len(y) or len(y) == 0:
        raise ValueError(
            f"statistics must be (N, D) with (N, 3) classes, N >= 1, got {X.shape} and {y.shape}"
        )
    return X, y
