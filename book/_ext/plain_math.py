r"""Hand display formulas to MathJax as they are written.

Sphinx puts every formula that holds a line break into ``\begin{split}``, where MathJax refuses
``\tag{2.1}``. Colab, Jupyter and GitHub take the formula as it is, and so does the book.
"""

from docutils import nodes
from sphinx.transforms import SphinxTransform


class PlainMath(SphinxTransform):
    """Mark display formulas as not to be wrapped, and bring their delimiters along."""

    default_priority = 850

    def apply(self, **kwargs):
        """Go through the page's display formulas."""
        for formula in self.document.findall(nodes.math_block):
            if not formula.get("nowrap"):
                formula["nowrap"] = True
                formula[:] = [nodes.Text(rf"\[{formula.astext()}\]")]


def setup(app):
    """Register the transform."""
    app.add_transform(PlainMath)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
