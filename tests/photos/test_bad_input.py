"""A folder full of trouble: every file gets its own verdict, and none stops the others."""

import csv
import struct

import numpy as np
import pytest
from PIL import Image

from pp_lib.photos.dataset import PhotoDataset
from pp_lib.photos.prepare import prepare, read_manifest


def bomb(make):
    """A JPEG of a few kilobytes whose header claims 65,000 x 65,000 pixels."""
    content = bytearray(make.jpeg_bytes())
    at = content.find(b"\xff\xc0") + 5  # height and width in the start-of-frame segment
    content[at : at + 4] = struct.pack(">HH", 65_000, 65_000)
    return bytes(content)


def test_every_bad_file_has_its_reason(make, tmp_path):
    folder = tmp_path / "photos"
    good = [make.jpeg(folder / where / "same.jpg") for where in ("one", "two")]
    whole = good[0].read_bytes()
    make.jpeg(folder / "f_zero.jpg", make.settings(f_number=(0, 1)))
    make.jpeg(folder / "zero_by_zero.jpg", make.settings(exposure_time_s=(0, 0)))
    make.jpeg(folder / "iso_zero.jpg", make.settings(iso=0))
    make.jpeg(folder / "thirty_years.jpg", make.settings(exposure_time_s=(10**9, 1)))
    make.jpeg(folder / "one_pixel.jpg", image=make.pixels(1, 1))
    Image.fromarray(make.pixels()).save(folder / "no_exif.png")
    Image.fromarray(np.full((48, 64), 40_000, np.uint16)).save(folder / "sixteen_bits.tiff")
    (folder / "bomb.jpg").write_bytes(bomb(make))
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.cr2").touch()
    (folder / "noise.nef").write_bytes(np.random.default_rng(0).bytes(3000))
    (folder / "itself.jpg").symlink_to(folder / "itself.jpg")
    (folder / "folder.jpg").mkdir()

    report = prepare(folder, tmp_path / "out", size=32, progress=False)
    assert report.found == report.usable + report.rejected == 15
    assert [row.source for row in read_manifest(tmp_path / "out")] == [
        "one/same.jpg",
        "two/same.jpg",
    ]
    with open(report.rejected_csv, newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert all(row["detail"] for row in rows)
    assert {row["source"]: row["reason"] for row in rows} == {
        "bomb.jpg": "too many pixels",
        "cut.jpg": "damaged",
        "empty.cr2": "empty file",
        "f_zero.jpg": "no aperture",
        "folder.jpg": "not a file",
        "iso_zero.jpg": "no ISO",
        "itself.jpg": "unreadable",
        "no_exif.png": "no exposure record",
        "noise.nef": "not a photograph",
        "one_pixel.jpg": "too small",
        "sixteen_bits.tiff": "no exposure record",
        "thirty_years.jpg": "absurd value",
        "zero_by_zero.jpg": "no exposure time",
    }


def test_photographs_where_the_small_pictures_would_go(make, tmp_path):
    """data/images is a likely name; the next run would take our pictures for photographs."""
    path = make.jpeg(tmp_path / "images" / "a.jpg")
    with pytest.raises(ValueError, match="of its own"):
        prepare(path.parent, tmp_path, size=32, progress=False)
    assert list(tmp_path.rglob("*.*")) == [path]


@pytest.mark.parametrize("kept", [0, 20, 500])
def test_a_small_picture_cut_short_is_named(make, tmp_path, kept):
    make.jpeg(tmp_path / "photos" / "a.jpg")
    prepare(tmp_path / "photos", tmp_path / "out", size=32, progress=False)
    data = PhotoDataset(tmp_path / "out")
    picture = tmp_path / "out" / data.rows[0].image
    picture.write_bytes(picture.read_bytes()[:kept])
    with pytest.raises(OSError, match=rf"{picture.name}: .*prepare again"):
        data[0]
    prepare(tmp_path / "photos", tmp_path / "out", size=32, progress=False)  # as it says
    assert data[0][0].shape == (3, 32, 32)
