"""A chapter's two files: the text that people edit, and the notebook that holds the outputs."""

import hashlib
import json
import os
from collections import defaultdict, deque
from pathlib import Path

import jupytext
import nbformat
from jupytext.compare import NotebookDifference, compare_notebooks
from stamp import stamp


class Chapter:
    """One pair of files."""

    def __init__(self, text, src):
        self.text = Path(text)
        self.notebook = self.text.with_suffix(".ipynb")
        self.name = self.text.stem
        self.src = Path(src)

    def read_text(self):
        """Return the .md as a notebook without outputs."""
        return jupytext.read(self.text)

    def read_notebook(self):
        """Return the .ipynb, or None where there is none yet."""
        return nbformat.read(self.notebook, as_version=4) if self.notebook.is_file() else None

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
                    f"`jupytext --to md:myst {self.notebook}`, or drop it: --overwrite"
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
        """Write the .ipynb, unless it already says the same; a kill leaves the old one whole."""
        notebook.metadata.setdefault("photopilot", {})["cells"] = _cells(notebook)
        text = nbformat.writes(notebook) + "\n"
        if self.notebook.is_file() and self.notebook.read_text(encoding="utf-8") == text:
            return
        unfinished = self.notebook.with_suffix(".ipynb.part")
        unfinished.write_text(text, encoding="utf-8")
        os.replace(unfinished, self.notebook)


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


def _cells(notebook):
    """Return a number for what a person can edit, to notice when somebody did."""
    text = json.dumps([(cell.cell_type, cell.source) for cell in notebook.cells])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def tidy(notebook):
    """Remove what differs from run to run or machine to machine, so that a diff shows results."""
    notebook.metadata.get("language_info", {}).pop("version", None)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen = defaultdict(int)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        # The text has no cell ids, and random ones would change with every execution.
        key = hashlib.sha256(f"{cell.cell_type}:{cell.source}".encode()).hexdigest()[:12]
        seen[key] += 1
        cell.id = key if seen[key] == 1 else f"{key}-{seen[key]}"
    return notebook
