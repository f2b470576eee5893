"""Make citations of plain links, so that a chapter stays Markdown that Colab and GitHub can read.

A chapter writes ``[Kingma and Ba, 2015](../book/references.md#kingma2015adam)``. Here the link
becomes a citation of sphinxcontrib-bibtex: it leads to the entry, says under the mouse what is
cited, an unknown key is a warning (and so an error with ``-W``), and so is an entry that nothing
cites. Each entry leads back to the chapters that cite it.
"""

import re

from docutils import nodes
from pybtex.plugin import find_plugin, register_plugin
from pybtex.style import template as form
from pybtex.style.formatting import toplevel
from pybtex.style.formatting.unsrt import Style as Unsorted
from sphinx.addnodes import pending_xref
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.nodes import make_refnode
from sphinxcontrib.bibtex.citation_target import CitationTarget
from sphinxcontrib.bibtex.roles import CitationRef

logger = logging.getLogger(__name__)
REFERENCES = "book/references"
CHAPTER = re.compile(r"chapters/(\d\d)_")


class BookStyle(Unsorted):
    """One form for all: authors, *title*, where, when, and a number to find it by.

    Pybtex's own styles drop a volume without pages, and write titles in small letters.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.sort = by_author  # pybtex sets it on the instance, so a method would be overlooked

    def get_article_template(self, entry):
        """Return what an entry looks like, of whatever type."""
        volume = form.join[form.field("volume"), form.optional["(", form.field("number"), ")"]]
        where = [
            form.optional[form.words[form.field("journal"), volume]],
            form.optional_field("booktitle"),
            form.optional_field("howpublished"),
            form.optional_field("publisher"),
            form.optional[form.words[form.field("edition"), "edition"]],
            form.optional_field("year"),
        ]
        number = [form.optional[self.format_doi(entry)], form.optional[self.format_eprint(entry)]]
        return toplevel[
            form.sentence[form.names("author", sep=", ", sep2=" and ", last_sep=" and ")],
            form.sentence[form.tag("em")[form.field("title")]],
            form.sentence(capfirst=True)[where],
            form.sentence[form.first_of[number]],
        ]

    get_book_template = get_article_template
    get_inproceedings_template = get_article_template
    get_incollection_template = get_article_template
    get_misc_template = get_article_template


def by_author(entries):
    """Return the entries by the first author's last name, then by year."""

    def order(entry):
        last = " ".join(entry.persons["author"][0].last_names).strip("{}")
        return last.casefold(), entry.fields.get("year", "")

    return sorted(entries, key=order)


class LinksBecomeCitations(SphinxTransform):
    """Note, when a page is read, which entries it cites."""

    default_priority = 850

    def apply(self, **kwargs):
        """Go through the page's links to the references."""
        domain = self.env.get_domain("cite")
        seen = {}
        for link in self.document.findall(pending_xref):
            key = link.get("reftargetid")
            if link.get("reftarget") != REFERENCES or not key:
                continue
            seen[key] = seen.get(key, 0) + 1
            name = f"cite-{key}" + (f"-{seen[key]}" if seen[key] > 1 else "")
            link["ids"] = [name]
            link["refdomain"], link["reftype"] = "cite", "link"
            target = CitationTarget(key=key, pre="", post="")
            domain.citation_refs.append(CitationRef(name, self.env.docname, link.line, [target]))


class ResolveCitations(SphinxPostTransform):
    """Lead every citation to its entry and back, when all pages have been read."""

    default_priority = 6  # after the bibliography has its entries (5), before MyST's links (9)
    plaintext = find_plugin("pybtex.backends", "plaintext")()

    def run(self, **kwargs):
        """Resolve the page's citations; on the page of references, lead back as well."""
        self.domain = self.env.get_domain("cite")
        entries = {citation.key: citation for citation in self.domain.citations}
        for link in list(self.document.findall(pending_xref)):
            if (link.get("refdomain"), link["reftype"]) == ("cite", "link"):
                link.replace_self(self._resolved(link, entries.get(link["reftargetid"])))
        if self.env.docname == REFERENCES:
            self._lead_back(entries)

    def _resolved(self, link, citation):
        text = [child.deepcopy() for child in link.children]
        if citation is None:
            key = link["reftargetid"]
            logger.warning("references.bib has no entry %r", key, location=link)
            return text
        title = citation.formatted_entry.text.render(self.plaintext)
        where = citation.bibliography_key.docname
        here = self.env.docname
        reference = make_refnode(
            self.app.builder, here, where, citation.citation_id, text, title.replace("\n", " ")
        )
        reference["ids"], reference["classes"] = link["ids"], ["citation"]
        return reference

    def _lead_back(self, entries):
        for key in sorted(set(self.domain.bibdata.data.entries) - set(entries)):
            logger.warning("nothing cites the entry %r of references.bib", key)
        first = {}  # by entry and page, the first place that cites it
        for ref in self.domain.citation_refs:
            first.setdefault((ref.targets[0].key, ref.docname), ref.citation_ref_id)
        items = {tuple(item["ids"]): item for item in self.document.findall(nodes.list_item)}
        for citation in entries.values():
            paragraph = items[(citation.citation_id,)][0]
            pages = [page for key, page in first if key == citation.key]
            pages.sort(key=lambda page: (not CHAPTER.match(page), page))
            for i, page in enumerate(pages):
                before = " and " if i == len(pages) - 1 else ", "
                paragraph += nodes.Text(before if i else " Cited in ")
                name = nodes.Text(self._name(page))
                paragraph += make_refnode(
                    self.app.builder, REFERENCES, page, first[citation.key, page], name
                )
            paragraph += nodes.Text(".")

    def _name(self, page):
        chapter = CHAPTER.match(page)
        if chapter:
            return f"chapter {int(chapter[1])}"
        if page == self.config.root_doc:
            return "the first page"
        return "the " + self.env.titles[page].astext().partition(":")[0].lower()


def rewrite_references(app, env):
    """Write the page of references anew whenever a page has changed: it leads back to all."""
    return [REFERENCES] if REFERENCES in env.found_docs else []


def setup(app):
    """Register the style, the transforms and sphinxcontrib-bibtex itself."""
    register_plugin("pybtex.style.formatting", "book", BookStyle)
    app.setup_extension("sphinxcontrib.bibtex")
    app.add_transform(LinksBecomeCitations)
    app.add_post_transform(ResolveCitations)
    app.connect("env-updated", rewrite_references)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
