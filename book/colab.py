"""The two cells at the top of every notebook: the badge that opens it in Colab, and the setup.

They are made from the repository's settings, its address in book/_config.yml and its version in
pyproject.toml, and they stand in the .ipynb alone: a person who edits the text never meets them,
and the built book, which needs no setup, leaves them out. The setup installs the release that the
notebook belongs to, the tag v<version>; the badge opens the notebook of the same tag.
"""

import re
import tomllib
from pathlib import Path
from string import Template

import nbformat
import yaml

BADGE = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
TITLE = "# @title Setup"

# Plain Python, and short, for people look into it before they run it. PyTorch and NumPy are Colab's
# own, built for its GPU and perhaps already imported: pip may not replace them. A running kernel
# does not see an editable install by itself: that takes a new one, or a word to sys.path. Without
# a session of its own, git would ask for a password on the terminal, where nobody looks.
SETUP = Template(
    f"""{TITLE}, for Colab: run this cell first. Where pp_lib is installed, it does nothing.
import shutil, subprocess, sys
from importlib import invalidate_caches, metadata, util
from pathlib import Path

def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, start_new_session=True)
    if done.returncode:
        why = "failed; it needs the network, this once"
        raise RuntimeError(f"{{' '.join(command)}}\\n{{why}}:\\n{{done.stderr}}")

if util.find_spec("pp_lib") is None:
    source = Path.home() / ".cache" / "photopilot" / "source-$version"
    if not source.is_dir():
        part = Path(f"{{source}}.part")  # renamed when whole, so half a clone is never used
        shutil.rmtree(part, ignore_errors=True)
        clone = "git clone --quiet --depth 1 --branch v$version $address"
        run(*clone.split(), str(part))
        part.rename(source)
    held = [f"{{name}}=={{metadata.version(name)}}"  # to stay as they are
            for name in ("numpy", "torch", "torchvision") if util.find_spec(name)]
    run(sys.executable, "-m", "pip", "install", "--quiet", "--editable", str(source), *held)
    sys.path.append(f"{{source}}/src")
    invalidate_caches()
if "google.colab" in sys.modules:
    from google.colab import output
    output.enable_custom_widget_manager()"""
)


def settings(repository):
    """Read the repository's public address and its version.

    Returns
    -------
    tuple of str
        Such as ``("https://github.com/someone/photopilot", "0.1.0")``.

    Raises
    ------
    ValueError
        If the address is not one on GitHub, which is where Colab looks.
    """
    config = yaml.safe_load((Path(repository) / "book" / "_config.yml").read_text("utf-8"))
    project = tomllib.loads((Path(repository) / "pyproject.toml").read_text("utf-8"))
    address = config["repository"]["url"].rstrip("/")
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise ValueError(
            f"book/_config.yml: repository.url must be https://github.com/OWNER/NAME, "
            f"got {address!r}; Colab opens notebooks from there"
        )
    return address, project["project"]["version"]


def generated(repository, name):
    """Make the cells that belong at the top of ``chapters/<name>.ipynb``."""
    address, version = settings(repository)
    place = address.removeprefix("https://github.com/")
    page = f"https://colab.research.google.com/github/{place}/blob/v{version}/chapters/{name}.ipynb"
    badge = nbformat.v4.new_markdown_cell(
        f"{BADGE}({page})", id="colab-badge", metadata={"tags": ["remove-cell"]}
    )
    setup = nbformat.v4.new_code_cell(
        SETUP.substitute(address=address, version=version),
        id="colab-setup",
        metadata={
            "cellView": "form",  # collapsed in Colab
            "jupyter": {"source_hidden": True},  # collapsed in Jupyter
            "tags": ["remove-cell"],  # not in the book
        },
    )
    return [badge, setup]


def is_generated(cell):
    """Say whether a cell is one of these, of whatever version and whatever was done to it since."""
    # Known by how it begins: Colab and other editors keep a cell's text better than its metadata.
    start = BADGE if cell.cell_type == "markdown" else TITLE
    return cell.cell_type in ("markdown", "code") and cell.source.startswith(start)


def without(notebook):
    """Take the generated cells out of a notebook, in place; return it."""
    notebook.cells = [cell for cell in notebook.cells if not is_generated(cell)]
    return notebook
