"""The page of benchmarks: what a run wrote stands there, and nothing else does."""

import importlib
import json
import re

import pytest
from built_book import REPOSITORY

RESULTS = REPOSITORY / "benchmarks" / "results.json"
ROW = {
    "script": "digits",
    "name": "an epoch",
    "claim": "against something slow",
    "ours": 2.5,
    "theirs": 25.0,
    "ratio": 10.0,
    "bound": "at least",
    "target": 12,
    "unit": "ms",
    "met": False,
}
FACTS = {
    "date": "2030-01-02",
    "machine": {"cores": 3, "cpu": "Abacus 2", "memory_gib": 7.5, "gpu": None, "load_before": 0.1},
    "versions": {"python": "3.99.1", "numpy": "9.8.7"},
    "seconds": {"digits": 1.0},
    "rows": [ROW, ROW | {"name": "alone", "theirs": None, "ratio": None, "bound": None}],
    "absent": {"gpu": "no GPU here"},
    "failed": {"adam": "it ended with status 1"},
}
FACTS["rows"][1] |= {"target": None, "met": None, "ours": 123456.7}


@pytest.fixture
def build(extension, tmp_path, monkeypatch):
    """Give a function that builds a page of the directive alone, from a file of results or none."""
    bs4 = pytest.importorskip("bs4", reason="beautifulsoup4 is absent: pip install -e '.[book]'")
    application = pytest.importorskip("sphinx.application")
    docutils = importlib.import_module("sphinx.util.docutils")
    benchmarks = extension("benchmarks")

    def built(results):
        path, source = tmp_path / "results.json", tmp_path / "source"
        if results is not None:
            path.write_text(results if isinstance(results, str) else json.dumps(results))
        monkeypatch.setattr(benchmarks, "RESULTS", path)
        source.mkdir()
        (source / "conf.py").write_text("extensions = ['benchmarks']\n")
        (source / "index.rst").write_text("Title\n=====\n\n.. benchmarks::\n")
        out = tmp_path / "html"
        with docutils.patch_docutils(), docutils.docutils_namespace():
            application.Sphinx(
                source, source, out, tmp_path / "trees", "html", status=None, warningiserror=True
            ).build()
        return bs4.BeautifulSoup((out / "index.html").read_text(), "html.parser")

    return built


def test_a_run_is_shown_as_it_was(build):
    page = build(FACTS)
    head, *rows = [
        [cell.get_text(" ", strip=True) for cell in row.select("th, td")]
        for row in page.select("table tr")
    ]
    assert head == ["Measured", "Ours", "Theirs", "Ratio", "Target", "Met"]
    assert rows == [
        ["an epoch against something slow", "2.5 ms", "25 ms", "10", "at least 12", "NO"],
        ["alone against something slow", "123,457 ms", "", "", "", ""],
    ]
    text = page.get_text(" ", strip=True)
    for words in ("2030-01-02", "3 cores", "Abacus 2", "7.5 GiB", "without a GPU", "Python 3.99.1"):
        assert words in text
    assert "busy" not in text
    assert "gpu.py gave no rows: no GPU here." in text
    assert "adam.py failed: it ended with status 1." in text


def test_a_busy_machine_is_told(extension):
    busy = FACTS | {"machine": FACTS["machine"] | {"load_before": 6.25}}
    assert "busy with other work (load 6.2)" in extension("benchmarks").machine_of(busy)


def test_without_results_the_page_says_how_to_make_them(build):
    page = build(None)
    assert "make bench" in page.get_text()
    assert not page.select("table")


@pytest.mark.parametrize(
    "results",
    ["{", "[]", "{}", json.dumps(FACTS | {"rows": [{"name": "no more"}]})],
)
def test_what_no_run_writes_is_an_error(extension, tmp_path, results):
    path = tmp_path / "results.json"
    path.write_text(results)
    with pytest.raises(ValueError, match=r"results\.json"):
        extension("benchmarks").read_results(path)


def test_the_book_shows_the_recorded_run(soup):
    page = soup("book/benchmarks")
    if not RESULTS.is_file():
        assert "make bench" in page.select_one("article pre").get_text()
        return
    rows = json.loads(RESULTS.read_text())["rows"]
    shown = [row.select("td") for row in page.select("article tbody tr")]
    assert len(shown) == len(rows)
    for cells, row in zip(shown, rows, strict=True):
        name = row["name"].replace("'", "\N{RIGHT SINGLE QUOTATION MARK}")  # as print has it
        assert name in cells[0].get_text(" ")
        for cell, key in ((cells[1], "ours"), (cells[2], "theirs"), (cells[3], "ratio")):
            number = re.sub(r"[^\d.e+-].*$", "", cell.get_text().strip().replace(",", ""))
            if row[key] is None:
                assert number == ""
            else:
                assert float(number) == pytest.approx(row[key], rel=0.05)
        assert cells[5].get_text().strip() == {True: "yes", False: "NO", None: ""}[row["met"]]
