import csv
import struct
from datetime import datetime
from fractions import Fraction
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pp_lib.photos import exif
from pp_lib.photos.exif import UnusablePhoto, read_exposure


def test_every_shared_photograph_reads_as_its_label(shared_photos):
    """labels.csv was made by another program: equal to the last digit of a float64."""
    with open(shared_photos / "labels.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 216
    for row in rows:
        record = read_exposure(shared_photos / row["file"])
        assert float(record.f_number) == float(row["f_number"])
        assert record.iso == int(row["iso"])
        assert float(record.exposure_time_s) == float(row["exposure_time_s"])
        assert record.source == "exifread"


def test_the_simulated_camera_is_read_exactly(dngs):
    from pp_lib.camera import simulate

    for i, photograph in enumerate(simulate(6, seed=3, size=96, workers=1, progress=False)):
        record = read_exposure(dngs / f"{i}.dng")
        want = photograph.settings
        assert record.f_number == want.f_number
        assert record.iso == want.iso
        assert record.exposure_time_s == want.exposure_time_s
        assert record.focal_length_mm == want.focal_length_mm
        assert record.model == "PhotoPilot Sim"
        assert record.taken_at == photograph.taken_at.replace(microsecond=0)


def test_a_full_record(make, tmp_path):
    entries = make.settings((28, 5), 400, (10, 300)) + [
        (make.FOCAL_LENGTH, make.RATIONAL, [(500, 10)]),
        (make.DATE_TIME_ORIGINAL, make.ASCII, "2024:02:29 23:59:58"),
    ]
    record = read_exposure(make.jpeg(tmp_path / "a.jpg", entries))
    assert record.f_number == Fraction(28, 5)
    assert record.exposure_time_s == Fraction(1, 30)
    assert (record.iso, record.focal_length_mm) == (400, Fraction(50))
    assert (record.make, record.model) == ("Maker", "Model 1")
    assert record.taken_at == datetime(2024, 2, 29, 23, 59, 58)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"f_number": (0, 1)}, "no aperture"),
        ({"f_number": (0, 0)}, "no aperture"),
        ({"f_number": None}, "no aperture"),
        ({"f_number": (1, 0)}, "absurd value"),
        ({"f_number": (1, 1000)}, "absurd value"),
        ({"f_number": (10**6, 1)}, "absurd value"),
        ({"iso": 0}, "no ISO"),
        ({"iso": None}, "no ISO"),
        ({"exposure_time_s": (0, 1)}, "no exposure time"),
        ({"exposure_time_s": (0, 0)}, "no exposure time"),
        ({"exposure_time_s": None}, "no exposure time"),
        ({"exposure_time_s": (5, 0)}, "absurd value"),
        ({"exposure_time_s": (10**9, 1)}, "absurd value"),
        ({"exposure_time_s": (1, 10**9)}, "absurd value"),
        ({"f_number": None, "iso": None, "exposure_time_s": None}, "no exposure record"),
    ],
)
def test_zero_is_missing_and_absurd_is_absurd(make, tmp_path, changes, reason):
    path = make.jpeg(tmp_path / "a.jpg", make.settings(**changes))
    with pytest.raises(UnusablePhoto) as caught:
        read_exposure(path)
    assert caught.value.reason == reason
    assert str(path) in str(caught.value)


def test_negative_time(make, tmp_path):
    entries = make.settings(exposure_time_s=None)
    entries.append((make.EXPOSURE_TIME, make.SRATIONAL, [(-1, 1)]))
    with pytest.raises(UnusablePhoto, match="absurd value: ExposureTime is -1"):
        read_exposure(make.jpeg(tmp_path / "a.jpg", entries))


@pytest.mark.parametrize(
    ("apex", "expected"),
    [((5, 1), Fraction(1, 30)), ((3906891, 1000000), Fraction(1, 15)), ((-1, 1), Fraction(2))]
    + [((7965784, 1000000), Fraction(1, 250)), ((40, 1), None)],
)
def test_shutter_speed_value_stands_in_for_the_time(make, tmp_path, apex, expected):
    """APEX: t = 2^-Tv; 3906891/1000000 and 7965784/1000000 are what cameras write."""
    entries = make.settings(exposure_time_s=None)
    path = make.jpeg(tmp_path / "a.jpg", [*entries, (make.SHUTTER_SPEED, make.SRATIONAL, [apex])])
    if expected is None:
        with pytest.raises(UnusablePhoto, match="absurd value"):
            read_exposure(path)
    else:
        assert read_exposure(path).exposure_time_s == expected


def test_aperture_value_stands_in_for_the_f_number(make, tmp_path):
    entries = make.settings(f_number=None)
    path = make.jpeg(tmp_path / "a.jpg", [*entries, (make.APERTURE, make.RATIONAL, [(5, 1)])])
    assert read_exposure(path).f_number == Fraction(28, 5)  # 2^(5/2) = 5.657


@pytest.mark.parametrize(
    ("values", "beyond", "iso"),
    [
        ([0, 200], None, 200),
        ([64, 100], None, 64),
        ([65535], 102400, 102400),
        ([65535], None, 65535),
    ],
)
def test_several_isos_and_isos_beyond_the_tag(make, tmp_path, values, beyond, iso):
    entries = [*make.settings(iso=None), (make.ISO, make.SHORT, values)]
    if beyond:
        entries.append((make.EXPOSURE_INDEX, make.LONG, [beyond]))
    assert read_exposure(make.jpeg(tmp_path / "a.jpg", entries)).iso == iso


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "yesterday", "    "])
def test_a_camera_without_a_clock(make, tmp_path, text):
    entries = [*make.settings(), (make.DATE_TIME_ORIGINAL, make.ASCII, text)]
    assert read_exposure(make.jpeg(tmp_path / "a.jpg", entries)).taken_at is None


def test_text_where_a_number_belongs(make, tmp_path):
    entries = [*make.settings(f_number=None), (make.F_NUMBER, make.ASCII, "wide open")]
    with pytest.raises(UnusablePhoto, match="not a number"):
        read_exposure(make.jpeg(tmp_path / "a.jpg", entries))


def test_an_absurd_focal_length_costs_no_photograph(make, tmp_path):
    entries = [*make.settings(), (make.FOCAL_LENGTH, make.RATIONAL, [(1, 0)])]
    assert read_exposure(make.jpeg(tmp_path / "a.jpg", entries)).focal_length_mm is None


def test_rawpy_fills_the_gap_in_a_kodak(shared_raw):
    """Kodak's DC50 has no ISO tag; its data sheet says ISO 84 equivalent."""
    record = read_exposure(shared_raw / "RAW_KODAK_DC50.KDC")
    assert (record.f_number, record.iso) == (Fraction(31, 5), 84)
    assert record.exposure_time_s == Fraction(87, 20000)
    assert record.source == "exifread+rawpy"


@hypothesis_settings(deadline=None)
@given(st.fractions(min_value=Fraction(1, 1000), max_value=1, max_denominator=1000))
def test_a_fraction_survives_float32(fraction):
    """Fractions with denominators up to 1000 lie 1e-6 apart or more, float32 resolves 6e-8."""
    as_float32 = struct.unpack("f", struct.pack("f", float(fraction)))[0]
    assert exif._from_float32(as_float32) == fraction


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_libraws_unknown(value):
    assert exif._from_float32(value) is None


def test_without_rawpys_other_a_raw_file_says_what_is_missing(shared_raw, monkeypatch):
    from contextlib import nullcontext

    monkeypatch.setattr(exif, "open_raw", lambda path: nullcontext(SimpleNamespace()))
    with pytest.raises(UnusablePhoto) as caught:
        read_exposure(shared_raw / "RAW_KODAK_DC50.KDC")
    assert caught.value.reason == "no ISO"


@hypothesis_settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_patch_of_the_exif_gets_past_the_verdict(make, tmp_path, data):
    """Any bytes changed in the EXIF: a plausible record or a reason, never another exception."""
    content = bytearray(make.jpeg_bytes())
    end = content.index(b"\xff\xdb")  # the EXIF lies before the quantisation tables
    n = data.draw(st.integers(1, 4))
    for at in data.draw(st.lists(st.integers(2, end - 1), min_size=n, max_size=n)):
        content[at] = data.draw(st.sampled_from([0, 1, 2, 127, 128, 255]) | st.integers(0, 255))
    path = tmp_path / "patched.jpg"
    path.write_bytes(content)
    try:
        record = read_exposure(path)
    except UnusablePhoto:
        return  # with one of REASONS: it cannot be made with another
    assert exif.F_NUMBER_RANGE[0] <= record.f_number <= exif.F_NUMBER_RANGE[1]
    assert exif.ISO_RANGE[0] <= record.iso <= exif.ISO_RANGE[1]
    assert record.exposure_time_s > 0


@hypothesis_settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=300), suffix=st.sampled_from([".jpg", ".dng", ".cr3", ".tif"]))
def test_random_bytes_are_no_photograph(tmp_path, content, suffix):
    path = tmp_path / f"random{suffix}"
    path.write_bytes(content)
    with pytest.raises(UnusablePhoto):
        read_exposure(path)


def test_a_parser_that_raises_is_a_damaged_file(make, tmp_path, monkeypatch):
    import exifread

    def fail(*args, **kwargs):
        raise KeyError("0x927C")

    monkeypatch.setattr(exifread, "process_file", fail)
    with pytest.raises(UnusablePhoto, match="damaged: its EXIF cannot be read"):
        read_exposure(make.jpeg(tmp_path / "a.jpg"))


def test_reasons_are_a_fixed_list():
    with pytest.raises(ValueError, match="reason must be one of"):
        UnusablePhoto("a.jpg", "I do not like it")
