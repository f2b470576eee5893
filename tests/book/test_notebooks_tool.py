"""The tool that keeps a chapter's two files one, tried on a small repository of its own."""

import importlib.util
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "book" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickling look a module up by its name
    spec.loader.exec_module(module)
    return module


pytest.importorskip(
    "jupytext", reason="the book's tools are not installed: pip install -e '.[book]'"
)
stamp = load("stamp").stamp
notebooks = load("notebooks")
jupytext = sys.modules["jupytext"]


def run_tool(arguments, *, repository):
    """Run the tool in a thread of its own: the browser's tests leave an event loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(notebooks.main, arguments, repository=repository).result()


LIBRARY = {
    "__init__.py": "",
    "photos/__init__.py": "from pp_lib.photos.exif import read\n",
    "photos/exif.py": "from . import stops\n\ndef read():\n    return stops.STOP\n",
    "photos/stops.py": "STOP = 1\n",
    "unrelated.py": "X = 1\n",
    "train/__init__.py": (
        "import importlib\n"
        "_HOMES = {'fit': 'loop', 'accuracy': 'metrics'}\n"
        "def __getattr__(name):\n"
        "    return getattr(importlib.import_module(f'pp_lib.train.{_HOMES[name]}'), name)\n"
    ),
    "train/loop.py": "def fit(): pass\n",
    "train/metrics.py": "from pp_lib.train.deep import base\n",
    "train/deep.py": "base = 1\n",
    "show/__init__.py": "",
    "show/explorer.py": "PATH = 'explorer.js'\n",
    "show/explorer.js": "export default 1\n",
}

CHAPTER = """\
---
jupytext:
  formats: ipynb,md:myst
  notebook_metadata_filter: -photopilot
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

# A chapter

```{code-cell} ipython3
x = 20
```

Some prose.

```{code-cell} ipython3
print(x + 1)
```
"""


CONFIG = "repository:\n  url: https://github.com/someone/a-book\n"
PROJECT = '[project]\nname = "pp-lib"\nversion = "3.2.1"\n'


def write_library(src, changes=()):
    for name, text in {**LIBRARY, **dict(changes)}.items():
        path = src / "pp_lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def src(tmp_path):
    write_library(tmp_path / "src")
    return tmp_path / "src"


def notebook(*sources):
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])


def changes_stamp(src, source, changes):
    """Return whether a change to the library makes a notebook with this code stale."""
    before = stamp(notebook(source), src)
    write_library(src, changes)
    after = stamp(notebook(source), src)
    write_library(src)
    return before != after


@pytest.mark.parametrize(
    ("source", "module", "stale"),
    [
        ("from pp_lib.photos import read", "photos/exif.py", True),
        ("from pp_lib.photos import read", "photos/stops.py", True),  # through a relative import
        ("from pp_lib.photos import read", "__init__.py", True),
        ("from pp_lib.photos import read", "unrelated.py", False),
        ("import pp_lib.photos.stops as s", "photos/exif.py", True),  # the package runs first
        ("from pp_lib import photos", "photos/stops.py", True),
        ("if True:\n    from pp_lib import unrelated", "unrelated.py", True),
        ("%pip install x\nif 1:\n    !ls\nimport pp_lib.unrelated", "unrelated.py", True),
        ("__import__('importlib').import_module('pp_lib.unrelated')", "unrelated.py", True),
        ("import numpy", "__init__.py", False),
        # names that a package looks up on first use
        ("from pp_lib.train import fit", "train/loop.py", True),
        ("from pp_lib.train import fit", "train/metrics.py", False),
        ("from pp_lib.train import accuracy", "train/deep.py", True),
        ("from pp_lib.train import accuracy", "train/loop.py", False),
        ("import pp_lib.train", "train/loop.py", True),  # which names it uses cannot be seen
        ("from pp_lib import train", "train/deep.py", True),
        ("from pp_lib.train import *", "train/metrics.py", True),
        # a file that belongs to a module
        ("from pp_lib.show import explorer", "show/explorer.js", True),
    ],
)
def test_a_stamp_depends_on_what_is_imported_and_on_nothing_else(src, source, module, stale):
    changed = LIBRARY[module].replace("1", "2") + "# changed\n"
    assert changes_stamp(src, source, {module: changed}) is stale


def test_every_character_of_the_code_counts_and_no_word_of_the_prose(src):
    one = notebook("x = 1", "y = 2")
    assert stamp(one, src) != stamp(notebook("x = 1", "y = 3"), src)
    assert stamp(one, src) != stamp(notebook("x = 1\ny = 2"), src)
    assert stamp(one, src) != stamp(notebook("y = 2", "x = 1"), src)
    one.cells.insert(1, nbformat.v4.new_markdown_cell("Some words."))
    one.cells[0].outputs.append(nbformat.v4.new_output("stream", text="hello"))
    assert stamp(one, src) == stamp(notebook("x = 1", "y = 2"), src)


def test_a_stamp_does_not_depend_on_where_the_repository_lies(src, tmp_path):
    source = "from pp_lib.photos import read"
    shutil.copytree(src, tmp_path / "elsewhere" / "src")
    assert stamp(notebook(source), src) == stamp(notebook(source), tmp_path / "elsewhere" / "src")


def test_a_stamp_does_not_depend_on_line_ends(src):
    before = stamp(notebook("import pp_lib.unrelated"), src)
    (src / "pp_lib" / "unrelated.py").write_bytes(b"X = 1\r\n")
    assert stamp(notebook("import pp_lib.unrelated"), src) == before


@pytest.mark.parametrize(
    ("source", "message"),
    [("x = (", "code cell 1 is not Python"), ("import pp_lib.nothing", "no such module")],
)
def test_code_that_cannot_be_followed_is_an_error(src, source, message):
    with pytest.raises(ValueError, match=message):
        stamp(notebook(source), src)


def test_the_real_library_can_be_followed():
    """Every module of pp_lib, imported by name, gives a stamp."""
    src = REPOSITORY / "src"
    for path in sorted((src / "pp_lib").rglob("*.py")):
        name = ".".join(path.relative_to(src).with_suffix("").parts).removesuffix(".__init__")
        assert len(stamp(notebook(f"import {name}"), src)) == 64


# --- the whole tool, with real kernels -------------------------------------------------------


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """Give a repository whose one chapter has just been executed."""
    repository = tmp_path_factory.mktemp("executed")
    write_library(repository / "src")
    (repository / "chapters").mkdir()
    (repository / "book").mkdir()
    (repository / "book" / "_config.yml").write_text(CONFIG)
    (repository / "pyproject.toml").write_text(PROJECT)
    text = CHAPTER.replace("x = 20", "import sys\n\nx = 20")
    (repository / "chapters" / "01_one.md").write_text(text)
    assert run_tool(["execute"], repository=repository) == 0
    return repository


@pytest.fixture
def repository(executed, tmp_path):
    shutil.copytree(executed, tmp_path / "copy")
    return tmp_path / "copy"


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def check(repository, capsys):
    status = run_tool(["check"], repository=repository)
    return status, capsys.readouterr().err


def test_execute_writes_outputs_and_stamp_and_nothing_that_changes_from_run_to_run(executed):
    path = executed / "chapters" / "01_one.ipynb"
    stored = nbformat.read(path, as_version=4)
    assert stored.cells[-1].outputs[0].text == "21\n"
    assert len(stored.metadata.photopilot.stamp) == 64
    assert "version" not in stored.metadata.language_info
    assert all("execution" not in cell.metadata for cell in stored.cells)
    assert "photopilot" not in (executed / "chapters" / "01_one.md").read_text().split("---")[2]
    before = path.read_bytes()
    assert run_tool(["execute", "--force"], repository=executed) == 0
    assert path.read_bytes() == before


def test_check_is_content_with_what_execute_made(repository, capsys):
    assert check(repository, capsys) == (0, "")


def test_check_fails_after_one_changed_character_of_code(repository, capsys):
    edit(repository / "chapters" / "01_one.md", "x + 1", "x + 2")
    status, said = check(repository, capsys)
    assert status == 1
    assert "differ" in said
    assert run_tool(["sync"], repository=repository) == 0
    status, said = check(repository, capsys)
    assert status == 1
    assert "stale" in said


def test_check_fails_after_one_changed_character_of_prose_and_sync_is_enough(repository, capsys):
    edit(repository / "chapters" / "01_one.md", "Some prose.", "Some proze.")
    status, said = check(repository, capsys)
    assert status == 1
    assert "differ" in said
    assert run_tool(["sync"], repository=repository) == 0
    assert check(repository, capsys) == (0, "")


def test_check_fails_after_a_change_in_a_module_that_a_module_imports(repository, capsys):
    path = repository / "chapters" / "01_one.md"
    edit(path, "import sys", "from pp_lib.photos import read")
    run_tool(["sync"], repository=repository)
    chapter = notebooks.Chapter(path, repository / "src")
    stored = chapter.read_notebook()
    for cell in stored.cells:
        if cell.cell_type == "code":
            cell.execution_count = 1
    stored.metadata["photopilot"] = {"stamp": stamp(stored, repository / "src")}
    chapter.write(stored)
    assert check(repository, capsys) == (0, "")
    edit(repository / "src" / "pp_lib" / "unrelated.py", "1", "2")
    assert check(repository, capsys) == (0, "")
    edit(repository / "src" / "pp_lib" / "photos" / "stops.py", "1", "2")
    status, said = check(repository, capsys)
    assert status == 1
    assert "stale" in said


@pytest.mark.parametrize("how", ["stripped", "absent"])
def test_check_fails_without_outputs(repository, capsys, how):
    path = repository / "chapters" / "01_one.ipynb"
    if how == "absent":
        path.unlink()
    else:
        stored = nbformat.read(path, as_version=4)
        for cell in stored.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(stored, path)
    status, said = check(repository, capsys)
    assert status == 1
    assert "make notebooks" in said


def test_check_changes_nothing(repository, capsys):
    edit(repository / "chapters" / "01_one.md", "x + 1", "x + 2")
    before = {p: p.read_bytes() for p in repository.rglob("*") if p.is_file()}
    check(repository, capsys)
    assert {p: p.read_bytes() for p in repository.rglob("*") if p.is_file()} == before


def test_an_edit_made_in_the_notebook_is_not_lost(repository, capsys):
    path = repository / "chapters" / "01_one.ipynb"
    stored = nbformat.read(path, as_version=4)
    stored.cells[-1].source = "print(x + 100)"
    nbformat.write(stored, path)
    before = path.read_bytes()
    for command in ("sync", "execute"):
        assert run_tool([command], repository=repository) == 1
        assert "was edited by itself" in capsys.readouterr().err
        assert path.read_bytes() == before
    assert run_tool(["sync", "--overwrite"], repository=repository) == 0
    assert "x + 100" not in path.read_text()


def test_a_chapter_that_raises_fails_loudly_and_the_old_results_stay(repository, capsys):
    path = repository / "chapters" / "01_one.ipynb"
    before = path.read_bytes()
    edit(path.with_suffix(".md"), "print(x + 1)", "print(x + y)")
    assert run_tool(["execute"], repository=repository) == 1
    said = capsys.readouterr().err
    assert "01_one raised" in said
    assert "NameError" in said
    assert path.read_bytes() == before


def test_a_chapter_that_leaves_files_behind_fails(repository, capsys):
    edit(repository / "chapters" / "01_one.md", "print(x + 1)", 'open("left.txt", "w").close()')
    assert run_tool(["execute"], repository=repository) == 1
    assert "left.txt" in capsys.readouterr().err


def test_a_notebook_without_text_and_an_unknown_name_are_errors(repository, capsys):
    assert run_tool(["check", "99_none"], repository=repository) == 1
    assert "there are 01_one" in capsys.readouterr().err
    (repository / "chapters" / "01_one.md").rename(repository / "chapters" / "02_two.md")
    assert run_tool(["execute"], repository=repository) == 1
    assert "no .md beside 01_one.ipynb" in capsys.readouterr().err


# --- the cells that stand in the .ipynb alone --------------------------------------------------


def stored_cells(repository):
    path = repository / "chapters" / "01_one.ipynb"
    return nbformat.read(path, as_version=4).cells


def test_badge_and_setup_stand_in_the_notebook_and_not_in_the_text(executed):
    badge, setup, title = stored_cells(executed)[:3]
    assert "/someone/a-book/blob/v3.2.1/chapters/01_one.ipynb" in badge.source
    assert "--branch v3.2.1 https://github.com/someone/a-book" in setup.source
    assert setup.execution_count is None  # it is for others: no result of ours hangs on it
    assert setup.outputs == []
    assert title.source == "# A chapter"
    text = (executed / "chapters" / "01_one.md").read_text()
    assert "colab" not in text.lower()
    assert "@title" not in text


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("pyproject.toml", "3.2.1", "4.0.0"),
        ("book/_config.yml", "someone/a-book", "another/their-book"),
    ],
)
def test_a_new_version_or_address_wants_a_sync_and_no_execution(repository, capsys, file, old, new):
    edit(repository / file, old, new)
    status, said = check(repository, capsys)
    assert status == 1
    assert said.count("FAILED") == 1
    assert "does not begin with the badge and the setup" in said
    before = stored_cells(repository)
    assert run_tool(["execute"], repository=repository) == 0
    assert "1 chapters, 0 to execute" in capsys.readouterr().out
    assert check(repository, capsys) == (0, "")
    after = stored_cells(repository)
    assert after[2:] == before[2:]
    assert [old in cell.source for cell in before[:2]] == [True, True]
    assert [new in cell.source for cell in after[:2]] == [True, True]
    assert [old in cell.source for cell in after[:2]] == [False, False]


@pytest.mark.parametrize("how", ["edited", "run", "removed", "moved", "twice"])
def test_whatever_was_done_to_the_setup_is_undone_by_a_sync(repository, capsys, how):
    path = repository / "chapters" / "01_one.ipynb"
    before = path.read_bytes()
    stored = nbformat.read(path, as_version=4)
    badge, setup, *rest = stored.cells
    if how == "edited":
        setup.source += "\nprint(1)"
    elif how == "run":
        setup.execution_count = 7
    elif how == "removed":
        stored.cells = rest
    elif how == "moved":
        stored.cells = [*rest, badge, setup]
    else:
        stored.cells = [badge, setup, nbformat.NotebookNode(setup, id="other"), *rest]
    nbformat.write(stored, path)
    status, said = check(repository, capsys)
    assert status == 1
    assert "does not begin with the badge and the setup" in said
    assert run_tool(["sync"], repository=repository) == 0
    assert path.read_bytes() == before


def as_colab_saves(path, change):
    """Rewrite a notebook the way Colab does, whose words about each cell are its own."""
    stored = nbformat.read(path, as_version=4)
    stored.metadata["colab"] = {"provenance": []}
    stored.nbformat_minor = 0
    for number, cell in enumerate(stored.cells):
        cell.source = change(cell.source)
        cell.metadata["id"] = f"x{number}"
        cell.pop("id", None)
        if cell.cell_type == "code":
            cell.metadata["executionInfo"] = {"status": "ok", "elapsed": 9}
            cell.metadata["outputId"] = "0f1e"
    path.write_text(nbformat.writes(stored))


def test_an_edit_made_in_colab_is_carried_into_the_text_and_nothing_else_is(repository, capsys):
    path = repository / "chapters" / "01_one.ipynb"
    text = path.with_suffix(".md")
    before = text.read_text()
    as_colab_saves(path, lambda source: source.replace("x + 1", "x + 2"))
    assert run_tool(["sync"], repository=repository) == 1
    assert "notebooks.py carry 01_one" in capsys.readouterr().err
    assert run_tool(["carry", "01_one"], repository=repository) == 0
    assert text.read_text() == before.replace("x + 1", "x + 2")
    assert run_tool(["execute"], repository=repository) == 0
    capsys.readouterr()
    assert check(repository, capsys) == (0, "")
    assert stored_cells(repository)[-1].outputs[0].text == "22\n"
    assert "executionInfo" not in path.read_text()


def test_a_setup_that_jupytext_carried_into_the_text_is_noticed_and_taken_out(repository, capsys):
    path = repository / "chapters" / "01_one.ipynb"
    text = path.with_suffix(".md")
    before, cells = text.read_text(), stored_cells(repository)
    jupytext.write(jupytext.read(path), text, fmt="md:myst")
    assert "@title Setup" in text.read_text()
    status, said = check(repository, capsys)
    assert status == 1
    assert "holds cells that are made for the .ipynb" in said
    assert run_tool(["sync"], repository=repository) == 0
    assert stored_cells(repository) == cells  # they are not there twice
    assert run_tool(["carry", "01_one"], repository=repository) == 0
    assert text.read_text().split("---")[2] == before.split("---")[2]
    capsys.readouterr()
    assert check(repository, capsys) == (0, "")


def test_carry_wants_names_and_a_notebook(repository, capsys):
    assert run_tool(["carry"], repository=repository) == 1
    assert "it asks for names" in capsys.readouterr().err
    (repository / "chapters" / "01_one.ipynb").unlink()
    before = (repository / "chapters" / "01_one.md").read_text()
    assert run_tool(["carry", "01_one"], repository=repository) == 1
    assert "nothing to carry" in capsys.readouterr().err
    assert (repository / "chapters" / "01_one.md").read_text() == before
