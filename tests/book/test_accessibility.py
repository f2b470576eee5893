"""Every page of the built book under axe-core: WCAG 2.0 to 2.2, levels A and AA, and best practice.

The rules that axe calls experimental are left out, as axe leaves them out by itself: some of them
contradict one another (a box that scrolls must take the keyboard's focus, and may not).
"""

from pathlib import Path

import pytest
from built_book import CHAPTERS, PAGES, TELEPHONE_PX

axe_playwright_python = pytest.importorskip(
    "axe_playwright_python", reason="axe-playwright-python is absent: pip install -e '.[test]'"
)
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
EVERY_PAGE = [*PAGES, "search", "genindex"]
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa", "best-practice"]
# axe would fetch style sheets for an experimental rule, which a page opened as a file may not do.
OPTIONS = {"resultTypes": ["violations"], "preload": False}
WHOLE = {
    "runOnly": {"type": "tag", "values": TAGS},
    "rules": {"target-size": {"enabled": True}},  # WCAG 2.2's, which axe has off by default
    **OPTIONS,
}
# The theme changes colours, and the width everything but colours; the rest is one document.
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"], **OPTIONS}
LAYOUT = WHOLE | {"rules": WHOLE["rules"] | {"color-contrast": {"enabled": False}}}

# A page has up to ten thousand coloured words of code in some twenty colours, and axe looks at what
# lies behind each. One word of every colour stays coloured while it looks; the others are put into
# one piece with their neighbours, and back afterwards.
OPEN_ALL = """() => {
    document.querySelectorAll('details').forEach(d => { d.open = true; });
    // What was folded away fades in, and two frames later is a stop of the Tab key, if it scrolls.
    return new Promise(done => setTimeout(() => requestAnimationFrame(() => {
        document.getAnimations().forEach(animation => animation.finish());
        requestAnimationFrame(done);
    }), 50));
}"""
LOOK = f"""options => {{
    const look = async () => {{
        await ({OPEN_ALL})();
        const back = [], seen = new Set(), plain = [];
        for (const pre of document.querySelectorAll('pre')) {{
            back.push([pre, [...pre.childNodes].map(node => node.cloneNode(true))]);
            const behind = getComputedStyle(pre).backgroundColor;
            for (const word of pre.querySelectorAll('span:not(:has(span))')) {{
                const style = getComputedStyle(word);
                const kind = [word.className, style.color, style.backgroundColor, behind].join();
                if (seen.has(kind)) plain.push(word);
                seen.add(kind);
            }}
        }}
        plain.forEach(word => word.replaceWith(...word.childNodes));
        back.forEach(([pre]) => pre.normalize());
        const found = await axe.run(document, options);
        back.forEach(([pre, nodes]) => pre.replaceChildren(...nodes));
        return found.violations;
    }};
    window.axe_looks = look();
}}"""


def start(page, options):
    """Let axe begin to look at a page as it is now."""
    if not page.evaluate("() => Boolean(window.axe)"):
        page.evaluate(AXE)
    page.evaluate(LOOK, options)


def finish(page):
    """Return what axe found wrong, a line for each element."""
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:160]}: "
        + "; ".join(check["message"] for check in node["any"] + node["all"] + node["none"])
        for rule in page.evaluate("() => window.axe_looks")
        for node in rule["nodes"]
    ]


def violations(page, options):
    start(page, options)
    return finish(page)


LOOKS = {
    "by day": ({}, WHOLE),
    "by night": ({"scheme": "dark"}, COLOURS),
    "on a telephone": ({"width": TELEPHONE_PX}, LAYOUT),
}


@pytest.mark.parametrize("page", EVERY_PAGE, scope="session")
def test_no_violation(visit, page):
    opened = {name: visit(page, **where).page for name, (where, _) in LOOKS.items()}
    for name, (_, options) in LOOKS.items():  # each page is a process: they work at the same time
        start(opened[name], options)
    found = {name: finish(one) for name, one in opened.items()}
    assert found == dict.fromkeys(LOOKS, [])


# What opens over a page: the width, the page, the button, and what is seen then.
OPENED = {
    "search": (1280, "book/notation", ".search-button-field", "#pst-search-dialog[open]"),
    "contents": (
        *(TELEPHONE_PX, "book/notation"),
        *(".primary-toggle", "#pst-primary-sidebar-modal[open] a.current"),
    ),
    "headings": (
        *(TELEPHONE_PX, "book/notation"),
        *(".secondary-toggle", "#pst-secondary-sidebar-modal[open] nav"),
    ),
    "launch": (
        *(1280, "chapters/03_binning"),
        *(".dropdown-launch-buttons > button", ".dropdown-launch-buttons .dropdown-menu"),
    ),
    "download": (
        *(TELEPHONE_PX, "book/notation"),
        *(".dropdown-download-buttons > button", ".dropdown-download-buttons .dropdown-menu"),
    ),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("what", OPENED)
def test_no_violation_in_what_opens_over_a_page(fresh, what, scheme):
    width, page, button, opened = OPENED[what]
    page = fresh(page, scheme=scheme, width=width).page
    assert not page.locator(opened).is_visible()
    page.locator(f"{button}:visible").first.click()
    page.locator(opened).wait_for(state="visible", timeout=5_000)
    page.mouse.move(0, 0)  # a button's tooltip would lie over it
    page.locator(".tooltip").wait_for(state="detached", timeout=5_000)
    assert violations(page, WHOLE if scheme == "light" else COLOURS) == []


def test_the_contents_can_be_put_aside_on_a_wide_screen(fresh):
    page = fresh("book/notation").page
    contents = page.locator("#pst-primary-sidebar")
    for visible in (False, True):
        page.click(".primary-toggle:visible")
        contents.wait_for(state="visible" if visible else "hidden", timeout=5_000)


# --- the keyboard -----------------------------------------------------------------------------

SCROLLING = """() => [...document.querySelectorAll('.bd-article *')].filter(e =>
    e.checkVisibility() && e.scrollWidth > e.clientWidth + 1
    && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX))
    .map(e => [e.tabIndex, e.outerHTML.slice(0, 120)])"""


def test_a_box_is_a_stop_of_the_tab_key_only_while_it_scrolls(fresh):
    """Formulas, tables and code that are too wide for a telephone, folded away or not."""
    count = {}
    for page, width in [("chapters/04_tensors", TELEPHONE_PX), ("chapters/04_tensors", 1280)]:
        opened = fresh(page, width=width).page
        opened.evaluate(OPEN_ALL)
        boxes = opened.evaluate(SCROLLING)
        assert [html for index, html in boxes if index != 0] == []
        stops = opened.locator(".bd-article :is(mjx-container, div, pre)[tabindex='0']").count()
        assert stops == len(boxes)
        count[width] = stops
    assert count[TELEPHONE_PX] > count[1280]


def test_an_arrow_key_scrolls_a_formula(fresh):
    page = fresh("chapters/04_tensors", width=TELEPHONE_PX).page
    box = page.locator("mjx-container[tabindex='0']").first
    box.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.scrollLeft > 0", timeout=5_000)


# --- the test of the test ---------------------------------------------------------------------

HARM = {
    "image-alt": "document.querySelector('.bd-article').append(document.createElement('img'))",
    "color-contrast": "document.querySelector('.bd-article p').style.color = '#999'",
    "label": "document.querySelector('.bd-article').append(document.createElement('input'))",
    "region": """{
        document.body.prepend(document.createElement('p'));
        document.body.firstChild.textContent = 'Words outside of every landmark';
    }""",
    "scrollable-region-focusable": """{
        const box = document.querySelector('.bd-article').appendChild(document.createElement('p'));
        box.style = 'width: 5em; overflow-x: scroll; white-space: nowrap';
        box.textContent = 'a line that is far too long for its box';
    }""",
    "target-size": """{
        const box = document.querySelector('.bd-article').appendChild(document.createElement('p'));
        box.style = 'font-size: 8px; line-height: 8px';
        box.innerHTML = '<button style="all: unset; padding: 0">a</button>'.repeat(2);
    }""",
}


@pytest.mark.parametrize("rule", HARM)
def test_harm_is_noticed(fresh, rule):
    page = fresh("book/references").page
    page.evaluate(f"() => {{ {HARM[rule]} }}")
    found = violations(page, WHOLE)
    assert found != []
    assert {line.split()[0] for line in found} == {rule}


def test_a_colour_of_code_that_cannot_be_read_is_noticed(fresh):
    """Though only one word of each colour is looked at, and the page is as before afterwards."""
    page = fresh(CHAPTERS[0]).page
    words = page.locator("pre span").count()
    page.add_style_tag(content=".highlight .k, .highlight .kn { color: #ccc !important; }")
    found = violations(page, COLOURS)
    assert 1 <= len(found) <= 10
    assert all(line.startswith("color-contrast") for line in found)
    assert page.locator("pre span").count() == words
