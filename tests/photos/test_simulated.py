import os
import subprocess
import sys
from pathlib import Path

import pytest

from pp_lib.photos import simulated
from pp_lib.photos.prepare import read_manifest
from pp_lib.photos.simulated import simulated_photographs


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PHOTOPILOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_labels_are_the_cameras_settings(cache):
    from pp_lib.camera import simulate

    folder = simulated_photographs(4, seed=2, size=64, progress=False)
    assert folder.parent == cache
    rows = read_manifest(folder)
    truth = [p.settings for p in simulate(4, seed=2, size=64, workers=1, progress=False)]
    assert [(r.f_number, r.iso, r.exposure_time_s) for r in rows] == [
        (s.f_number, s.iso, s.exposure_time_s) for s in truth
    ]
    assert all((folder / "dng" / row.source).is_file() for row in rows)
    assert all((row.width, row.height) == (64, 64) for row in rows)


def test_made_once(cache, monkeypatch):
    folder = simulated_photographs(2, size=64, progress=False)
    monkeypatch.setattr(simulated, "_make", None)  # not callable: a second making would raise
    assert simulated_photographs(2, size=64, progress=False) == folder


def test_changed_code_never_serves_old_pictures(monkeypatch):
    monkeypatch.setattr(simulated, "_make", lambda *args: None)
    names = {simulated_photographs(2, progress=False).name}
    monkeypatch.setattr(simulated, "code_fingerprint", lambda *packages: "another")
    names.add(simulated_photographs(2, progress=False).name)
    names.add(simulated_photographs(2, seed=1, progress=False).name)
    names.add(simulated_photographs(2, size=64, progress=False).name)
    assert len(names) == 4


def test_the_fingerprint_reads_the_code():
    from pp_lib.photos.journal import code_fingerprint

    assert code_fingerprint("camera") == code_fingerprint("camera")
    assert code_fingerprint("camera") != code_fingerprint("camera", "photos/bins.py")


def test_two_processes_at_once(cache):
    code = (
        "from pp_lib.photos.simulated import simulated_photographs;"
        "print(simulated_photographs(3, size=64, progress=False))"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
        for _ in range(2)
    ]
    folders = {process.communicate(timeout=60)[0].decode().strip() for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(folders) == 1
    assert len(read_manifest(Path(folders.pop()))) == 3
    assert [path.name[:9] for path in cache.iterdir() if path.is_dir()] == ["simulated"]


def test_what_a_killed_process_left_is_cleared_away(cache):
    (cache / ".making-half" / "dng").mkdir(parents=True)
    folder = simulated_photographs(2, size=64, progress=False)
    assert sorted(path.name for path in cache.iterdir() if path.is_dir()) == [folder.name]


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 2, "size": 63}, {"n": 2, "seed": -1}])
def test_impossible_wishes(cache, options):
    with pytest.raises(ValueError, match="must be"):
        simulated_photographs(**options, progress=False)
    assert not any(path.is_dir() for path in cache.glob("*"))


def test_the_systems_place(monkeypatch):
    import platformdirs

    monkeypatch.delenv("PHOTOPILOT_CACHE")
    expected = Path(platformdirs.user_cache_dir("photopilot"))
    assert simulated.cache_folder() == expected


def test_a_script_without_a_main_guard_is_told_so_and_does_not_hang(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from pp_lib.photos import simulated_photographs\n"
        # 48 is where the camera begins to spawn workers at 256 px
        "simulated_photographs(60, size=256, progress=False)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PHOTOPILOT_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert "__main__" in done.stderr
