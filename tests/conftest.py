"""Fixtures that several areas share."""

import base64
import hashlib
import json
import signal
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SHARED = REPOSITORY.parent / "shared"

# A shell that runs the tests in the background lets them, and all that they start, ignore Ctrl-C.
# Some tests are about Ctrl-C.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


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


class Unpacked:
    """What an explorer's payload holds, read by other means than its browser's half.

    Attributes
    ----------
    header : dict
        Axes, views and sentences as plain data.
    digest : str
        Of all of it, as `pp_lib.show.Explorer.digest` should say.
    """

    def __init__(self, payload):
        content = zlib.decompress(base64.b64decode(payload))
        self.digest = hashlib.sha256(content).hexdigest()[:16]
        length, zero = struct.unpack_from("<II", content)
        assert zero == 0
        self.header = json.loads(content[8 : 8 + length])
        self._body = content[8 + length :]
        self._arrays = [self._array(**about) for about in self.header["arrays"]]
        self.sizes = [len(axis["texts"]) for axis in self.header["axes"]]

    def _array(self, *, type, shape, at):
        count = int(np.prod(shape))
        return np.frombuffer(self._body, "<" + type, count, at).reshape(shape)

    def frame(self, index):
        """Give the number of the frame at a place in the grid."""
        return int(np.ravel_multi_index(index, self.sizes))

    def _stored(self, held, frame):
        return int(self._arrays[held["frames"]][frame]) if "frames" in held else 0

    def says(self, index):
        """Give the sentence at a place in the grid."""
        held = self.header["says"]
        return held["sentences"][self._stored(held, self.frame(index))]

    def trace(self, held, index):
        """Give one series' numbers at a place in the grid."""
        values = self._arrays[held["values"]][self._stored(held, self.frame(index))]
        return values.astype(float)

    def along(self, view):
        """Give the x that a view's curves share, or None."""
        return None if view["along"] is None else self._arrays[view["along"]].astype(float)

    def picture(self, view, index):
        """Give the encoded picture at a place in the grid."""
        about = view["pictures"][self._stored(view, self.frame(index))]
        return about["kind"], self._body[about["at"] : about["at"] + about["length"]]


@pytest.fixture(scope="session")
def unpack():
    """Give the function that reads an explorer's payload."""
    return Unpacked
