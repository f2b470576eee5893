"""What a reader gets on paper: white, whole, with the solutions, and nothing to click."""

import pytest
from built_book import CHAPTERS, PAGES

# A4 without the margins that photopilot.css sets, at CSS's 96 px to the inch.
PAPER_PX = {"width": 680, "height": 995}
LIGHTNESS_OF_PAPER, CONTRAST = 0.8, 4.5  # WCAG 2.1, 1.4.3

LOOK = """() => {
    const rgb = c => (c.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
    const light = c => c.slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
    const behind = e => {
        for (; e; e = e.parentElement) {
            const c = rgb(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] > 0.99) return c;
        }
        return [255, 255, 255];
    };
    const article = document.querySelector('.bd-article');
    const seen = e => e.checkVisibility({contentVisibilityAuto: true});
    const all = [...article.querySelectorAll('*')].filter(seen);
    const words = all.filter(e => e.matches(
        'p, li, td, h2, h3, summary, figcaption, pre, pre span, code, svg[role=img]'));
    return {
        paper: light(behind(article)),
        contrast: Math.min(...words.map(e => {
            const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        })),
        cut: all.filter(e => e.getBoundingClientRect().right > innerWidth + 1
            && !e.closest('svg, mjx-assistive-mml')).map(e => e.outerHTML.slice(0, 120)),
        folded: [...article.querySelectorAll('details')].filter(
            d => [...d.children].some(e => !e.matches('summary') && !seen(e))).length,
        solutions: article.querySelectorAll('details').length,
        clickable: [...document.querySelectorAll('button, nav a, input, .prev-next-area')]
            .filter(e => seen(e) && !e.closest('#jb-print-toc'))
            .map(e => e.outerHTML.slice(0, 120)),
    };
}"""


@pytest.fixture
def on_paper(fresh):
    def open_(page, scheme="light"):
        opened = fresh(page, scheme=scheme).page
        opened.set_viewport_size(PAPER_PX)
        screen = opened.evaluate(LOOK)
        opened.emulate_media(media="print", color_scheme=scheme)
        return screen, opened.evaluate(LOOK)

    return open_


@pytest.mark.parametrize("page", PAGES)
def test_a_page_on_paper(on_paper, page):
    screen, paper = on_paper(page)
    assert paper["cut"] == []
    assert paper["clickable"] == []
    assert paper["contrast"] >= CONTRAST
    # What waits folded on the screen cannot be unfolded on paper.
    assert screen["folded"] == screen["solutions"] == paper["solutions"]
    assert paper["folded"] == 0


@pytest.mark.parametrize("page", [PAGES[0], CHAPTERS[1], CHAPTERS[-1], "book/references"])
def test_a_dark_screen_prints_on_white_paper(on_paper, page):
    screen, paper = on_paper(page, scheme="dark")
    assert screen["paper"] < 0.05
    assert paper["paper"] > LIGHTNESS_OF_PAPER
    assert paper["contrast"] >= CONTRAST


def test_addresses_of_others_are_written_out(fresh):
    page = fresh("book/references").page
    after = "e => getComputedStyle(e, '::after').content"
    link = page.locator("article a.external").first
    assert link.evaluate(after) == "none"
    page.emulate_media(media="print")
    assert link.get_attribute("href") in link.evaluate(after)
    inside = page.locator("article a.internal").first
    assert inside.evaluate(after) == "none"


def test_a_chapter_becomes_a_pdf_of_a_sensible_length(fresh):
    """Chromium lays out the pages, and so meets every rule on breaking them."""
    pdf = fresh(CHAPTERS[2]).page.pdf(format="A4")
    pages = pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ")
    assert 10 <= pages <= 60
