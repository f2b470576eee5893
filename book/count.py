"""Count what the chapters hold: equations, code cells, checks and exercises.

    python book/count.py [chapters/09_cross_entropy.md ...]

An equation is one with a number (a LaTeX tag); a check is a code cell that asserts, by a statement,
by a function like `assert_allclose`, or by a function of the page that does; an exercise counts
once, however many cells its solution has.
"""

import argparse
import ast
import re
from pathlib import Path

import jupytext

CHAPTERS = Path(__file__).resolve().parents[1] / "chapters"
COLUMNS = ("equations", "code cells", "checks", "exercises")


def count(notebook):
    """Count in one notebook; give a number for each of `COLUMNS`."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    cells = [parse(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    functions = [node for cell in cells for node in cell.body if isinstance(node, ast.FunctionDef)]
    checking = {function.name for function in functions if asserts(function.body)}
    return (
        len(re.findall(r"\\tag\{", prose)),
        len(cells),
        sum(asserts(cell.body, checking) for cell in cells),
        len(set(re.findall(r"\*\*Exercise (\d+\.\d+)", prose))),
    )


def parse(source):
    """Parse a cell without its lines for IPython, which are no Python."""
    return ast.parse(re.sub(r"^[%!].*", "", source, flags=re.MULTILINE))


def asserts(statements, checking=()):
    """Say whether they assert anything; to define a function that would is not yet a check."""
    nodes = list(statements)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name.startswith("assert") or name in checking:
                return True
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            nodes.extend(ast.iter_child_nodes(node))
    return False


def table(names_and_counts):
    """Give one line for each chapter, and their sum."""
    rows = [(name, *counts) for name, counts in names_and_counts]
    total = [sum(column) for column in list(zip(*rows, strict=True))[1:]]
    line = "{:<22}" + "{:>12}" * len(COLUMNS)
    lines = [("chapter", *COLUMNS), *rows, (f"{len(rows)} chapters", *total)]
    return "\n".join(line.format(*cells) for cells in lines)


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", nargs="*", type=Path, default=sorted(CHAPTERS.glob("*.md")))
    texts = parser.parse_args().texts
    print(table([(text.stem, count(jupytext.read(text))) for text in texts]))  # noqa: T201


if __name__ == "__main__":
    main()
