"""Weigh the built pages: what a reader loads for each page alone, apart from what pages share.

    python book/weigh.py [book/_build/html]

A page's own weight is its HTML, with all figures and explorers that stand in it, and the pictures
that it alone shows; nothing is compressed here, though a server would. Shared is what several
pages load and a browser keeps: theme, MathJax and its fonts, search index. Photographs are what is
stored as a raster: PNG, JPEG or WebP, in a file or within the HTML.
"""

import argparse
import re
from collections import Counter
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

HTML = Path(__file__).resolve().parent / "_build" / "html"
RASTER = re.compile(r"data:image/(?:png|jpeg|webp|gif);base64,[A-Za-z0-9+/=]+")
RASTER_FILES = {".png", ".jpg", ".jpeg", ".webp", ".gif"}


@dataclass(frozen=True)
class Weight:
    """Bytes of one page; `explorers` are a part of `html`, and `photographs` a part of the sum."""

    html: int
    files: int
    photographs: int
    explorers: int

    @property
    def without_photographs(self):
        """Return the bytes that the goal is about."""
        return self.html + self.files - self.photographs


class Own(HTMLParser):
    """Collect the files that a page shows or runs, and the size of its explorers."""

    def __init__(self, text):
        super().__init__()
        self.files, self.explorers = set(), 0
        self._starts, self._text = [], text
        # Offsets of lines, to turn the parser's place into one in the text.
        self._lines = [0, *(match.end() for match in re.finditer("\n", text))]
        self.feed(text)

    def _place(self):
        line, column = self.getpos()
        return self._lines[line - 1] + column

    def handle_starttag(self, tag, attrs):
        """Note pictures and scripts, and where an explorer begins."""
        attrs = dict(attrs)
        if tag == "figure":
            classes = (attrs.get("class") or "").split()
            self._starts.append(self._place() if "pp-explorer" in classes else None)
        if tag in {"img", "script", "source", "video", "audio", "iframe"} and attrs.get("src"):
            self.files.add(attrs["src"])

    def handle_endtag(self, tag):
        """Add an explorer that ends."""
        if tag == "figure" and self._starts:
            start = self._starts.pop()
            if start is not None:
                self.explorers += len(self._text[start : self._place()].encode())


def weigh(root):
    """Return the `Weight` of every page of a built book, by its name.

    Parameters
    ----------
    root : Path
        The folder with the book's index.html.

    Raises
    ------
    ValueError
        If there is no book, or a page shows a file that is not there.
    """
    pages = sorted(p for p in root.rglob("*.html") if "_static" not in p.relative_to(root).parts)
    if not pages:
        raise ValueError(f"no page in {root}: run `make book` first")
    texts = {page: page.read_text(encoding="utf-8") for page in pages}
    parsed = {page: Own(text) for page, text in texts.items()}
    files = {page: set(_files(page, own.files)) for page, own in parsed.items()}
    loaded_by = Counter(file for shown in files.values() for file in shown)
    static = (root / "_static").resolve()
    weights = {}
    for page, text in texts.items():
        alone = {f for f in files[page] if loaded_by[f] == 1 and static not in f.parents}
        photographs = sum(f.stat().st_size for f in alone if f.suffix.lower() in RASTER_FILES)
        photographs += sum(len(match[0]) for match in RASTER.finditer(text))
        weights[page.relative_to(root).with_suffix("").as_posix()] = Weight(
            html=len(text.encode()),
            files=sum(file.stat().st_size for file in alone),
            photographs=photographs,
            explorers=parsed[page].explorers,
        )
    return weights


def _files(page, addresses):
    """Give the files on disk that a page's addresses mean."""
    for address in addresses:
        parts = urlsplit(address)
        if parts.scheme or parts.netloc:
            continue
        file = (page.parent / unquote(parts.path)).resolve()
        if not file.is_file():
            raise ValueError(f"{page.name} shows {address}, which is not there: run `make book`")
        yield file


def table(weights):
    """Return one line for each page, in kilobytes."""
    lines = [f"{'kB':<26}{'html':>8}{'files':>8}{'photos':>8}{'rest':>8}{'explorers':>11}"]
    for name, weight in weights.items():
        numbers = weight.html, weight.files, weight.photographs, weight.without_photographs
        row = "".join(f"{number / 1000:>8.0f}" for number in numbers)
        lines.append(f"{name:<26}{row}{weight.explorers / 1000:>11.0f}")
    return "\n".join(lines)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("root", nargs="?", type=Path, default=HTML)
    print(table(weigh(parser.parse_args().root)))  # noqa: T201


if __name__ == "__main__":
    main()
