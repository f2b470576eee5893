import io
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from pp_lib.camera import Photograph, Settings, write_dng
from pp_lib.camera.sensor import BLACK_LEVEL, WHITE_LEVEL
from pp_lib.photos import develop as develop_function
from pp_lib.photos.develop import develop, develop_with_shape
from pp_lib.photos.files import UnusablePhoto


def reason_of(path, **options):
    with pytest.raises(UnusablePhoto) as caught:
        develop(path, **options)
    return caught.value.reason


def test_raw_is_what_rawpy_gives(dngs):
    import rawpy

    as_recorded = {"use_camera_wb": True, "no_auto_bright": True, "adjust_maximum_thr": 0}
    srgb = {"gamma": (2.4, 12.92)}
    with rawpy.imread(str(dngs / "0.dng")) as raw:
        full = raw.postprocess(**as_recorded, **srgb)
    with rawpy.imread(str(dngs / "0.dng")) as raw:
        half = raw.postprocess(**as_recorded, **srgb, half_size=True)
    np.testing.assert_array_equal(develop(dngs / "0.dng"), full)
    np.testing.assert_array_equal(develop(dngs / "0.dng", half_size=True), half)
    # 96 photosites are 48 half-size pixels: enough for 48, not for 50
    np.testing.assert_array_equal(develop(dngs / "0.dng", size=48), half)
    np.testing.assert_array_equal(develop(dngs / "0.dng", size=50), full[23:73, 23:73])
    np.testing.assert_array_equal(
        develop(dngs / "0.dng", size=48, half_size=False), full[24:72, 24:72]
    )


def grey_card(path, share_of_white, brightest=None):
    """Write a DNG of an even grey; its first quad may be brighter, as shares of white."""
    span = WHITE_LEVEL - BLACK_LEVEL
    mosaic = np.full((64, 64), round(BLACK_LEVEL + share_of_white * span), np.uint16)
    if brightest is not None:
        mosaic[:2, :2] = round(BLACK_LEVEL + brightest * span)
    settings = Settings("28/5", 100, "1/125", 50)
    taken_at = datetime(2024, 6, 1)
    return write_dng(path, Photograph(mosaic, settings, taken_at, 12.0, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize(
    ("share_of_white", "level"),
    # IEC 61966-2-1: below 0.0031308 a straight line of slope 12.92, then 1.055 x^(1/2.4) - 0.055
    [(0.002, 255 * 12.92 * 0.002), (0.18, 255 * (1.055 * 0.18 ** (1 / 2.4) - 0.055)), (1.0, 255)],
)
def test_grey_comes_out_as_the_srgb_standard_says(tmp_path, share_of_white, level):
    picture = develop(grey_card(tmp_path / "card.dng", share_of_white))
    # one level for LibRaw's 16-bit cuts and for the mosaic's whole counts
    np.testing.assert_allclose(picture, level, atol=1)


@pytest.mark.parametrize("brightest", [0.5, 0.8, 1.0])
def test_a_bright_spot_does_not_change_the_rest(tmp_path, brightest):
    alone = develop(grey_card(tmp_path / "alone.dng", 0.18))
    beside = develop(grey_card(tmp_path / "beside.dng", 0.18, brightest))
    np.testing.assert_array_equal(beside[16:, 16:], alone[16:, 16:])


def test_lossless_pixels_come_through_untouched(make, tmp_path):
    picture = make.pixels(40, 60)
    Image.fromarray(picture).save(tmp_path / "a.png")
    np.testing.assert_array_equal(develop(tmp_path / "a.png"), picture)
    np.testing.assert_array_equal(develop(tmp_path / "a.png", size=32), picture[4:36, 14:46])


def test_resize_is_the_mean_over_each_pixels_area(make, tmp_path):
    picture = make.pixels(64, 96)
    Image.fromarray(picture).save(tmp_path / "a.png")
    means = picture.reshape(16, 4, 24, 4, 3).mean(axis=(1, 3))[:, 4:20]
    # Pillow rounds once a direction: at most 1 grey level off
    np.testing.assert_allclose(develop(tmp_path / "a.png", size=16, fit="resize"), means, atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_pillows(make, tmp_path, orientation):
    from PIL import ImageOps

    path = make.jpeg(tmp_path / "a.jpg", orientation=orientation)
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    picture, shape = develop_with_shape(path)
    np.testing.assert_array_equal(picture, upright)
    assert shape == upright.shape[:2]


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK", "YCbCr", "RGB"])
def test_every_mode_becomes_rgb(make, tmp_path, mode):
    image = Image.fromarray(make.pixels()).convert(mode)
    path = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
    image.save(path)
    picture = develop(path, size=32)
    assert (picture.shape, picture.dtype) == ((32, 32, 3), np.uint8)
    if mode in ("L", "RGB"):
        expected = np.asarray(image.convert("RGB"))[8:40, 16:48]
        np.testing.assert_array_equal(picture, expected)


def test_sixteen_bits_keep_their_tones(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    np.testing.assert_array_equal(develop(tmp_path / "a.png")[:, :, 1], ramp // 256)


def test_alpha_is_dropped_not_painted_over(make, tmp_path):
    picture = make.pixels()
    alpha = np.zeros((*picture.shape[:2], 1), np.uint8)
    Image.fromarray(np.concatenate([picture, alpha], axis=2)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(develop(tmp_path / "a.png"), picture)


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
def test_a_cut_jpeg_is_damaged_not_half_grey(make, tmp_path, kept):
    whole = make.jpeg_bytes(image=make.pixels(200, 200))
    cut = whole[: int(len(whole) * kept)]
    (tmp_path / "cut.jpg").write_bytes(cut)
    (tmp_path / "padded.jpg").write_bytes(cut + b"\0" * (len(whole) - len(cut)))
    assert reason_of(tmp_path / "cut.jpg") == "damaged"
    # Pillow alone decodes this one, grey below the cut
    assert reason_of(tmp_path / "padded.jpg") == "damaged"


def test_a_thumbnails_end_is_not_the_pictures_end(make, tmp_path):
    """An EXIF thumbnail is a JPEG inside the JPEG, with an end marker of its own."""
    stream = io.BytesIO()
    Image.fromarray(make.pixels(16, 16)).save(stream, "JPEG")
    image = io.BytesIO()
    exif = make.exif_bytes(make.settings()) + stream.getvalue()
    Image.fromarray(make.pixels(200, 200)).save(image, "JPEG", exif=exif)
    whole = image.getvalue()
    (tmp_path / "whole.jpg").write_bytes(whole + b"trailing bytes, as telephones write them")
    assert develop(tmp_path / "whole.jpg").shape == (200, 200, 3)
    (tmp_path / "padded.jpg").write_bytes(whole[: len(whole) // 2] + b"\0" * 5000)
    assert reason_of(tmp_path / "padded.jpg") == "damaged"


@pytest.mark.parametrize("kept", [0.4, 0.9])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_cut_png_and_tiff_are_damaged(make, tmp_path, suffix, kept):
    Image.fromarray(make.pixels(100, 100)).save(tmp_path / f"a{suffix}")
    content = (tmp_path / f"a{suffix}").read_bytes()
    (tmp_path / f"a{suffix}").write_bytes(content[: int(len(content) * kept)])
    assert reason_of(tmp_path / f"a{suffix}") == "damaged"


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.99])
def test_a_cut_dng_is_damaged(dngs, tmp_path, kept):
    content = (dngs / "0.dng").read_bytes()
    (tmp_path / "cut.dng").write_bytes(content[: int(len(content) * kept)])
    assert reason_of(tmp_path / "cut.dng") == "damaged"


def test_a_dng_with_unfilled_rows_is_damaged(dngs, tmp_path):
    """What a download that was cut and padded looks like: LibRaw takes it, we do not."""
    content = (dngs / "0.dng").read_bytes()
    half = len(content) // 2
    (tmp_path / "padded.dng").write_bytes(content[:half] + b"\0" * (len(content) - half))
    assert reason_of(tmp_path / "padded.dng") == "damaged"


@pytest.mark.parametrize("name", ["DNG.dng", "Panasonic.rw2"])
def test_headers_that_libraw_takes_for_pictures(shared_raw, name):
    import rawpy

    with rawpy.imread(str(shared_raw / name)) as raw:
        assert raw.postprocess(half_size=True).size > 0  # black, or garbage, and not a word
    with pytest.raises(UnusablePhoto, match="damaged: .* bytes cannot hold"):
        develop(shared_raw / name)


def test_a_jpeg_bomb(tmp_path, make, monkeypatch):
    path = make.jpeg(tmp_path / "a.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # the picture has 3,072, over twice that
    assert reason_of(path) == "too many pixels"


def test_a_raw_bomb(dngs, monkeypatch):
    monkeypatch.setattr("pp_lib.photos.files.MAX_PIXELS", 1000)
    assert reason_of(dngs / "0.dng") == "too many pixels"


@pytest.mark.parametrize("fit", ["crop", "resize"])
def test_nothing_is_ever_enlarged(make, tmp_path, fit):
    path = make.jpeg(tmp_path / "a.jpg", image=make.pixels(48, 64))
    assert develop(path, size=48, fit=fit).shape == (48, 48, 3)
    assert reason_of(path, size=49, fit=fit) == "too small"


def test_not_photographs(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("I am not a photograph")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    reasons = {p.stem: reason_of(p) for p in sorted(tmp_path.iterdir())}
    assert reasons == {
        "empty": "empty file",
        "folder": "not a file",
        "loop": "unreadable",
        "text": "not a photograph",
    }


def test_a_pipe_does_not_hang(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.dng")
    assert reason_of(tmp_path / "pipe.dng") == "not a file"


@pytest.mark.parametrize("options", [{"fit": "stretch"}, {"size": 0}, {"size": -1}])
def test_impossible_wishes(make, tmp_path, options):
    with pytest.raises(ValueError, match="must be"):
        develop(make.jpeg(tmp_path / "a.jpg"), **options)


def test_a_name_that_is_not_utf8(dngs, tmp_path):
    name = tmp_path / "caf\udce9.dng"  # Latin-1 bytes on a UTF-8 system
    name.write_bytes((dngs / "0.dng").read_bytes())
    np.testing.assert_array_equal(develop(name), develop(dngs / "0.dng"))


def test_the_package_gives_the_function():
    assert develop_function is develop
