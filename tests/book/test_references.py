"""Every source that a chapter names has an entry that says the same, and links lead both ways."""

import io
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CHAPTERS = sorted((REPOSITORY / "chapters").glob("*.md"))
PAGES = [*CHAPTERS, *(REPOSITORY / "book" / f"{n}.md" for n in ("index", "notation", "errata"))]
BIB = (REPOSITORY / "book" / "references.bib").read_text(encoding="utf-8")
# Read with expressions of our own: a second look at what pybtex reads when the book is built.
ENTRIES = {
    key: dict(re.findall(r"^  (\w+) = \{(.*)\},?$", body, flags=re.MULTILINE))
    for key, body in re.findall(r"^@\w+\{(\w+),\n(.*?)^\}", BIB, flags=re.MULTILINE | re.DOTALL)
}
LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./book/)?references\.md)#(\w+)\)")


def plain(text):
    """Leave letters and digits, in small: no braces, no markup, no line breaks."""
    return re.sub(r"[^\w]+", " ", text.replace("{", "").replace("}", "")).strip().casefold()


def sources(path):
    """Give the items of a chapter's list of sources, each as one line."""
    text = path.read_text(encoding="utf-8").partition("\n## Sources\n")[2]
    return [" ".join(item.split()) for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:]]


# --- in the text ------------------------------------------------------------------------------


def test_there_are_as_many_entries_as_at_signs():
    assert len(ENTRIES) == BIB.count("\n@") >= 80


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_every_item_of_a_list_of_sources_is_one_link_to_its_entry(path):
    items = sources(path)
    assert items, f"{path.name} needs a list under ## Sources"
    for item in items:
        links = LINK.findall(item)
        assert len(links) == 1, item
        assert links[0][2] in ENTRIES, item


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda p: p.stem)
def test_an_entry_says_what_the_chapter_says(path):
    for item in sources(path):
        text, _, key = LINK.search(item).groups()
        entry = ENTRIES[key]
        assert plain(entry["title"]).startswith(plain(text.strip("*"))), item
        names = re.findall(r"[^\W\d_]{3,}", entry["author"].replace(" and ", " "))
        if not entry["author"].startswith("{"):  # a person, not an office that has initials
            for name in names:
                assert name in item, f"{key}: {name} is not in {item}"
        rest = re.sub(r"arXiv[: ]\S+", "", LINK.sub("", item))
        years = set(re.findall(r"\b(?:1[89]|20)\d\d\b", rest))
        assert years <= {entry.get("year")}, item
        assert ("year" in entry) == bool(years), item


def test_every_link_has_an_entry_and_every_entry_a_link():
    used = {key for path in PAGES for *_, key in LINK.findall(path.read_text(encoding="utf-8"))}
    assert used == set(ENTRIES)


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_a_citation_is_a_link_that_github_can_follow(path):
    text = path.read_text(encoding="utf-8")
    assert "{cite" not in text
    for _, address, _ in LINK.findall(text):
        assert (path.parent / address).is_file()


# --- on the pages -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.stem)
def test_a_citation_leads_to_its_entry_and_says_what_it_is(soup, path):
    page = path.relative_to(REPOSITORY).with_suffix("").as_posix()
    entries = soup("book/references")
    asked = [key for *_, key in LINK.findall(path.read_text(encoding="utf-8"))]
    links = soup(page).select("a.citation")
    assert [link["href"].partition("#")[2] for link in links] == asked
    for link, key in zip(links, asked, strict=True):
        assert link["href"].partition("#")[0].endswith("references.html")
        entry = entries.find(id=key)
        assert plain(ENTRIES[key]["title"]) in plain(entry.get_text())
        assert plain(ENTRIES[key]["title"]) in plain(link["title"])
        assert entry.select(f'a[href$="{page.rpartition("/")[2]}.html#cite-{key}"]')


def test_the_way_back_leads_to_a_citation(soup):
    items = soup("book/references").select("li:has(a[href*='#cite-'])")
    assert {item["id"] for item in items} == set(ENTRIES)
    for back in soup("book/references").select("a[href*='#cite-']"):
        page, _, name = back["href"].partition("#")
        folder = "chapters" if page.startswith("../chapters/") else "book"
        link = soup(f"{folder}/{Path(page).stem}").find(id=name)
        assert link is not None, back["href"]
        assert "citation" in link["class"]


def test_entries_stand_in_the_order_of_their_first_authors(soup):
    items = soup("book/references").select("li:has(a[href*='#cite-'])")
    firsts = [ENTRIES[item["id"]]["author"].split(" and ")[0] for item in items]
    office = [first.startswith("{") for first in firsts]
    last = [f.strip("{}") if o else f.split()[-1] for f, o in zip(firsts, office, strict=True)]
    assert [name.casefold() for name in last] == sorted(name.casefold() for name in last)


# --- the extension ----------------------------------------------------------------------------


@pytest.fixture
def build(tmp_path, extension):
    """Build a book of two pages and return its warnings."""
    pytest.importorskip("sphinxcontrib.bibtex", reason="pip install -e '.[book]' for the book")
    extension("citations")
    from sphinx.application import Sphinx  # absent where the book's tools are
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    def run(text, bib):
        source = tmp_path / "source"
        (source / "book").mkdir(parents=True)
        (source / "chapters").mkdir()
        (source / "book" / "references.bib").write_text(bib)
        (source / "book" / "references.md").write_text(
            "# References\n\n```{bibliography}\n:list: bullet\n```\n"
        )
        (source / "chapters" / "01_one.md").write_text(f"# One\n\n{text}\n")
        (source / "index.md").write_text(
            "# Index\n\n```{toctree}\nchapters/01_one\nbook/references\n```\n"
        )
        warnings = io.StringIO()
        settings = {
            "extensions": ["myst_parser", "sphinxcontrib.bibtex", "citations"],
            "bibtex_bibfiles": ["book/references.bib"],
            "bibtex_default_style": "book",
            "bibtex_cite_id": "{key}",
        }
        folders = [str(tmp_path / name) for name in ("out", "trees")]
        with patch_docutils(), docutils_namespace():  # else its directives stay for other tests
            app = Sphinx(
                str(source), None, *folders, "html", settings, io.StringIO(), warnings, parallel=1
            )
            app.build()
        return warnings.getvalue(), (tmp_path / "out" / "book" / "references.html").read_text()

    return run


KNOWN = "@article{known1999,\n author={A. {van One} and B. Two}, title={{ReLU} Things},"
KNOWN += " journal={Letters}, volume={7}, year={1999}\n}\n"


def test_a_known_key_makes_no_complaint(build):
    warnings, page = build("See [One](../book/references.md#known1999).", KNOWN)
    assert warnings == ""
    text = " ".join(re.sub(r"<[^>]+>", "", page).split())
    assert "A. van One and B. Two. ReLU Things. Letters 7, 1999. Cited in chapter 1." in text


def test_an_unknown_key_is_a_warning(build):
    warnings, _ = build(
        "[One](../book/references.md#known1999), [x](../book/references.md#nobody2000).", KNOWN
    )
    assert "references.bib has no entry 'nobody2000'" in warnings


def test_an_entry_that_nothing_cites_is_a_warning(build):
    lonely = KNOWN.replace("known1999", "lonely1999")
    warnings, _ = build("See [One](../book/references.md#known1999).", KNOWN + lonely)
    assert "nothing cites the entry 'lonely1999'" in warnings
