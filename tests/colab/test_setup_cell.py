"""The setup cell at work: what it installs, what it leaves alone, and what it does when cut off."""

import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
HELD = [version(name) for name in ("numpy", "torch", "torchvision")]
USE = """
from importlib.metadata import version
import exifread
from pp_lib.train import repository
assert version("pp-lib")
assert repository.in_checkout(repository.CAMERA_WEIGHTS).is_file()
assert repository.recorded_run("camera")
print(exifread.__file__)"""
NO_HOST = {"GIT_CONFIG_GLOBAL": "/dev/null"}  # the public address, and proxies that lead nowhere


@pytest.fixture
def setup(colab):
    return colab.generated(REPOSITORY, "05_linear")[1].source


def test_cut_off_it_says_so_and_goes_on_from_there(world, setup, tmp_path):
    environment = world.environment(tmp_path)
    assert environment.look() == {"pp_lib": None, "held": HELD}
    (line,) = (line for line in setup.splitlines() if line.strip().startswith("source = "))
    source = environment.home / ".cache" / "photopilot" / line.split('"')[-2]

    # the last try was killed in the middle of its clone, and now there is no network
    part = source.with_name(f"{source.name}.part")
    (part / ".git").mkdir(parents=True)
    offline = environment.run(setup, **NO_HOST)
    assert offline.returncode != 0
    assert "RuntimeError: git clone" in offline.stderr
    assert "failed; it needs the network" in offline.stderr
    assert not source.exists()

    # git reaches its host, but pip does not; the clone is kept, and none is tried again
    (part / ".git").mkdir(parents=True, exist_ok=True)
    halfway = environment.run(setup, PIP_FIND_LINKS="")
    assert halfway.returncode != 0
    assert "-m pip install" in halfway.stderr
    assert [path.name for path in source.parent.iterdir()] == [source.name]
    assert environment.look()["pp_lib"] is None

    # a process that has just installed the library can use it, and finds data and weights
    done = environment.run(setup + USE, **NO_HOST)
    assert done.returncode == 0, done.stderr
    assert environment.look() == {
        "pp_lib": str(source / "src" / "pp_lib" / "__init__.py"),
        "held": HELD,
    }

    # the second time there is nothing to do, so nothing is missed
    again = environment.run(setup + USE, **NO_HOST, PIP_FIND_LINKS="")
    assert again.returncode == 0, again.stderr


def offer(folder, name, number, requires=None):
    """Put a package with nothing in it where pip looks."""
    about = f"{name}-{number}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n"
    if requires:
        metadata += f"Requires-Dist: {requires}\n"
    with zipfile.ZipFile(folder / f"{name}-{number}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{name}/__init__.py", "")
        archive.writestr(f"{about}/METADATA", metadata)
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")


def test_what_is_missing_is_added_but_never_at_the_cost_of_what_is_held(world, setup, tmp_path):
    (tmp_path / "wheels").mkdir()
    offered = {"PIP_FIND_LINKS": f"{world.wheels} {tmp_path / 'wheels'}"}
    newer = HELD[0].split("+")[0] + ".post1"  # near enough to please all other packages
    offer(tmp_path / "wheels", "numpy", newer)
    offer(tmp_path / "wheels", "exifread", "98.0", requires=f"numpy>={newer}")
    environment = world.environment(tmp_path, without=("exifread",))
    refused = environment.run(setup, **offered)
    assert refused.returncode != 0
    assert "ResolutionImpossible" in refused.stderr
    assert environment.look() == {"pp_lib": None, "held": HELD}

    offer(tmp_path / "wheels", "exifread", "97.0", requires="numpy")
    done = environment.run(setup + USE, **offered)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "venv") in done.stdout
    assert environment.look()["held"] == HELD
