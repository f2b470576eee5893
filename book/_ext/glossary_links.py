"""Link the first use of each of the glossary's terms in a chapter to its explanation.

The chapters stay as they are. What is linked is running text only: no heading, code, formula,
caption, summary, table or list of sources, and nothing that is a link already.
"""

import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

GLOSSARY = "book/glossary"
CHAPTER = re.compile(r"chapters/(\d\d)_")

# Terms that do not simply appear as themselves with or without an s: how they do appear. A group
# is the word to be linked, what stands before it decides whether the term is meant.
FORMS = {
    "stop": r"(?:a|another|as|each|fractions and|in|many|of|one|three|two) (stops?)",
    "grain": r"grain",
    "bias": r"bias(?:es)?(?! correction| towards)",
    "weight": r"weights?(?! decay)",
    "standardise": r"standardis(?:es?|ed|ing)",
    "equivariance": r"equivarian(?:ce|t)",
    "stratified split": r"stratified(?: split)?",
    "grouped split": r"grouped(?: split)?",
    "Xavier initialisation": r"Xavier(?: initialisation|['’]s (?:rule|variance|weights))?",
    "He initialisation": r"He(?: initialisation|['’]s (?:rule|variance|weights))",
    "max pooling": r"(?<!adaptive\s)(?<!average\s)(?:max )?poolings?",
    "confidence interval": r"(?:confidence |Wilson['’]s )?intervals?",
    "ReLU": r"ReLUs?|rectified linear unit",
}
# Everyday words: the chapters in which they are meant as terms.
ONLY = {
    "loss": range(3, 19),
    "weight": {*range(5, 19)} - {10, 15},  # there, first of all, of classes and of tasks
    "temperature": range(8, 19),
    "stratified split": range(4, 5),
    "grouped split": range(4, 5),
    "recall": range(10, 11),
    "patience": (12, 13, 16),
    "confidence interval": (13, 16),
    "frozen": (14, 15, 16),
    "kernel": (2, 4, 6, 14, 15, 16),  # elsewhere it is what runs a notebook
}
NOT_IN = (
    nodes.title,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.reference,
    nodes.caption,
    nodes.raw,
    nodes.table,
    addnodes.pending_xref,
    addnodes.download_reference,
)
NOT_IN_CELLS = {"cell_code", "cell_code_source", "cell_code_output"}


def read_glossary(text):
    """Return {term: first sentence of its explanation}.

    Parameters
    ----------
    text : str
        The page, with one ``{glossary}`` directive: terms at the margin, explanations indented.

    Raises
    ------
    ValueError
        If there is no such directive, or a term without an explanation.
    """
    block = re.search(r"^```\{glossary\}\n(.*?)^```$", text, flags=re.M | re.S)
    if block is None:
        raise ValueError("the glossary's page needs a ```{glossary} directive")
    entries = {}
    for entry in re.split(r"\n\s*\n", block[1].strip()):
        term, *rest = entry.split("\n")
        if term.startswith(":"):
            continue
        explanation = " ".join(line.strip() for line in rest).replace("'", "’")  # as on the page
        if not explanation:
            raise ValueError(f"the glossary explains no {term!r}: indent its explanation below it")
        entries[term] = re.match(r".*?[.](?=\s|$)", explanation)[0]
    return entries


def pattern(term):
    """Return the expression that finds one term, in both numbers and at a sentence's beginning."""
    form = FORMS.get(term)
    if form is None:
        form = re.escape(term).replace(r"\ ", " ")
        form = form[:-1] + "(?:y|ies)" if term.endswith("y") else form + "(?:s|es)?"
    form = form.replace(" ", r"\s+")
    # A name such as ISO, RAW or Adam is written one way; other words may begin a sentence.
    flags = 0 if re.search("[A-Z]", term) else re.IGNORECASE
    return re.compile(rf"(?<![\w-])(?:{form})(?![\w-])", flags)


class Finder:
    """Find the first use of every term in the texts of one chapter, given in their order."""

    def __init__(self, terms, chapter):
        self.patterns = {t: pattern(t) for t in terms if t not in ONLY or chapter in ONLY[t]}
        self.seen = set()

    def __call__(self, text):
        """Return a list of (start, end, term)."""
        spans = []
        for term, expression in self.patterns.items():
            group = 1 if expression.groups else 0
            spans += [(*match.span(group), term) for match in expression.finditer(text)]
        # From left to right, the longer first: a label entropy is not an entropy.
        spans.sort(key=lambda span: (span[0], -span[1]))
        found, end = [], 0
        for span in spans:
            if span[0] < end:
                continue
            end = span[1]
            if span[2] not in self.seen:
                self.seen.add(span[2])
                found.append(span)
        return found


class LinkTerms(SphinxTransform):
    """Put a link where a chapter first uses a term."""

    default_priority = 860  # after formulas, solutions and citations have become what they are

    def apply(self, **kwargs):
        """Go through the chapter's texts in order."""
        chapter = CHAPTER.match(self.env.docname)
        if not chapter or GLOSSARY not in self.env.found_docs:
            return
        path = Path(self.env.doc2path(GLOSSARY))
        self.env.note_dependency(str(path))
        entries = read_glossary(path.read_text(encoding="utf-8"))
        find = Finder(entries, int(chapter[1]))
        for element in self.document.findall(nodes.TextElement):
            _join_lines(element)
        for text in list(self.document.findall(nodes.Text)):
            if _is_prose(text):
                self._link(text, find(text.astext()), entries)

    def _link(self, text, spans, entries):
        words, parts, end = text.astext(), [], 0
        for start, stop, term in spans:
            link = addnodes.pending_xref(
                refdomain="std", reftype="book-term", reftarget=term, title=entries[term]
            )
            link += nodes.inline("", words[start:stop])
            parts += [nodes.Text(words[end:start]), link]
            end = stop
        if spans:
            text.parent.replace(text, [*parts, nodes.Text(words[end:])])


def _join_lines(element):
    """Make one text of the texts beside each other: MyST makes one of every line."""
    children = []
    for child in element.children:
        if children and isinstance(child, nodes.Text) and isinstance(children[-1], nodes.Text):
            children[-1] = nodes.Text(children[-1] + child)
        else:
            children.append(child)
    if len(children) < len(element.children):
        element.children = []
        element.extend(children)


def _is_prose(text):
    inside = text.parent
    in_paragraph = False
    while inside is not None:
        if isinstance(inside, NOT_IN) or inside.get("nb_element") in NOT_IN_CELLS:
            return False
        if isinstance(inside, nodes.emphasis) and inside.astext()[:1] in {'"', "“"}:
            return False  # a claim, in the words of those who made it
        if (
            isinstance(inside, nodes.section)
            and inside.next_node(nodes.title).astext() == "Sources"
        ):
            return False
        in_paragraph |= isinstance(inside, nodes.paragraph)
        inside = inside.parent
    return in_paragraph


class ResolveTerms(SphinxPostTransform):
    """Lead every such link to the glossary, with the first sentence of the explanation."""

    default_priority = 6

    def run(self, **kwargs):
        """Resolve the page's links."""
        objects = self.env.get_domain("std").objects
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link.get("reftype") != "book-term":
                continue
            page, name = objects["term", link["reftarget"]]
            reference = make_refnode(
                self.app.builder, self.env.docname, page, name, link[0].deepcopy(), link["title"]
            )
            reference["classes"] = ["pp-term"]
            link.replace_self(reference)


def setup(app):
    """Register the transforms."""
    app.add_transform(LinkTerms)
    app.add_post_transform(ResolveTerms)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
