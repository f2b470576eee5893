"""Say how long a chapter takes: to read, from its words; to run, as measured when it was executed.

Under each chapter's title stands one line, and ``{execution-times}`` makes the table of all of
them. book/notebooks.py stores the seconds in the notebook; where there are none, nothing is
claimed.
"""

import json
from dataclasses import astuple, dataclass
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

WORDS_A_MINUTE = 200
KEY = "photopilot_times"
NOT_MEASURED = "not measured"
NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
NOT_PROSE = (
    *(nodes.literal_block, nodes.math_block, nodes.raw),
    *(nodes.Invisible, nodes.system_message),
)


@dataclass(frozen=True)
class Run:
    """How long a chapter's code took when its results were made."""

    seconds: int
    cores: int

    def __str__(self):
        time = f"{self.seconds} s" if self.seconds else "less than a second"
        return f"{time} on {counted(self.cores, 'core')}"


@dataclass(frozen=True)
class Times:
    """One chapter's times; `run` is None where its execution was not measured."""

    words: int
    run: Run | None

    @property
    def reading_min(self):
        """Return the minutes to read, at least one."""
        return max(1, round(self.words / WORDS_A_MINUTE))

    @property
    def sentence(self):
        """Return the line under a chapter's title."""
        said = f"About {counted(self.reading_min, 'minute', digits=True)} to read."
        if self.run is not None:
            said += f" The code runs in {self.run}."
        return said


def counted(number, name, *, digits=False):
    """Return such as ``1 minute`` or ``two cores``."""
    word = str(number) if digits or number >= len(NUMBERS) else NUMBERS[number]
    return f"{word} {name}" + "s" * (number != 1)


def words(document):
    """Count the words of the prose: text, headings, lists, tables, exercises and solutions.

    Code and its outputs, captions among them, and display formulas are not counted.
    """
    count, todo = 0, [document]
    while todo:
        node = todo.pop()
        if isinstance(node, nodes.Text):
            count += len(node.astext().split())
        elif not isinstance(node, NOT_PROSE) and node.get("nb_element") != "cell_code":
            todo += node.children
    return count


def measured(notebook):
    """Return the `Run` that is stored in a notebook, or None.

    Parameters
    ----------
    notebook : Path
        An .ipynb file.

    Raises
    ------
    ValueError
        If what is stored are no whole numbers.
    """
    metadata = json.loads(Path(notebook).read_text(encoding="utf-8"))["metadata"]
    stored = metadata.get("photopilot", {})
    if "execution_s" not in stored:
        return None
    run = stored["execution_s"], stored.get("cores")
    if not all(isinstance(number, int) for number in run) or run[0] < 0 or run[1] < 1:
        raise ValueError(
            f"{notebook}: execution_s and cores must be whole numbers, got {run[0]!r} and "
            f"{run[1]!r}; run `make notebooks`"
        )
    return Run(*run)


def say_times(app, document):
    """Put the line under the title of a chapter that was just read."""
    docname = app.env.docname
    if not docname.startswith("chapters/"):
        return
    times = Times(words(document), measured(app.env.doc2path(docname)))
    # Sphinx keeps a page's metadata from build to build; the table takes it from there.
    app.env.metadata[docname][KEY] = (times.words, times.run and astuple(times.run))
    # Raw, so that neither the search nor a shared link's description takes it for the first words.
    number = int(Path(docname).name.split("_")[0])
    said = f"Chapter {number}. {times.sentence}"
    line = nodes.raw("", f'<p class="pp-times">{said}</p>', format="html")
    title = next(document.findall(nodes.title), None)
    if title is not None:
        title.parent.insert(title.parent.index(title) + 1, line)


class execution_times(nodes.General, nodes.Element):  # noqa: N801 (docutils names its nodes so)
    """The place of the table."""


class ExecutionTimes(SphinxDirective):
    """``{execution-times}``: every chapter, the minutes to read it and the seconds to run it."""

    def run(self):
        """Leave a place: the chapters' times are known when all have been read."""
        for docname in chapters(self.env):
            self.env.note_dependency(self.env.doc2path(docname, base=False))
        return [execution_times()]


def chapters(env):
    """Return the chapters' document names, in order."""
    return sorted(name for name in env.found_docs if name.startswith("chapters/"))


def fill_in(app, document, docname):
    """Replace the place by the table."""
    for place in list(document.findall(execution_times)):
        rows = {}
        for name in chapters(app.env):
            number_of_words, run = app.env.metadata[name][KEY]
            rows[name] = Times(number_of_words, run and Run(*run))
        body = [
            [
                link(app, docname, name),
                cell(f"{times.reading_min} min"),
                cell(times.run or NOT_MEASURED),
            ]
            for name, times in rows.items()
        ]
        body.append([cell(f"All {len(rows)}"), *sums(rows.values())])
        place.replace_self(table(["Chapter", "To read", "To run"], body))


def sums(all_times):
    """Return the two cells below the columns; a sum of what was measured says what is missing."""
    reading_min = sum(times.reading_min for times in all_times)
    seconds = [times.run.seconds for times in all_times if times.run is not None]
    missing = len(all_times) - len(seconds)
    said = f"{sum(seconds):,} s" if seconds else NOT_MEASURED
    if seconds and missing:
        said += f", and {missing} {NOT_MEASURED}"
    return [cell(f"{reading_min} min"), cell(said)]


def cell(content):
    """Return a paragraph."""
    return nodes.paragraph("", str(content))


def link(app, here, docname):
    """Return a paragraph that leads to a chapter by its number and title."""
    number = int(Path(docname).name.split("_")[0])
    address = app.builder.get_relative_uri(here, docname)
    reference = nodes.reference("", "", internal=True, refuri=address)
    reference += nodes.Text(app.env.titles[docname].astext())
    return nodes.paragraph("", f"{number}. ", reference)


def table(head, body):
    """Return a table: a row of headings, and rows of paragraphs."""
    group = nodes.tgroup(cols=len(head))
    group += [nodes.colspec(colwidth=width) for width in (60, 20, 20)]
    cells = [[cell(name) for name in head], *body]
    rows = [row(cells_of_row) for cells_of_row in cells]
    group += [nodes.thead("", rows[0]), nodes.tbody("", *rows[1:])]
    return nodes.table("", group)


def row(cells):
    """Return a row."""
    return nodes.row("", *(nodes.entry("", cell) for cell in cells))


def setup(app):
    """Register the line, the place and what fills it."""
    app.add_node(execution_times)
    app.add_directive("execution-times", ExecutionTimes)
    app.connect("doctree-read", say_times)
    app.connect("doctree-resolved", fill_in)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
