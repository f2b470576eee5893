"""Describe the public names of a package of the library: ``{api} pp_lib.camera``.

Names are those in ``__all__``, and what is said of them is their docstring, so the page cannot
fall behind the code. (Sphinx's own autodoc makes a cross-reference of every word for a type, and
nearly all of them lead nowhere.)
"""

import importlib
import inspect
import re
from pathlib import Path

from docutils import nodes
from docutils.frontend import get_default_settings
from docutils.parsers.rst import Parser
from docutils.utils import Reporter, new_document
from sphinx import addnodes
from sphinx.ext.napoleon import Config
from sphinx.ext.napoleon.docstring import NumpyDocstring
from sphinx.util.docutils import SphinxDirective

FORM = Config(
    napoleon_use_param=False,
    napoleon_use_rtype=False,
    napoleon_custom_sections=[("Attributes", "params_style")],
)
CODE = re.compile(r"(?<![`:\w])`([^`\n]+)`(?!`)")
LETTER = re.compile(r"^(\s+)(\w)\.$", re.MULTILINE)  # "N." alone is no item of a list
LONGEST_VALUE = 60


class Api(SphinxDirective):
    """List a package's public names with their signatures and docstrings."""

    required_arguments = 1

    def run(self):
        """Import the package and return its description."""
        package = importlib.import_module(self.arguments[0])
        found = [*paragraphs(package, self.env)]
        for name in sorted(package.__all__, key=str.casefold):
            thing = getattr(package, name)
            if not inspect.ismodule(thing):
                found.append(self._entry(f"{package.__name__}.{name}", thing))
        for name in package.__all__:
            thing = getattr(package, name)
            if inspect.ismodule(thing):
                found += self._module(thing)
        return found

    def _module(self, module):
        title = nodes.rubric("", "", nodes.literal("", module.__name__))
        public = getattr(module, "__all__", None) or [
            name
            for name, thing in vars(module).items()
            if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
        ]
        entries = [self._entry(f"{module.__name__}.{n}", getattr(module, n)) for n in public]
        return [title, *paragraphs(module, self.env), *entries]

    def _entry(self, path, thing):
        """Return one name: its signature, and below it what its docstring says."""
        self._depend_on(thing)
        kind = "class" if inspect.isclass(thing) else "function" if callable(thing) else "data"
        name = path.rpartition(".")[2]
        head = addnodes.desc_signature("", "", ids=[path], module="", fullname=name)
        head["classes"] += ["sig", "sig-object", "py"]
        prefix = path.removesuffix(name)
        head += addnodes.desc_addname("", prefix)
        head += addnodes.desc_name("", name)
        head += addnodes.desc_addname("", signature(thing))
        body = addnodes.desc_content()
        if kind != "data":
            body += paragraphs(thing, self.env)
        if kind == "class":
            body += self._methods(path, thing)
        self.env.get_domain("py").note_object(path, kind, path, location=head)
        return addnodes.desc("", head, body, domain="py", objtype=kind, classes=["py", kind])

    def _methods(self, path, cls):
        items = nodes.bullet_list()
        for name, method in vars(cls).items():
            doc = inspect.getdoc(method)
            is_method = inspect.isfunction(method) or isinstance(method, classmethod)
            if name.startswith("_") or not doc or not is_method:
                continue
            call = name + signature(getattr(cls, name))
            summary = doc.partition("\n\n")[0].replace("\n", " ")
            line = nodes.paragraph("", "", nodes.literal("", call), nodes.Text(": "))
            parsed = _parsed(summary, self.env)
            line += parsed[0].children if parsed else [nodes.Text(summary)]
            items += nodes.list_item("", line)
        return [items] if items.children else []

    def _depend_on(self, thing):
        module = inspect.getmodule(thing)
        if getattr(module, "__file__", None) and module.__name__.startswith("pp_lib"):
            self.env.note_dependency(str(Path(module.__file__)))


def signature(thing):
    """Return what stands in the parentheses, or a constant's short value, or nothing."""
    if not callable(thing):
        value = repr(thing)
        return f" = {value}" if len(value) <= LONGEST_VALUE else f": {type(thing).__name__}"
    try:
        found = inspect.signature(thing)
    except ValueError:
        return ""
    bare = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in found.parameters.values()
        if parameter.name not in {"self", "cls"}
    ]
    return str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))


def paragraphs(thing, env):
    """Return a docstring as nodes; as it was typed where it is no reStructuredText."""
    doc = inspect.getdoc(thing) or ""
    parsed = _parsed(str(NumpyDocstring(LETTER.sub(r"\1\\\2.", doc), FORM)), env)
    if parsed is None:
        return [nodes.literal_block(doc, doc, language="none", classes=["pp-docstring"])]
    return parsed


def _parsed(text, env):
    """Return nodes, or None if the parser finds anything to complain of."""
    settings = get_default_settings(Parser)
    settings.env = env  # Sphinx's directives ask for it
    settings.report_level = Reporter.SEVERE_LEVEL + 1
    settings.halt_level = Reporter.SEVERE_LEVEL + 1
    document = new_document("docstring", settings)
    # In docstrings one backtick means code; reStructuredText wants two.
    Parser().parse(CODE.sub(r"``\1``", text), document)
    for bars in list(document.findall(nodes.substitution_reference)):
        bars.replace_self(nodes.Text(f"|{bars.astext()}|"))  # a size, and no name for a text
    for name in document.findall(nodes.field_name):
        words = name.astext()
        name[:] = [nodes.Text(words[:1].upper() + words[1:])]
    if any(m["level"] >= Reporter.WARNING_LEVEL for m in document.findall(nodes.system_message)):
        return None
    return document.children


def setup(app):
    """Register the directive and its style."""
    app.add_directive("api", Api)
    app.add_css_file("api.css")
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
