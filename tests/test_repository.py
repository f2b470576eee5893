"""What the files beside the library promise: one address, one dependency list, no local paths."""

import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent


def tracked_files():
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout: clone the repository with git to run this")
    return [REPOSITORY / name for name in listing.stdout.split("\0") if name]


def test_environment_lists_what_pyproject_lists():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    environment = yaml.safe_load((REPOSITORY / "environment.yml").read_text())
    (by_pip,) = (entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    wanted = project["dependencies"] + project["optional-dependencies"]["book"]
    assert sorted(by_pip) == sorted([*wanted, "-e ."])
    assert f"python{project['requires-python']}" in environment["dependencies"]


def written_by_hand(path):
    """Give a file as text; a notebook without the cells that are made of the setting."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return json.dumps([c for c in cells if c.get("id") not in ("colab-badge", "colab-setup")])


def test_the_public_address_is_one_setting():
    config = yaml.safe_load((REPOSITORY / "book" / "_config.yml").read_text())
    address = config["repository"]["url"]
    assert re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address)
    elsewhere = [
        path.relative_to(REPOSITORY)
        for path in tracked_files()
        if path.is_file()
        and path.suffix in {".md", ".py", ".toml", ".yml", ".cff", ".ipynb", ".js", ""}
        and address.removeprefix("https://github.com/") in written_by_hand(path)
        and path not in (REPOSITORY / "book" / "_config.yml", REPOSITORY / "pyproject.toml")
    ]
    assert elsewhere == [], f"these repeat the address of book/_config.yml: {elsewhere}"
    # the installed package knows only what pyproject.toml says
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert project["urls"] == {"Repository": address}


def test_no_file_names_a_path_of_somebodys_machine():
    homes = b"|".join((b"root", rb"home/\w+", rb"work/\w+", rb"Users/\w+", rb"tmp/\w+"))
    local = re.compile(b"/(" + homes + b")/")
    for path in tracked_files():
        if path.is_file() and path.suffix in {".md", ".py", ".toml", ".yml", ".ipynb", ".csv"}:
            found = local.search(path.read_bytes())
            assert not found, f"{path.relative_to(REPOSITORY)} names {found[0].decode()}"


def test_citation_and_package_agree_on_the_version():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == project["version"]
