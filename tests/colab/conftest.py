"""Environments like Colab's: PyTorch is there, pp_lib is not, and neither is any network.

What the setup cell reaches for is put in its way on this machine: git's ``insteadOf`` turns the
public address into a repository made of this checkout's files as they are now, and pip finds the
package that builds ours in a folder. Every proxy leads nowhere.
"""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# What a running environment might tell the new one about itself.
PRIVATE = ("PIP_", "PYTHON", "VIRTUAL_ENV", "GIT_", "JUPYTER", "CONDA")
NOWHERE = "http://127.0.0.1:9"  # the port of the discard service, which nobody runs
LOOK = """\
import importlib.metadata, importlib.util, json
spec = importlib.util.find_spec("pp_lib")
held = [importlib.metadata.version(name) for name in ("numpy", "torch", "torchvision")]
print(json.dumps({"pp_lib": spec and spec.origin, "held": held}))"""


class World:
    """What is outside an environment: the published repository, and packages for pip."""

    look = LOOK

    def __init__(self, folder, address, version):
        self.wheels = folder / "wheels"
        self.wheels.mkdir()
        write_wheel(self.wheels, "setuptools", *build_backend())
        self.git_config = folder / "gitconfig"
        self.published = folder / "published"
        self.git_config.write_text(
            f'[url "{self.published.as_uri()}"]\n\tinsteadOf = {address}\n'
            "[user]\n\tname = nobody\n\temail = nobody@example.org\n"
        )
        self._publish(f"v{version}")

    def _publish(self, tag):
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, text=True)
        if listed.returncode:
            pytest.skip("not a git checkout: clone the repository with git to run this")
        for name in filter(None, listed.stdout.split("\0")):
            if (REPOSITORY / name).is_file():
                (self.published / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(REPOSITORY / name, self.published / name)
        for command in ("init", "add --all", "commit --message all", f"tag {tag}"):
            subprocess.run(
                ["git", *command.split()],
                cwd=self.published,
                check=True,
                capture_output=True,
                env={**os.environ, "GIT_CONFIG_GLOBAL": str(self.git_config)},
            )

    def environment(self, folder, *, without=()):
        """Make an environment in an empty folder."""
        return Environment(self, folder, without)


class Environment:
    """A Python of its own, in a home of its own, with the packages of the one that runs this."""

    def __init__(self, world, folder, without):
        self.home = folder / "home"
        self.home.mkdir()
        packages = folder / "packages"
        ours = [path.name for path in (REPOSITORY / "src").glob("pp_*")]
        link_packages(packages, (*ours, "__editable__", *without))
        command = [sys.executable, "-m", "venv", "--without-pip", folder / "venv"]
        subprocess.run(command, check=True)
        self.python = folder / "venv" / "bin" / "python"
        (site_packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (site_packages / "running.pth").write_text(f"{packages}\n")
        self.variables = {
            **{k: v for k, v in os.environ.items() if not k.startswith(PRIVATE)},
            **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE),
            "HOME": str(self.home),
            "GIT_CONFIG_GLOBAL": str(world.git_config),
            "GIT_CONFIG_NOSYSTEM": "1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(world.wheels),
        }

    def run(self, code, **variables):
        """Run a cell's code in a process of its own."""
        return subprocess.run(
            [self.python, "-c", code],
            cwd=self.home,
            env={**self.variables, **variables},
            capture_output=True,
            text=True,
        )

    def look(self):
        """Say where pp_lib comes from, if it is there, and the versions of what is to be held."""
        done = self.run(LOOK)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def link_packages(folder, without):
    """Fill a folder with links to the packages that are installed here, some left out."""
    # Named in a .pth file of the new environment, it is on the path, but .pth files in it count for
    # nothing, and pip does not take what lies there for its own to remove.
    folder.mkdir()
    for entry in map(Path, sys.path):
        if entry.name.endswith("-packages") and entry.is_dir():
            for path in entry.iterdir():
                link = folder / path.name
                # as on sys.path, the first of a name counts
                if not path.name.lower().startswith(without) and not link.exists():
                    link.symlink_to(path)


def write_wheel(folder, name, version, files):
    """Write a wheel of files, each a pair of its name and its content."""
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        for inside, content in files:
            archive.writestr(inside, content)


def build_backend():
    """Give setuptools as it is installed here: its version and its files."""
    try:
        setuptools = distribution("setuptools")
        files = setuptools.files
    except PackageNotFoundError:
        files = None
    if not files or int(setuptools.version.split(".")[0]) < 77:
        pytest.skip("setuptools is absent or too old: pip install 'setuptools>=77' to run this")
    about_here = {"INSTALLER", "REQUESTED", "direct_url.json"}
    return setuptools.version, [
        (str(file), file.locate().read_bytes())
        for file in files
        if ".." not in file.parts and file.suffix != ".pyc" and file.name not in about_here
    ]


@pytest.fixture(scope="session")
def colab():
    """Give the book's module that generates the cells."""
    pytest.importorskip("nbformat", reason="the book's tools are absent: pip install -e '.[book]'")
    spec = importlib.util.spec_from_file_location("colab", REPOSITORY / "book" / "colab.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def world(tmp_path_factory, colab):
    """Give what is outside an environment, which `world.environment(folder)` makes."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is absent: python -m ensurepip to run this")
    if not shutil.which("git"):
        pytest.skip("git is absent: apt-get install git to run this")
    return World(tmp_path_factory.mktemp("world"), *colab.settings(REPOSITORY))
