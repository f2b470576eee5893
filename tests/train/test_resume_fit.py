"""A run that is stopped ends as one that was not; what cannot be gone on from is refused."""

import csv
import errno
import hashlib
import json
import os
import pickle
import resource
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader

from pp_lib.photos.bins import HEADS
from pp_lib.photos.dataset import _ShuffledAndSeeded
from pp_lib.photos.journal import locked
from pp_lib.train import evaluate, fit
from pp_lib.train.log import LOG

QUIET = {"device": "cpu", "progress": False}


class WithDropout(nn.Module):
    """A hidden layer with dropout and one with running means: all that a state can hold."""

    def __init__(self, channels=4, frozen=True):
        super().__init__()
        self.frozen = frozen
        self.base = nn.Conv2d(channels, channels, 1)
        self.hidden = nn.Sequential(
            nn.Linear(channels, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3)
        )
        self.heads = nn.ModuleDict({name: nn.Linear(8, 3) for name in HEADS})
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))
        self.base.requires_grad_(not frozen)

    def forward_from_features(self, f):
        z = self.hidden(f.float().mean(dim=(2, 3)))
        return {name: head(z) for name, head in self.heads.items()}

    def forward(self, x):
        return self.forward_from_features(self.base(x))


def checkpoints(folder):
    return sorted(p.name for p in Path(folder).glob("*point-*"))


def without_times(history):
    values = history.to_dict()
    assert len(values.pop("seconds")) == len(history)
    return values


def same_bits(a, b):
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def stop_after(model, batches, number):
    """Send the signal in the training batch of this number (evaluation does not count)."""
    forward, seen = model.forward, iter(range(batches - 1))

    def stopping(*args):
        if model.training and next(seen, None) is None:
            os.kill(os.getpid(), number)
            model.forward = forward
        return forward(*args)

    model.forward = stopping
    from_features = model.forward_from_features
    if model.frozen:
        model.forward_from_features, forward = stopping, from_features


def numpy_loader(pictures, **options):
    """Give a loader like `pp_lib.photos.dataset.loaders`: order from NumPy, pictures from torch."""

    class Indices:
        def __init__(self, pictures):
            self.pictures = pictures
            self.labels = pictures.labels

        def __len__(self):
            return len(self.pictures)

        def __getitem__(self, pair):
            return self.pictures[pair[0]]

    sampler = _ShuffledAndSeeded(len(pictures), np.random.default_rng(1))
    generator = torch.Generator().manual_seed(4)
    return DataLoader(Indices(pictures), sampler=sampler, generator=generator, **options)


@pytest.fixture
def run_of(make_features, make_pictures):
    """Give a function that starts a run afresh, as a new process would: new model, new data."""

    def start(kind):
        if kind == "features":
            data = make_features(37), make_features(20, seed=1)
            return WithDropout(), *data, {"batch_size": 8, "lr": 0.02}
        pictures = make_pictures(22, size=8, jitter=0.5)
        options = {"batch_size": 5}
        if kind == "torch loader":
            train = DataLoader(pictures, shuffle=True, **options)
        else:
            train = numpy_loader(pictures, **options)
        val = DataLoader(make_pictures(9, size=8, seed=1), **options, generator=train.generator)
        return WithDropout(3, frozen=False), train, val, {"lr": 0.02}

    return start


@pytest.mark.parametrize("kind", ["features", "torch loader", "numpy loader"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_within_an_epoch_changes_no_bit(run_of, tmp_path, kind, number):
    def begin(folder, resume=False, stop=0):
        model, train, val, options = run_of(kind)
        if stop:
            stop_after(model, stop, number)
        options |= {"epochs": 4, "seed": 3, "checkpoints": folder, "resume": resume}
        return model, fit(model, train, val, **options, **QUIET)

    whole, history = begin(tmp_path / "whole_run")
    plain, train, val, options = run_of(kind)
    assert without_times(fit(plain, train, val, epochs=4, seed=3, **options, **QUIET)) == (
        without_times(history)
    )
    assert same_bits(plain, whole)

    stopped, before = tmp_path / "stopped", signal.getsignal(number)
    for stop, where in ((3, "epoch 1, batch 3"), (4, "epoch 2, batch 2"), (3, "epoch 2, batch 5")):
        with pytest.raises(RuntimeError, match=f"stopped after {where}, all saved.*resume=True"):
            begin(stopped, resume=True, stop=stop)
    assert signal.getsignal(number) is before
    again, history_again = begin(stopped, resume=True)
    assert without_times(history_again) == without_times(history)
    assert same_bits(again, whole)
    assert checkpoints(stopped) == checkpoints(tmp_path / "whole_run") == [
        "checkpoint-00003-0000000", "checkpoint-00004-0000000",
    ]  # fmt: skip
    last = "checkpoint-00004-0000000/model.safetensors"  # of the last epoch, not of the best
    assert (stopped / last).read_bytes() == (tmp_path / "whole_run" / last).read_bytes()


def test_the_best_weights_outlive_a_stop(tiny, make_tiny, make_features, tmp_path):
    """They are of the first epoch, for the validation labels are turned round."""
    train, val = make_features(60), make_features(30, seed=1)
    val = replace(val, labels=(val.labels + 1) % 3)
    options = {"lr": 0.05, "checkpoints": tmp_path, **QUIET}
    expected = fit(tiny, train, val, epochs=5, lr=0.05, **QUIET)
    assert expected.best_epoch == 1
    fit(make_tiny(), train, val, epochs=3, **options)
    again = make_tiny()
    history = fit(again, train, val, epochs=5, resume=True, **options)
    assert without_times(history) == without_times(expected)
    assert same_bits(again, tiny)


def test_more_epochs_can_be_added_and_none_taken_away(run_of, tmp_path):
    model, train, val, options = run_of("features")
    expected = fit(model, train, val, epochs=5, **options, **QUIET)
    for epochs in (3, 5):
        again, train, val, options = run_of("features")
        options |= {"epochs": epochs, "checkpoints": tmp_path, "resume": True}
        history = fit(again, train, val, **options, **QUIET)
        assert history.stop_reason == "epochs done"
    assert without_times(history) == without_times(expected)
    assert same_bits(again, model)
    with pytest.raises(ValueError, match="at least the 5 that are done already, got 4"):
        fit(again, train, val, **options | {"epochs": 4}, **QUIET)


def test_a_finished_run_comes_back_without_work(run_of, tmp_path, monkeypatch):
    model, train, val, options = run_of("features")
    options |= {"epochs": 3, "checkpoints": tmp_path}
    history = fit(model, train, val, **options, **QUIET)
    again, *_ = run_of("features")
    with monkeypatch.context() as patch:
        patch.setattr("pp_lib.train.loop.evaluate", None)  # a call would raise
        assert fit(again, train, val, resume=True, **options, **QUIET) == history
    assert same_bits(again, model)
    again, *_ = run_of("features")  # and without resume it begins anew
    assert without_times(fit(again, train, val, **options, **QUIET)) == without_times(history)


def test_the_log_has_one_line_an_epoch_whatever_happened(run_of, tmp_path):
    model, train, val, options = run_of("features")
    stop_after(model, 7, signal.SIGTERM)
    options |= {"epochs": 3, "checkpoints": tmp_path, "resume": True}
    with pytest.raises(RuntimeError, match="stopped"):
        fit(model, train, val, **options, **QUIET)
    model, *_ = run_of("features")
    history = fit(model, train, val, **options, **QUIET)
    with open(tmp_path / LOG, newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["epoch"] for line in lines] == ["1", "2", "3"]
    assert [float(line["val_loss"]) for line in lines] == history.val_loss
    iso = [float(line["train_accuracy_iso"]) for line in lines]
    assert iso == history.train_accuracy["iso"]
    assert json.loads((tmp_path / "history.json").read_text()) == history.to_dict()


@pytest.fixture
def stopped(run_of, tmp_path):
    """Give a folder with two checkpoints, of epoch 1 and of epoch 2, batch 3; and how to go on."""
    model, train, val, options = run_of("features")
    stop_after(model, 8, signal.SIGTERM)
    options |= {"epochs": 3, "checkpoints": tmp_path, "resume": True}
    with pytest.raises(RuntimeError, match="epoch 2, batch 3"):
        fit(model, train, val, **options, **QUIET)
    assert checkpoints(tmp_path) == ["checkpoint-00001-0000000", "checkpoint-00001-0000003"]

    def go_on(change=None, **other):
        model, train, val, _ = run_of("features")
        model, train, val = change(model, train, val) if change else (model, train, val)
        return model, fit(model, train, val, **options | other, **QUIET)

    return tmp_path, go_on


@pytest.mark.parametrize("file", ["model.safetensors", "state.pt", "sums.json"])
@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_checkpoint_cut_short_gives_way_to_the_one_before(stopped, run_of, file, keep):
    folder, go_on = stopped
    model, train, val, options = run_of("features")
    fit(model, train, val, epochs=3, **options, **QUIET)
    path = folder / "checkpoint-00001-0000003" / file
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.warns(UserWarning, match="0000003.*using checkpoint-00001-0000000, the one before"):
        again, _ = go_on()
    assert same_bits(again, model)


def test_what_a_killed_run_left_is_cleared_away(stopped):
    folder, go_on = stopped
    (folder / ".checkpoint-abc" / "whole").mkdir(parents=True)
    (folder / "checkpoint-00001-0000003" / "state.pt").unlink()
    with pytest.warns(UserWarning, match=r"state\.pt"):
        go_on()
    assert checkpoints(folder) == ["checkpoint-00002-0000000", "checkpoint-00003-0000000"]


def test_nothing_whole_is_refused(stopped):
    folder, go_on = stopped
    for path in folder.glob("checkpoint-*/model.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match="no checkpoint in .* can be used: .*cut short.*Delete"):
        go_on()
    assert len(checkpoints(folder)) == 2  # it is the reader's to delete them


class Payload:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


@pytest.mark.parametrize("how", ["pickle", "torch"])
@pytest.mark.parametrize("sums", ["as they should be", "of another file"])
def test_a_pickle_in_place_of_a_checkpoint_is_refused_and_not_run(stopped, tmp_path, how, sums):
    folder, go_on = stopped
    mark = tmp_path / "executed"
    shutil.rmtree(folder / "checkpoint-00001-0000000")
    path = folder / "checkpoint-00001-0000003" / "state.pt"
    if how == "torch":
        torch.save({"config": Payload(mark)}, path)
        torch.load(path, weights_only=False)  # the payload is live
    else:
        path.write_bytes(pickle.dumps(Payload(mark), protocol=2))
        pickle.loads(path.read_bytes())
    mark.rmdir()
    if sums == "as they should be":
        file = path.with_name("sums.json")
        found = json.loads(file.read_text()) | {
            "state.pt": hashlib.sha256(path.read_bytes()).hexdigest()
        }
        file.write_text(json.dumps(found))
    with pytest.raises(ValueError, match="nothing in (it|them) was run") as refusal:
        go_on()
    assert "checkpoint-00001-0000003" in str(refusal.value)
    assert not mark.exists()


def other_labels(model, train, val):
    return model, replace(train, labels=(train.labels + 1) % 3), val


def other_features(model, train, val):
    val.features[0, 0, 0, 0] += 1
    return model, train, val


def other_frozen_weights(model, train, val):
    model.base.bias.data += 1
    return model, train, val


def other_layers(model, train, val):
    model.hidden[3].p = 0.5
    return model, train, val


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"lr": 0.01}, r"\(lr: expected 0.02, came 0.01\)"),
        ({"batch_size": 9}, "batch_size: expected 8, came 9"),
        ({"seed": 1}, "seed: expected 0, came 1"),
        ({"label_smoothing": 0.1}, "label_smoothing: expected 0.0, came 0.1"),
        ({"focal_gamma": 2.0}, "focal_gamma: expected 0.0, came 2.0"),
        ({"precision": "bfloat16"}, "precision: expected float32, came bfloat16"),
        ({"class_weights": {h: [1, 2, 3] for h in HEADS}}, "class_weights: expected None, came .'"),
        ({"lr": 0.01, "stop_patience": 9}, "lr: .*; stop_patience: expected 8, came 9"),
        ({"change": other_labels}, r"\(training data: expected [0-9a-f]{64}, came [0-9a-f]{64}\)"),
        ({"change": other_features}, r"\(validation data: expected"),
        ({"change": other_frozen_weights}, r"\(frozen weights: expected"),
        ({"change": other_layers}, r"\(layers: expected"),
        ({"resume": False}, "not finished.*0000003.*resume=True"),
    ],
)
def test_other_data_and_options_are_refused_by_name(stopped, other, words):
    folder, go_on = stopped
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    with pytest.raises(ValueError, match=words):
        go_on(**other)
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before


def test_a_second_run_in_the_folder_is_refused(stopped):
    folder, go_on = stopped
    with (
        locked(folder),
        pytest.raises(RuntimeError, match=f"another process is training in {folder}: wait"),
    ):
        go_on()
    go_on()  # the lock is let go of


def test_resume_needs_a_folder(tiny, make_features):
    with pytest.raises(ValueError, match="resume=True needs the folder"):
        fit(tiny, make_features(40), make_features(20), epochs=1, resume=True, **QUIET)


def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(run_of, tmp_path):
    model, train, val, options = run_of("features")
    good = fit(model, train, val, epochs=2, checkpoints=tmp_path, **options, **QUIET)
    before = {p: p.read_bytes() for p in tmp_path.glob("checkpoint-*/*")}
    assert before
    again, *_ = run_of("features")
    forward, seen = again.forward_from_features, iter(range(2))

    def poisoned(f):
        if again.training and next(seen, None) is None:
            f = f * torch.nan
        return forward(f)

    again.forward_from_features = poisoned
    with pytest.raises(FloatingPointError, match="the loss is nan at epoch 3, batch 3"):
        fit(again, train, val, epochs=9, checkpoints=tmp_path, resume=True, **options, **QUIET)
    assert {p: p.read_bytes() for p in tmp_path.glob("checkpoint-*/*")} == before
    assert same_bits(again, model)  # the best weights
    again.forward_from_features = forward
    assert evaluate(again, val, device="cpu").loss == good.best_val_loss


def test_a_full_disk_keeps_the_old_checkpoints(stopped, monkeypatch):
    folder, go_on = stopped
    before = {p: p.read_bytes() for p in folder.glob("checkpoint-*/*")}
    write_bytes, seen = Path.write_bytes, iter(range(1))

    def full(path, content):
        if path.parent.name == "whole" and next(seen, None) is None:  # the second file
            write_bytes(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match=r"cannot write .*00002-0000000: No space.*make room"):
            go_on()
    assert {p: p.read_bytes() for p in folder.glob("*point-*/*")} == before
    go_on()


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(stopped, monkeypatch):
    """After a power failure a name must not stand for files that were still on their way."""
    folder, go_on = stopped
    steps, fsync, replace_ = [], os.fsync, os.replace

    def noted_fsync(handle):
        steps.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)
        fsync(handle)

    def noted_replace(source, target):
        steps.append(Path(target))
        replace_(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", noted_fsync)
        patch.setattr(os, "replace", noted_replace)
        go_on()
    checkpoint = Path(folder, checkpoints(folder)[-1])
    named = steps.index(checkpoint)
    assert {*os.listdir(checkpoint), "whole"} <= set(steps[:named])
    assert folder.name in steps[named:]


def test_a_limit_of_the_system_keeps_the_old_checkpoints(stopped):
    """The same with the kernel itself refusing in the middle of a file."""
    folder, go_on = stopped
    before = {p: p.read_bytes() for p in folder.glob("checkpoint-*/*")}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="cannot write .*File too large"):
            go_on()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert {p: p.read_bytes() for p in folder.glob("*point-*/*")} == before


@pytest.mark.parametrize("place", ["/proc/checkpoints", "file"])
def test_a_folder_to_read_only_is_refused_before_training(tiny, make_features, tmp_path, place):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="checkpoints must be a folder to write in, got .*name an"):
        fit(
            tiny, make_features(40), make_features(20), epochs=1,
            checkpoints=tmp_path / place, **QUIET,
        )  # fmt: skip


def test_only_what_training_changes_is_in_a_checkpoint(stopped):
    folder, _ = stopped
    names = set(load_file(folder / "checkpoint-00001-0000003/model.safetensors"))
    assert not any(name.startswith("base.") for name in names)
    assert {"hidden.1.running_mean", "heads.iso.weight"} <= names
