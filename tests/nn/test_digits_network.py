"""The digits network of chapter 13, 784-128-64-10, trained in NumPy alone, must learn to read."""

import numpy as np
import pytest

from pp_lib import nn
from pp_lib.photos import load_digits

SIZES = (784, 128, 64, 10)
EPOCHS, BATCH_SIZE, LR = 20, 32, 1e-3
# What issue 4 asks for. Over seeds the bundled digits reach 97.5 to 98.6 %, MNIST's 2,000 after
# 10,000 reach 96.4 to 97.0 %; seed 0 is at 98.1 and 96.9 %. Labels out of step cost far more.
LEAST_ACCURACY = 0.96


def train(x, y, seed):
    """Train on digits x (N, 784) in [0, 1] with labels y (N,); float32, to be quick."""
    rng = np.random.default_rng(seed)
    first, second, third = (
        nn.Linear(D, K, rng=rng, dtype=np.float32)
        for D, K in zip(SIZES[:-1], SIZES[1:], strict=True)
    )
    first.input_gradient = False
    model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
    optimizer = nn.Adam(model.parameters(), lr=LR)
    x = x.astype(np.float32)
    for epoch in range(EPOCHS):
        optimizer.lr = LR * (1 - epoch / EPOCHS)
        for batch in np.split(rng.permutation(len(x)), range(BATCH_SIZE, len(x), BATCH_SIZE)):
            Z = model(x[batch])
            model.backward(nn.cross_entropy_backward(Z, y[batch], label_smoothing=0.1))
            optimizer.step()
    assert all(p.value.dtype == np.float32 for p in model.parameters().values())
    assert sum(p.value.size for p in model.parameters().values()) == 109_386
    return model


def accuracy(model, x, y):
    return np.mean(model(x.astype(np.float32)).argmax(axis=1) == y)


@pytest.fixture(scope="module")
def bundled():
    return load_digits()


def test_it_reads_the_bundled_digits_that_were_held_out(bundled):
    model = train(bundled.x_train, bundled.y_train, seed=0)
    assert len(bundled.y_val) == 360
    assert accuracy(model, bundled.x_val, bundled.y_val) >= LEAST_ACCURACY


def test_it_reads_2000_digits_of_mnist(shared_mnist):
    mnist = load_digits(shared_mnist)
    model = train(mnist.x_train, mnist.y_train, seed=0)
    assert len(mnist.y_val) == 2000
    assert accuracy(model, mnist.x_val, mnist.y_val) >= LEAST_ACCURACY


def test_labels_of_other_digits_teach_it_nothing(bundled):
    """The accuracy measures reading: with the labels mixed up it is that of guessing."""
    mixed = np.random.default_rng(1).permutation(bundled.y_train)
    model = train(bundled.x_train, mixed, seed=0)
    assert accuracy(model, bundled.x_val, bundled.y_val) < 0.3
