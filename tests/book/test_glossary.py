"""The glossary explains its terms, and a chapter's first use of each leads to the explanation."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CHAPTERS = sorted(path.stem for path in (REPOSITORY / "chapters").glob("*.md"))
# Where a chapter's running text ends: in these a term is not linked, and need not be.
NOT_PROSE = {"h1", "h2", "h3", "h4", "h5", "h6", "a", "code", "pre", "summary", "table"}
NOT_PROSE |= {"figure", "figcaption", "svg", "script"}


@pytest.fixture(scope="session")
def explained(soup):
    """Give {id: (term, explanation)} as the page shows them."""
    terms = {}
    for name in soup("book/glossary").select("dl.glossary > dt"):
        link = name.find("a", class_="headerlink")
        term = name.get_text().removesuffix(link.get_text() if link else "").strip()
        terms[name["id"]] = term, " ".join(name.find_next_sibling("dd").get_text().split())
    return terms


# --- the page ---------------------------------------------------------------------------------


def test_there_are_enough_terms_and_no_two_are_the_same(explained):
    terms = [term.casefold() for term, _ in explained.values()]
    assert 60 <= len(terms) <= 100
    assert len(set(terms)) == len(terms)


def test_an_explanation_is_one_or_two_sentences_and_a_chapter(explained, soup):
    for term, text in explained.values():
        words, _, chapter = text.rpartition(" Chapter ")
        assert re.fullmatch(r"\d+\.", chapter), f"{term}: {text}"
        assert 1 <= len(re.findall(r"[.](?:\s|$)", words)) <= 2, f"{term}: {text}"
        assert len(words) < 220, f"{term}: {text}"


def test_the_chapter_that_is_named_speaks_of_the_term(soup):
    for name in soup("book/glossary").select("dl.glossary > dt"):
        link = name.find_next_sibling("dd").find("a", href=re.compile("chapters"))
        number = int(link.get_text().split()[1])
        page = Path(link["href"]).stem
        assert page.startswith(f"{number:02}_")
        linked = soup(f"chapters/{page}").select(f'a.pp-term[href$="#{name["id"]}"]')
        assert linked, f"{name.get_text()} is not to be found in {page}"


# --- the chapters -----------------------------------------------------------------------------


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_links_lead_to_terms_once_and_say_what_they_mean(soup, explained, chapter):
    links = soup(f"chapters/{chapter}").select("a.pp-term")
    assert links
    targets = []
    for link in links:
        page, _, name = link["href"].partition("#")
        assert page == "../book/glossary.html"
        term, text = explained[name]
        assert text.startswith(link["title"]), term
        assert link["title"].endswith(".")
        targets.append(name)
    assert len(set(targets)) == len(targets)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_links_stand_in_running_text_only(soup, chapter):
    page = soup(f"chapters/{chapter}")
    for link in page.select("a.pp-term"):
        assert link.find_parent(["p", "li"]) is not None
        inside = {parent.name for parent in link.parents}
        assert not inside & NOT_PROSE, f"{link.get_text()}: {inside & NOT_PROSE}"
        assert link.find_parent(class_=["math", "cell", "cell_output", "pp-explorer"]) is None
        sections = [section.find(re.compile("h[1-6]")) for section in link.find_parents("section")]
        assert not any(title.get_text().startswith("Sources") for title in sections)


# Terms that are no everyday words, to be looked for without the extension's own expressions.
PLAIN = ["softmax", "gradient", "aperture", "batch", "logit", "convolution", "backbone", "dropout"]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_first_use_is_the_one_that_is_linked(soup, chapter):
    article = soup(f"chapters/{chapter}").find("article")
    linked = {link.get_text().casefold(): link for link in article.select("a.pp-term")}
    for term in PLAIN:
        use = re.compile(rf"(?<![\w-]){term}(s|es)?(?![\w-])", re.IGNORECASE)
        for text in article.find_all(string=use):
            parents = list(text.parents)
            if any(p.name in NOT_PROSE and "pp-term" not in p.get("class", []) for p in parents):
                continue
            if not any(p.name == "p" for p in parents) or any(
                {"math", "cell", "cell_output"} & set(p.get("class", [])) for p in parents
            ):
                continue
            claim = text.find_parent("em")
            if claim is not None and claim.get_text().startswith("“"):
                continue
            section = text.find_parent("section").find(re.compile("h[1-6]")).get_text()
            if section.startswith("Sources") or "gradient descent" in " ".join(text.split()):
                continue
            first = use.search(text)[0].casefold()
            assert first in linked, f"{first} in: {text}"
            assert text.find_parent("a", class_="pp-term") is linked[first], f"{first} in: {text}"
            break


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_term_looks_like_the_text_around_it(visit, scheme):
    page = visit("chapters/08_softmax", scheme=scheme).page
    link = page.locator("p > a.pp-term").first
    look = "e => { const s = getComputedStyle(e); return [s.color, s.fontWeight, s.fontSize] }"
    assert link.evaluate(look) == link.locator("xpath=..").evaluate(look)
    style = link.evaluate("e => getComputedStyle(e).textDecorationStyle")
    assert style == "dotted"


# --- the extension ----------------------------------------------------------------------------


def found(extension, texts, terms, chapter=9):
    find = extension("glossary_links").Finder(terms, chapter)
    return [(text[start:end], term) for text in texts for start, end, term in find(text)]


@pytest.mark.parametrize(
    ("text", "term", "expected"),
    [
        ("Two logits and one.", "logit", ["logits"]),
        ("Logits rise.", "logit", ["Logits"]),
        ("a biologist's analogit", "logit", []),
        ("the cross-entropy of it", "entropy", []),
        ("Batches come.", "batch", ["Batches"]),
        ("a mini-batch", "batch", []),
        ("the raw meat, the RAW file", "RAW", ["RAW"]),
        ("many entropies", "entropy", ["entropies"]),
        ("the learning\nrate", "learning rate", ["learning\nrate"]),
        ("It stops by itself, and stops again.", "stop", []),
        ("by a third of a stop", "stop", ["stop"]),
        ("What bytes, fractions and stops have", "stop", ["stops"]),
        ("bias correction, then a bias", "bias", ["bias"]),
        ("adaptive pooling, max pooling", "max pooling", ["max pooling"]),
        ("said He. By He’s rule", "He initialisation", ["He’s rule"]),
    ],
)
def test_what_counts_as_a_use(extension, text, term, expected):
    assert [words for words, _ in found(extension, [text], [term])] == expected


def test_the_longest_term_wins_and_each_comes_once(extension):
    terms = ["batch", "batch normalisation", "entropy", "label entropy", "ReLU", "leaky ReLU"]
    texts = [
        "The label entropy.",
        "Label entropy, leaky ReLU, ReLUs.",
        "Any entropy, a ReLU.",
        "Batch normalisation of a batch.",
    ]
    assert found(extension, texts, terms) == [
        ("label entropy", "label entropy"),
        ("leaky ReLU", "leaky ReLU"),
        ("ReLUs", "ReLU"),
        ("entropy", "entropy"),
        ("Batch normalisation", "batch normalisation"),
        ("batch", "batch"),
    ]


def test_an_everyday_word_is_a_term_only_where_it_is_taught(extension):
    text = "with great patience"
    assert found(extension, [text], ["patience"], chapter=1) == []
    assert found(extension, [text], ["patience"], chapter=12) == [("patience", "patience")]


def test_the_glossary_is_read_with_its_first_sentences(extension):
    read = extension("glossary_links").read_glossary
    entries = "one\n  First, at 2.5. Second.\n  [C](x).\n\ntwo\n  It's two.\n"
    page = f"# G\n\n```{{glossary}}\n:sorted:\n\n{entries}```\n"
    assert read(page) == {"one": "First, at 2.5.", "two": "It’s two."}
    with pytest.raises(ValueError, match="explains no 'two'"):
        read("```{glossary}\none\n  First.\n\ntwo\n```\n")
    with pytest.raises(ValueError, match="glossary"):
        read("# Nothing\n")
