"""How long a chapter takes: words counted by hand, stored seconds, and what the pages say."""

import json
import re

import pytest
from built_book import CHAPTERS, REPOSITORY

docutils_core = pytest.importorskip(
    "docutils.core", reason="the book's tools are absent: pip install -e '.[book]'"
)

PAGE = """\
A title of five words
=====================

Three words here. :math:`x + y`

- one
- and two

::

    code = is_not(counted)

.. math:: E = m c^2

.. raw:: html

   <p>nor is this</p>

.. a comment, either

==== ====
head row
==== ====
"""


@pytest.fixture(scope="module")
def times(extension):
    return extension("times")


def notebook(folder, **photopilot):
    path = folder / "one.ipynb"
    path.write_text(json.dumps({"cells": [], "metadata": {"photopilot": photopilot}}))
    return path


def test_words_of_a_page_counted_by_hand(times):
    document = docutils_core.publish_doctree(PAGE)
    # title 5, sentence 3, inline formula 3, list 3, table 2
    assert times.words(document) == 16


def test_code_cells_and_their_outputs_are_not_read(times):
    nodes = pytest.importorskip("docutils.nodes")
    cell = nodes.container("", nodes.paragraph("", "an output in words"), nb_element="cell_code")
    assert times.words(nodes.container("", cell, nodes.paragraph("", "two words"))) == 2


def test_what_a_notebook_stores_is_read(times, tmp_path):
    stored = times.measured(notebook(tmp_path, execution_s=12, cores=2, stamp="x"))
    assert (stored.seconds, stored.cores) == (12, 2)


def test_what_was_not_measured_is_not_claimed(times, tmp_path):
    assert times.measured(notebook(tmp_path, stamp="x")) is None
    assert times.Times(words=2_000, run=None).sentence == "About 10 minutes to read."


@pytest.mark.parametrize(
    "stored",
    [{"execution_s": "12", "cores": 2}, {"execution_s": -1, "cores": 2}, {"execution_s": 3}]
    + [{"execution_s": 3.5, "cores": 2}, {"execution_s": 3, "cores": 0}],
)
def test_what_is_no_time_is_an_error(times, tmp_path, stored):
    with pytest.raises(ValueError, match="whole numbers"):
        times.measured(notebook(tmp_path, **stored))


@pytest.mark.parametrize(
    ("words", "seconds", "cores", "said"),
    [
        (4_000, 12, 2, "About 20 minutes to read. The code runs in 12 s on two cores."),
        (40, 0, 1, "About 1 minute to read. The code runs in less than a second on one core."),
        (250, 3, 16, "About 1 minute to read. The code runs in 3 s on 16 cores."),
        (301, 3, 2, "About 2 minutes to read. The code runs in 3 s on two cores."),
    ],
)
def test_the_sentence(times, words, seconds, cores, said):
    assert times.Times(words, times.Run(seconds, cores)).sentence == said


@pytest.mark.parametrize("page", CHAPTERS)
def test_each_chapter_says_it_once_under_its_title(soup, page):
    (line,) = soup(page).select(".pp-times")
    assert line.find_previous_sibling().name == "h1"
    assert re.match(r"Chapter \d+\. About \d+ minutes to read\.", line.get_text())
    metadata = json.loads((REPOSITORY / f"{page}.ipynb").read_text())["metadata"]["photopilot"]
    assert ("The code runs in" in line.get_text()) == ("execution_s" in metadata)


def test_a_chapters_minutes_are_those_of_the_words_on_its_page(soup):
    """An independent count: the paragraphs, lists, headings and tables of the built page."""
    for page in CHAPTERS:
        article = soup(page).select_one("article")
        prose = [
            tag.get_text()
            for tag in article.select("p, li > p, h1, h2, h3, td, th")
            if not tag.select_one("p") and not tag.find_parents(class_="cell")
        ]
        words = sum(len(text.split()) for text in prose)
        said = int(re.search(r"About (\d+)", article.select_one(".pp-times").get_text())[1])
        # Links' marks, formulas in sentences and the line itself make a difference of some words.
        assert said == pytest.approx(words / 200, abs=2), page


def test_the_table_lists_every_chapter_and_adds_up(soup):
    rows = [
        [cell.get_text().strip() for cell in row.select("td")]
        for row in soup("book/execution_times").select("tbody tr")
    ]
    *chapters, total = rows
    assert len(chapters) == len(CHAPTERS)
    for number, (page, (title, reading, running)) in enumerate(
        zip(CHAPTERS, chapters, strict=True)
    ):
        assert title.startswith(f"{number + 1}. ")
        line = soup(page).select_one(".pp-times").get_text()
        assert f"About {reading.removesuffix(' min')} minutes" in line
        assert running == "not measured" or f"runs in {running}." in line
    assert total[1] == f"{sum(int(row[1].split()[0]) for row in chapters)} min"
    measured = [int(row[2].split()[0]) for row in chapters if row[2] != "not measured"]
    assert total[2].replace(",", "").split()[0] == (str(sum(measured)) if measured else "not")
    links = soup("book/execution_times").select("tbody a")
    assert [link["href"] for link in links] == [f"../{page}.html" for page in CHAPTERS]
