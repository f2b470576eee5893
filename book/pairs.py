"""A chapter's two files: the text that people edit, and the notebook that holds the outputs."""

import hashlib
import json
import os
import re
from collections import defaultdict, deque
from pathlib import Path

import colab
import jupytext
import nbformat
from jupytext.compare import NotebookDifference, compare_notebooks
from stamp import stamp

HEADER = re.compile(r"\A---\n.*?^---\n", flags=re.DOTALL | re.MULTILINE)
# What a text says of a cell; Colab and other editors add words of their own.
CELL_METADATA = ("tags", "cellView", "jupyter")
# A solution's metadata, as jupytext writes them and as the chapters do.
LONG_OPTIONS = """\
---
cellView: form
jupyter:
  source_hidden: true
tags: [hide-cell, solution]
---
"""
SHORT_OPTIONS = """\
:tags: [hide-cell, solution]
:cellView: form
:jupyter: {source_hidden: true}

"""


class Chapter:
    """One pair of files; the cells that colab.py generates stand in the .ipynb alone."""

    def __init__(self, text, src):
        self.text = Path(text)
        self.notebook = self.text.with_suffix(".ipynb")
        self.name = self.text.stem
        self.src = Path(src)

    def read_text(self):
        """Return the .md as a notebook without outputs."""
        return colab.without(jupytext.read(self.text))

    def read_notebook(self):
        """Return the .ipynb without the generated cells, or None where there is none yet."""
        return colab.without(self._stored()) if self.notebook.is_file() else None

    def _stored(self):
        return nbformat.read(self.notebook, as_version=4)

    def _generated(self):
        return colab.generated(self.text.parent.parent, self.name)

    def merged(self, *, overwrite=False):
        """Return the .md's cells with the outputs that the .ipynb has for equal code.

        Raises
        ------
        ValueError
            If the .ipynb was edited since this tool wrote it, unless it is to be overwritten.
        """
        new, old = self.read_text(), self.read_notebook()
        outputs = defaultdict(deque)
        if old is not None:
            written = old.metadata.get("photopilot", {}).get("cells", _cells(old))
            if not overwrite and _cells(old) not in (written, _cells(new)):
                raise ValueError(
                    f"{self.notebook.name} was edited by itself. Carry the change into the text, "
                    f"`python book/notebooks.py carry {self.name}`, or drop it: --overwrite"
                )
            for cell in old.cells:
                if cell.cell_type == "code":
                    outputs[cell.source].append(cell)
            for key in ("language_info", "photopilot"):
                if key in old.metadata:
                    new.metadata[key] = old.metadata[key]
        for cell in new.cells:
            if cell.cell_type == "code" and outputs[cell.source]:
                before = outputs[cell.source].popleft()
                cell.outputs, cell.execution_count = before.outputs, before.execution_count
        return tidy(new)

    def problems(self):
        """Return what is wrong with the pair, each as a sentence; nothing if all is well."""
        notebook = self.read_notebook()
        if notebook is None:
            return [f"{self.notebook.name} is missing: run `make notebooks`"]
        found = []
        try:
            compare_notebooks(notebook, self.read_text(), fmt="md:myst", compare_ids=False)
        except NotebookDifference as difference:
            first = " ".join(str(difference).split())[:300]
            found.append(f"{self.text.name} and .ipynb differ: run `make notebooks` ({first})")
        if any(colab.is_generated(cell) for cell in jupytext.read(self.text).cells):
            found.append(
                f"{self.text.name} holds cells that are made for the .ipynb (badge, setup): "
                f"delete them there, or run `python book/notebooks.py carry {self.name}`"
            )
        if self._stored().cells != self._generated() + notebook.cells:
            found.append(
                f"{self.notebook.name} does not begin with the badge and the setup for the address "
                "in book/_config.yml and the version in pyproject.toml: run `make notebooks`"
            )
        if not executed(notebook):
            found.append(f"{self.notebook.name} lacks outputs: run `make notebooks`")
        try:
            fresh = stored_stamp(notebook) == stamp(notebook, self.src)
        except ValueError as problem:
            found.append(f"{self.notebook.name}: {problem}")
        else:
            if not fresh:
                found.append(
                    f"{self.notebook.name} is stale: its code, or library code that it imports, "
                    "changed after it was executed; run `make notebooks`"
                )
        return found

    def is_stale(self, merged):
        """Return whether this notebook must be executed."""
        return not executed(merged) or stored_stamp(merged) != stamp(merged, self.src)

    def write(self, notebook):
        """Write the .ipynb, the generated cells at its top."""
        notebook.metadata.setdefault("photopilot", {})["cells"] = _cells(notebook)
        whole = nbformat.NotebookNode(notebook, cells=self._generated() + notebook.cells)
        _replace(self.notebook, nbformat.writes(whole) + "\n")

    def carry(self):
        """Rewrite the .md's cells from the .ipynb; its header and its way of writing stay.

        Raises
        ------
        ValueError
            If there is no .ipynb.
        """
        notebook = self.read_notebook()
        if notebook is None:
            raise ValueError(f"{self.notebook.name} is missing: there is nothing to carry over")
        for cell in notebook.cells:
            cell.metadata = {k: v for k, v in cell.metadata.items() if k in CELL_METADATA}
        notebook.metadata = self.read_text().metadata
        written = jupytext.writes(notebook, fmt="md:myst")
        header = HEADER.match(self.text.read_text(encoding="utf-8"))[0]
        cells = written[HEADER.match(written).end() :].replace(LONG_OPTIONS, SHORT_OPTIONS)
        _replace(self.text, header + cells)


def chapters(folder, src, names=()):
    """Return the folder's chapters in order, or those named.

    Raises
    ------
    ValueError
        If a name is unknown, or a notebook has no text beside it.
    """
    texts = {path.stem: path for path in sorted(Path(folder).glob("*.md"))}
    lonely = [p.name for p in Path(folder).glob("*.ipynb") if p.stem not in texts]
    if lonely:
        raise ValueError(f"no .md beside {', '.join(sorted(lonely))}: people edit the .md")
    names = [Path(name).stem for name in names] or list(texts)
    unknown = [name for name in names if name not in texts]
    if unknown:
        raise ValueError(f"no chapter {', '.join(unknown)}; there are {', '.join(texts) or 'none'}")
    return [Chapter(texts[name], src) for name in names]


def executed(notebook):
    """Return whether every code cell has been run."""
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    return all(cell.execution_count is not None for cell in cells)


def stored_stamp(notebook):
    """Return the stamp of the code that made the outputs, or None."""
    return notebook.metadata.get("photopilot", {}).get("stamp")


def _replace(path, text):
    """Write a file, unless it already says the same; a kill leaves the old one whole."""
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    unfinished = path.with_name(f"{path.name}.part")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def _cells(notebook):
    """Return a number for what a person can edit, to notice when somebody did."""
    text = json.dumps([(cell.cell_type, cell.source) for cell in notebook.cells])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tidy(notebook):
    """Remove what differs from run to run or machine to machine, so that a diff shows results."""
    notebook.metadata.get("language_info", {}).pop("version", None)
    notebook.metadata.pop("widgets", None)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen = defaultdict(int)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in map(_without_kernel, cell.outputs) if output]
        # The text has no cell ids, and random ones would change with every execution.
        key = hashlib.sha256(f"{cell.cell_type}:{cell.source}".encode()).hexdigest()[:12]
        seen[key] += 1
        cell.id = key if seen[key] == 1 else f"{key}-{seen[key]}"
    return notebook


LIVE = "application/vnd.jupyter.widget-view+json"


def _without_kernel(output):
    """Return what an output shows when its kernel is gone; None for nothing.

    A widget lives in a kernel: stored, its view says only that its model was not found. An
    explorer brings HTML that needs none; a bare ipywidget brings the name of its class.
    """
    data = output.get("data", {})
    if LIVE not in data:
        return output
    del data[LIVE]
    return output if "text/html" in data else None
