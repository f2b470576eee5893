"""Every notebook alone: an empty folder, PyTorch but no pp_lib, and its own setup cell.

Each has an environment and a home to itself, made anew, so that each setup cell does all its work:
clone, install, and find the weights and the recorded runs. Only simulated photographs are shared,
for they take a minute to make. The stored key outputs must come out again, and every frame of every
explorer.
"""

import io
import json
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
# Processors round differently, and learning adds that up; a curve that is wrong is further off.
RTOL_FRAME, ATOL_FRAME = 2e-2, 2e-3  # the second of the range of a series
GREY_LEVELS = 2.0  # of 256, on average over a photograph
# A run at a rate far too large is chaos: tagged so, a tenth of an explorer's frames may differ.
SENSITIVE, MAY_DIFFER = "explorer-sensitive", 0.1
PAYLOAD = re.compile(r'<script type="text/plain">([^<]+)')
NUMBER = re.compile(r"[-\u2212]?\d[\d.,]*(?:e[-+]?\d+)?")
CELL_TIMEOUT_S = 600


def key_outputs(cell):
    """Give what a cell printed and showed as text, where that must be the same every time."""
    if "nbval-check-output" not in cell.metadata.get("tags", []):
        return None
    return [output.get("text", output.get("data", {}).get("text/plain")) for output in cell.outputs]


def explorers(notebook):
    """Yield for each explorer its payload, and whether its frames are sensitive to rounding."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            for payload in PAYLOAD.findall(output.get("data", {}).get("text/html", "")):
                yield payload, SENSITIVE in cell.metadata.get("tags", [])


def frames_that_differ(stored, came):
    """Count the frames of which a number, a sentence or a picture is another."""
    differ = np.zeros(stored.sizes, bool)
    for view, view_came in zip(stored.header["views"], came.header["views"], strict=True):
        held = [view, *view.get("series", [])]
        held_came = [view_came, *view_came.get("series", [])]
        for one, other in zip(held, held_came, strict=True):
            if "trace" in one:
                differ |= traces_differ(stored, came, one["trace"], other["trace"])
        if view["kind"] == "picture":
            for at in np.ndindex(*stored.sizes):
                pictures = [
                    np.asarray(Image.open(io.BytesIO(data.picture(which, at)[1])), float)
                    for data, which in ((stored, view), (came, view_came))
                ]
                differ[at] |= np.abs(pictures[0] - pictures[1]).mean() > GREY_LEVELS
    for at in np.ndindex(*stored.sizes):
        differ[at] |= NUMBER.sub("#", stored.says(at)) != NUMBER.sub("#", came.says(at))
    return differ


def traces_differ(stored, came, one, other):
    traces = {
        at: (stored.trace(one, at), came.trace(other, at)) for at in np.ndindex(*stored.sizes)
    }
    finite = np.concatenate([a[np.isfinite(a)].ravel() for a, _ in traces.values()])
    atol = ATOL_FRAME * np.ptp(finite) if finite.size else 0
    differ = np.zeros(stored.sizes, bool)
    for at, (a, b) in traces.items():
        differ[at] = a.shape != b.shape or not np.allclose(
            b, a, rtol=RTOL_FRAME, atol=atol, equal_nan=True
        )
    return differ


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
    explorers_stored = list(explorers(notebook))
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
        "explorers": (explorers_stored, list(explorers(notebook))),
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
def test_a_notebook_runs_alone(path, runs, unpack):
    run = runs[path].result()
    assert run["before"] == {"pp_lib": None, "held": HELD}
    assert run["after"]["held"] == HELD
    assert run["after"]["pp_lib"].startswith(run["home"])
    assert run["came"] == run["stored"]
    assert run["left"] == [], "write to a temporary folder"
    for (stored, sensitive), (came, _) in zip(*run["explorers"], strict=True):
        stored, came = unpack(stored), unpack(came)
        assert stored.header["axes"] == came.header["axes"]
        differ = frames_that_differ(stored, came)
        allowed = MAY_DIFFER * differ.size if sensitive else 0
        caption = stored.header["caption"]
        assert differ.sum() <= allowed, f"{caption}\nframes {np.argwhere(differ)[:5].tolist()}"


def test_a_wrong_trace_is_noticed(unpack):
    """Change one number of one frame, and it must be found there and nowhere else."""
    from pp_lib.show import Axis, Explorer, Lines

    def explorer(wrong):
        def frame(k):
            y = np.linspace(0.1, 1, 20) ** k
            y[7] *= 1 + wrong * (k == 2)
            return {"y": y, "says": f"To the power {k}, {y[7]:.3f}."}

        view = Lines(key="y", title="Powers", x=np.arange(20), xlabel="x", ylabel="y")
        axes = [Axis("k", [1, 2, 3], "Power")]
        words = {"alt": "Powers.", "caption": "Explorer 0.1. Powers."}
        return unpack(Explorer(axes, frame, [view], **words).payload)

    assert not frames_that_differ(explorer(0), explorer(1e-4)).any()  # rounding
    assert frames_that_differ(explorer(0), explorer(0.1)).tolist() == [False, True, False]
