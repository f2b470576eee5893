"""The workflow that tests and publishes the book keeps its promises, with the fewest rights."""

import re
import shutil
import subprocess

import pytest
import yaml
from built_book import HTML, REPOSITORY

WORKFLOW = REPOSITORY / ".github" / "workflows" / "book.yml"
WORDS = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
JOBS = WORDS["jobs"]
STEPS = [step for job in JOBS.values() for step in job["steps"]]
COMMANDS = [step["run"] for step in STEPS if "run" in step]


def of_action(name):
    (step,) = (step for step in STEPS if step.get("uses", "").startswith(f"actions/{name}@"))
    return step


def test_it_runs_on_every_pull_request_and_on_main():
    triggers = WORDS[True]  # YAML 1.1 takes the key `on` for a truth value
    assert set(triggers) == {"push", "pull_request"}
    config = yaml.safe_load((REPOSITORY / "book" / "_config.yml").read_text())
    assert triggers["push"]["branches"] == [config["repository"]["branch"]]


def test_it_calls_the_two_commands_of_the_readme_tests_first():
    block = re.search(r"```\n(make .*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)[1]
    promised = {line.split("#")[0].strip() for line in block.splitlines()}
    called = [command for command in COMMANDS if command.startswith("make ")]
    assert set(called) == promised == {"make book", "make test"}
    assert called[0] == "make test"


def test_what_is_published_is_what_make_book_built_after_the_tests():
    assert (REPOSITORY / of_action("upload-pages-artifact")["with"]["path"]) == HTML
    publishing = [name for name, job in JOBS.items() if "deploy-pages" in str(job["steps"])]
    assert publishing == ["publish"]
    assert JOBS["publish"]["needs"] == "test"
    # A pull request is tested and never published.
    for part in (JOBS["publish"], of_action("upload-pages-artifact")):
        assert part["if"] == "github.event_name == 'push'"


def test_rights_are_the_least_that_do():
    assert WORDS["permissions"] == {"contents": "read"}
    assert "permissions" not in JOBS["test"]
    assert JOBS["publish"]["permissions"] == {"pages": "write", "id-token": "write"}


def test_actions_are_pinned_to_a_major_version():
    uses = [step["uses"] for step in STEPS if "uses" in step]
    assert uses
    assert all(re.fullmatch(r"actions/[\w-]+@v\d+", action) for action in uses), uses


def test_nothing_runs_for_ever_or_twice_at_once():
    assert all(0 < job["timeout-minutes"] <= 60 for job in JOBS.values())
    assert WORDS["concurrency"]["group"] == "book-${{ github.ref }}"


def test_packages_are_cached_until_the_list_of_them_changes():
    options = of_action("setup-python")["with"]
    assert options["cache"] == "pip"
    assert (REPOSITORY / options["cache-dependency-path"]).name == "pyproject.toml"


def test_expressions_stay_out_of_the_shell():
    """A branch may be called anything, so what GitHub fills in comes as a variable."""
    assert not [command for command in COMMANDS if "${{" in command]


def check_of_the_address(address):
    (script,) = (command for command in COMMANDS if "repository.url" in command)
    return subprocess.run(
        ["bash", "-e", "-c", script],
        cwd=REPOSITORY,
        env={"ADDRESS": address, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )


def test_pages_that_name_another_repository_are_not_published():
    config = yaml.safe_load((REPOSITORY / "book" / "_config.yml").read_text())
    assert check_of_the_address(config["repository"]["url"]).returncode == 0
    refused = check_of_the_address("https://github.com/somebody/else")
    assert refused.returncode == 1
    assert "repository.url must be https://github.com/somebody/else" in refused.stdout


def test_actionlint_finds_nothing():
    actionlint = shutil.which("actionlint")
    if not actionlint:
        pytest.skip("actionlint is absent: brew install actionlint, or its own page says how")
    done = subprocess.run([actionlint, WORKFLOW], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
