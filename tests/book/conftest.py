"""What the tests of the built book share: the pages, the browser, and the book's own extensions."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

# pytest's importlib mode adds no folder to the path, and these tests share a module.
sys.path.insert(0, str(Path(__file__).parent))
from built_book import CHROMIUM_ARGUMENTS, HTML, REPOSITORY, Visit, sources  # noqa: E402

OPEN_PAGES = 6


@pytest.fixture(scope="session")
def html():
    """Give the folder of the built pages; build them where they are missing or stale."""
    command = Path(sys.executable).with_name("jupyter-book")
    if not command.is_file():
        pytest.skip("jupyter-book is absent: pip install -e '.[book]'")
    index = HTML / "index.html"
    if not index.is_file() or any(p.stat().st_mtime > index.stat().st_mtime for p in sources()):
        done = subprocess.run(
            [command, "build", ".", "--config", "book/_config.yml", "--toc", "book/_toc.yml"]
            + ["--path-output", "book", "-W", "-n", "-q"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        index.touch()
    return HTML


@pytest.fixture(scope="session")
def browser():
    """Give a running Chromium."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is absent: pip install -e '.[test]'"
    )
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if not chromium:
        pytest.skip("no browser: apt-get install chromium, or set CHROMIUM to one's path")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def fresh(html, browser):
    """Open a page for one test alone, which may click about in it."""
    visits = []

    def open_(page, **kwargs):
        visits.append(Visit(browser, f"file://{html}/{page}.html", **kwargs))
        return visits[-1]

    yield open_
    for one in visits:
        one.close()


@pytest.fixture(scope="session")
def visit(html, browser):
    """Open a page once for all tests that only look at it.

    Such tests take their page as a parameter of the session's scope, so that pytest runs all tests
    of one page after another; a page long unused is closed, for each takes some 200 MB.
    """
    visits = {}

    def open_(page, *, scheme="light", width=1280):
        key = (page, scheme, width)
        if key in visits:
            visits[key] = visits.pop(key)  # the last in line to be closed
        else:
            visits[key] = Visit(browser, f"file://{html}/{page}.html", scheme=scheme, width=width)
            if len(visits) > OPEN_PAGES:
                visits.pop(next(iter(visits))).close()
        return visits[key]

    yield open_
    for one in visits.values():
        one.close()


@pytest.fixture(scope="session")
def extension():
    """Give a module of book/_ext by its name."""
    pytest.importorskip("sphinx", reason="the book's tools are absent: pip install -e '.[book]'")
    folder = str(REPOSITORY / "book" / "_ext")
    sys.path.insert(0, folder)
    yield importlib.import_module
    sys.path.remove(folder)


@pytest.fixture(scope="session")
def soup(html):
    """Give a page of the built book as a tree."""
    bs4 = pytest.importorskip("bs4", reason="beautifulsoup4 is absent: pip install -e '.[book]'")
    trees = {}

    def open_(page):
        if page not in trees:
            text = (html / f"{page}.html").read_text(encoding="utf-8")
            trees[page] = bs4.BeautifulSoup(text, "html.parser")
        return trees[page]

    return open_
