"""The published book's address follows from the repository's, and every page carries it."""

from urllib.parse import urlsplit

import pytest
import yaml
from built_book import PAGES, REPOSITORY, title_of
from PIL import Image

STATIC = REPOSITORY / "book" / "_static"
CARD_NAMES = {"og:title", "og:type", "og:url", "og:description", "og:image", "og:image:alt"}


@pytest.fixture(scope="module")
def address(extension):
    return extension("address")


@pytest.fixture(scope="module")
def root(address):
    config = yaml.safe_load((REPOSITORY / "book" / "_config.yml").read_text())
    return address.public_address(config["repository"]["url"])


@pytest.mark.parametrize(
    ("repository", "public"),
    [
        ("https://github.com/ada/engine", "https://ada.github.io/engine/"),
        ("https://github.com/ada/engine/", "https://ada.github.io/engine/"),
        ("https://github.com/Ada-L/ada-l.github.io", "https://Ada-L.github.io/"),
        ("https://github.com/a/b.c_d", "https://a.github.io/b.c_d/"),
    ],
)
def test_pages_serves_a_repository_from(address, repository, public):
    assert address.public_address(repository) == public


@pytest.mark.parametrize(
    "wrong", ["", "github.com/a/b", "https://github.com/a", "https://a.org/b/c"]
)
def test_what_is_no_repository_on_github_is_refused(address, wrong):
    with pytest.raises(ValueError, match=r"repository\.url must be"):
        address.public_address(wrong)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_where_it_is_published_and_what_its_card_shows(soup, root, page):
    head = soup(page).head
    (canonical,) = head.select('link[rel="canonical"]')
    assert canonical["href"] == f"{root}{page}.html"
    card = {meta["property"]: meta["content"] for meta in head.select('meta[property^="og:"]')}
    assert set(card) >= CARD_NAMES
    assert card["og:url"] == canonical["href"]
    assert card["og:title"] == title_of(soup(page))
    assert len(card["og:description"]) > 40
    assert "minutes to read" not in card["og:description"]
    assert card["og:site_name"] == "PhotoPilot"
    assert [m["content"] for m in head.select('meta[name="twitter:card"]')] == [
        "summary_large_image"
    ]
    assert card["og:image"].startswith(root)


def test_the_front_door_has_a_card_too_and_leads_in(soup, root):
    """It is the address that people share, and it only leads on."""
    page = soup("index")
    card = {m["property"]: m["content"] for m in page.select('meta[property^="og:"]')}
    assert set(card) >= CARD_NAMES
    assert card["og:url"] == root
    assert page.select_one("a")["href"] == f"{PAGES[0]}.html"
    assert page.html["lang"] == "en"


def test_descriptions_differ_from_page_to_page(soup):
    said = [soup(p).select_one('meta[property="og:description"]')["content"] for p in PAGES]
    assert len(set(said)) == len(said)


def test_the_card_is_the_picture_that_the_pages_promise(soup, html, root):
    head = soup(PAGES[0]).head
    card = {m["property"]: m["content"] for m in head.select('meta[property^="og:image"]')}
    with Image.open(html / card["og:image"].removeprefix(root)) as picture:
        assert picture.size == (int(card["og:image:width"]), int(card["og:image:height"]))
        assert picture.format == "JPEG"


@pytest.mark.parametrize("page", [*PAGES, "search", "genindex"])
def test_every_page_links_its_icons(soup, html, page):
    icons = [link["href"] for link in soup(page).select('link[rel~="icon"], link[rel^="apple"]')]
    assert {urlsplit(icon).path.rsplit("/", 1)[1] for icon in icons} == {
        *("logo.svg", "icon.ico", "icon.png")
    }
    for icon in icons:
        assert ((html / f"{page}.html").parent / icon).is_file()


def test_icons_are_of_the_sizes_that_are_asked_for():
    with Image.open(STATIC / "icon.ico") as icon:
        assert icon.info["sizes"] == {(16, 16), (32, 32), (48, 48)}
    with Image.open(STATIC / "icon.png") as icon:
        assert icon.size == (180, 180)
