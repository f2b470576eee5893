"""The rules of the house: which way imports go, how long a module is, how cheap the import."""

import ast
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "pp_lib"
WORKSHOP = SOURCE.parent / "pp_pretrain"  # where the makers train the backbone; no reader needs it
MODULES = sorted(SOURCE.rglob("*.py"))
WORKSHOP_MODULES = sorted(WORKSHOP.rglob("*.py"))
LONGEST_MODULE = 260  # "about 250 lines": one sitting
# lines of code; docstrings, comments and blank lines do not count
LARGEST_LIBRARY = 7900
LARGEST_WORKSHOP = 600
# The library does without the workshop; one command leads there.
LEAD_TO_THE_WORKSHOP = {"cli/network.py"}

# Data flows camera -> photos -> train; nn stands alone; verify is where nn and torch meet.
MAY_IMPORT = {
    "camera": {"camera"},
    "nn": {"nn"},
    "photos": {"photos", "camera"},
    "train": {"train", "photos"},
    "verify": {"verify", "nn", "train"},
    "show": {"show"},
    "cli": {"camera", "photos", "train", "verify", "cli"},
}
WITHOUT_TORCH = {"camera", "nn"}


def area_of(module: Path) -> str:
    relative = module.relative_to(SOURCE)
    return relative.parts[0].removesuffix(".py")


def imports_of(module: Path):
    """Yield every absolute dotted name the module imports, relative ones resolved."""
    package = ("pp_lib", *module.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, *(node.module.split(".") if node.module else [])])
            yield stem
            yield from (f"{stem}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", MODULES, ids=lambda m: str(m.relative_to(SOURCE)))
def test_imports_go_one_way(module):
    area = area_of(module)
    if area == "__init__":
        allowed = set()
    else:
        assert area in MAY_IMPORT, f"{area} has no place in the house; give it one in MAY_IMPORT"
        allowed = MAY_IMPORT[area]
    areas = {path.stem if path.suffix else path.name for path in SOURCE.iterdir()}
    for name in imports_of(module):
        parts = name.split(".")
        if parts[0] == "pp_lib" and len(parts) > 1 and parts[1] in areas:
            assert parts[1] in allowed, f"{area} must not import {name}"
        if area in WITHOUT_TORCH:
            assert parts[0] not in {"torch", "torchvision"}, f"{area} must not import {name}"


def test_the_library_does_without_the_workshop():
    leads = {
        module.relative_to(SOURCE).as_posix()
        for module in MODULES
        if any(name.split(".")[0] == "pp_pretrain" for name in imports_of(module))
    }
    assert leads <= LEAD_TO_THE_WORKSHOP


@pytest.mark.parametrize(
    "module", MODULES + WORKSHOP_MODULES, ids=lambda m: str(m.relative_to(SOURCE.parent))
)
def test_a_module_reads_in_one_sitting(module):
    lines = len(module.read_text(encoding="utf-8").splitlines())
    assert lines <= LONGEST_MODULE, f"{module.name} has {lines} lines: split it by idea"


def lines_of_code(module: Path) -> int:
    """Count the lines that hold code, leaving out docstrings, comments and blank lines."""
    silent = {
        *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
        *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING, tokenize.ENDMARKER),
    }
    lines = set()
    with module.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type not in silent:
                lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        if documented and ast.get_docstring(node) is not None:
            lines -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(lines)


def test_the_library_stays_small():
    assert sum(map(lines_of_code, MODULES)) <= LARGEST_LIBRARY


def test_the_workshop_stays_small():
    assert sum(map(lines_of_code, WORKSHOP_MODULES)) <= LARGEST_WORKSHOP


@pytest.mark.parametrize(
    ("statement", "heavy"),
    [
        ("import pp_lib", {"torch", "matplotlib", "sklearn", "scipy", "rawpy"}),
        ("import pp_lib.camera", {"torch", "matplotlib", "sklearn", "rawpy"}),
        ("import pp_lib.photos", {"torch", "matplotlib", "sklearn", "rawpy", "exifread", "httpx"}),
        ("import pp_lib.train", {"torch", "matplotlib", "sklearn", "accelerate"}),
        ("import pp_lib.cli", {"torch", "matplotlib", "sklearn", "rawpy", "httpx", "accelerate"}),
    ],
)
def test_imports_are_cheap(statement, heavy):
    code = (
        f"{statement}; import sys; print(' '.join(m for m in {sorted(heavy)} if m in sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert loaded == [], f"{statement} loads {loaded}"
