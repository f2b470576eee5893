"""Digits: the reference is scikit-learn's own arrays, averaged back from the enlarged ones."""

import numpy as np
import pytest
from sklearn.datasets import load_digits as load_small

from pp_lib.photos import load_digits


@pytest.fixture(scope="module")
def digits():
    return load_digits()


def test_all_digits_are_there_and_none_twice(digits):
    small = load_small()
    x = np.concatenate([digits.x_train, digits.x_val])
    y = np.concatenate([digits.y_train, digits.y_val])
    assert x.shape == (1797, 784)
    assert x.dtype == np.float64
    assert y.dtype == np.int64
    assert x.min() == 0
    assert x.max() == 1
    assert np.array_equal(np.bincount(y), np.bincount(small.target))
    # bilinear enlargement keeps the mean of the ink, up to the margin's weights
    order, order_small = np.lexsort((x.sum(1), y)), np.lexsort((small.data.sum(1), small.target))
    ratio = x[order].mean(1) / (small.data[order_small].mean(1) / 16)
    assert np.all(np.abs(ratio - 1) < 0.05)


def test_enlarging_keeps_each_digit(digits):
    """Averaged back to 4 x 4, a large digit is nearest to a small one of the same label."""
    small = load_small()
    codes = (small.images / 16).reshape(-1, 4, 2, 4, 2).mean((2, 4)).reshape(-1, 16)
    back = digits.x_train[:200].reshape(-1, 4, 7, 4, 7).mean((2, 4)).reshape(-1, 16)
    nearest = ((back[:, None] - codes) ** 2).sum(-1).argmin(1)  # (200,)
    assert np.array_equal(small.target[nearest], digits.y_train[:200])


def test_each_digit_keeps_its_share(digits):
    assert len(digits.y_val) == 360
    share = np.bincount(digits.y_val) / np.bincount(np.concatenate([digits.y_train, digits.y_val]))
    assert np.all(np.abs(share - 0.2) < 0.01)


def test_the_seed_decides_the_split(digits):
    assert np.array_equal(load_digits().y_val, digits.y_val)
    assert not np.array_equal(load_digits(seed=1).x_val, digits.x_val)


def test_mnist_from_a_file(shared_mnist):
    mnist = load_digits(shared_mnist)
    assert mnist.x_train.shape == (10_000, 784)
    assert mnist.x_val.shape == (2000, 784)
    assert mnist.x_train.max() == 1
    assert sorted(set(mnist.y_train.tolist())) == list(range(10))


def test_mnist_through_torchvision(monkeypatch, tmp_path):
    """The arrays are torchvision's; here with a stand-in that downloads nothing."""
    import torch
    import torchvision.datasets

    class Stored:
        def __init__(self, root, *, train, download):
            assert download
            assert root == tmp_path / "mnist"
            n = 6 if train else 2
            self.data = torch.full((n, 28, 28), 255, dtype=torch.uint8)
            self.targets = torch.arange(n)

    monkeypatch.setenv("PHOTOPILOT_CACHE", str(tmp_path))
    monkeypatch.setattr(torchvision.datasets, "MNIST", Stored)
    mnist = load_digits("mnist")
    assert mnist.x_train.shape == (6, 784)
    assert mnist.y_val.tolist() == [0, 1]
    assert np.all(mnist.x_val == 1)


@pytest.mark.parametrize("source", ["minst", "no-such.npz"])
def test_an_unknown_source_is_refused(source):
    with pytest.raises(ValueError, match=r'"bundled", "mnist" or an \.npz file'):
        load_digits(source)


def test_a_file_with_something_else_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.zeros((1, 784), np.uint8))
    with pytest.raises(ValueError, match="must hold x_train, y_train, x_test, y_test"):
        load_digits(tmp_path / "a.npz")
    x, y = np.zeros((2, 784), np.uint8), np.zeros(2, np.int64)
    np.savez(tmp_path / "b.npz", x_train=x, y_train=y, x_test=x, y_test=y[:1])
    with pytest.raises(ValueError, match=r"must be \(N, 784\) uint8 and labels \(N,\), got"):
        load_digits(tmp_path / "b.npz")
