"""Show benchmarks/results.json: the table, what it was measured on, and what could not be measured.

``{benchmarks}`` makes them. What the file does not hold is not claimed: without it the page says
how to make one. Numbers are shown by benchmarks/rows.py, as `make bench` prints them.
"""

import importlib.util
import json
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RESULTS = BENCHMARKS / "results.json"
HEAD = ("Measured", "Ours", "Theirs", "Ratio", "Target", "Met")
WIDTHS = (40, 16, 16, 9, 13, 6)
NONE_YET = "Nothing has been measured yet. This makes the table, in some ten minutes:"


def rows_module():
    """Return benchmarks/rows.py, which stands in no package."""
    spec = importlib.util.spec_from_file_location("benchmark_rows", BENCHMARKS / "rows.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read_results(path):
    """Return what a run has written, or None where there is no file.

    Raises
    ------
    ValueError
        If it is not what `make bench` writes.
    """
    if not path.is_file():
        return None
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        keys = set(rows_module().KEYS) | {"script"}
        wrong = [row for row in results["rows"] if set(row) != keys]
        for key in ("date", "machine", "versions", "absent", "failed"):
            results[key]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path.name}: {error!r}; run `make bench`") from error
    if wrong:
        raise ValueError(f"{path.name}: a row must hold {sorted(keys)}, got {wrong[0]}")
    return results


def machine_of(results):
    """Return a sentence that says when, on what and with what was measured."""
    machine, versions = results["machine"], dict(results["versions"])
    gpu = f"with {machine['gpu']}" if machine["gpu"] else "without a GPU"
    memory = f", {machine['memory_gib']} GiB of memory" if machine["memory_gib"] else ""
    cores = f"{machine['cores']} core" + "s" * (machine["cores"] != 1)
    python = versions.pop("python")
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    load = machine["load_before"]
    busy = f" The machine was busy with other work (load {load:.1f})." if load and load > 1 else ""
    return (
        f"Measured on {results['date']}, in one run, on {cores} ({machine['cpu']}){memory}, {gpu}; "
        f"Python {python}, {packages}.{busy}"
    )


def missing_of(results):
    """Return a sentence for each benchmark without rows."""
    absent = [f"{name}.py gave no rows: {why}." for name, why in results["absent"].items()]
    return absent + [f"{name}.py failed: {why}." for name, why in results["failed"].items()]


class Benchmarks(SphinxDirective):
    """``{benchmarks}``: what the last whole run of the benchmarks has measured."""

    def run(self):
        """Return the sentence, the table and what is missing."""
        self.env.note_dependency(str(RESULTS))
        self.env.note_dependency(str(BENCHMARKS / "rows.py"))
        results = read_results(RESULTS)
        if results is None:
            return [nodes.paragraph("", NONE_YET), nodes.literal_block("make bench", "make bench")]
        shown = [nodes.paragraph("", machine_of(results)), table(results["rows"])]
        return shown + [nodes.paragraph("", sentence) for sentence in missing_of(results)]


def table(rows):
    """Return the table: a row's claim stands below its name."""
    cells_of = rows_module().cells_of
    group = nodes.tgroup(cols=len(HEAD))
    group += [nodes.colspec(colwidth=width) for width in WIDTHS]
    group += nodes.thead("", _row([[nodes.paragraph("", name)] for name in HEAD]))
    body = nodes.tbody()
    for row in rows:
        name, *numbers = cells_of(row)
        claim = nodes.paragraph("", "", nodes.emphasis("", row["claim"]))
        cells = [[nodes.paragraph("", number)] for number in numbers]
        body += _row([[nodes.paragraph("", name), claim], *cells])
    group += body
    return nodes.table("", group)


def _row(cells):
    return nodes.row("", *(nodes.entry("", *cell) for cell in cells))


def setup(app):
    """Register the directive."""
    app.add_directive("benchmarks", Benchmarks)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
