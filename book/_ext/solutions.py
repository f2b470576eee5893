"""Name the button that opens a solution after the solution, not "Show code cell content"."""

import re
from html import escape

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.transforms import SphinxTransform

TITLE = re.compile(r"#\s*@title\s+(.+)")


class NameSolutions(SphinxTransform):
    """Give collapsed cells that begin with ``# @title ...`` that title, as Colab does."""

    default_priority = 850

    def apply(self, **kwargs):
        """Go through the page's collapsed cells."""
        html = "".join(raw.astext() for raw in self.document.findall(nodes.raw))
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") != "cell_code" or not cell.get("hide_mode"):
                continue
            source = next(cell.findall(nodes.literal_block), None)
            match = TITLE.match(source.astext()) if source is not None else None
            if match is None:
                continue
            name = match[1].strip()
            if f"<summary>{name}</summary>" in html:
                name += ", in code"  # the words come first, under the same name
            cell["prompt_show"], cell["prompt_hide"] = name, name
            # The title is now on the button; the code need not begin with it.
            source[:] = [nodes.Text(source.astext().partition("\n")[2])]
            source.rawsource = source.astext()  # equal to the text, or it is not highlighted


def visit_collapsed(translator, node):
    """Open a collapsed cell, as MyST-NB does, but let its button be called what it says.

    MyST-NB labels every one "Toggle hidden content", which is all that a screen reader then reads.
    """
    translator.body.append(
        f'<details class="admonition hide {" ".join(node["classes"])}">\n<summary>\n'
        f'<p class="collapsed admonition-title">{escape(node["prompt_show"])}</p>\n'
        f'<p class="expanded admonition-title">{escape(node["prompt_hide"])}</p>\n</summary>\n'
    )


def depart_collapsed(translator, node):
    """Close it."""
    translator.body.append("</details>\n")


def setup(app):
    """Register the transform and the node's new face."""
    app.setup_extension("myst_nb")
    app.add_transform(NameSolutions)
    app.add_node(HideCodeCellNode, override=True, html=(visit_collapsed, depart_collapsed))
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
