import csv
from fractions import Fraction

import pytest

from pp_lib.photos.manifest import MANIFEST_COLUMNS, read_manifest
from pp_lib.photos.prepare import prepare


@pytest.fixture
def out(make, tmp_path):
    entries = make.settings((28, 5), 320, (34, 1000))
    make.jpeg(tmp_path / "photos" / "a.jpg", entries)
    make.jpeg(tmp_path / "photos" / "b.jpg")
    prepare(tmp_path / "photos", tmp_path / "out", size=32, progress=False)
    return tmp_path / "out"


def change(out, **values):
    """Change fields of the manifest's first row."""
    with open(out / "manifest.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[0].update(values)
    with open(out / "manifest.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, MANIFEST_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)


def test_columns_and_types(out):
    header = (out / "manifest.csv").read_text().splitlines()[0]
    assert header == (
        "id,source,image,f_number,iso,exposure_time_s,focal_length_mm,make,model,taken_at,"
        "exif_source,aperture,iso_class,shutter,width,height,source_sha256"
    )
    row = read_manifest(out)[0]
    assert (row.f_number, row.iso, row.exposure_time_s) == (Fraction(28, 5), 320, Fraction(17, 500))
    assert row.labels == (1, 1, 1)  # 0.034 s is 1/30
    assert (row.focal_length_mm, row.taken_at) == (None, None)
    assert row.image == f"images/{row.id}.png"


def test_a_missing_image(out):
    (out / read_manifest(out)[1].image).unlink()
    with pytest.raises(FileNotFoundError, match="names 1 image.*images/b-jpg.*prepare again"):
        read_manifest(out)


def test_no_manifest(tmp_path):
    with pytest.raises(FileNotFoundError, match="prepare the photographs first"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"f_number": "5.6x"}, "line 2: Invalid literal for Fraction"),
        ({"exposure_time_s": "1/0"}, "line 2: Fraction"),
        ({"iso": ""}, "line 2: invalid literal"),
        ({"iso": "0"}, "line 2: iso must be positive"),
        ({"aperture": "3"}, "do not follow from"),
        ({"shutter": "0"}, "do not follow from"),
        ({"taken_at": "soon"}, "line 2: Invalid isoformat"),
        ({"id": ""}, "line 2: id is empty"),
        ({"image": "../../etc/passwd"}, "must lie in the manifest's folder"),
        ({"image": "/etc/passwd"}, "must lie in the manifest's folder"),
    ],
)
def test_a_field_that_cannot_be(out, values, message):
    change(out, **values)
    with pytest.raises(ValueError, match=message):
        read_manifest(out)


def test_an_id_twice(out):
    change(out, id=read_manifest(out)[1].id)
    with pytest.raises(ValueError, match="occurs twice"):
        read_manifest(out)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [("a.jpg,", "a.jpg,extra,", "expected 17 fields"), ("id,source", "id,origin", "the columns")],
)
def test_another_number_or_name_of_columns(out, old, new, message):
    text = (out / "manifest.csv").read_text()
    (out / "manifest.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_manifest(out)


def test_a_line_cut_short(out):
    text = (out / "manifest.csv").read_text()
    (out / "manifest.csv").write_text(text[:-80])
    with pytest.raises(ValueError, match="line 3"):
        read_manifest(out)


def test_an_empty_file(out):
    (out / "manifest.csv").write_text("")
    with pytest.raises(ValueError, match="expected the columns"):
        read_manifest(out)
