"""Wherever the work runs, the same bytes come back: threads, processes, a cluster's workers."""

import functools
import importlib
import os
import sys
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from pp_lib.photos.prepare import prepare, read_manifest

N_USABLE, N_REJECTED = 13, 3


@pytest.fixture(scope="module")
def photos(make, dngs, tmp_path_factory):
    """RAW and JPEG files, and three that are rejected, each for another reason."""
    folder = tmp_path_factory.mktemp("photos")
    for path in dngs.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    for i in range(N_USABLE - 6):
        make.jpeg(folder / "jpegs" / f"{i}.jpg", image=make.pixels(seed=i), orientation=1 + i)
    make.jpeg(folder / "no_iso.jpg", make.settings(iso=None))
    make.jpeg(folder / "small.jpg", image=make.pixels(20, 90))
    (folder / "noise.nef").write_bytes(np.random.default_rng(0).bytes(500))
    return folder


def contents(out):
    named = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("[!.]*") if p.is_file()}
    assert len(named) == N_USABLE + 2
    return named


def prepared(photos, out, **options):
    """Prepare, and give every file that is promised, byte for byte, by its name."""
    report = prepare(photos, out, size=32, progress=False, **options)
    assert (report.found, report.usable, report.rejected) == (16, N_USABLE, N_REJECTED)
    assert report.reused == 0
    assert len(read_manifest(out)) == N_USABLE
    return contents(out)


@pytest.fixture(scope="module")
def expected(photos, tmp_path_factory):
    """What one thread makes, one photograph after another."""
    return prepared(photos, tmp_path_factory.mktemp("one") / "out", workers=1)


NOTING = """
import os
from pathlib import Path
from pp_lib.photos.job import run_job

def note_and_run(notes, job):
    Path(notes, f"{os.getpid()}-{job.id}").touch()
    return run_job(job)
"""


@pytest.fixture
def processes(tmp_path, monkeypatch):
    """Give a function that says in which process each photograph was prepared."""
    notes = tmp_path / "notes"
    notes.mkdir()
    # a module of its own, since the workers cannot import this one
    (tmp_path / "noting_jobs.py").write_text(NOTING)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "noting_jobs", raising=False)
    noting = importlib.import_module("noting_jobs")
    monkeypatch.setattr(
        "pp_lib.photos.pool.run_job", functools.partial(noting.note_and_run, str(notes))
    )
    return lambda: [int(path.name.split("-")[0]) for path in notes.iterdir()]


@pytest.mark.parametrize("workers", [None, 2, 7])
def test_our_own_threads(photos, expected, tmp_path, workers):
    assert prepared(photos, tmp_path / "out", workers=workers) == expected


def test_a_thread_pool(photos, expected, tmp_path, processes):
    with ThreadPoolExecutor(3) as executor:
        assert prepared(photos, tmp_path / "out", executor=executor) == expected
    assert processes() == [os.getpid()] * 16


def test_a_pool_of_spawned_processes(photos, expected, tmp_path, processes):
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        assert prepared(photos, tmp_path / "out", executor=executor) == expected
    assert len(processes()) == 16
    assert os.getpid() not in processes()


def test_a_dask_cluster_of_processes(photos, expected, tmp_path, processes):
    distributed = pytest.importorskip(
        "distributed", reason="Dask is absent: pip install -e '.[scale]'"
    )
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert prepared(photos, tmp_path / "out", executor=client.get_executor()) == expected
        theirs = set(client.run(os.getpid).values())
    assert len(processes()) == 16
    assert set(processes()) == theirs  # both of them, and not this process
    assert os.getpid() not in theirs


def test_what_one_executor_began_another_ends(photos, expected, tmp_path):
    """A run that stopped half-way goes on elsewhere, and nobody sees it in the result."""
    out, left = tmp_path / "out", iter(range(6))

    class Stops(ThreadPoolExecutor):
        def submit(self, function, *args):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return super().submit(function, *args)

    with Stops(2) as executor, pytest.raises(KeyboardInterrupt):
        prepare(photos, out, size=32, executor=executor, workers=2, progress=False)
    assert not (out / "manifest.csv").exists()
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        report = prepare(photos, out, size=32, executor=executor, progress=False)
    assert 0 < report.reused < 16
    assert contents(out) == expected
