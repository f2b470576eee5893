"""Rendered scenes are the simulated photographs themselves, however the work was done."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pp_lib.camera import simulate, write_dng
from pp_lib.photos import HEADS, develop, labels, read_exposure
from pp_lib.photos.journal import locked
from pp_pretrain import scenes
from pp_pretrain.scenes import render_scenes

N, SEED, SIZE = 48, 7, 32


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Give scenes made by one process."""
    out = tmp_path_factory.mktemp("alone") / "scenes"
    return render_scenes(N, SEED, SIZE, out, workers=1, progress=False), out


def test_scenes_are_photographs_of_the_simulated_camera(alone, tmp_path):
    made, _ = alone
    assert (made.images.shape, made.images.dtype) == ((N, 3, SIZE, SIZE), np.uint8)
    assert (made.labels.shape, made.labels.dtype) == ((N, len(HEADS)), np.int64)
    assert isinstance(made.images, np.memmap)
    for i, photograph in enumerate(simulate(5, seed=SEED, size=SIZE, progress=False)):
        path = write_dng(tmp_path / f"{i}.dng", photograph)
        assert np.array_equal(made.images[i].transpose(1, 2, 0), develop(path))
        assert made.labels[i].tolist() == list(labels(read_exposure(path)).values())
    assert len(np.unique(made.images.reshape(N, -1), axis=0)) == N
    assert set(made.labels.ravel()) == {0, 1, 2}


def content(out):
    return {p.name: p.read_bytes() for p in out.iterdir() if p.suffix == ".npy"}


def test_workers_and_chunks_change_nothing(alone, tmp_path, monkeypatch):
    monkeypatch.setattr(scenes, "CHUNK", 20)  # 20 + 20 + 8
    render_scenes(N, SEED, SIZE, tmp_path / "two", workers=2, progress=False)
    assert content(tmp_path / "two") == content(alone[1])
    assert not (tmp_path / "two" / "parts").exists()


def test_fewer_are_the_first_of_many(alone, tmp_path):
    few = render_scenes(5, SEED, SIZE, tmp_path / "few", workers=1, progress=False)
    assert np.array_equal(few.images, alone[0].images[:5])
    assert np.array_equal(few.labels, alone[0].labels[:5])


SCRIPT = """
import sys
from pp_pretrain import scenes

if __name__ == "__main__":
    scenes.CHUNK = 8
    scenes.render_scenes(48, 7, 32, sys.argv[1], workers=2, progress=False)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_killed_run_goes_on_to_the_same_bytes(alone, tmp_path, monkeypatch):
    (tmp_path / "render.py").write_text(SCRIPT)
    for attempt in range(3):  # on a busy machine the kill may come when all is done
        out = tmp_path / f"killed-{attempt}"
        kill_after_a_chunk([sys.executable, tmp_path / "render.py", out], out)
        finished = list(out.glob("parts/[0-9]*.npy"))
        if finished and not (out / "labels.npy").exists():
            break
    else:
        pytest.fail("it could not be killed halfway")

    done = []
    monkeypatch.setattr(scenes, "CHUNK", 8)
    monkeypatch.setattr(scenes, "_render_chunk", noting(done, scenes._render_chunk))
    render_scenes(N, SEED, SIZE, out, workers=1, progress=False)
    assert len(done) == 6 - len(finished)  # only what was not finished
    assert content(out) == content(alone[1])
    assert not (out / "parts").exists()


def kill_after_a_chunk(command, out):
    process = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(out.glob("parts/[0-9]*.npy")) and process.poll() is None:
        assert time.monotonic() < deadline, "no chunk after a minute"
        time.sleep(0.005)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 20
    while any_alive(process.pid):  # its workers must not outlive it
        assert time.monotonic() < deadline, "workers go on without their parent"
        time.sleep(0.05)


def any_alive(group):
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def noting(done, function):
    def call(job):
        done.append(job)
        return function(job)

    return call


def test_finished_scenes_are_not_made_again(alone, monkeypatch):
    monkeypatch.setattr(scenes, "_render", None)
    again = render_scenes(N, SEED, SIZE, alone[1])
    assert np.array_equal(again.images, alone[0].images)


@pytest.mark.parametrize("other", [{"n": 49}, {"seed": 8}, {"size": 34}])
def test_a_folder_of_other_scenes_is_refused(alone, other):
    asked = {"n": N, "seed": SEED, "size": SIZE} | other
    with pytest.raises(ValueError, match=f"{next(iter(other))} .*another folder"):
        render_scenes(**asked, out=alone[1])


def test_scenes_of_other_code_are_refused(tmp_path):
    render_scenes(1, SEED, SIZE, tmp_path, workers=1, progress=False)
    note = tmp_path / "made_with.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"code": "older"}))
    with pytest.raises(ValueError, match="code 'older'"):
        render_scenes(1, SEED, SIZE, tmp_path)


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"n": 2.0}, {"seed": -1}, {"size": 33}, {"size": 16}, {"workers": -1}]
)
def test_what_cannot_be_rendered_is_refused_at_once(tmp_path, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        render_scenes(**({"n": 1, "seed": 0, "size": 32, "out": tmp_path / "new"} | wrong))
    assert not (tmp_path / "new").exists()


def test_two_runs_do_not_write_in_one_folder(tmp_path):
    pytest.importorskip("fcntl")
    with locked(tmp_path), pytest.raises(RuntimeError, match="another process"):
        render_scenes(1, SEED, SIZE, tmp_path)


def test_a_full_disk_is_an_error_and_not_a_crash(tmp_path, monkeypatch):
    def fail(path, array):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(scenes, "_save", fail)
        with pytest.raises(OSError, match="No space"):
            render_scenes(2, SEED, SIZE, tmp_path, workers=1, progress=False)
    assert len(render_scenes(2, SEED, SIZE, tmp_path, workers=1, progress=False)) == 2
