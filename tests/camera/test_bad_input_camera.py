"""Wishes that no camera and no disk can grant."""

import numpy as np
import pytest

from pp_lib.camera import simulate, write_dng


@pytest.mark.parametrize(
    "size", [0, -64, 33, 1.5, "64", None, float("nan"), (64,), (64, 33), (64, 64, 64), True]
)
def test_sizes_that_are_none(size):
    with pytest.raises(ValueError, match=r"size must .*, got"):
        simulate(1, size=size, progress=False)


@pytest.mark.parametrize("n", ["3", 1.0, None, float("nan"), np.inf])
def test_numbers_that_are_none(n):
    with pytest.raises(ValueError, match="n must be a whole number >= 0, got"):
        simulate(n, size=32, progress=False)


def test_more_pixels_than_memory_holds_is_said_at_once():
    with pytest.raises(MemoryError, match="Unable to allocate"):
        simulate(1, size=10**7, workers=1, progress=False)  # 364 TiB a plane


def test_a_folder_of_that_name_leaves_nothing(tmp_path):
    (photograph,) = simulate(1, size=32, progress=False)
    (tmp_path / "a.dng").mkdir()
    with pytest.raises(IsADirectoryError):
        write_dng(tmp_path / "a.dng", photograph)
    assert [path.name for path in tmp_path.iterdir()] == ["a.dng"]
