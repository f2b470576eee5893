import sys
from concurrent.futures import Executor, Future
from concurrent.futures.process import BrokenProcessPool

import pytest

from pp_lib.photos import job
from pp_lib.photos.journal import JOURNAL
from pp_lib.photos.prepare import prepare, read_manifest


@pytest.fixture
def photos(make, tmp_path):
    for i in range(4):
        make.jpeg(tmp_path / "photos" / f"{i}.jpg", image=make.pixels(seed=i))
    return tmp_path / "photos"


class DyingExecutor(Executor):
    """A process pool whose worker dies at the second photograph."""

    def __init__(self):
        self.n_submitted = 0

    def submit(self, function, *args):
        self.n_submitted += 1
        future = Future()
        if self.n_submitted == 1:
            future.set_result(function(*args))
        elif self.n_submitted == 2:
            future.set_exception(BrokenProcessPool("a worker died"))
        else:
            raise BrokenProcessPool("the pool is broken")
        return future


def test_a_broken_pool_loses_no_photograph(photos, tmp_path):
    with pytest.warns(RuntimeWarning, match="3 photographs left"):
        report = prepare(
            photos, tmp_path / "out", size=32, executor=DyingExecutor(), workers=1, progress=False
        )
    assert report.usable == 4
    prepare(photos, tmp_path / "fresh", size=32, progress=False)
    fresh = (tmp_path / "fresh" / "manifest.csv").read_bytes()
    assert (tmp_path / "out" / "manifest.csv").read_bytes() == fresh


def leave_in_work(photos, out, source):
    """Leave behind what a run leaves that died over `source`: all others done."""
    hidden = photos.parent / "hidden"
    (photos / source).rename(hidden)
    prepare(photos, out, size=32, progress=False)
    hidden.rename(photos / source)
    with open(out / JOURNAL, "a") as journal:
        journal.write(f'{{"begun": "{source}"}}\n')
        journal.write('{"done": {"source": "1.jp')  # and a line that the death cut short


def test_what_an_earlier_run_died_over_is_done_apart(photos, tmp_path, monkeypatch):
    leave_in_work(photos, tmp_path / "out", "2.jpg")
    apart = []
    original = job.run_job_apart
    monkeypatch.setattr(
        "pp_lib.photos.pool.run_job_apart", lambda j: apart.append(j.source) or original(j)
    )
    report = prepare(photos, tmp_path / "out", size=32, progress=False)
    assert (report.usable, report.reused, apart) == (4, 3, ["2.jpg"])


@pytest.mark.parametrize(
    ("code", "detail"),
    [("import os; os.abort()", "signal 6"), ("import time; time.sleep(60)", "no result after 1 s")],
)
def test_a_decoder_that_dies_or_hangs_costs_one_photograph(
    photos, tmp_path, monkeypatch, code, detail
):
    leave_in_work(photos, tmp_path / "out", "2.jpg")
    monkeypatch.setattr(job, "_apart_command", lambda: [sys.executable, "-c", code])
    monkeypatch.setattr(job, "DECODER_TIMEOUT_S", 1)
    report = prepare(photos, tmp_path / "out", size=32, progress=False)
    assert (report.usable, report.reasons) == (3, {"decoder died": 1})
    assert detail in report.rejected_csv.read_text()
    assert len(read_manifest(tmp_path / "out")) == 3
    assert prepare(photos, tmp_path / "out", size=32, progress=False).reused == 4


def test_a_full_disk_apart_is_still_an_error(photos, tmp_path, monkeypatch):
    leave_in_work(photos, tmp_path / "out", "2.jpg")
    code = 'print(\'{"errno": 28, "strerror": "No space left on device"}\')'
    monkeypatch.setattr(job, "_apart_command", lambda: [sys.executable, "-c", code])
    with pytest.raises(OSError, match="No space left"):
        prepare(photos, tmp_path / "out", size=32, progress=False)


def test_a_mistake_of_ours_apart_is_an_error(photos, tmp_path, monkeypatch):
    leave_in_work(photos, tmp_path / "out", "2.jpg")
    monkeypatch.setattr(job, "_apart_command", lambda: [sys.executable, "-c", "1 / 0"])
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        prepare(photos, tmp_path / "out", size=32, progress=False)


def test_a_mistake_of_ours_names_the_photograph(photos, tmp_path, monkeypatch):
    def fail(path):
        raise AssertionError(path.name)

    monkeypatch.setattr(job, "read_exposure", fail)
    with pytest.raises(AssertionError) as caught:
        prepare(photos, tmp_path / "out", size=32, workers=1, progress=False)
    # Which of the two that are at work at once is seen first, the clock decides.
    assert caught.value.__notes__ == [f"while preparing {caught.value}"]
