"""The built book as its tests see it: which pages it has, and a page opened in a browser."""

import copy
from pathlib import Path
from urllib.parse import urlsplit

import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
HTML = REPOSITORY / "book" / "_build" / "html"
TOC = yaml.safe_load((REPOSITORY / "book" / "_toc.yml").read_text())
PAGES = [TOC["root"]] + [entry["file"] for part in TOC["parts"] for entry in part["chapters"]]
CHAPTERS = [page for page in PAGES if page.startswith("chapters/")]
TELEPHONE_PX = 390
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",  # a container's shared memory is small
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def sources():
    """Give every file that the pages are made from."""
    yield from (REPOSITORY / "chapters").glob("*.ipynb")
    for name in ("results.json", "rows.py"):  # the first is there once the benchmarks have run
        yield from (REPOSITORY / "benchmarks").glob(name)
    for path in (REPOSITORY / "book").rglob("*"):
        inside = path.relative_to(REPOSITORY / "book").parts
        if path.is_file() and inside[0] != "_build" and "__pycache__" not in inside:
            yield path


class Visit:
    """One page, opened and settled, with all that went wrong on the way."""

    def __init__(self, browser, url, *, scheme="light", width=1280):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        self.wrong = []
        self.page = self.context.new_page()
        self.page.route("**/*", self._only_files)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("requestfailed", lambda r: self.wrong.append(f"failed: {r.url}"))
        self.page.goto(url)
        if url.endswith("/html/index.html"):  # it only leads to the first page
            self.page.wait_for_url(f"**/{TOC['root']}.html")
            # what the browser had not loaded when it left, it gives up; the next page asks for it
            self.wrong = [one for one in self.wrong if not one.startswith("failed: ")]
        self.settle()

    def settle(self):
        self.page.wait_for_load_state("load")
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        self.page.evaluate("() => document.fonts.ready.then(() => true)")

    def _only_files(self, route):
        if urlsplit(route.request.url).scheme in {"file", "data", "blob"}:
            route.continue_()
        else:
            self.wrong.append(f"request to another host: {route.request.url}")
            route.abort()

    def _console(self, message):
        if message.type in {"error", "warning"}:
            self.wrong.append(f"console {message.type}: {message.text}")

    def close(self):
        self.context.close()


def title_of(tree, *, number=True):
    """Return a page's title, with the chapter's number or without, and no link to itself."""
    heading = copy.copy(tree.select_one("article h1"))
    for aside in heading.select(".headerlink" + ("" if number else ", .section-number")):
        aside.decompose()
    return " ".join(heading.get_text().split())
