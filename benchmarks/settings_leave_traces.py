"""Do the settings leave traces in the pixels? Thirty statistics and gradient boosting say.

Each head must beat "always the commonest class" by at least ten points; brightness and colour
alone must not, because the exposure program evens them out.

    python benchmarks/settings_leave_traces.py [--photographs 1500] [--seed 11]
"""

import argparse
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from rows import exit_status, row
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from tqdm.auto import tqdm

from pp_lib.camera import simulate, write_dng
from pp_lib.photos.bins import HEADS, labels
from pp_lib.photos.develop import develop
from pp_lib.photos.statistics import STATISTIC_NAMES, hand_made_statistics

LEAST_GAIN = 0.10  # over the majority class
TONES = ("brightness", "contrast", "share_clipped", "share_black", "saturation")


def statistics_of(photograph, folder):
    path = write_dng(folder / f"{photograph.seed[1]}.dng", photograph)
    statistics = hand_made_statistics(develop(path))
    path.unlink()
    return statistics


def predicted(X, y):
    model = HistGradientBoostingClassifier(
        max_iter=120, learning_rate=0.06, l2_regularization=1.0, random_state=0
    )
    return cross_val_predict(model, X, y, cv=StratifiedKFold(5, shuffle=True, random_state=0))


def measure(quick=False, n=1500, seed=11):
    """Give the benchmark's rows for the table."""
    n, size = (150, 64) if quick else (n, 256)
    photographs = simulate(n, seed=seed, size=size, progress=sys.stderr.isatty())
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        rows = pool.map(lambda photograph: statistics_of(photograph, Path(folder)), photographs)
        X = np.stack(list(tqdm(rows, total=len(photographs), desc="measure", disable=None)))
    encoded = [labels(photograph.settings) for photograph in photographs]
    tones = [STATISTIC_NAMES.index(name) for name in TONES]
    print(f"{'head':<10}{'class shares':<20}{'majority':>9}{'tones':>9}{'all 30':>9}{'gain':>9}")
    found = []
    for head, bins in HEADS.items():
        y = np.array([label[head] for label in encoded])
        shares = np.bincount(y, minlength=bins.n_classes) / len(y)
        accuracy, from_tones = (predicted(x, y) == y for x in (X, X[:, tones]))
        gain = accuracy.mean() - shares.max()
        text = "  ".join(f"{share:.2f}" for share in shares)
        print(
            f"{head:<10}{text:<20}{shares.max():9.3f}{from_tones.mean():9.3f}"
            f"{accuracy.mean():9.3f}{gain:+9.3f}"
        )
        found.append(
            row(
                f"{head} from thirty statistics of {len(y):,} simulated photographs",
                "accuracy over that of always saying the commonest class, in points",
                ours=100 * accuracy.mean(),
                theirs=100 * shares.max(),
                ratio=100 * gain,
                unit="%",
                at_least=100 * LEAST_GAIN,
            )
        )
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photographs", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args()
    found = measure(n=options.photographs, seed=options.seed)
    passed = exit_status(found) == 0
    print(f"every head at least {LEAST_GAIN:.2f} over the majority: {'yes' if passed else 'NO'}")
    return exit_status(found)


if __name__ == "__main__":
    sys.exit(main())
