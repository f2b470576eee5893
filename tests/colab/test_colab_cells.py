"""The badge and the setup: made from the settings, collapsed, and out of the way."""

import ast
import sys
import types
from pathlib import Path

import nbformat
import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIG = "title: x\nrepository:\n  url: {}\n"
PROJECT = '[project]\nname = "pp-lib"\nversion = "{}"\n'


@pytest.fixture
def settings(tmp_path):
    """Give a function that writes the two settings and returns the repository."""

    def write(address="https://github.com/someone/their-book", version="3.2.1"):
        (tmp_path / "book").mkdir(exist_ok=True)
        (tmp_path / "book" / "_config.yml").write_text(CONFIG.format(address))
        (tmp_path / "pyproject.toml").write_text(PROJECT.format(version))
        return tmp_path

    return write


def test_address_and_version_come_from_the_settings(colab, settings):
    badge, setup = colab.generated(settings(), "03_binning")
    assert badge.source.endswith(
        "(https://colab.research.google.com/github/someone/their-book/blob/v3.2.1/"
        "chapters/03_binning.ipynb)"
    )
    clone = "git clone --quiet --depth 1 --branch v3.2.1 https://github.com/someone/their-book"
    assert f'"{clone}"' in setup.source
    assert "$" not in setup.source
    _, other = colab.generated(settings(version="4.0.0"), "03_binning")
    assert other.source == setup.source.replace("3.2.1", "4.0.0")


def test_the_real_settings_are_those_of_the_book_and_the_package(colab):
    config = yaml.safe_load((REPOSITORY / "book" / "_config.yml").read_text())
    address, version = colab.settings(REPOSITORY)
    assert address == config["repository"]["url"]
    assert f'\nversion = "{version}"\n' in (REPOSITORY / "pyproject.toml").read_text()


@pytest.mark.parametrize("address", ["https://example.org/a/b", "git@github.com:a/b.git", "a/b"])
def test_an_address_that_colab_cannot_open_is_an_error(colab, settings, address):
    with pytest.raises(ValueError, match="must be https://github.com/OWNER/NAME"):
        colab.generated(settings(address), "03_binning")


def test_the_setup_is_short_python_collapsed_and_not_in_the_book(colab):
    badge, setup = colab.generated(REPOSITORY, "03_binning")
    lines = setup.source.splitlines()
    assert lines[0].startswith("# @title Setup")
    assert len([line for line in lines if line.strip()]) <= 25
    assert max(map(len, lines[1:])) <= 100
    ast.parse(setup.source)  # plain Python: no line for IPython alone
    assert setup.metadata["cellView"] == "form"
    assert setup.metadata["jupyter"] == {"source_hidden": True}
    for cell in (badge, setup):
        assert cell.metadata["tags"] == ["remove-cell"]


def test_generated_cells_are_known_again_and_others_are_not_taken_for_them(colab, settings):
    cells = [
        *colab.generated(settings(version="0.0.1"), "03_binning"),
        nbformat.v4.new_markdown_cell("# Setup\n\nof the camera"),
        nbformat.v4.new_code_cell("# @title Solution 3.1\nassert True"),
        nbformat.v4.new_markdown_cell("# @title Setup"),
        nbformat.v4.new_raw_cell("# @title Setup"),
    ]
    for cell in cells:
        cell.metadata = {}
    assert [colab.is_generated(cell) for cell in cells] == [True, True] + 4 * [False]
    notebook = nbformat.v4.new_notebook(cells=cells)
    assert colab.without(notebook).cells == cells[2:]


@pytest.fixture
def no_process(monkeypatch):
    """Fail where a process is started."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"started {args}")

    monkeypatch.setattr("subprocess.run", refuse)


def test_the_setup_does_nothing_where_the_library_is_installed(colab, no_process, tmp_path):
    _, setup = colab.generated(REPOSITORY, "03_binning")
    before = list(sys.path)
    exec(compile(setup.source, "setup", "exec"), {})
    assert sys.path == before


def test_the_setup_lets_colab_show_widgets(colab, no_process, monkeypatch):
    enabled = []
    output = types.ModuleType("google.colab.output")
    output.enable_custom_widget_manager = lambda: enabled.append(True)
    package = types.ModuleType("google.colab")
    package.output = output
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setitem(sys.modules, "google.colab.output", output)
    _, setup = colab.generated(REPOSITORY, "03_binning")
    exec(compile(setup.source, "setup", "exec"), {})
    assert enabled == [True]
