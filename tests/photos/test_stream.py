"""Preparing while fetching, and what becomes of photographs whose RAW file was deleted."""

import shutil
import time

import fivek_server
import pytest
from PIL import Image

from pp_lib.photos import fetch, fetch_and_prepare, prepare, read_manifest
from pp_lib.photos.fivek import fetching, stream
from pp_lib.photos.fivek.courtesy import Patience
from pp_lib.photos.journal import locked

photo_path = fivek_server.photo_path

QUICK = Patience(tries=3, first_pause_s=0.02, longest_pause_s=0.05, timeout_s=5)
N, REJECTED = 6, "a0002.dng"


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Six simulated DNGs; the second one's exposure time has no value that a camera has."""
    from pp_lib.camera import simulate, write_dng

    folder = tmp_path_factory.mktemp("fivek")
    photos = simulate(N, seed=6, size=64, workers=1, progress=False)
    dngs = [write_dng(folder / "one.dng", photo).read_bytes() for photo in photos]
    content = bytearray(dngs[1])
    at = content.index(bytes.fromhex("9a82 0500 01000000"))  # ExposureTime, RATIONAL, one of it
    where = int.from_bytes(content[at + 8 : at + 12], "little")
    content[where : where + 8] = bytes(8)
    dngs[1] = bytes(content)
    return {f"a{i + 1:04d}": dng for i, dng in enumerate(dngs)}


@pytest.fixture
def options(server):
    return {
        "base": server.base,
        "accept_licence": True,
        "patience": QUICK,
        "progress": False,
    }


@pytest.fixture
def reference(options, tmp_path):
    """Everything fetched, and prepared after that."""
    fetch(N, tmp_path / "all", **options)
    prepare(tmp_path / "all", tmp_path / "reference", size=32, progress=False)
    return contents(tmp_path / "reference")


def contents(out):
    files = [out / "manifest.csv", out / "rejected.csv", *sorted((out / "images").iterdir())]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def raws(out):
    return sorted(path.name for path in out.glob("*.dng"))


@pytest.fixture
def get(options, tmp_path):
    """Fetch into tmp_path/out and prepare into tmp_path/made."""

    def call(n=N, size=32, made="made", **more):
        where = tmp_path / "out", tmp_path / made
        return fetch_and_prepare(n, *where, size=size, **options | more)

    return call


@pytest.mark.parametrize("delete_raw", [False, True])
def test_the_result_is_that_of_fetching_first(get, reference, tmp_path, delete_raw):
    fetched, made = get(delete_raw=delete_raw)
    assert (fetched.asked, fetched.whole, fetched.failed) == (N, N, 0)
    assert (made.found, made.usable, made.rejected) == (N, N - 1, 1)
    assert made.reasons == {"no exposure time": 1}
    assert contents(tmp_path / "made") == reference
    left = [REJECTED] if delete_raw else sorted(f"a{i + 1:04d}.dng" for i in range(N))
    assert raws(tmp_path / "out") == left  # what was rejected is kept, to be looked at


def test_photographs_are_prepared_while_others_come(get, server, tmp_path):
    """One connection; the last file is held back until the first pictures are there."""
    images = tmp_path / "made" / "images"
    seen = []

    def late(handler, path):
        end = time.monotonic() + 60
        while len(list(images.glob("a*.png"))) < 4 and time.monotonic() < end:
            time.sleep(0.01)
        seen.append(len(list(images.glob("a*.png"))))
        fivek_server.behave(handler, path)

    server.will[photo_path("a0006")] = [late]
    get(connections=1, patience=Patience(timeout_s=90))
    assert seen == [4]  # of the five before it, one is rejected


def test_raws_that_are_to_be_deleted_do_not_pile_up(get, server, tmp_path, monkeypatch):
    """Nothing is prepared until the first picture may be; so many files, and no more, wait."""
    monkeypatch.setattr(fetching, "BEHIND", 1)
    kept = []

    def slow(job, original=stream.run_job):
        if not kept:
            time.sleep(1.5)  # for others to come, if they may
        kept.append(len(raws(tmp_path / "out")))
        return original(job)

    monkeypatch.setattr(stream, "run_job", slow)
    get(delete_raw=True, connections=1)
    # one handed on; as it is, one more on the line and one that waits for the line
    assert max(kept) <= 3


def test_a_raw_goes_only_after_its_row_is_safe(get, server, tmp_path, monkeypatch):
    order = []

    class Watched(stream.Journal):
        def finish(self, outcome):
            super().finish(outcome)
            order.append(("row", outcome.source))

        def raw_goes(self, source):
            super().raw_goes(source)
            text = self.path.read_text()
            assert f'"done": {{"source": "{source}"' in text
            assert f'"raw_deleted": "{source}"' in text
            assert (tmp_path / "out" / source).exists()
            order.append(("raw", source))

    monkeypatch.setattr(stream, "Journal", Watched)
    get(delete_raw=True)
    rows = [source for what, source in order if what == "row"]
    gone = [source for what, source in order if what == "raw"]
    assert sorted(gone) == sorted(set(rows) - {REJECTED})
    assert all(order.index(("row", s)) < order.index(("raw", s)) for s in gone)


def test_a_second_run_neither_fetches_nor_prepares_what_was_deleted(
    get, server, reference, tmp_path, monkeypatch
):
    get(delete_raw=True)
    n_asked = len(server.log)
    monkeypatch.setattr(stream, "run_job", None)  # to be called would be an error
    fetched, made = get(delete_raw=True)
    assert len(server.log) == n_asked
    assert (fetched.whole, fetched.reused, made.reused) == (N, N, N)
    get()  # without the wish, too
    assert len(server.log) == n_asked
    assert contents(tmp_path / "made") == reference
    with open(tmp_path / "out" / "fetched.csv") as table:
        kept = [line.rsplit(",", 1)[-1].strip() for line in table]
    assert kept == ["kept", "no", "yes", "no", "no", "no", "no"]


def test_prepare_keeps_the_rows_of_what_was_deleted(get, reference, tmp_path):
    get(delete_raw=True)
    out, made = tmp_path / "out", tmp_path / "made"
    report = prepare(out, made, size=32, progress=False)
    assert (report.found, report.usable, report.rejected) == (N, N - 1, 1)
    assert contents(made) == reference
    # a photograph of one's own beside them is added, and they stay
    shutil.copy(tmp_path / "all" / "a0001.dng", out / "mine.dng")
    assert prepare(out, made, size=32, progress=False).usable == N
    (out / "mine.dng").unlink()
    assert prepare(out, made, size=32, progress=False).usable == N - 1
    assert contents(made) == reference


def test_what_cannot_be_made_again_is_not_thrown_away(get, reference, tmp_path):
    get(delete_raw=True)
    out, made = tmp_path / "out", tmp_path / "made"
    for call in (lambda: prepare(out, made, size=48, progress=False), lambda: get(size=48)):
        with pytest.raises(ValueError, match="5 pictures made with another size.*name another"):
            call()
        assert contents(made) == reference
    # another folder is honest about them, and fetching again brings them back
    report = prepare(out, tmp_path / "other", size=48, progress=False)
    assert (report.found, report.usable) == (1, 0)
    _, report = get(size=48, made="other", delete_raw=True)
    assert (report.found, report.usable) == (N, N - 1)


def test_a_lost_picture_is_told_and_fetched_again(get, server, reference, tmp_path):
    get(delete_raw=True)
    out, made = tmp_path / "out", tmp_path / "made"
    image = made / next(row.image for row in read_manifest(made) if row.source == "a0004.dng")
    image.write_bytes(image.read_bytes()[:50])
    with pytest.raises(FileNotFoundError, match="1 pictures.*a0004.dng.*fetch these photographs"):
        prepare(out, made, size=32, progress=False)
    n_asked = len(server.asked("a0004"))
    get(delete_raw=True)
    assert len(server.asked("a0004")) == n_asked + 1
    assert contents(made) == reference
    with Image.open(image) as picture:
        picture.load()
    assert raws(out) == [REJECTED]


def test_fetch_alone_brings_the_raw_files_back(get, options, server, photographs, tmp_path):
    get(delete_raw=True)
    fetch(N, tmp_path / "out", **options)
    assert {p.stem: p.read_bytes() for p in (tmp_path / "out").glob("*.dng")} == photographs
    get(delete_raw=True)
    assert raws(tmp_path / "out") == [REJECTED]


def test_more_photographs_and_raws_that_were_there(get, options, reference, tmp_path):
    fetch(2, tmp_path / "out", **options)
    get(4)
    _, made = get(delete_raw=True)
    assert (made.found, raws(tmp_path / "out")) == (N, [REJECTED])
    assert contents(tmp_path / "made") == reference


def test_trouble_with_the_prepared_folder_stops_with_words(get, server, tmp_path):
    with pytest.raises(ValueError, match="out must be a folder of its own"):
        get(made="out")
    with (
        locked(tmp_path / "made"),
        pytest.raises(RuntimeError, match="another process is preparing"),
    ):
        get()
    with pytest.raises(ValueError, match="fit must be one of"):
        get(fit="stretch")
    assert not server.asked()
    fetched, made = get()
    assert (fetched.whole, made.found) == (N, N)


def test_no_room_for_a_picture(get, server, reference, tmp_path, monkeypatch):
    """The disk fills while a picture is written: no verdict about it, and no RAW is lost."""
    left = iter(range(3))

    def full(job, original=stream.run_job):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        return original(job)

    monkeypatch.setattr(stream, "run_job", full)
    with pytest.raises(OSError, match=r"No space left.*of 6 photographs are whole.*run again"):
        get(delete_raw=True)
    assert not (tmp_path / "made" / "manifest.csv").exists()
    monkeypatch.undo()
    get(delete_raw=True)
    assert contents(tmp_path / "made") == reference
