"""Handwritten digits of 28 x 28 pixels, to learn on before the photographs (chapters 5 to 13)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

SIDE = 28  # pixels: MNIST's
ARRAYS = ("x_train", "y_train", "x_val", "y_val")


@dataclass(frozen=True)
class Digits:
    """Digits to learn from and digits to check with.

    Attributes
    ----------
    x_train, x_val : (N, 784) float64
        Ink from 0 (paper) to 1, row by row.
    y_train, y_val : (N,) int64
        The digit, 0 to 9.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray


def load_digits(source="bundled", *, seed=0) -> Digits:
    """Load handwritten digits.

    Parameters
    ----------
    source : "bundled", "mnist", or path-like
        scikit-learn's 1,797 digits of 8 x 8 pixels, enlarged to 28 x 28, a fifth of them to check
        with; MNIST, which torchvision downloads into the cache on first use; or an .npz file with
        uint8 images x_train and x_test (N, 784) and labels y_train and y_test (N,).
    seed : int
        Of the bundled digits' split, in which each digit keeps its share.

    Raises
    ------
    ValueError
        If `source` is none of these or the file holds something else.
    RuntimeError
        If MNIST cannot be downloaded.

    Notes
    -----
    Bundled: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
    MNIST: LeCun, Bottou, Bengio & Haffner, Proc. IEEE 86(11), 1998.
    """
    if source == "bundled":
        return _bundled(seed)
    if source == "mnist":
        return _mnist()
    path = Path(source)
    if not path.is_file():
        raise ValueError(
            f'source must be "bundled", "mnist" or an .npz file that exists, got {str(source)!r}'
        )
    with np.load(path, allow_pickle=False) as arrays:
        names = [name.replace("val", "test") for name in ARRAYS]
        if not set(names) <= set(arrays):
            raise ValueError(f"{path} must hold {', '.join(names)}; it holds {sorted(arrays)}")
        return _digits(*(arrays[name] for name in names))


def _digits(x_train, y_train, x_val, y_val) -> Digits:
    for x, y in ((x_train, y_train), (x_val, y_val)):
        if x.ndim != 2 or x.shape != (len(y), SIDE**2) or x.dtype != np.uint8:
            raise ValueError(
                f"images must be (N, 784) uint8 and labels (N,), got {x.shape} {x.dtype} and "
                f"{y.shape}"
            )
    return Digits(x_train / 255, y_train.astype(np.int64), x_val / 255, y_val.astype(np.int64))


def _bundled(seed) -> Digits:
    from PIL import Image
    from sklearn.datasets import load_digits as load_small
    from sklearn.model_selection import train_test_split

    small = load_small()
    large = [
        Image.fromarray(image.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        for image in small.images / 16  # ink comes as 0 to 16
    ]
    x = np.stack([np.asarray(image, dtype=np.float64).ravel() for image in large])  # (N, 784)
    x_train, x_val, y_train, y_val = train_test_split(
        x, small.target.astype(np.int64), test_size=0.2, stratify=small.target, random_state=seed
    )
    return Digits(x_train, y_train, x_val, y_val)


def _mnist() -> Digits:
    from torchvision.datasets import MNIST

    from pp_lib.photos.simulated import cache_folder

    parts = []
    for train in (True, False):
        part = MNIST(cache_folder() / "mnist", train=train, download=True)
        parts += [part.data.numpy().reshape(-1, SIDE**2), part.targets.numpy()]
    return _digits(*parts)
