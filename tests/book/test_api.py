"""The page of the library has every public name, and says something of each."""

import importlib
import inspect

import pytest

PACKAGES = ["camera", "photos", "nn", "verify", "train", "show"]


def public(package):
    """Give (path, thing) of what a package offers, modules left out."""
    module = importlib.import_module(f"pp_lib.{package}")
    things = {f"{module.__name__}.{name}": getattr(module, name) for name in module.__all__}
    return {path: thing for path, thing in things.items() if not inspect.ismodule(thing)}


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_is_there_with_the_first_words_of_its_docstring(soup, package):
    pytest.importorskip("torch", reason="torch is absent: pip install -e .")
    page = soup("book/api")
    for path, thing in public(package).items():
        head = page.find(id=path)
        assert head is not None, path
        if callable(thing):
            said = " ".join(head.find_next_sibling("dd").get_text().split())
            words = inspect.getdoc(thing).partition("\n")[0].split()
            plain = [word for word in words if word.isalpha()]
            assert all(word in said for word in plain), f"{path}: {said[:80]}"


def test_docstrings_are_set_and_not_shown_as_typed(soup):
    page = soup("book/api")
    assert page.select(".pp-docstring") == []
    names = {name.get_text().rstrip(":").split()[0] for name in page.select("dl.field-list > dt")}
    assert names <= {"Parameters", "Returns", "Raises", "Yields", "Warns", "Attributes"}, names


def test_what_is_said_of_a_signature(extension):
    signature = extension("api").signature

    def example(x, *, rng: int = 3) -> float:
        pass

    assert signature(example) == "(x, *, rng=3)"
    assert signature(0.5) == " = 0.5"
    assert signature(tuple(range(99))) == ": tuple"


def test_a_docstring_that_is_no_restructured_text_is_shown_as_typed(extension):
    api = extension("api")

    def broken():
        """Do.

        - one
          - two
         three ``
        """

    (block,) = api.paragraphs(broken, None)
    assert block.astext().startswith("Do.")
    assert "pp-docstring" in block["classes"]

    def sound():
        """Give |x| of `x`, never **more**."""

    (paragraph,) = api.paragraphs(sound, None)
    assert paragraph.astext() == "Give |x| of x, never more."
