"""Every notebook alone: an empty folder, PyTorch but no pp_lib, and its own setup cell.

Each has an environment and a home to itself, made anew, so that each setup cell does all its work:
clone, install, and find the weights and the recorded runs. Only simulated photographs are shared,
for they take a minute to make. The stored key outputs must come out again.
"""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest

from pp_lib.photos.simulated import CACHE_VARIABLE, cache_folder

nbformat = pytest.importorskip(
    "nbformat", reason="the book's tools are absent: pip install -e '.[book]'"
)
nbclient = pytest.importorskip(
    "nbclient", reason="the book's tools are absent: pip install -e '.[book]'"
)

REPOSITORY = Path(__file__).resolve().parents[2]
# The longest, which is the last, goes first, so that no core waits for it at the end.
NOTEBOOKS = sorted((REPOSITORY / "chapters").glob("*.ipynb"), reverse=True)
HELD = [version(name) for name in ("numpy", "torch", "torchvision")]
AT_A_TIME = 2
CELL_TIMEOUT_S = 600


def key_outputs(cell):
    """Give what a cell printed and showed as text, where that must be the same every time."""
    if "nbval-check-output" not in cell.metadata.get("tags", []):
        return None
    return [output.get("text", output.get("data", {}).get("text/plain")) for output in cell.outputs]


def kernel_of(environment, folder):
    """Give the manager of a kernel that runs in an environment."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    (folder / "kernels" / "alone").mkdir(parents=True)
    command = [str(environment.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": command, "display_name": "alone", "language": "python"}
    (folder / "kernels" / "alone" / "kernel.json").write_text(json.dumps(spec))
    return AsyncKernelManager(
        kernel_name="alone",
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(folder / "kernels")]),
        transport="ipc",  # ports could be listened to, and ipykernel warns of that
        connection_file=str(folder / "kernel.json"),
    )


def run_alone(path, world, folder):
    """Execute a notebook, with a look around before its first cell and after its last."""
    from matplotlib import get_cachedir

    environment = world.environment(folder)
    variables = {
        **environment.variables,
        CACHE_VARIABLE: str(cache_folder()),
        "MPLCONFIGDIR": get_cachedir(),  # the list of this machine's fonts
    }
    (folder / "empty").mkdir()
    notebook = nbformat.read(path, as_version=4)
    stored = [key_outputs(cell) for cell in notebook.cells]
    before, after = (nbformat.v4.new_code_cell(world.look) for _ in range(2))
    notebook.cells = [before, *notebook.cells, after]
    nbclient.NotebookClient(
        notebook,
        km=kernel_of(environment, folder),
        timeout=CELL_TIMEOUT_S,
        resources={"metadata": {"path": str(folder / "empty")}},
        coalesce_streams=True,
    ).execute(env=variables, cleanup_kc=True)
    return {
        "before": json.loads(before.outputs[0].text),
        "after": json.loads(after.outputs[0].text),
        "home": str(environment.home),
        "stored": stored,
        "came": [key_outputs(cell) for cell in notebook.cells[1:-1]],
        "left": [path.name for path in (folder / "empty").iterdir()],
    }


@pytest.fixture(scope="module")
def runs(request, world):
    """Give the notebooks under way, two at a time: only those whose tests were asked for."""
    asked = {
        item.callspec.params["path"]
        for item in request.session.items
        if getattr(item, "originalname", None) == "test_a_notebook_runs_alone"
    }

    def run(path):
        # a short name: a socket's path may not be long
        with tempfile.TemporaryDirectory(prefix="alone") as folder:
            return run_alone(path, world, Path(folder))

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        yield {path: pool.submit(run, path) for path in NOTEBOOKS if path in asked}
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_alone(path, runs):
    run = runs[path].result()
    assert run["before"] == {"pp_lib": None, "held": HELD}
    assert run["after"]["held"] == HELD
    assert run["after"]["pp_lib"].startswith(run["home"])
    assert run["came"] == run["stored"]
    assert run["left"] == [], "write to a temporary folder"
