"""What a notebook's results depend on, as one number.

The stamp is a SHA-256 over the notebook's code cells and over the source of every module of the
library that they import, directly or through other modules. Prose is left out: to reword a
paragraph does not make a result stale.

Imports are found by reading the source, not by running it. It sees, wherever in a file they stand:
``import pp_lib.a``, ``from pp_lib import a``, relative imports, a module's full name in a string
(``importlib.import_module("pp_lib.a.b")``), names that a package gives out lazily through a module
``__getattr__`` and a table of names, and a file beside a module that bears its name (explorer.js
beside explorer.py). Where it cannot tell it takes too many modules rather than too few.

It does not see: modules whose names are put together at run time, data files that a chapter reads,
versions of other packages, and a change to outputs by hand.
"""

import ast
import hashlib
import re
from pathlib import Path

MAGIC = re.compile(r"^(\s*)[%!].*$", flags=re.MULTILINE)


def stamp(notebook, src, package="pp_lib"):
    """Return the stamp of a notebook as 64 hexadecimal digits.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Only its code cells' sources are read.
    src : Path
        The folder that holds the package's folder.
    package : str
        Imports of other packages are not followed.

    Raises
    ------
    ValueError
        If a cell is not Python, or imports a module of the package that does not exist.
    """
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    library = Library(src, package)
    digest = hashlib.sha256()
    for number, source in enumerate(cells, start=1):
        _add(digest, "cell", source)
        try:
            # A magic may be all that an `if` holds, so it is replaced rather than removed.
            tree = ast.parse(MAGIC.sub(r"\1pass", source))
        except SyntaxError as problem:
            raise ValueError(f"code cell {number} is not Python: {problem}") from problem
        library.follow(tree, "")
    for file in sorted(library.files, key=lambda file: file.relative_to(src).as_posix()):
        _add(digest, file.relative_to(src).as_posix(), file.read_text(encoding="utf-8"))
    return digest.hexdigest()


def _add(digest, name, text):
    # Lengths keep two texts from being confused with one; line ends are git's affair.
    text = text.replace("\r\n", "\n").encode()
    digest.update(f"{name}:{len(text)}:".encode())
    digest.update(text)


class Library:
    """The part of a package that some code depends on; `files` grows as imports are followed."""

    def __init__(self, src, package):
        self.src = Path(src)
        self.package = package
        self.files = set()
        self._lazy_done = set()

    def follow(self, tree, module):
        """Add everything that this code imports; `module` is its dotted name ("" in a cell)."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    if self._is_ours(alias.name):
                        self._add_module(alias.name)
                        self._add_lazy(alias.name, None)
            elif isinstance(node, ast.ImportFrom):
                base = self._absolute(node, module)
                if self._is_ours(base):
                    self._add_module(base)
                    for alias in node.names:
                        self._add_name(base, alias.name)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                name = node.value
                if name != module and name.startswith(f"{self.package}.") and self._file(name):
                    self._add_module(name)

    def _is_ours(self, name):
        return name.split(".")[0] == self.package

    def _absolute(self, node, module):
        if not node.level:
            return node.module
        parts = module.split(".") if module else []
        is_package = bool(module) and self._file(module).name == "__init__.py"
        up = node.level - 1 if is_package else node.level
        parts = parts[: len(parts) - up]
        return ".".join(parts + ([node.module] if node.module else []))

    def _file(self, name):
        """Return the file of a module or package, or None."""
        path = self.src.joinpath(*name.split("."))
        for file in (path / "__init__.py", path.with_suffix(".py")):
            if file.is_file():
                return file
        return None

    def _add_module(self, name):
        # Importing a.b.c runs a and a.b first.
        parts = name.split(".")
        for n in range(1, len(parts) + 1):
            self._add_one(".".join(parts[:n]))

    def _add_one(self, name):
        file = self._file(name)
        if file is None:
            if self.src.joinpath(*name.split(".")).is_dir():
                return  # a namespace package runs no code of its own
            raise ValueError(f"{name} is imported, but there is no such module in {self.src.name}/")
        if file in self.files:
            return
        self.files.add(file)
        if file.name != "__init__.py":
            self.files.update(
                other for other in file.parent.glob(f"{file.stem}.*") if other.suffix in _BESIDE
            )
        self.follow(_parse(file), name)

    def _add_name(self, base, name):
        """Add what ``from base import name`` needs beyond `base` itself."""
        if name == "*":
            self._add_lazy(base, None)
            return
        if self._file(f"{base}.{name}"):
            self._add_module(f"{base}.{name}")
            self._add_lazy(f"{base}.{name}", None)
        else:
            self._add_lazy(base, name)

    def _add_lazy(self, base, name):
        """Follow a package's ``__getattr__`` to the modules behind `name` (None: behind any)."""
        file = self._file(base)
        if file is None or (base, name) in self._lazy_done:
            return
        self._lazy_done.add((base, name))
        tree = _parse(file)
        if not any(isinstance(n, ast.FunctionDef) and n.name == "__getattr__" for n in tree.body):
            return
        for target in self._lazy_targets(tree, base, name):
            self._add_module(target)

    def _lazy_targets(self, tree, base, name):
        every, chosen = set(), set()
        for node in ast.walk(tree):
            every.update(self._modules_named_in(node, base))
            if isinstance(node, ast.Dict) and name is not None:
                for key, value in zip(node.keys, node.values, strict=True):
                    # Either {"name": "module"} or {"module": ("name", ...)}.
                    for one, other in ((key, value), (value, key)):
                        if name in _strings(one):
                            for part in ast.walk(other):
                                chosen.update(self._modules_named_in(part, base))
        if chosen:
            return chosen
        return set() if name in _bound(tree) else every

    def _modules_named_in(self, node, base):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
            return
        text = node.value
        if not re.fullmatch(r"\.?[A-Za-z_][\w.]*", text):
            return
        for candidate in (text, f"{base}.{text.lstrip('.')}"):
            if self._is_ours(candidate) and candidate != base and self._file(candidate):
                yield candidate


_BESIDE = {".js", ".css", ".json", ".csv", ".txt"}


def _bound(tree):
    """Return the names that a module has without its ``__getattr__``."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
        else:
            stored = (n for n in ast.walk(node) if isinstance(n, ast.Name))
            names.update(n.id for n in stored if isinstance(n.ctx, ast.Store))
    return names


def _strings(node):
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant)}


def _parse(file):
    return ast.parse(file.read_text(encoding="utf-8"), filename=str(file))
