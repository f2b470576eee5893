"""The lists of FiveK and the headers of HTTP, both written by others: read, or refused in words."""

import ntpath
import os
import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pp_lib.photos.fivek.courtesy import Patience, content_range, http_date, retry_after_s
from pp_lib.photos.fivek.lists import (
    BASE,
    Entry,
    base_address,
    choose,
    merge,
    parse_names,
    photo_address,
)
from pp_lib.photos.fivek.part import Version

NAMES = ["a0001-jmac_DSC1459", "a0002-dgw_005", "a0005-jn_2007_05_10__564", "a0006 with space"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
@pytest.mark.parametrize("finish", [True, False])
def test_a_list_is_one_name_a_line(end, begin, finish):
    content = begin + end.join(NAMES) + end * finish
    assert parse_names(content.encode()) == (NAMES, [])


@pytest.mark.parametrize(
    "hostile",
    [
        "../outside", "..", ".", "a/../../b", "/etc/passwd", "..\\outside", "C:\\x", "c:x",
        ".hidden", "a\x00b", "a\x1b[2Jb", "nul", "COM1", "nul .x", "a.", "-rf", "~root", "a?b",
        "a*b", "x" * 201, "\x85a",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_refused_in_words(hostile):
    names, refused = parse_names(f"a0001-good\n{hostile}\na0002-good\n".encode())
    assert names == ["a0001-good", "a0002-good"]
    assert len(refused) == 1
    assert refused[0].startswith("line 2, ")


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@example(b"\xff\n../x\nCON\n")
@example("a\u2028../b\n".encode())
def test_no_list_leads_out_of_the_folder(content):
    folder = Path("/photographs/of mine")
    names, refused = parse_names(content)
    for name in names:
        file = f"{name}.dng"
        assert Path(os.path.normpath(folder / file)).parent == folder
        assert ntpath.basename(file) == file  # Windows: no separator, no drive
        assert not PureWindowsPath(file).is_reserved()
        assert len(os.fsencode(file)) < 255
        assert re.fullmatch(r"[\x21-\x7e]+", photo_address(BASE, name))
        assert photo_address(BASE, name).startswith(f"{BASE}/img/dng/")
        assert photo_address(BASE, name).count("/") == BASE.count("/") + 3
    assert len({name.casefold() for name in names}) == len(names)
    # every line is a name, a refusal, or blank: by a count that looks at nothing else
    lines = content.removeprefix(b"\xef\xbb\xbf").splitlines()
    blank = sum(line.strip(b" \t") in {b""} for line in lines)
    bare = sum(line.strip(b" \t").lower() == b".dng" for line in lines)
    assert len(names) + len(refused) + blank + bare == len(lines)


def test_a_name_twice_or_under_two_licences_is_told():
    assert parse_names(b"a1\nA1\n") == (["a1"], ["line 2, 'A1': it is there twice"])
    entries, refused = merge({"one": ["b", "a"], "two": ["c", "B"]})
    assert entries == [Entry("a", "one"), Entry("c", "two")]
    assert refused == ["'b': in the lists of two licences"]


def test_the_first_are_the_collections_first_and_a_sample_grows():
    entries, _ = merge({"one": ["a3", "a1"], "two": ["a2", *(f"b{i}" for i in range(200))]})
    assert [entry.name for entry in choose(entries, 3)] == ["a1", "a2", "a3"]
    small, large = choose(entries, 20, seed=7), choose(entries, 50, seed=7)
    assert small == choose(entries[::-1], 20, seed=7)  # whatever the order of the lists
    assert set(small) < set(large)
    assert small == sorted(small)
    assert small != choose(entries, 20, seed=8)
    assert small != choose(entries, 20)
    for n in (0, -1, 204):
        with pytest.raises(ValueError, match=f"n must be 1 to 203.*got {n}"):
            choose(entries, n)


def test_every_photograph_is_drawn_equally_often():
    entries = [Entry(f"a{i}", "one") for i in range(10)]
    drawn = [entry for seed in range(400) for entry in choose(entries, 3, seed)]
    # 400 samples of 3 from 10: 120 each, standard deviation sqrt(400 * 0.3 * 0.7) = 9.2
    assert all(abs(drawn.count(entry) - 120) < 5 * 9.2 for entry in entries)


def test_the_address_comes_from_the_caller_the_environment_or_mit(monkeypatch):
    monkeypatch.delenv("PHOTOPILOT_FIVEK", raising=False)
    assert base_address() == "https://data.csail.mit.edu/graphics/fivek"
    monkeypatch.setenv("PHOTOPILOT_FIVEK", "http://mirror/fivek/")
    assert base_address() == "http://mirror/fivek"
    assert base_address("http://nearer") == "http://nearer"
    for wrong in ("mirror/fivek", "ftp://mirror", "http://", "http://x:port", "file:///etc"):
        with pytest.raises(ValueError, match="base must be an address"):
            base_address(wrong)


whole_numbers = st.integers(0, 10**17)


@given(first=whole_numbers, n=st.integers(1, 10**9), rest=st.integers(0, 10**9))
def test_content_range_says_which_bytes(first, n, rest):
    last, length = first + n - 1, first + n + rest
    assert content_range(f"bytes {first}-{last}/{length}") == (first, last, length)
    assert content_range(f"Bytes {first}-{last}/*") == (first, last, None)
    assert content_range(f"bytes */{length}") == (None, None, length)
    assert content_range(f"bytes {first}-{last}/{last}") is None  # the last byte is length - 1
    assert content_range(f"bytes {last + 1}-{first}/{length}") is None


@given(st.text(max_size=40) | st.from_regex(r"bytes [0-9*]*-?[0-9*]*/[0-9*]*", fullmatch=True))
@example("bytes */*")
@example("bytes \u0661-\u0662/\u0663")
@example("bytes " + "9" * 5000 + "-1/2")
def test_any_content_range_is_read_or_refused(text):
    span = content_range(text)
    if span is not None:
        first, last, length = span
        assert (first is None) == (last is None)
        assert first is not None or length is not None
        assert first is None or (0 <= first <= last and (length is None or last < length))


@given(st.integers(0, 10**6), st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1)))
def test_retry_after_is_seconds_or_a_date(seconds, now):
    now = now.replace(microsecond=0, tzinfo=UTC)
    assert retry_after_s(str(seconds), now) == seconds
    then = format_datetime(now + timedelta(seconds=seconds), usegmt=True)
    assert retry_after_s(then, now) == seconds
    assert retry_after_s(format_datetime(now - timedelta(seconds=5), usegmt=True), now) == 0
    assert http_date(then) == now + timedelta(seconds=seconds)


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ [\d:]+ ?.*"))
@example("-1")
@example("9" * 5000)
@example("\u0661")
@example("Sun, 99 Xxx 99999 99:99:99 GMT")
def test_any_retry_after_is_read_or_refused(text):
    seconds = retry_after_s(text, datetime(2026, 1, 1, tzinfo=UTC))
    assert seconds is None or seconds >= 0


def test_pauses_double_to_a_limit_and_half_of_each_is_random():
    patience = Patience(first_pause_s=2, longest_pause_s=30)
    for n_failures, longest in [(1, 2), (2, 4), (3, 8), (5, 30), (5000, 30)]:
        pauses = [patience.pause_s(n_failures) for _ in range(200)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest
        assert max(pauses) - min(pauses) > longest / 4


def test_if_range_takes_a_strong_tag_or_a_date():
    assert Version("x", '"tag"', "Sun").validator == '"tag"'
    assert Version("x", 'W/"tag"', "Sun").validator == "Sun"
    assert Version("x", 'W/"tag"').validator == ""


def test_a_partial_answer_must_go_on_where_we_stopped():
    version = Version("x", '"1"', "", 100)
    fits = {"content-range": "bytes 40-99/100", "etag": '"1"'}
    assert version.continued(fits, 40) == version
    assert Version("x", '"1"').continued(fits, 40).length == 100
    for other in (
        {"content-range": "bytes 41-99/100"},
        {"content-range": "bytes 40-99/101"},
        {"content-range": "bytes */100"},
        {"content-range": "40-99"},
        {"etag": '"2"'},
    ):
        assert version.continued(fits | other, 40) is None
    assert version.continued({}, 40) is None
