"""A folder full of trouble: every file gets its own verdict, and none stops the others."""

import csv
import ctypes
import os
import signal
import struct
import subprocess
import sys
import time

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


def entry_of(content, tag):
    """Where a little-endian TIFF's first directory has a tag."""
    at = struct.unpack_from("<L", content, 4)[0]
    count = struct.unpack_from("<H", content, at)[0]
    places = range(at + 2, at + 2 + 12 * count, 12)
    return next(p for p in places if struct.unpack_from("<H", content, p)[0] == tag)


def test_a_camera_without_colour_filters(dngs, tmp_path):
    """LibRaw gives one channel then; the picture is grey, as that of a grey JPEG is."""
    content = bytearray((dngs / "0.dng").read_bytes())
    struct.pack_into("<H", content, entry_of(content, 0x0106) + 8, 34892)  # linear, one sample
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mono.dng").write_bytes(content)
    report = prepare(tmp_path / "photos", tmp_path / "out", size=32, progress=False)
    assert report.usable == 1, report
    row = read_manifest(tmp_path / "out")[0]
    with Image.open(tmp_path / "out" / row.image) as image:
        pixels = np.asarray(image)
    assert pixels.shape == (32, 32, 3)
    assert (pixels == pixels[:, :, :1]).all()
    assert pixels.std() > 1


def test_a_number_that_asks_for_absurd_memory_is_the_files(make, dngs, tmp_path):
    """A directory that begins before the file, and a JPEG that claims what it cannot hold."""
    folder = tmp_path / "photos"
    make.jpeg(folder / "good.jpg")
    content = bytearray((dngs / "0.dng").read_bytes())
    struct.pack_into("<L", content, entry_of(content, 0x8769) + 8, 2**32 - 1)  # the Exif directory
    (folder / "away.dng").write_bytes(content)
    content = bytearray(make.jpeg_bytes())
    at = content.find(b"\xff\xc0") + 5
    content[at : at + 4] = struct.pack(">HH", 9_000, 9_000)  # 81 megapixels in 5 kB, and an end
    (folder / "hollow.jpg").write_bytes(content)
    report = prepare(folder, tmp_path / "out", size=32, progress=False)
    assert (report.found, report.usable) == (3, 1)
    assert "cannot hold 9000 x 9000 pixels" in report.rejected_csv.read_text()


@pytest.mark.parametrize("is_left", [True, False])
def test_no_memory_is_a_verdict_only_where_there_is_some(dngs, tmp_path, monkeypatch, is_left):
    import rawpy

    class Greedy(rawpy.RawPy):
        def unpack(self):
            raise rawpy.LibRawUnsufficientMemoryError(b"Unsufficient memory")

    def no_room(*args):
        raise MemoryError

    monkeypatch.setattr(rawpy, "RawPy", Greedy)
    if not is_left:
        monkeypatch.setattr(np, "empty", no_room)
    if is_left:
        report = prepare(dngs, tmp_path / "out", size=32, workers=1, progress=False)
        assert report.reasons == {"damaged": 6}
    else:
        with pytest.raises(MemoryError, match="no memory left for"):
            prepare(dngs, tmp_path / "out", size=32, workers=1, progress=False)


@pytest.mark.parametrize(
    "theirs", ["manifest.csv", "rejected.csv", "images/holiday.png", "images/deep/er.txt"]
)
def test_another_programs_files_are_not_overwritten(make, tmp_path, theirs):
    make.jpeg(tmp_path / "photos" / "a.jpg")
    path = tmp_path / "out" / theirs
    path.parent.mkdir(parents=True)
    path.write_text("years of work")
    with pytest.raises(FileExistsError, match=f"holds {theirs.split('/')[0]} and no .journal"):
        prepare(tmp_path / "photos", tmp_path / "out", size=32, progress=False)
    assert path.read_text() == "years of work"
    (tmp_path / "out" / ".journal.jsonl").write_text("dear diary\n")  # nor does another's journal
    with pytest.raises(FileExistsError, match="another program's work"):
        prepare(tmp_path / "photos", tmp_path / "out", size=32, progress=False)
    assert path.read_text() == "years of work"


def test_files_beside_ours_are_left_alone(make, tmp_path):
    make.jpeg(tmp_path / "photos" / "a.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for _ in range(2):
        assert prepare(tmp_path / "photos", tmp_path / "out", size=32, progress=False).usable == 1
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


COMMAND = """
import os, resource, signal, sys
{before}
from pp_lib.cli import main
sys.argv = ["photopilot", "prepare", *sys.argv[1:], "--size", "32"]
main()
"""
FULL = "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n" + (
    "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))"  # the kernel's own refusal
)


def photopilot_prepare(folder, out, before="", **options):
    """Run `photopilot prepare` in a process of its own; give (exit status, its last line)."""
    command = [sys.executable, "-c", COMMAND.format(before=before), str(folder), str(out)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert "Traceback" not in run.stderr, run.stderr
    return run.returncode, (run.stderr.strip() or run.stdout).splitlines()[-1]


def test_a_full_disk_through_the_command(make, tmp_path):
    for i in range(3):
        make.jpeg(tmp_path / "photos" / f"{i}.jpg", image=make.pixels(64, 64, seed=i))
    code, said = photopilot_prepare(tmp_path / "photos", tmp_path / "out", FULL)
    assert code != 0
    assert "File too large" in said
    assert "of 3 photographs are done" in said
    assert "run again to go on" in said
    assert not (tmp_path / "out" / "manifest.csv").exists()
    assert photopilot_prepare(tmp_path / "photos", tmp_path / "out")[0] == 0  # as it says
    assert len(read_manifest(tmp_path / "out")) == 3


def obey_permissions():
    """Take from root, whom no permission stops, what lets it pass (CAP_DAC_OVERRIDE of Linux)."""
    if os.geteuid() == 0:
        PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
        if ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0) != 0:
            raise OSError("root cannot give up its privilege: run this test as another user")


def test_a_read_only_folder_through_the_command(make, tmp_path):
    make.jpeg(tmp_path / "photos" / "a.jpg")
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o555)
    try:
        code, said = photopilot_prepare(tmp_path / "photos", out, preexec_fn=obey_permissions)
    finally:
        out.chmod(0o755)
    assert code != 0
    assert "out must be a folder to write in" in said
    assert "Permission denied" in said
    assert list(out.iterdir()) == []


def test_another_programs_manifest_through_the_command(make, tmp_path):
    make.jpeg(tmp_path / "photos" / "a.jpg")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.csv").write_text("mine")
    code, said = photopilot_prepare(tmp_path / "photos", tmp_path / "out")
    assert code != 0
    assert "another program's work would be overwritten: name another folder" in said
    assert (tmp_path / "out" / "manifest.csv").read_text() == "mine"


def test_two_commands_in_one_folder(make, tmp_path):
    """The second is told; the first is not disturbed."""
    for i in range(20):
        make.jpeg(tmp_path / "photos" / f"{i}.jpg", image=make.pixels(600, 600, seed=i))
    code = COMMAND.format(before="")
    command = [sys.executable, "-c", code, str(tmp_path / "photos"), str(tmp_path / "out")]
    first = subprocess.Popen([*command, "--workers", "1"], stderr=subprocess.PIPE)
    while first.poll() is None and not (tmp_path / "out" / ".journal.jsonl").exists():
        time.sleep(0.002)
    os.kill(first.pid, signal.SIGSTOP)  # so that it is still there
    try:
        code, said = photopilot_prepare(tmp_path / "photos", tmp_path / "out")
    finally:
        os.kill(first.pid, signal.SIGCONT)
    first.communicate()
    assert code != 0
    assert "another process is preparing" in said
    assert first.returncode == 0
    assert len(read_manifest(tmp_path / "out")) == 20
