"""fetch against a server that has FiveK's paths and misbehaves (fivek_server)."""

import builtins
import csv
import errno
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import fivek_server
import pytest

from pp_lib.photos import fetch
from pp_lib.photos.fivek import download, fetching, part
from pp_lib.photos.fivek.courtesy import Courtesy, Patience, TryAgain
from pp_lib.photos.fivek.fetch import LicenceNotAcceptedError
from pp_lib.photos.journal import locked

LISTS, LICENCES, photo_path = fivek_server.LISTS, fivek_server.LICENCES, fivek_server.photo_path

QUICK = Patience(tries=4, first_pause_s=0.02, longest_pause_s=0.05, timeout_s=5)
# of two cores that six people share: what takes longer is not slow, it hangs
LONG_S = 60


@pytest.fixture(scope="session")
def photographs(tmp_path_factory):
    """Six simulated DNGs by FiveK-like names."""
    from pp_lib.camera import simulate, write_dng

    folder = tmp_path_factory.mktemp("fivek")
    photos = simulate(6, seed=5, size=64, workers=1, progress=False)
    names = ["a0001-jmac_DSC1459", "a0002-dgw_005", "a0003 with space", "a0004-x", "a0005", "a0006"]
    return {
        name: write_dng(folder / "one.dng", photo).read_bytes()
        for name, photo in zip(names, photos, strict=True)
    }


@pytest.fixture
def get(server, tmp_path):
    """Fetch, quickly and quietly, into tmp_path/out."""

    def call(n=1, **options):
        options = {"accept_licence": True, "patience": QUICK, "progress": False} | options
        return fetch(n, tmp_path / "out", base=server.base, **options)

    return call


def table(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def files(out):
    """All that is whole, byte for byte."""
    return {path.name: path.read_bytes() for path in out.glob("*.dng")}


def leftovers(out):
    return [p for p in out.rglob("*") if ".part" in p.name or p.name.endswith(".tmp")]


def expected(photographs, n):
    return {f"{name}.dng": photographs[name] for name in sorted(photographs)[:n]}


FIRST = "a0001-jmac_DSC1459"


def test_what_was_asked_for_comes_and_is_accounted_for(get, server, photographs, tmp_path):
    report = get(5)
    out = tmp_path / "out"
    assert files(out) == expected(photographs, 5)
    assert not leftovers(out)
    assert (report.asked, report.whole, report.failed, report.reused) == (5, 5, 0, 0)
    assert report.licences == {"LicenseAdobe": 2, "LicenseAdobeMIT": 3}
    rows = table(report.table)
    assert [row["file"] for row in rows] == sorted(expected(photographs, 5))
    for i, row in enumerate(rows):
        content = photographs[row["file"].removesuffix(".dng")]
        assert row["licence"] == ("LicenseAdobe" if i % 2 else "LicenseAdobeMIT")
        assert (int(row["bytes"]), row["kept"]) == (len(content), "yes")
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert row["etag"] == f'"{row["sha256"][:16]}"'
        assert row["last_modified"] == "Sun, 13 Mar 2011 07:06:40 GMT"
        assert row["address"].startswith(f"{server.base}/img/dng/a000")
    assert rows[2]["address"].endswith("/a0003%20with%20space.dng")
    assert table(report.failed_csv) == []
    agents = {headers["User-Agent"] for *_, headers in server.log}
    assert len(agents) == 1
    assert re.fullmatch(r"photopilot/\d+\.\d+\S* \(\+https://\S+\)", agents.pop())


def test_a_second_run_asks_for_nothing(get, server, photographs, tmp_path):
    get(3)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.dng")}
    n_asked = len(server.log)
    report = get(3, accept_licence=False)
    assert (report.whole, report.reused, len(server.log)) == (3, 3, n_asked)
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("*.dng")} == before
    get(4)
    assert len(server.asked()) == 4  # what was missing, once


def test_a_sample_is_drawn_by_its_seed_and_grows(get, server, photographs, tmp_path):
    get(2, seed=3)
    drawn = files(tmp_path / "out")
    assert len(drawn) == 2
    assert drawn != expected(photographs, 2)
    get(4, seed=3)
    assert drawn.items() < files(tmp_path / "out").items()
    assert len(server.asked()) == 4


def test_few_connections_at_once(get, server):
    server.pace_s = 0.01
    get(6, connections=2)
    assert server.most_under_way == 2
    assert len(server.asked()) == 6


BAD = {
    "reset in mid-body": [fivek_server.reset(5000)],
    "reset before the body": [fivek_server.reset(0)],
    "short body": [fivek_server.short(3000)],
    "four kinds of trouble": [
        fivek_server.reset(2000),
        fivek_server.status(500),
        fivek_server.short(100),
    ],
    "Content-Length too large": [fivek_server.whole(extra=300)],
    "Content-Length too small": [fivek_server.whole(extra=-300)],
    "an ignored range": [fivek_server.short(3000), fivek_server.ignore_range],
    "500, then fine": [fivek_server.status(500), fivek_server.status(503)],
    "a page in its place": [fivek_server.html],
    "no length, and cut": [fivek_server.without_length(4000)],
    "no length, and whole": [fivek_server.without_length()],
    "a range from elsewhere": [
        fivek_server.short(3000),
        fivek_server.partial("bytes {begin}-{last}/{n}", shift=-100),
    ],
    "a range that is not said": [fivek_server.short(3000), fivek_server.partial(None)],
    "a range of another file": [
        fivek_server.short(3000),
        fivek_server.partial("bytes {begin}-{last}/{more}"),
    ],
    "a range out of nowhere": [fivek_server.partial("bytes {begin}-{last}/{n}")],
    "another place": [fivek_server.moved, fivek_server.short(3000), fivek_server.moved],
    "a tag nobody can send": [fivek_server.whole(cut=3000, headers={"ETag": '"\xe4"'})],
    "no such range": [fivek_server.short(3000), fivek_server.status(416)],
}


@pytest.mark.parametrize("trouble", BAD)
def test_it_comes_whole_in_spite_of(trouble, get, server, photographs, tmp_path):
    server.will[photo_path(FIRST)] = list(BAD[trouble])
    report = get(2)
    assert (report.whole, report.failed) == (2, 0)
    assert files(tmp_path / "out") == expected(photographs, 2)
    assert not leftovers(tmp_path / "out")
    assert not server.will[photo_path(FIRST)], "the server had no occasion to misbehave"


def test_it_goes_on_where_it_stopped(get, server, photographs, tmp_path):
    server.will[photo_path(FIRST)] = [fivek_server.short(3000), fivek_server.reset(2000)]
    get(1)
    headers = [entry[3] for entry in server.asked(FIRST)]
    assert "Range" not in headers[0]
    assert headers[1]["Range"] == "bytes=3000-"
    assert headers[1]["If-Range"] == server.etag(photo_path(FIRST))
    assert headers[2]["Range"] == "bytes=2000-"  # the second answer was a 200: from the start
    assert files(tmp_path / "out") == expected(photographs, 1)


def test_a_range_may_end_early(get, server, photographs, tmp_path):
    """A server may give less than was asked for (RFC 9110, 14.2)."""
    server.will[photo_path(FIRST)] = [
        fivek_server.short(3000),
        fivek_server.partial("bytes {begin}-{last}/{n}", most=1000),
    ]
    get(1)
    ranges = [entry[3].get("Range") for entry in server.asked(FIRST)]
    assert ranges == [None, "bytes=3000-", "bytes=4000-"]
    assert files(tmp_path / "out") == expected(photographs, 1)


def test_an_earlier_runs_part_is_gone_on_with(get, server, photographs, tmp_path):
    server.will[photo_path(FIRST)] = [fivek_server.short(3000)] + 3 * [fivek_server.status(503)]
    report = get(1)
    assert report.reasons == {"server trouble": 1}
    get(1)
    assert server.asked(FIRST)[-1][3]["Range"] == "bytes=3000-"
    assert files(tmp_path / "out") == expected(photographs, 1)
    assert not leftovers(tmp_path / "out")


def change(server, name, content):
    """Put another photograph under the name, as of another day."""
    server.files[photo_path(name)] = content
    server.dates[photo_path(name)] = "Mon, 14 Mar 2011 07:06:40 GMT"


@pytest.mark.parametrize("is_date", [False, True])
def test_a_file_that_changes_in_the_middle_starts_again(
    is_date, get, server, photographs, tmp_path, monkeypatch
):
    """Both versions are 8,850 bytes long: put together, only If-Range can tell."""
    if is_date:
        tagged = fivek_server.Handler.about
        monkeypatch.setattr(
            fivek_server.Handler, "about", lambda *a: tagged(*a) | {"ETag": 'W/"weak"'}
        )

    def cut_and_change(handler, path):
        fivek_server.short(5000)(handler, path)
        change(server, FIRST, photographs["a0006"])

    server.will[photo_path(FIRST)] = [cut_and_change]
    get(1)
    assert len(photographs[FIRST]) == len(photographs["a0006"])
    assert files(tmp_path / "out") == {f"{FIRST}.dng": photographs["a0006"]}
    if_range = server.asked(FIRST)[1][3]["If-Range"]
    assert if_range.startswith("Sun, 13 Mar" if is_date else '"')


def test_without_a_validator_it_starts_again(get, server, photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(fivek_server.Handler, "about", lambda *a: {})
    server.will[photo_path(FIRST)] = [fivek_server.short(5000)]
    get(1)
    assert all("Range" not in entry[3] for entry in server.asked(FIRST))
    assert files(tmp_path / "out") == expected(photographs, 1)


def test_a_silent_server_is_left_and_gone_on_with(get, server, photographs, tmp_path):
    server.will[photo_path(FIRST)] = [fivek_server.silent(4000, 2 * LONG_S)]
    began = time.monotonic()
    get(1, patience=Patience(tries=9, first_pause_s=0.01, timeout_s=1))
    assert server.asked(FIRST)[1][3]["Range"] == "bytes=4000-"
    assert server.asked(FIRST)[1][0] - server.asked(FIRST)[0][0] >= 1
    assert time.monotonic() - began < LONG_S
    assert files(tmp_path / "out") == expected(photographs, 1)


def test_429_is_waited_out_in_seconds(get, server):
    server.will[photo_path(FIRST)] = [fivek_server.status(429, {"Retry-After": "1"})]
    get(3, connections=1)
    first, second = (entry[0] for entry in server.asked(FIRST))
    assert second - first >= 1


def test_429_is_waited_out_until_a_date(get, server):
    """The server's clock goes an hour ahead of ours, which it says in Date."""

    def busy(handler, path):
        now = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
        then = format_datetime(now + timedelta(seconds=2), usegmt=True)
        handler.date_time_string = lambda: format_datetime(now, usegmt=True)
        fivek_server.status(429, {"Retry-After": then})(handler, path)
        del handler.date_time_string

    server.will[photo_path(FIRST)] = [busy]
    assert get(1).whole == 1
    first, second = (entry[0] for entry in server.asked(FIRST))
    assert 2 <= second - first < LONG_S


def test_all_connections_wait_when_one_is_told_to():
    told = threading.Event()
    courtesy = Courtesy(QUICK, say=lambda text: told.set())
    answers = [TryAgain("server trouble", "503", wait_s=1), None]

    def attempt():
        if answers[0]:
            raise answers.pop(0)
        return time.monotonic()

    began = time.monotonic()
    with ThreadPoolExecutor(1) as thread:
        one = thread.submit(courtesy.persist, "one", attempt)
        assert told.wait(LONG_S)
        other_s = courtesy.persist("another", time.monotonic) - began
    assert other_s >= 1
    assert one.result() - began >= 1


def test_a_server_that_wants_a_day_is_not_waited_for(get, server, tmp_path):
    server.will[photo_path(FIRST)] = [fivek_server.status(429, {"Retry-After": "86400"})]
    report = get(2)
    assert (report.whole, report.reasons) == (1, {"server trouble": 1})
    assert "86,400 s" in table(report.failed_csv)[0]["detail"]


def test_a_file_that_is_not_there_is_noted_and_the_others_go_on(get, server, photographs, tmp_path):
    del server.files[photo_path("a0002-dgw_005")]
    server.will[photo_path("a0004-x")] = [fivek_server.status(403)]
    server.will[photo_path("a0005")] = 4 * [fivek_server.reset(100)]
    server.will[photo_path("a0006")] = 4 * [fivek_server.instead(b"II*\0 not really")]
    report = get(6)
    assert (report.asked, report.whole, report.failed) == (6, 2, 4)
    assert report.reasons == {
        "cannot be opened": 1,
        "no connection": 1,
        "not there": 1,
        "refused": 1,
    }
    text = str(report)
    assert "6 asked for = 2 whole + 4 failed" in text
    assert "1 failed: not there" in text
    rows = {row["file"]: row for row in table(report.failed_csv)}
    assert rows["a0002-dgw_005.dng"]["detail"] == "404 Not Found"
    assert rows["a0004-x.dng"]["detail"] == "403 Forbidden"
    assert "4 tries" in rows["a0005.dng"]["detail"]
    assert "damaged" in rows["a0006.dng"]["detail"]
    assert len(server.asked("a0004-x")) == 1
    assert len(server.asked("a0005")) == 4
    assert len(server.asked("a0006")) == 2  # the same bytes twice: a third time would not help
    assert set(files(tmp_path / "out")) == {f"{FIRST}.dng", "a0003 with space.dng"}


def test_after_many_failures_in_a_row_the_server_is_left_alone(get, server, monkeypatch):
    monkeypatch.setattr(fetching, "FAILURES_IN_A_ROW", 2)
    for path in server.files:
        if path.startswith("/img/"):
            server.will[path] = 9 * [fivek_server.status(502)]
    report = get(6, connections=1)
    assert report.reasons == {"not tried": 4, "server trouble": 2}
    assert len(server.asked()) == 2 * QUICK.tries


def test_what_is_too_much_is_not_taken(get, server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "LARGEST", 200_000)
    server.will[photo_path(FIRST)] = [fivek_server.endless]
    server.will[photo_path("a0002-dgw_005")] = [fivek_server.whole(extra=300_000)]
    report = get(3)
    assert (report.whole, report.reasons) == (1, {"wrong answer": 2})
    details = [row["detail"] for row in table(report.failed_csv)]
    assert details[0] == "more than 200,000 bytes, and no end"
    assert details[1].startswith("it is said to have 30")


def test_hostile_names_stay_out(get, server, photographs, tmp_path):
    outside = tmp_path / "escaped.dng"
    for name in ("../escaped", str(tmp_path / "escaped"), "..\\escaped", ".bashrc"):
        server.files[photo_path(name)] = photographs[FIRST]
        server.files[LISTS[0]] = f"{name}\n".encode() + server.files[LISTS[0]]
    report = get(6)
    assert files(tmp_path / "out") == expected(photographs, 6)
    assert not outside.exists()
    assert len(report.refused) == 4
    assert "4 lines of the lists left out" in str(report)
    with pytest.raises(ValueError, match="n must be 1 to 6"):
        get(7)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected plain text from .*filesAdobe.txt"),
        (b"\n \n", "expected plain text from .*filesAdobe.txt"),
        (b"<html>Sorry</html>", "expected plain text from .*filesAdobe.txt.*<html>"),
        (b"../a\n../b\n", "one name a line.*without a name: line 1"),
    ],
)
def test_lists_that_are_none(content, words, get, server, tmp_path):
    good, server.files[LISTS[0]] = server.files[LISTS[0]], content
    with pytest.raises(ValueError, match=words):
        get(1)
    assert not server.asked()
    server.files[LISTS[0]] = good  # and it is asked for anew
    assert get(1).whole == 1


def test_a_list_that_is_cut_short(get, server, photographs, tmp_path):
    path = LISTS[1]
    server.will[path] = [fivek_server.short(30), fivek_server.without_length(30)]
    get(6)
    assert files(tmp_path / "out") == expected(photographs, 6)
    assert (tmp_path / "out" / "licences" / "filesAdobeMIT.txt").read_bytes() == server.files[path]
    server.will[path] = 9 * [fivek_server.short(30)]
    shutil.rmtree(tmp_path / "out")
    with pytest.raises(RuntimeError, match=r"filesAdobeMIT.txt: no connection.*--base"):
        get(6)


def test_no_server(tmp_path):
    with pytest.raises(RuntimeError, match=r"127.0.0.1:9/legal/LicenseAdobe.txt: no connection"):
        fetch(1, tmp_path / "out", base="http://127.0.0.1:9", patience=QUICK, progress=False)


def test_a_licence_is_shown_once_and_recorded(get, server, photographs, tmp_path):
    shown = []

    def accept(licence, words):
        shown.append((licence.name, words))
        return True

    get(1, accept_licence=accept)
    get(2, accept_licence=accept)
    get(6, accept_licence=accept)
    assert [name for name, _ in shown] == ["LicenseAdobeMIT", "LicenseAdobe"]
    assert [words.encode() for _, words in shown] == [server.files[p] for p in LICENCES[::-1]]
    kept = tmp_path / "out" / "licences"
    assert {p.name for p in kept.iterdir()} == {
        *("LicenseAdobe.txt", "LicenseAdobeMIT.txt", "filesAdobe.txt", "filesAdobeMIT.txt"),
        "accepted.csv",
    }
    rows = table(kept / "accepted.csv")
    assert [row["licence"] for row in rows] == ["LicenseAdobeMIT", "LicenseAdobe"]
    for row, path in zip(rows, LICENCES[::-1], strict=True):
        assert row["sha256"] == hashlib.sha256(server.files[path]).hexdigest()
        assert datetime.fromisoformat(row["accepted_at"]).tzinfo is not None
        assert row["address"] == server.base + path


def test_without_a_licence_nothing_is_fetched(get, server, tmp_path):
    for answer in (False, lambda licence, words: False):
        with pytest.raises(LicenceNotAcceptedError, match="LicenseAdobeMIT.*--accept-licence"):
            get(1, accept_licence=answer)
    assert not server.asked()
    assert not (tmp_path / "out" / "licences" / "accepted.csv").exists()
    get(1)
    licence = tmp_path / "out" / "licences" / "LicenseAdobeMIT.txt"
    licence.write_text("Other words.")
    with pytest.raises(LicenceNotAcceptedError):  # not those that were accepted
        get(1, accept_licence=False)


def test_two_runs_in_one_folder(get, server, tmp_path):
    with (
        locked(tmp_path / "out"),
        pytest.raises(RuntimeError, match="another process is fetching into .*out: wait for it"),
    ):
        get(1)
    assert not server.log


def bad_news_first(futures, return_when):
    """Wait for all, and tell of errors before what went well, as chance may have it too."""
    done, running = wait(futures)
    return sorted(done, key=lambda future: future.exception() is None), running


def test_no_room(get, server, photographs, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=100_040_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    need = r"not enough room: about 0.1 MB are to come, 100.0 MB are free and 100 MB"
    with pytest.raises(OSError, match=need) as caught:
        get(6)  # 6 times 8,850 bytes; 4 would fit
    assert caught.value.errno == errno.ENOSPC
    assert not server.asked()
    assert get(4).whole == 4
    # it shrinks while files come; nobody could know before, as HEAD says nothing
    monkeypatch.setattr(fivek_server.Handler, "do_HEAD", lambda s: fivek_server.status(405)(s, ""))
    usage = usage._replace(free=100_000_100)
    monkeypatch.setattr(fetching, "wait", bad_news_first)
    with pytest.raises(OSError, match=r"not enough room: 0.0 MB.*4 of 6 photographs are whole"):
        get(6)
    monkeypatch.undo()
    assert get(6).reused == 4


def run_fetch(server, out, n, before="", **popen):
    code = (
        f"import sys; {before}from pp_lib.photos import fetch;"
        "fetch(int(sys.argv[1]), sys.argv[2], base=sys.argv[3], accept_licence=True)"
    )
    command = [sys.executable, "-c", code, str(n), str(out), server.base]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **popen)


def test_a_really_full_disk(get, server, photographs, tmp_path):
    """The kernel's own limit on the size of a file, in a process of its own."""
    out = tmp_path / "out"
    before = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000));"
    )
    process = run_fetch(server, out, 6, before)
    _, said = process.communicate(timeout=LONG_S)
    assert process.returncode == 1
    assert re.search(r"OSError: .*File too large \(0 of 6 photographs are whole\): put that", said)
    assert not files(out)
    get(6)
    assert files(out) == expected(photographs, 6)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_folder_that_cannot_be_written_in(server, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    options = {"base": server.base, "accept_licence": True, "progress": False}
    with pytest.raises(OSError, match="out must be a folder to write in; name another"):
        fetch(1, tmp_path / "file", **options)

    def guarded(path, *args, original=builtins.open, **kwargs):
        if str(path).startswith(str(tmp_path)):  # we may be root, whom no permission stops
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return original(path, *args, **kwargs)

    monkeypatch.setattr(builtins, "open", guarded)
    with pytest.raises(OSError, match="Read-only file system: out must be a folder to write in"):
        fetch(1, tmp_path / "out", **options)
    assert not server.log


def test_a_file_from_elsewhere_is_taken_if_it_is_the_one(get, server, photographs, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / f"{FIRST}.dng").write_bytes(photographs[FIRST])
    (out / "a0002-dgw_005.dng").write_bytes(photographs["a0002-dgw_005"][:-1])
    before = (out / f"{FIRST}.dng").stat()
    get(2)
    assert not server.asked(FIRST)
    assert (out / f"{FIRST}.dng").stat().st_mtime_ns == before.st_mtime_ns
    assert len(server.asked("a0002-dgw_005")) == 1
    assert files(out) == expected(photographs, 2)
    assert [row["kept"] for row in table(out / "fetched.csv")] == ["yes", "yes"]


def test_a_file_that_was_cut_afterwards_is_fetched_again(get, server, photographs, tmp_path):
    get(2)
    path = tmp_path / "out" / f"{FIRST}.dng"
    path.write_bytes(path.read_bytes()[:100])
    get(2)
    assert files(tmp_path / "out") == expected(photographs, 2)
    assert len(server.asked()) == 3


def test_another_servers_part_is_no_beginning(get, server, photographs, tmp_path):
    server.will[photo_path(FIRST)] = [fivek_server.short(3000)] + 3 * [fivek_server.status(503)]
    get(1)
    with fivek_server.serving() as (other, base):
        other.hold(photographs)
        fetch(1, tmp_path / "out", base=base, patience=QUICK, progress=False)
        assert "Range" not in other.asked(FIRST)[0][3]
    assert files(tmp_path / "out") == expected(photographs, 1)


def test_a_decoder_that_dies_is_met_in_a_process_of_its_own(
    get, server, photographs, tmp_path, monkeypatch
):
    """What a run that died while it opened a file leaves behind: the file, whole, and a mark."""
    parts = tmp_path / "out" / ".parts"
    server.will[photo_path(FIRST)] = [fivek_server.short(3000)] + 3 * [fivek_server.status(503)]
    get(1)
    (parts / f"{FIRST}.dng.part.opening").touch()
    apart = []
    monkeypatch.setattr(
        part, "_why_not_opened_apart", lambda p, original=part._why_not_opened_apart: (
            apart.append(p) or original(p)
        )
    )  # fmt: skip
    get(1)
    assert len(apart) == 1
    assert files(tmp_path / "out") == expected(photographs, 1)
    dead = [sys.executable, "-c", "import os; os.abort()"]
    monkeypatch.setattr(part, "_apart_command", lambda path: dead)
    assert "ended by signal 6" in part._why_not_opened_apart(tmp_path / "x")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_stopped_while_the_server_is_silent(how, get, server, photographs, tmp_path):
    """It ends at once, with words, and the next run goes on; 600 s is the server's silence."""
    server.will[photo_path(FIRST)] = [fivek_server.silent(4000, 600)]
    out = tmp_path / "out"
    command = [sys.executable, "-c", "from pp_lib.cli import main; main()", "fetch", "--n", "2"]
    command += ["--out", str(out), "--base", server.base, "--accept-licence"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.PIPE
    )
    path = out / ".parts" / f"{FIRST}.dng.part"
    wait_until(lambda: path.exists() and path.stat().st_size >= 4000, process)
    began = time.monotonic()
    process.send_signal(how)
    said, _ = process.communicate(timeout=LONG_S)
    assert time.monotonic() - began < 25  # not the 30 s after which a silent server is left
    assert process.returncode == (130 if how == signal.SIGINT else 143), said
    if how == signal.SIGINT:
        assert "stopped; the same command goes on" in said
    get(2)
    assert server.asked(FIRST)[-1][3]["Range"] == "bytes=4000-"
    assert files(out) == expected(photographs, 2)


def wait_until(condition, process):
    end = time.monotonic() + LONG_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


def photopilot(*arguments, stdin=subprocess.DEVNULL, **options):
    command = [sys.executable, "-c", "from pp_lib.cli import main; main()", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, stdin=stdin, timeout=LONG_S, **options
    )


def test_the_command(server, photographs, tmp_path):
    del server.files[photo_path("a0002-dgw_005")]
    out = tmp_path / "out"
    command = ["fetch", "--n", 2, "--out", out]
    env = os.environ | {"PHOTOPILOT_FIVEK": server.base}
    run = photopilot(*command, env=env)
    assert run.returncode == 2
    for words in ("Adobe. For research only.", "Adobe and MIT. For research only."):
        assert words in run.stdout
    names = "LicenseAdobe and LicenseAdobeMIT"
    assert run.stderr.startswith(f"photopilot: these photographs are under {names}, not accepted")
    assert "--accept-licence" in run.stderr
    assert "Traceback" not in run.stderr
    run = photopilot(*command, "--accept-licence", env=env)
    assert run.returncode == 1
    assert "Bychkovsky" in run.stdout
    assert "2 asked for = 1 whole + 1 failed" in run.stdout
    assert "1 failed: not there" in run.stdout
    assert str(out / "failed.csv") in run.stdout
    run = photopilot(*command[:2], 1, *command[3:], env=env)
    assert run.returncode == 0
    assert "For research only." not in run.stdout  # once
    keyboard, terminal = os.openpty()
    os.write(keyboard, b"n\nn\n")
    run = photopilot(*command[:4], tmp_path / "other", stdin=terminal, env=env)
    assert "Do you accept LicenseAdobe? [y/N]" in run.stdout
    assert run.returncode == 2
    run = photopilot(*command, "--delete-raw", env=env)
    assert run.returncode == 2
    assert "--delete-raw goes with --prepare" in run.stderr


def test_threads_end_with_the_call(get, server):
    before = threading.active_count()
    get(2)
    server.will[photo_path("a0003 with space")] = [fivek_server.status(500)] * 9
    assert get(3).failed == 1
    assert threading.active_count() <= before + 4  # the server's own, of connections kept alive
    assert not [t for t in threading.enumerate() if "ThreadPoolExecutor" in t.name]
