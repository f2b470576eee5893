"""Keep each chapter's two files one: NN_name.md, which people edit, and NN_name.ipynb with outputs.

    python book/notebooks.py execute [NAME ...] [--force] [--jobs 2]
        bring every .ipynb up to date with its .md and run those whose results are stale
    python book/notebooks.py check [NAME ...]
        fail if a pair differs, a result is stale or an output is missing; changes nothing
    python book/notebooks.py sync [NAME ...]
        carry the .md's cells into the .ipynb; cells that did not change keep their outputs

A result is stale when the notebook's stamp is not that of its code today: see stamp.py for what
goes into it. To carry a change made in the .ipynb (in Colab, say) back into the text:
``jupytext --to md:myst chapters/NN_name.ipynb``.
"""

import argparse
import asyncio
import hashlib
import os
import re
import sys
import tempfile
from collections import defaultdict, deque
from pathlib import Path

import jupytext
import nbformat
from jupytext.compare import NotebookDifference, compare_notebooks
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm
from traitlets.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parent))
from stamp import stamp  # noqa: E402  (the folder is no package: it is Sphinx's)

REPOSITORY = Path(__file__).resolve().parent.parent
CELL_TIMEOUT_S = 600
COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # a terminal's colour codes


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

    def merged(self):
        """Return the .md's cells with the outputs that the .ipynb has for equal code."""
        new, old = self.read_text(), self.read_notebook()
        outputs = defaultdict(deque)
        if old is not None:
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
        return _tidy(new)

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
        if not _executed(notebook):
            found.append(f"{self.notebook.name} lacks outputs: run `make notebooks`")
        try:
            fresh = _stored_stamp(notebook) == stamp(notebook, self.src)
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
        return not _executed(merged) or _stored_stamp(merged) != stamp(merged, self.src)

    def write(self, notebook):
        """Write the .ipynb, unless it already says the same; a kill leaves the old one whole."""
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


def sync(todo):
    """Carry every text into its notebook; return how many results are stale."""
    stale = 0
    for chapter in todo:
        merged = chapter.merged()
        chapter.write(merged)
        stale += chapter.is_stale(merged)
    return stale


def execute(todo, *, force=False, jobs=2):
    """Execute what is stale; return the failures as texts."""
    runs = []
    for chapter in todo:
        merged = chapter.merged()
        if force or chapter.is_stale(merged):
            runs.append((chapter, merged))
        else:
            chapter.write(merged)
    _say(f"{len(todo)} chapters, {len(runs)} to execute")
    if not runs:
        return []
    cells = sum(cell.cell_type == "code" for _, notebook in runs for cell in notebook.cells)
    pause_s = 0.2 if sys.stderr.isatty() else 30  # a log file needs fewer lines than a person
    with tqdm(total=cells, unit="cell", desc="notebooks", mininterval=pause_s) as bar:
        return asyncio.run(_execute_all(runs, jobs, bar))


async def _execute_all(runs, jobs, bar):
    slots = asyncio.Semaphore(jobs)

    async def one(chapter, notebook):
        async with slots:
            return await _execute_one(chapter, notebook, bar)

    results = await asyncio.gather(*(one(*run) for run in runs))
    return [failure for failure in results if failure]


async def _execute_one(chapter, notebook, bar):
    """Run one notebook in a fresh kernel and an empty folder; return the failure, or None."""
    # Taken before the run: a library file that changes meanwhile must leave the result stale.
    now = stamp(notebook, chapter.src)
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as sockets:
        # Sockets that are files: ports on this machine could be listened to, and ipykernel warns.
        kernel = {"transport": "ipc", "connection_file": f"{sockets}/kernel.json"}
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT_S,
            kernel_name="python3",
            resources={"metadata": {"path": empty}},
            record_timing=False,
            on_cell_executed=lambda **_: bar.update(),
            config=Config({"KernelManager": kernel} if os.name == "posix" else {}),
        )
        try:
            await client.async_execute()
        except CellExecutionError as failure:
            return f"{chapter.name} raised:\n{COLOUR.sub('', str(failure))}"
        except Exception as failure:  # a dead kernel or a timeout: report it, and finish the others
            return f"{chapter.name}: {type(failure).__name__}: {failure}"
        left = sorted(path.name for path in Path(empty).iterdir())
    if left:
        return f"{chapter.name} leaves {', '.join(left)} behind: write to a temporary folder"
    notebook.metadata["photopilot"] = {"stamp": now}
    chapter.write(_tidy(notebook))
    tqdm.write(f"executed {chapter.name}")
    return None


def _executed(notebook):
    cells = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    return all(cell.execution_count is not None for cell in cells)


def _stored_stamp(notebook):
    return notebook.metadata.get("photopilot", {}).get("stamp")


def _tidy(notebook):
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


def _say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(argv=None, *, repository=REPOSITORY):
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["execute", "check", "sync"])
    parser.add_argument("names", nargs="*", help="chapters, such as 03_binning; default: all")
    parser.add_argument("--force", action="store_true", help="execute even what is fresh")
    parser.add_argument("--jobs", type=int, default=2, help="notebooks at a time")
    options = parser.parse_args(argv)
    try:
        todo = chapters(repository / "chapters", repository / "src", options.names)
        if options.command == "check":
            failures = [problem for chapter in todo for problem in chapter.problems()]
        elif options.command == "sync":
            _say(f"{len(todo)} chapters in sync, {sync(todo)} to execute")
            failures = []
        else:
            failures = execute(todo, force=options.force, jobs=options.jobs)
    except ValueError as problem:
        failures = [str(problem)]
    for failure in failures:
        sys.stderr.write(f"\nFAILED {failure}\n")
    if options.command == "check" and not failures:
        _say(f"{len(todo)} chapters: pairs in sync, results fresh")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
