"""The DNG file: rawpy and exifread read back what was written, and nothing half is left behind."""

import errno
import os
import resource
from datetime import datetime
from fractions import Fraction

import exifread
import numpy as np
import pytest
import rawpy
from hypothesis import given, settings
from hypothesis import strategies as st

from pp_lib.camera import Photograph, Settings, write_dng
from pp_lib.camera.sensor import SENSITIVITY_RGB, bayer, photo_electrons, read_out

even = st.integers(16, 60).map(lambda half: 2 * half)
rational = st.builds(Fraction, st.integers(1, 10**6), st.integers(1, 10**4))


def a_photograph(shape=(64, 48), *, seed=0, **changes):
    rng = np.random.default_rng(seed)
    fields = {
        "mosaic": rng.integers(0, 16384, shape).astype(np.uint16),
        "settings": Settings(Fraction(28, 5), 400, Fraction(1, 250), 35),
        "taken_at": datetime(2024, 2, 29, 23, 59, 58),
        "light_ev100": 10.0,
        "as_shot_neutral": SENSITIVITY_RGB,
    }
    return Photograph(**{**fields, **changes})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dng")


@settings(deadline=None, max_examples=40)
@given(height=even, width=even, seed=st.integers(0, 2**32))
def test_rawpy_reads_back_every_bit(folder, height, width, seed):
    photograph = a_photograph((height, width), seed=seed)
    with rawpy.imread(str(write_dng(folder / "a.dng", photograph))) as raw:
        np.testing.assert_array_equal(raw.raw_image_visible, photograph.mosaic)
        assert raw.black_level_per_channel == [512] * 4
        assert raw.white_level == 16383
        colours = "".join(chr(raw.color_desc[k]) for k in raw.raw_pattern.ravel())
        assert colours == "RGGB"


@settings(deadline=None, max_examples=60)
@given(
    f_number=rational,
    time=rational,
    focal_length=rational,
    iso=st.integers(1, 65535),
    taken_at=st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1)),
)
def test_exifread_reads_back_exact_fractions(folder, f_number, time, focal_length, iso, taken_at):
    photograph = a_photograph(
        settings=Settings(f_number, iso, time, focal_length), taken_at=taken_at
    )
    with open(write_dng(folder / "b.dng", photograph), "rb") as file:
        tags = exifread.process_file(file, details=False)

    def exact(name):
        value = tags[name].values[0]
        return Fraction(value.num, value.den)

    assert exact("EXIF FNumber") == f_number
    assert exact("EXIF ExposureTime") == time
    assert exact("EXIF FocalLength") == focal_length
    assert tags["EXIF ISOSpeedRatings"].values == [iso]
    assert str(tags["EXIF DateTimeOriginal"]) == taken_at.strftime("%Y:%m:%d %H:%M:%S")
    assert str(tags["Image Make"]) == "PhotoPilot"
    assert str(tags["Image Model"]) == "PhotoPilot Sim"


def test_an_iso_beyond_16_bits_is_written_as_exif_23_says(folder):
    path = write_dng(folder / "c.dng", a_photograph(settings=Settings(8, 102400, "1/60", 50)))
    with open(path, "rb") as file:
        tags = exifread.process_file(file, details=False)
    assert tags["EXIF ISOSpeedRatings"].values == [65535]
    assert tags["EXIF RecommendedExposureIndex"].values == [102400]


def test_rawpy_attributes_agree(folder):
    with rawpy.imread(str(write_dng(folder / "d.dng", a_photograph()))) as raw:
        if not hasattr(raw, "other"):
            pytest.skip("rawpy below 0.27 has no `other`")
        # LibRaw keeps float32
        assert raw.other.aperture == pytest.approx(5.6, rel=1e-6)
        assert raw.other.shutter_speed == pytest.approx(1 / 250, rel=1e-6)
        assert raw.other.iso_speed == 400
        assert raw.other.focal_length == 35


# BT.709's transfer curve, LibRaw's default: 8-bit code of a linear value
def bt709(linear):
    return 255 * (1.099 * linear**0.45 - 0.099)


@pytest.mark.parametrize("light", [(1.0, 1.0, 1.0), (1.45, 1.0, 0.5)], ids=["daylight", "lamp"])
@pytest.mark.parametrize("colour", [(0.18, 0.18, 0.18), (0.4, 0.18, 0.06), (0.05, 0.2, 0.5)])
def test_developed_colours_are_the_scenes(folder, colour, light):
    settings_ = Settings(8, 100, "1/60", 50)
    neutral = tuple(np.multiply(SENSITIVITY_RGB, light))
    irradiance = np.ones((3, 64, 64), np.float32) * np.array(colour, np.float32)[:, None, None]
    mean_e = bayer(photo_electrons(irradiance, settings_, settings_.ev100, neutral))
    mosaic = read_out(mean_e, 100, np.random.default_rng(0))
    mosaic[:2, :2] = 16383  # LibRaw stretches a picture that nowhere reaches the white level
    path = write_dng(
        folder / "e.dng",
        a_photograph(mosaic=mosaic, settings=settings_, as_shot_neutral=neutral),
    )
    with rawpy.imread(str(path)) as raw:
        picture = raw.postprocess(use_camera_wb=True, no_auto_bright=True)
    # 3 levels: four decimals in the colour matrix and in the white balance, rounding, noise
    np.testing.assert_allclose(np.median(picture, (0, 1)), bt709(np.array(colour)), atol=3)


@pytest.mark.parametrize(
    "mosaic",
    [
        np.zeros((64, 64), np.int32),
        np.zeros((64, 64), ">u2").astype(np.float32),
        np.zeros((64, 64, 3), np.uint16),
        np.zeros((63, 64), np.uint16),
        np.zeros((0, 0), np.uint16),
        [[0, 0], [0, 0]],
    ],
    ids=["int32", "float", "three", "odd", "empty", "list"],
)
def test_what_is_no_mosaic_is_refused(tmp_path, mosaic):
    with pytest.raises(ValueError, match="mosaic must"):
        write_dng(tmp_path / "a.dng", a_photograph(mosaic=mosaic))
    assert list(tmp_path.iterdir()) == []


def test_a_fraction_that_does_not_fit_is_refused(tmp_path):
    photograph = a_photograph(settings=Settings(8, 100, Fraction(1, 2**40), 50))
    with pytest.raises(ValueError, match="33434"):
        write_dng(tmp_path / "a.dng", photograph)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_dng(tmp_path / "nowhere" / "a.dng", a_photograph())


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path = write_dng(tmp_path / "a.dng", a_photograph(seed=1))
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # writing stops in the middle
    try:
        with pytest.raises(OSError, match="large") as caught:
            write_dng(path, a_photograph(seed=2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_interruption_before_the_rename_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_dng(tmp_path / "a.dng", a_photograph())
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_replaced(tmp_path):
    path = write_dng(tmp_path / "a.dng", a_photograph(seed=1))
    photograph = a_photograph(seed=2)
    assert write_dng(str(path), photograph) == path
    with rawpy.imread(str(path)) as raw:
        np.testing.assert_array_equal(raw.raw_image_visible, photograph.mosaic)
