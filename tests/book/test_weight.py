"""What a page weighs: on a small site weighed by hand, and the goal on the built book."""

import importlib.util

import pytest
from built_book import PAGES, REPOSITORY

GOAL_BYTES = 1_000_000  # one page without its photographs and without what pages share

_spec = importlib.util.spec_from_file_location("weigh", REPOSITORY / "book" / "weigh.py")
weigh = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(weigh)

PHOTOGRAPH = "data:image/png;base64,QUJD"
EXPLORER = '<figure class="pp-explorer"><figure>é</figure>\n<script>1</script>'


@pytest.fixture
def site(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "theme.js").write_bytes(b"t" * 900)
    (tmp_path / "_static" / "about.html").write_text("a file of the theme, and no page")
    (tmp_path / "shared.js").write_bytes(b"s" * 500)
    (tmp_path / "only.png").write_bytes(b"p" * 70)
    (tmp_path / "drawn.svg").write_bytes(b"d" * 30)
    shared = '<script src="shared.js?v=1"></script><img src="_static/theme.js">'
    one = f'{shared}<img src="only.png"><img src="drawn.svg"><img src="{PHOTOGRAPH}">'
    (tmp_path / "one.html").write_text(f"{one}\n{EXPLORER}</figure>", encoding="utf-8")
    (tmp_path / "two.html").write_text(shared, encoding="utf-8")
    return tmp_path


def test_a_site_weighed_by_hand(site):
    weights = weigh.weigh(site)
    assert set(weights) == {"one", "two"}
    one = weights["one"]
    assert one.html == (site / "one.html").stat().st_size
    assert one.files == 70 + 30
    assert one.photographs == 70 + len(PHOTOGRAPH)
    assert one.explorers == len(EXPLORER.encode())
    assert one.without_photographs == one.html + 30 - len(PHOTOGRAPH)
    assert weights["two"].files == weights["two"].photographs == 0


def test_a_picture_that_is_missing_is_an_error(site):
    (site / "only.png").unlink()
    with pytest.raises(ValueError, match=r"only\.png, which is not there"):
        weigh.weigh(site)


def test_no_book_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="make book"):
        weigh.weigh(tmp_path)


def test_every_page_is_under_a_megabyte_without_photographs(html):
    weights = weigh.weigh(html)
    assert set(PAGES) <= set(weights)
    rest = {name: weight.without_photographs for name, weight in weights.items()}
    assert max(rest.values()) <= GOAL_BYTES, "\n" + weigh.table(weights)
