import builtins
import csv
import errno
import os
import subprocess
import sys
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from pp_lib.photos import job
from pp_lib.photos.develop import develop
from pp_lib.photos.prepare import find_photos, prepare, read_manifest


def contents(out):
    """Everything that prepare promises, byte for byte."""
    files = [out / "manifest.csv", out / "rejected.csv", *sorted((out / "images").iterdir())]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def rejections(out):
    with open(out / "rejected.csv", newline="") as stream:
        return {row["source"]: row["reason"] for row in csv.DictReader(stream)}


@pytest.fixture
def mixed(make, dngs, tmp_path):
    """RAW and others, nested, good and bad; 9 usable and 5 not."""
    folder = tmp_path / "photos"
    for where in ("one", "two", "one/deeper"):
        make.jpeg(folder / where / "same.JPG", image=make.pixels(seed=len(where)))
    (folder / "raw").mkdir()
    for path in sorted(dngs.iterdir()):
        (folder / "raw" / path.name).write_bytes(path.read_bytes())
    make.jpeg(folder / "no_iso.jpg", make.settings(iso=None))
    make.jpeg(folder / "small.jpg", image=make.pixels(31, 90))
    (folder / "empty.dng").touch()
    (folder / "folder.jpg").mkdir()
    (folder / "noise.nef").write_bytes(os.urandom(500))
    (folder / "notes.txt").write_text("not a photograph")
    (folder / "two" / "labels.csv").write_text("file\n")
    return folder


def test_everything_is_accounted_for(mixed, tmp_path, capsys):
    report = prepare(mixed, tmp_path / "out", size=32, workers=2)
    assert (report.found, report.usable, report.rejected) == (14, 9, 5)
    assert report.ignored == {".csv": 1, ".txt": 1}
    assert "14 found = 9 usable + 5 rejected" in capsys.readouterr().out
    assert rejections(tmp_path / "out") == {
        "empty.dng": "empty file",
        "folder.jpg": "not a file",
        "no_iso.jpg": "no ISO",
        "noise.nef": "not a photograph",
        "small.jpg": "too small",
    }
    rows = read_manifest(tmp_path / "out")
    assert [row.source for row in rows] == sorted(row.source for row in rows)
    assert len({row.id for row in rows}) == 9
    for row in rows:
        with Image.open(tmp_path / "out" / row.image) as image:
            np.testing.assert_array_equal(np.asarray(image), develop(mixed / row.source, size=32))
    jpeg = next(row for row in rows if row.source == "one/deeper/same.JPG")
    assert (jpeg.width, jpeg.height, jpeg.f_number) == (64, 48, Fraction(28, 5))
    assert jpeg.labels == (1, 0, 1)


def test_a_second_run_redoes_nothing_that_is_whole(mixed, tmp_path):
    out = tmp_path / "out"
    prepare(mixed, out, size=32, progress=False)
    before = {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()}
    report = prepare(mixed, out, size=32, progress=False)
    assert report.reused == 14
    assert {path: path.stat().st_mtime_ns for path in (out / "images").iterdir()} == before


def test_what_changed_is_done_again(make, mixed, tmp_path):
    out = tmp_path / "out"
    prepare(mixed, out, size=32, progress=False)
    make.jpeg(mixed / "no_iso.jpg", make.settings(iso=800))  # repaired
    make.jpeg(mixed / "two" / "same.JPG", make.settings(f_number=(16, 1)))  # another photograph
    (mixed / "one" / "same.JPG").unlink()  # gone
    image = next((out / "images").glob("raw-0-*"))
    image.write_bytes(image.read_bytes()[:50])  # a picture cut short by a power failure
    report = prepare(mixed, out, size=32, progress=False)
    assert (report.found, report.usable, report.reused) == (13, 9, 10)
    prepare(mixed, tmp_path / "fresh", size=32, progress=False)
    assert contents(out) == contents(tmp_path / "fresh")


def test_another_size_is_another_run(mixed, tmp_path):
    prepare(mixed, tmp_path / "out", size=40, fit="resize", progress=False)
    report = prepare(mixed, tmp_path / "out", size=32, progress=False)
    prepare(mixed, tmp_path / "fresh", size=32, progress=False)
    assert report.reused == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_full_disk_is_an_error_and_not_a_verdict(mixed, tmp_path, monkeypatch):
    out, left = tmp_path / "out", iter(range(4))
    prepare(mixed, out, size=40, progress=False)  # its manifest must not outlive its images

    def write(path, content, original=job.write_atomically):
        if next(left, None) is None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        original(path, content)

    monkeypatch.setattr(job, "write_atomically", write)
    with pytest.raises(OSError, match=r"No space left.* photographs are done.*run again") as caught:
        prepare(mixed, out, size=32, workers=2, progress=False)
    assert caught.value.errno == errno.ENOSPC
    assert not (out / "manifest.csv").exists()
    monkeypatch.undo()
    assert prepare(mixed, out, size=32, progress=False).reused >= 3
    prepare(mixed, tmp_path / "fresh", size=32, progress=False)
    assert contents(out) == contents(tmp_path / "fresh")


def test_a_really_full_disk(mixed, tmp_path):
    """The same with the kernel's own limit on the size of a file, in a process of its own."""
    code = (
        "import resource, signal, sys; from pp_lib.photos.prepare import prepare;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000));"
        "prepare(sys.argv[1], sys.argv[2], size=32, progress=False)"
    )
    command = [sys.executable, "-c", code, str(mixed), str(tmp_path / "out")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert "File too large" in run.stderr
    assert not (tmp_path / "out" / "manifest.csv").exists()
    assert not list((tmp_path / "out" / "images").glob(".*.tmp"))


def test_a_file_that_may_not_be_read(make, tmp_path, monkeypatch):
    folder, out = tmp_path / "photos", tmp_path / "out"
    make.jpeg(folder / "open.jpg")
    make.jpeg(folder / "closed.jpg")

    def guarded(path, *args, original=builtins.open, **kwargs):
        if str(path).endswith("closed.jpg"):  # we may be root, whom no permission stops
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", guarded)
    prepare(folder, out, size=32, progress=False)
    assert rejections(out) == {"closed.jpg": "unreadable"}
    monkeypatch.undo()
    assert prepare(folder, out, size=32, progress=False).usable == 2  # the file itself is the same


def test_trouble_of_ours_is_no_verdict(make, tmp_path, monkeypatch):
    make.jpeg(tmp_path / "photos" / "a.jpg")

    def guarded(path, *args, original=builtins.open, **kwargs):
        if str(path).endswith("a.jpg"):
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", guarded)
    with pytest.raises(OSError, match="Too many open files"):
        prepare(tmp_path / "photos", tmp_path / "out", size=32, progress=False)


def test_links_that_run_in_circles(make, tmp_path):
    folder = tmp_path / "photos"
    make.jpeg(folder / "in" / "a.jpg")
    (folder / "in" / "circle").symlink_to(folder)
    (folder / "b.jpg").symlink_to(folder / "in" / "a.jpg")
    (folder / "gone.jpg").symlink_to(folder / "nowhere.jpg")
    report = prepare(folder, tmp_path / "out", size=32, progress=False)
    assert (report.found, report.usable) == (3, 2)
    assert report.ignored == {"link to a folder": 1}
    assert rejections(tmp_path / "out") == {"gone.jpg": "unreadable"}


def test_out_within_the_folder_is_not_photographed(make, tmp_path):
    make.jpeg(tmp_path / "a.jpg")
    for _ in range(2):
        assert prepare(tmp_path, tmp_path / "out", size=32, progress=False).found == 1


def test_a_name_that_is_not_utf8(make, tmp_path):
    path = make.jpeg(tmp_path / "photos" / 'caf\udce9, "best"\n.jpg')
    prepare(path.parent, tmp_path / "out", size=32, progress=False)
    assert read_manifest(tmp_path / "out")[0].source == path.name
    assert prepare(path.parent, tmp_path / "out", size=32, progress=False).reused == 1


def test_wrong_arguments(make, tmp_path):
    path = make.jpeg(tmp_path / "photos" / "a.jpg")
    with pytest.raises(NotADirectoryError, match="expected a folder"):
        prepare(path, tmp_path / "out")
    with pytest.raises(NotADirectoryError, match="expected a folder"):
        prepare(tmp_path / "nowhere", tmp_path / "out")
    with pytest.raises(ValueError, match="of its own"):
        prepare(path.parent, path.parent)
    for options in ({"size": 0}, {"fit": "stretch"}, {"workers": 0}):
        with pytest.raises(ValueError, match="must be"):
            prepare(path.parent, tmp_path / "out", **options)


def test_an_empty_folder(tmp_path):
    (tmp_path / "photos").mkdir()
    report = prepare(tmp_path / "photos", tmp_path / "out", progress=False)
    assert (report.found, report.usable, report.rejected) == (0, 0, 0)
    assert read_manifest(tmp_path / "out") == []


def test_two_runs_at_once(make, tmp_path):
    from pp_lib.photos.journal import locked

    make.jpeg(tmp_path / "photos" / "a.jpg")
    with locked(tmp_path / "out"), pytest.raises(RuntimeError, match="another process"):
        prepare(tmp_path / "photos", tmp_path / "out", size=32, progress=False)


def test_real_photographs(shared_photos, tmp_path):
    report = prepare(shared_photos, tmp_path / "out", size=128, progress=False)
    assert report.found == 216
    assert report.usable + report.rejected == 216
    rows = {row.source: row for row in read_manifest(tmp_path / "out")}
    with open(shared_photos / "labels.csv", newline="") as stream:
        truth = list(csv.DictReader(stream))
    assert {row["file"] for row in truth} == rows.keys() | rejections(tmp_path / "out").keys()
    for label in truth:
        row = rows[label["file"]]
        assert float(row.f_number) == float(label["f_number"])
        assert row.iso == int(label["iso"])
        assert float(row.exposure_time_s) == float(label["exposure_time_s"])
        # not labels.csv's width and height: those are of the originals, before they were reduced
        with Image.open(shared_photos / label["file"]) as image:
            assert {row.width, row.height} == set(image.size)
        # the classes, from labels.csv by plain comparison: no value here is near enough to an edge
        # for snapping to matter
        n, iso, t = (float(label[k]) for k in ("f_number", "iso", "exposure_time_s"))
        plain = (int(n >= 5.6) + (n > 11), int(iso > 200) + (iso > 800))
        assert row.labels == (*plain, int(t >= 1 / 250) + (t > 1 / 30))


def test_real_raw_files(shared_raw, tmp_path):
    report = prepare(shared_raw, tmp_path / "out", size=128, progress=False)
    assert (report.found, report.usable) == (17, 1)
    assert [row.source for row in read_manifest(tmp_path / "out")] == ["RAW_KODAK_DC50.KDC"]
    reasons = rejections(tmp_path / "out")
    assert reasons["zero_bytes.dng"] == "empty file"
    assert reasons["noexif_768x512.dng"] == "no exposure record"
    assert reasons["not_a_raw.dng"] == "not a photograph"
    assert Counter(reasons.values())["damaged"] == 13  # headers without pixels, and one cut


def test_find_photos_sorts_and_counts(make, tmp_path):
    for name in ("b.TIF", "a/z.jpeg", "a.raw"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "README").touch()
    assert find_photos(tmp_path) == (["a.raw", "a/z.jpeg", "b.TIF"], {"without suffix": 1})


def test_nothing_piles_up_with_the_photographs(make, tmp_path):
    """What a photograph leaves behind in the process makes millions slow and large."""
    import logging

    for i in range(8):
        make.jpeg(tmp_path / "photos" / f"{i}.jpg")
    for _ in range(2):
        prepare(tmp_path / "photos", tmp_path / "out", size=32, workers=1, progress=False)
    assert len(logging.getLogger("exifread").handlers) <= 1
