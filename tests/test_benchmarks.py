"""The benchmarks run, and give rows of the form that the table and the book expect."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
SCRIPTS = sorted(path.stem for path in BENCHMARKS.glob("*.py"))
# these take seconds with quick=True; the others are run by `make bench`
QUICK = ("adam", "chapters", "digits", "growth", "prepare")


@pytest.fixture(scope="module", autouse=True)
def path():
    sys.path.insert(0, str(BENCHMARKS))
    names = set(sys.modules)
    yield
    sys.path.remove(str(BENCHMARKS))
    for name in set(SCRIPTS) - names:  # prepare, digits: too plain to be left behind
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def rows():
    return importlib.import_module("rows")


@pytest.fixture(scope="module")
def run():
    return importlib.import_module("run")


def test_every_script_is_in_the_run(run):
    assert sorted([*run.SCRIPTS, *run.NOT_BENCHMARKS]) == SCRIPTS


@pytest.mark.parametrize("script", [s for s in SCRIPTS if s not in {"roof", "rows", "run"}])
def test_every_script_measures(script):
    module = importlib.import_module(script)
    assert callable(module.measure)
    assert "quick" in module.measure.__code__.co_varnames
    assert f"python benchmarks/{script}.py" in module.__doc__


def check(found, rows):
    assert found
    for row in found:
        assert tuple(row) == rows.KEYS
        assert row["bound"] in rows.BOUNDS
        assert all(isinstance(row[key], str) and row[key] for key in ("name", "claim", "unit"))
        assert isinstance(row["ours"], float)
        assert (row["target"] is None) == (row["met"] is None) == (row["bound"] is None)
        if row["target"] is not None:
            judged = row["ours"] if row["ratio"] is None else row["ratio"]
            is_least = row["bound"] == "at least"
            assert row["met"] == (judged >= row["target"] if is_least else judged <= row["target"])
        if row["ratio"] is not None:
            # one of the three ways to compare two numbers
            ours, theirs = row["ours"], row["theirs"]
            ways = (ours / theirs, theirs / ours, ours - theirs)
            assert row["ratio"] == pytest.approx(
                min(ways, key=lambda w: abs(w - row["ratio"])), rel=2e-3
            )
    assert len({row["name"] for row in found}) == len(found)


@pytest.mark.parametrize("script", QUICK)
def test_a_quick_run_gives_rows(script, rows, tmp_path):
    out = tmp_path / "rows.json"
    command = [sys.executable, BENCHMARKS / "run.py", "--one", script, out, "--quick"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    check(json.loads(out.read_text())["rows"], rows)


@pytest.mark.long
@pytest.mark.parametrize("script", ["epoch", "features", "settings_leave_traces", "simulate"])
def test_a_quick_run_of_the_slower_ones(script, rows, tmp_path):
    test_a_quick_run_gives_rows(script, rows, tmp_path)


def test_without_a_gpu_there_is_a_reason_and_no_number(rows, monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(rows.Absent, match="no GPU here"):
        importlib.import_module("gpu").measure()


def test_the_operations_of_vgg16_counted_by_hand():
    roof = importlib.import_module("roof")
    from pp_lib.train import ThreeHeadVGG16

    # channels of each convolution, and the side of its picture at 128 px
    layers = [(3, 64, 128), (64, 64, 128), (64, 128, 64), (128, 128, 64)]
    layers += [(128, 256, 32), (256, 256, 32), (256, 256, 32)]
    layers += [(256, 512, 16), (512, 512, 16), (512, 512, 16), *[(512, 512, 8)] * 3]
    convolutions = [2 * 9 * a * b * side**2 for a, b, side in layers]
    forward = sum(convolutions) + 2 * (25088 * 512 + 512 * 256 + 3 * 256 * 3)
    assert roof.operations(ThreeHeadVGG16("random"), 128) == (
        forward,
        3 * forward - convolutions[0],
    )


def test_the_gpus_code_runs_where_there_is_none(rows):
    import torch

    gpu = importlib.import_module("gpu")
    found = gpu.rows_of(*gpu.speeds(torch.device("cpu"), 1, 1, size=32, matrix=64), 32)
    check(found, rows)
    assert all(row["met"] is None for row in found)


def test_a_row_judges_itself(rows):
    def met(**numbers):
        return rows.row("a", "b", unit="s", **numbers)["met"]

    assert met(ours=1, theirs=5, ratio=5.0, at_least=5) is True
    assert met(ours=1, theirs=5, ratio=4.9, at_least=5) is False
    assert met(ours=5.1, at_most=5) is False
    assert met(ours=5.1) is None
    for wrong in ({"ours": float("nan")}, {"ours": 1, "at_least": 1, "at_most": 2}):
        with pytest.raises(ValueError, match="a: "):
            met(**wrong)


def test_one_that_fails_stops_no_other(run, tmp_path, monkeypatch, capsys):
    """A run of four scripts: rows, a reason, a failure, a target missed."""
    texts = {
        "good": "return [row('good', 'c', ours=1, theirs=2, ratio=2, unit='s', at_least=2)]",
        "lacks": "raise Absent('no moon here')",
        "breaks": "return 1 / 0",
        "misses": "return [row('misses', 'c', ours=7, unit='s', at_most=5)]",
    }
    for name in ("rows", "run"):
        (tmp_path / f"{name}.py").write_text((BENCHMARKS / f"{name}.py").read_text())
    for name, text in texts.items():
        code = f"from rows import Absent, row\ndef measure(quick=False):\n    {text}\n"
        (tmp_path / f"{name}.py").write_text(code)
    scripts = "SCRIPTS = ('good', 'lacks', 'breaks', 'misses')\n"
    text = (tmp_path / "run.py").read_text()
    (tmp_path / "run.py").write_text(text.replace("LIMIT_S = 1200\n", f"LIMIT_S = 60\n{scripts}"))
    done = subprocess.run([sys.executable, tmp_path / "run.py"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "breaks: FAILED" in done.stdout
    results = json.loads((tmp_path / "results.json").read_text())
    assert [(row["script"], row["met"]) for row in results["rows"]] == [
        ("good", True),
        ("misses", False),
    ]
    assert results["absent"] == {"lacks": "no moon here"}
    assert results["failed"] == {"breaks": "it ended with status 1"}
    assert results["machine"]["cores"] >= 1
    assert results["versions"]["numpy"]
