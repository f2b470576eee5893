"""Keep each chapter's two files one: NN_name.md, which people edit, and NN_name.ipynb with outputs.

    python book/notebooks.py execute [NAME ...] [--force] [--overwrite] [--jobs 2]
        bring every .ipynb up to date with its .md and run those whose results are stale
    python book/notebooks.py check [NAME ...]
        fail if a pair differs, a result is stale or an output is missing; changes nothing
    python book/notebooks.py sync [NAME ...] [--overwrite]
        carry the .md's cells into the .ipynb; cells that did not change keep their outputs

    python book/notebooks.py carry NAME [NAME ...]
        the other way: rewrite the .md from an .ipynb that was edited, in Colab, say

A result is stale when the notebook's stamp is not that of its code today: see stamp.py for what
goes into it. A change made in the .ipynb is never overwritten unasked: carry it into the text, then
execute. (jupytext alone would carry too much: the badge and the setup for Colab, which colab.py
generates at the top of each .ipynb, and Colab's own notes about every cell.)
"""

import argparse
import asyncio
import os
import re
import sys
import tempfile
import time
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm
from traitlets.config import Config

sys.path.insert(0, str(Path(__file__).resolve().parent))
from pairs import Chapter, chapters, tidy  # noqa: E402  (the folder is no package: it is Sphinx's)
from stamp import stamp  # noqa: E402

__all__ = ["Chapter", "chapters", "execute", "main", "sync"]

REPOSITORY = Path(__file__).resolve().parent.parent
CELL_TIMEOUT_S = 600
COLOUR = re.compile(r"\x1b\[[0-9;]*m")  # a terminal's colour codes


def sync(todo, *, overwrite=False):
    """Carry every text into its notebook; return how many results are stale."""
    stale = 0
    for chapter in todo:
        merged = chapter.merged(overwrite=overwrite)
        chapter.write(merged)
        stale += chapter.is_stale(merged)
    return stale


def execute(todo, *, force=False, overwrite=False, jobs=2):
    """Execute what is stale; return the failures as texts."""
    runs = []
    for chapter in todo:
        merged = chapter.merged(overwrite=overwrite)
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
    clock_s = []  # at the start and the end of each cell; the kernel's own start is not counted
    with tempfile.TemporaryDirectory() as empty, tempfile.TemporaryDirectory() as sockets:
        # Sockets that are files: ports on this machine could be listened to, and ipykernel warns.
        kernel = {"transport": "ipc", "connection_file": f"{sockets}/kernel.json"}
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT_S,
            kernel_name="python3",
            resources={"metadata": {"path": empty}},
            record_timing=False,
            coalesce_streams=True,  # how a cell's text was cut into messages is chance
            on_cell_execute=lambda **_: clock_s.append(time.monotonic()),
            on_cell_executed=lambda **_: (clock_s.append(time.monotonic()), bar.update()),
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
    took = {
        "execution_s": round(clock_s[-1] - clock_s[0]) if clock_s else 0,
        "cores": os.cpu_count(),
    }
    notebook.metadata.setdefault("photopilot", {}).update(stamp=now, **took)
    chapter.write(tidy(notebook))
    tqdm.write(f"executed {chapter.name}")
    return None


def _say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main(argv=None, *, repository=REPOSITORY):
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("command", choices=["execute", "check", "sync", "carry"])
    parser.add_argument("names", nargs="*", help="chapters, such as 03_binning; default: all")
    parser.add_argument("--force", action="store_true", help="execute even what is fresh")
    parser.add_argument("--overwrite", action="store_true", help="drop edits made in an .ipynb")
    parser.add_argument("--jobs", type=int, default=2, help="notebooks at a time")
    options = parser.parse_args(argv)
    try:
        todo = chapters(repository / "chapters", repository / "src", options.names)
        if options.command == "check":
            failures = [problem for chapter in todo for problem in chapter.problems()]
        elif options.command == "carry":
            if not options.names:
                raise ValueError("carry rewrites texts, so it asks for names: carry 03_binning")
            for chapter in todo:
                chapter.carry()
            _say(f"{len(todo)} texts rewritten: look at `git diff`, then execute")
            failures = []
        elif options.command == "sync":
            stale = sync(todo, overwrite=options.overwrite)
            _say(f"{len(todo)} chapters in sync, {stale} to execute")
            failures = []
        else:
            failures = execute(
                todo, force=options.force, overwrite=options.overwrite, jobs=options.jobs
            )
    except ValueError as problem:
        failures = [str(problem)]
    for failure in failures:
        sys.stderr.write(f"\nFAILED {failure}\n")
    if options.command == "check" and not failures:
        _say(f"{len(todo)} chapters: pairs in sync, results fresh")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
