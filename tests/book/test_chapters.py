"""Every chapter is fresh, keeps the form of a chapter, and reads well outside the book too."""

import importlib.util
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
TEXTS = sorted((REPOSITORY / "chapters").glob("*.md"))
# DESIGN: about 8 lines a cell, 15 at most.
MOST_LINES = 15
LARGEST_NOTEBOOK_BYTES = 3_000_000

pytest.importorskip("jupytext", reason="the book's tools are absent: pip install -e '.[book]'")


def load(name):
    spec = importlib.util.spec_from_file_location(name, REPOSITORY / "book" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


notebooks = load("notebooks")


@pytest.fixture(params=TEXTS, ids=lambda path: path.stem, scope="module")
def chapter(request):
    return notebooks.Chapter(request.param, REPOSITORY / "src")


@pytest.fixture(scope="module")
def notebook(chapter):
    stored = chapter.read_notebook()
    if stored is None:
        pytest.skip(f"{chapter.notebook.name} is missing, which another test reports")
    return stored


def cells(notebook, kind):
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def tags(cell):
    return cell.metadata.get("tags", [])


def svgs(notebook):
    for cell in cells(notebook, "code"):
        for output in cell.outputs:
            if "image/svg+xml" in output.get("data", {}):
                yield "".join(output.data["image/svg+xml"])


def test_the_contents_name_every_chapter_and_no_other():
    toc = yaml.safe_load((REPOSITORY / "book" / "_toc.yml").read_text())
    files = {entry["file"] for part in toc["parts"] for entry in part["chapters"]}
    named = {Path(file).stem for file in files if file.startswith("chapters/")}
    assert named == {text.stem for text in TEXTS}
    for file in files:
        assert any((REPOSITORY / f"{file}{suffix}").is_file() for suffix in (".md", ".ipynb"))


def test_pair_in_sync_result_fresh_outputs_there(chapter):
    assert chapter.problems() == []


def test_a_notebook_that_nobody_edited_has_nothing_to_carry_into_the_text(chapter, tmp_path):
    copy = tmp_path / "chapters" / chapter.text.name
    copy.parent.mkdir()
    copy.write_bytes(chapter.text.read_bytes())
    copy.with_suffix(".ipynb").write_bytes(chapter.notebook.read_bytes())
    notebooks.Chapter(copy, chapter.src).carry()
    assert copy.read_text() == chapter.text.read_text()


def test_the_text_keeps_the_stamp_out(chapter):
    header = yaml.safe_load(chapter.text.read_text().split("---")[1])
    assert header["jupytext"]["formats"] == "ipynb,md:myst"
    assert header["jupytext"]["notebook_metadata_filter"] == "-photopilot"
    assert header["kernelspec"]["name"] == "python3"
    assert "photopilot" not in header


def test_no_error_and_no_warning_on_the_page(notebook):
    for cell in cells(notebook, "code"):
        for output in cell.outputs:
            assert output.output_type != "error", output
            assert output.get("name") != "stderr", output.text


def test_five_exercises_or_more_each_with_an_executed_solution(notebook):
    prose = "\n".join(cell.source for cell in cells(notebook, "markdown"))
    exercises = re.findall(r"\*\*Exercise (\d+\.\d+)", prose)
    assert len(exercises) >= 5
    assert len(set(exercises)) == len(exercises)
    solved = {}
    for cell in cells(notebook, "code"):
        if "solution" in tags(cell):
            title = re.match(r"# @title Solution (\d+\.\d+)", cell.source)
            assert title, f"a solution must begin with '# @title Solution N.k': {cell.source[:60]}"
            solved.setdefault(title[1], []).append(cell)
    assert set(solved) == set(exercises)
    for number, of_this in solved.items():
        assert all(cell.execution_count for cell in of_this), number
        assert any("assert" in cell.source for cell in of_this), f"{number} checks nothing"


def test_solutions_are_collapsed_in_the_book_in_jupyter_and_in_colab(notebook):
    for cell in cells(notebook, "code"):
        if "solution" in tags(cell):
            assert "hide-cell" in tags(cell), cell.source
            assert cell.metadata["cellView"] == "form", cell.source
            assert cell.metadata["jupyter"]["source_hidden"] is True, cell.source


def test_prose_is_plain_markdown_for_colab_and_github(notebook):
    for cell in cells(notebook, "markdown"):
        assert not re.search(r"^\s*(?:`{3,}|~{3,}|:{3,})\s*\{", cell.source, re.MULTILINE), (
            f"a MyST directive shows as raw text in Colab: {cell.source[:80]}"
        )
        assert not re.search(r"\{[a-z:-]+\}`", cell.source), (
            f"a MyST role shows as raw text in Colab: {cell.source[:80]}"
        )
        assert not re.search(r"^\([\w-]+\)=$", cell.source, re.MULTILINE), "a MyST target"


def test_cells_are_short(notebook):
    for cell in cells(notebook, "code"):
        if "solution" not in tags(cell):
            # Neither imports nor the words for alt and caption at a cell's end hold ideas.
            code = re.split(r"^figure\(|^(?:\w+ = )?Explorer\(", cell.source, flags=re.MULTILINE)[0]
            code = re.sub(r"^(import|from) .*$", "", code, flags=re.MULTILINE)
            lines = [line for line in code.splitlines() if line.strip()]
            assert len(lines) <= MOST_LINES, cell.source


def test_every_figure_is_a_themed_svg_that_says_what_it_shows(notebook):
    for cell in cells(notebook, "code"):
        for output in cell.outputs:
            data = output.get("data", {})
            for kind in ("image/png", "image/jpeg"):
                assert kind not in data, f"end the cell with figure(...): {cell.source[-80:]}"
    for svg in svgs(notebook):
        root = ElementTree.fromstring(svg)
        assert root.get("role") == "img"
        assert len(root.get("aria-label").split()) >= 4, root.get("aria-label")
        assert "currentColor" in svg


def test_figures_have_captions_numbered_in_order(notebook, chapter):
    number = int(chapter.name.split("_")[0])
    drawn = [re.findall(r'class="pp-caption".*?<text[^>]*>([^<]*)', svg) for svg in svgs(notebook)]
    captions = [lines[0] for lines in drawn if lines]
    assert len(captions) == len(drawn), "a figure has no caption"
    for k, caption in enumerate(captions, start=1):
        assert caption.startswith(f"Figure {number}.{k}. "), caption


def test_a_notebook_is_light(chapter, notebook):
    assert chapter.notebook.stat().st_size < LARGEST_NOTEBOOK_BYTES


def test_chapters_do_not_hide_warnings_or_seed_globally(notebook):
    for cell in cells(notebook, "code"):
        for banned in ("filterwarnings", "simplefilter", "np.random.seed", "torch.manual_seed"):
            assert banned not in cell.source, cell.source
