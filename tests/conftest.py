"""Fixtures that several areas share."""

from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"


def _shared_folder(name):
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: put the shared folder beside the checkout to run this")
    return folder


@pytest.fixture(scope="session")
def shared_photos():
    """Give the folder of 216 real photographs with labels.csv."""
    return _shared_folder("photos")


@pytest.fixture(scope="session")
def shared_raw():
    """Give the folder of 17 RAW files, most of them only headers or damaged."""
    return _shared_folder("raw")


@pytest.fixture(scope="session")
def shared_mnist():
    """Give the .npz file with 10,000 and 2,000 digits of MNIST."""
    return _shared_folder("mnist") / "mnist_10k_2k.npz"
