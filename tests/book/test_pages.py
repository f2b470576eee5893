"""The built book in a real browser, from file://, with every request to another host refused."""

import json
import posixpath
import re
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from built_book import CHAPTERS, PAGES, REPOSITORY, TELEPHONE_PX, title_of

# WCAG 2.1, success criterion 1.4.3: text needs a contrast of 4.5:1.
READABLE = 4.5


# --- in the browser ---------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, "index", "search", "genindex"], scope="session")
def test_a_page_opens_offline_without_a_complaint(visit, page):
    opened = visit(page)
    assert opened.wrong == []


@pytest.mark.parametrize("page", PAGES, scope="session")
def test_mathematics_is_typeset_with_the_vendored_fonts(visit, page):
    opened = visit(page)
    state = opened.page.evaluate(
        """() => ({
            formulas: document.querySelectorAll('.math').length,
            bare: [...document.querySelectorAll('.math')]
                .filter(e => !e.querySelector('mjx-container')).map(e => e.textContent),
            errors: [...document.querySelectorAll('mjx-merror, [data-mjx-error]')]
                .map(e => e.dataset.mjxError || e.textContent),
            fonts: [...document.fonts]
                .filter(f => f.family.includes('MJX') && f.status === 'loaded').length,
        })"""
    )
    assert state["bare"] == []
    assert state["errors"] == []
    assert (state["fonts"] > 0) == (state["formulas"] > 0)
    # A formula that was not recognised stays behind as text between dollars.
    prose = opened.page.locator(".bd-article :is(p, li, td)").all_inner_texts()
    assert not re.search(r"\$\\|\\tag\{", "\n".join(prose))


@pytest.mark.parametrize("page", PAGES, scope="session")
def test_every_picture_says_what_it_shows(visit, page):
    silent = visit(page).page.evaluate(
        """() => [
            ...[...document.querySelectorAll('img')].filter(e => !(e.alt || '').trim()),
            // The copy buttons' icons are named by their buttons.
            ...[...document.querySelectorAll('svg:not([aria-hidden=true], button svg)')].filter(
                // A diagram made of links is a group, for what is in an img cannot be reached.
                e => e.getAttribute('role') !== (e.querySelector('a') ? 'group' : 'img') ||
                    !(e.getAttribute('aria-label') ||
                    (e.getAttribute('aria-labelledby') || '').split(' ')
                        .map(id => document.getElementById(id)?.textContent || '')
                        .join('')).trim()),
        ].map(e => e.outerHTML.slice(0, 200))"""
    )
    assert silent == []


@pytest.mark.parametrize("page", PAGES, scope="session")
def test_ids_in_the_article_are_the_pages_only_ones_and_references_resolve(visit, page):
    state = visit(page).page.evaluate(
        """() => {
            const count = {}, lost = [];
            for (const e of document.querySelectorAll('.bd-article [id]'))
                count[e.id] = (count[e.id] || 0) + 1;
            for (const e of document.querySelectorAll('.bd-article svg *'))
                for (const a of e.attributes) {
                    const m = a.value.match(/url\\(#([^)]+)\\)/) ||
                        (a.name === 'href' && a.value.match(/^#(.+)/));
                    if (m && !document.getElementById(m[1])) lost.push(m[1]);
                }
            return {twice: Object.keys(count).filter(k => count[k] > 1), lost};
        }"""
    )
    assert state == {"twice": [], "lost": []}


@pytest.mark.parametrize("page", [*PAGES, "search"], scope="session")
def test_nothing_is_wider_than_a_telephone(visit, page):
    opened = visit(page, width=TELEPHONE_PX).page
    # An open solution must fit as well as a closed one.
    opened.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert opened.evaluate("() => document.documentElement.scrollWidth") <= TELEPHONE_PX
    sticking_out = opened.evaluate(
        """width => [...document.querySelectorAll('.bd-article *')].filter(e => {
            if (e.getBoundingClientRect().right <= width + 1) return false;
            for (let p = e.parentElement; p; p = p.parentElement)
                if (['auto', 'scroll', 'hidden', 'clip'].includes(getComputedStyle(p).overflowX)
                    && p.getBoundingClientRect().right <= width + 1) return false;
            return e.checkVisibility();
        }).map(e => e.outerHTML.slice(0, 120))""",
        TELEPHONE_PX,
    )
    assert sticking_out == []


def figures_stored(page):
    """Count the SVG outputs in the notebook that a page was built from."""
    path = REPOSITORY / f"{page}.ipynb"
    if not path.is_file():
        return 0
    cells = json.loads(path.read_text())["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return sum("image/svg+xml" in output.get("data", {}) for output in outputs)


INK = """() => {
    const rgb = c => c.match(/[\\d.]+/g).map(Number);
    const behind = e => {
        for (; e; e = e.parentElement) {
            const c = rgb(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] > 0.99) return c;
        }
        return [255, 255, 255];
    };
    const of = e => [rgb(getComputedStyle(e).color), behind(e)];
    return {
        page: behind(document.querySelector('.bd-article')),
        ink: [...document.querySelectorAll('.bd-article figure svg[role=img]')].map(of),
        text: [...document.querySelectorAll('.bd-article :is(p, figcaption, summary, h1, h2)')]
            .filter(e => e.checkVisibility()).map(of),
        figures: document.querySelectorAll('.bd-article svg.pp-figure').length,
    };
}"""


def luminance(rgb):
    """WCAG 2.1 relative luminance."""
    linear = [c / 3294.6 if c <= 10.03 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(pair):
    low, high = sorted(map(luminance, pair))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("page", PAGES, scope="session")
def test_text_and_figures_can_be_read_in_light_and_dark(visit, page):
    opened = {scheme: visit(page, scheme=scheme) for scheme in ("light", "dark")}
    seen = {scheme: one.page.evaluate(INK) for scheme, one in opened.items()}
    assert opened["dark"].wrong == []
    assert luminance(seen["light"]["page"]) > 0.8
    assert luminance(seen["dark"]["page"]) < 0.05
    for scheme, state in seen.items():
        for pair in state["ink"] + state["text"]:
            assert contrast(pair) >= READABLE, (scheme, pair)
        # Every figure is in the page itself, where it can follow the theme.
        assert state["figures"] == figures_stored(page)
        assert len(state["ink"]) >= state["figures"]


def test_the_theme_button_changes_a_figures_ink(fresh):
    page = next(page for page in PAGES if page.startswith("chapters/"))
    opened = fresh(page).page
    ink = "getComputedStyle(document.querySelector('svg.pp-figure')).color"
    if not opened.query_selector("svg.pp-figure"):
        pytest.skip(f"{page} has no figure")
    before = opened.evaluate(f"() => {ink}")
    for _ in range(3):  # auto, light, dark in some order
        opened.click(".theme-switch-button:visible")
        if opened.evaluate("() => document.documentElement.dataset.theme") == "dark":
            break
    # a colour may fade into the next, which takes a moment
    opened.wait_for_function(f"before => {ink} !== before", arg=before, timeout=10_000)


def test_search_finds_words_offline(fresh):
    opened = fresh("search")
    field = opened.page.locator("input[name=q]:visible").first
    field.fill("aperture")
    field.press("Enter")
    opened.page.wait_for_selector("#search-results li a", timeout=10_000)
    opened.page.wait_for_load_state("load")
    assert "q=aperture" in opened.page.url
    assert opened.wrong == []


# --- in the files -----------------------------------------------------------------------------


def test_each_page_leads_to_the_one_before_and_the_one_after(soup):
    """At its foot, by their titles."""
    titles = {page: title_of(soup(page)) for page in PAGES}
    for before, page, after in zip([None, *PAGES], PAGES, [*PAGES[1:], None], strict=False):
        for way, other in (("left-prev", before), ("right-next", after)):
            found = soup(page).select(f".prev-next-footer a.{way}")
            assert len(found) == (other is not None), (page, way)
            if other is not None:
                (link,) = found
                target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link["href"]))
                assert target == f"{other}.html"
                said = link.select_one(".prev-next-title").get_text()
                assert " ".join(said.split()) == titles[other]


@pytest.mark.parametrize("page", CHAPTERS)
def test_each_chapter_can_be_launched_in_colab_and_downloaded(soup, html, page):
    config = yaml.safe_load((REPOSITORY / "book" / "_config.yml").read_text())
    repository = config["repository"]["url"].removeprefix("https://github.com/")
    (launch,) = soup(page).select(".dropdown-launch-buttons a")
    place = f"{repository}/blob/{config['repository']['branch']}/{page}.ipynb"
    assert launch["href"] == f"{config['launch_buttons']['colab_url']}/github/{place}"
    source = soup(page).select_one("a.btn-download-source-button")["href"]
    assert ((html / f"{page}.html").parent / source).is_file()


class Links(HTMLParser):
    """Collect a page's links, ids and inline pictures."""

    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.add(attrs["id"])
        self.links += [attrs[k] for k in ("href", "src") if attrs.get(k) and tag != "use"]


@pytest.fixture(scope="session")
def parsed(html):
    folders = [html, html / "book", html / "chapters"]
    return {p: Links(p.read_text()) for folder in folders for p in folder.glob("*.html")}


def test_only_what_the_contents_name_is_built(html, parsed):
    built = {p.relative_to(html).with_suffix("").as_posix() for p in parsed}
    assert built == {*PAGES, "index", "search", "genindex"}


def test_every_link_inside_the_book_leads_somewhere(parsed):
    for path, page in parsed.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link.startswith("//"):
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.exists(), f"{path.name}: {link}"
            if parts.fragment and target in parsed:
                ids = parsed[target].ids
                assert unquote(parts.fragment) in ids, f"{path.name}: {link}"


def test_links_to_other_hosts_are_the_repositorys_or_colabs_or_cited(parsed):
    """The public address is one setting; nothing else on a page may repeat it by hand."""
    config = yaml.safe_load((REPOSITORY / "book" / "_config.yml").read_text())
    address = config["repository"]["url"]
    for path, page in parsed.items():
        for link in page.links:
            if "github.com" in link and "photopilot" in link.lower():
                colab = address.replace("https://github.com", "/github")
                assert link.startswith(address) or colab in link, f"{path.name}: {link}"
