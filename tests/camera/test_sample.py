"""The sample in data/sample is what the code writes today, and stays small."""

import csv
import runpy
from fractions import Fraction
from pathlib import Path

import exifread
import numpy as np
import pytest
import rawpy

from pp_lib.camera import simulate

SAMPLE = Path(__file__).resolve().parents[2] / "data" / "sample"
make_sample = runpy.run_path(str(SAMPLE.with_name("make_sample.py")))
COLUMNS, SAMPLE_COUNT, SAMPLE_SEED, write_sample = (
    make_sample[name] for name in ("COLUMNS", "SAMPLE_COUNT", "SAMPLE_SEED", "write_sample")
)
REMEDY = "run: python data/make_sample.py data/sample"


@pytest.fixture(scope="module")
def rows():
    with open(SAMPLE / "manifest.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_sample_is_small_and_holds_nothing_else(rows):
    names = {path.name for path in SAMPLE.iterdir()}
    assert names == {row["file"] for row in rows} | {"manifest.csv"}
    assert len(rows) == SAMPLE_COUNT
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 1.2e6


def test_the_manifest_says_what_the_files_say(rows):
    for row in rows:
        with open(SAMPLE / row["file"], "rb") as file:
            tags = exifread.process_file(file, details=False)
        for column, tag in (
            ("f_number", "EXIF FNumber"),
            ("exposure_time_s", "EXIF ExposureTime"),
            ("focal_length_mm", "EXIF FocalLength"),
        ):
            value = tags[tag].values[0]
            assert Fraction(value.num, value.den) == Fraction(row[column])
        assert tags["EXIF ISOSpeedRatings"].values == [int(row["iso"])]


def test_the_sample_is_what_the_camera_takes_today(rows):
    photographs = simulate(SAMPLE_COUNT, seed=SAMPLE_SEED, progress=False)
    for row, photograph in zip(rows, photographs, strict=True):
        assert Fraction(row["f_number"]) == photograph.settings.f_number, REMEDY
        with rawpy.imread(str(SAMPLE / row["file"])) as raw:
            stored = raw.raw_image_visible.astype(int)
        # Another processor's Fourier transform may round the last bit of a float32 otherwise.
        assert (np.abs(stored - photograph.mosaic) <= 1).mean() > 0.999, REMEDY


def test_writing_a_sample(tmp_path):
    manifest = write_sample(tmp_path / "a" / "b", 2, seed=5, size=64)
    with open(manifest, newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert tuple(header) == COLUMNS
    assert [line[0] for line in lines] == ["sim_5_000.dng", "sim_5_001.dng"]
    assert all((manifest.parent / line[0]).is_file() for line in lines)
