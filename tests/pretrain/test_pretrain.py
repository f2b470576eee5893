"""A backbone trained from scratch: it learns, it can be stopped, and what it leaves can be used."""

import hashlib
import json
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pp_lib import cli
from pp_lib.train import ThreeHeadVGG16, resume
from pp_lib.train.weights import camera_weights_path
from pp_pretrain import export
from pp_pretrain import loop as module
from pp_pretrain.config import PretrainConfig
from pp_pretrain.fold import fold_batch_norm
from pp_pretrain.loop import learn, pretrain
from pp_pretrain.scenes import Scenes

TINY = {
    "n_train": 48, "n_val": 16, "render_size": 36, "crop": 32, "batch_size": 8, "epochs": 2,
    "precision": "float32", "device": "cpu", "workers": 1, "ema_decay": 0.9,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def planted(n, seed):
    """Give noise around a colour of which each channel tells a class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, (n, 3))
    images = 128 + rng.normal(0, 20, (n, 3, 36, 36)) + 90 * (labels - 1)[:, :, None, None]
    return Scenes(np.clip(images, 0, 255).astype(np.uint8), labels)


def learnt(config, out, n=48):
    return learn(config, planted(n, 0), planted(24, 1), out, progress=False)


def without_times(history):
    times = {"seconds", "waited_s", "crops_per_s"}
    return [{k: v for k, v in entry.items() if k not in times} for entry in history]


def test_a_planted_signal_is_learnt(tmp_path):
    config = PretrainConfig(**TINY | {"epochs": 4, "peak_lr": 3e-4, "ema_decay": 0.0})
    _, run = learnt(config, tmp_path)
    first, last = run["history"][0], run["history"][-1]
    assert last["train_loss"] < first["train_loss"]
    assert last["val"]["loss"] < last["val"]["entropy"] - 0.5  # nats; without looking: not below
    assert [entry["step"] for entry in run["history"]] == [6, 12, 18, 24]
    assert last["val"]["entropy"] == pytest.approx(3 * np.log(3), abs=0.2)
    assert json.loads((tmp_path / "history.json").read_text()) == run["history"]


def test_a_stopped_run_ends_with_the_same_bits(tmp_path, monkeypatch):
    config = PretrainConfig(**TINY | {"peak_lr": 1e-3})
    whole, run = learnt(config, tmp_path / "whole_run")
    stopped = tmp_path / "stopped"

    def stop_in_batch(number):
        def crops(x, size, *, seed, step):
            if step == number:  # what Ctrl-C and `kill` do
                os.kill(os.getpid(), signal.SIGTERM if number == 3 else signal.SIGINT)
            return random_crops(x, size, seed=seed, step=step)

        random_crops = module.random_crops
        return crops

    before = signal.getsignal(signal.SIGTERM)
    for number, where in ((3, "epoch 1, batch 4"), (5, "epoch 1, batch 6")):
        with monkeypatch.context() as patch:
            patch.setattr(module, "random_crops", stop_in_batch(number))
            with pytest.raises(RuntimeError, match=f"{where}.*--resume"):
                learnt(config, stopped)
        assert [p.name for p in stopped.glob("*point-*")] == [f"checkpoint-{number + 1:09d}"]
    assert signal.getsignal(signal.SIGTERM) is before
    again, run_again = learnt(config, stopped)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    assert not torch.equal(
        weights_of(stopped, "model")["heads.iso.weight"], whole.heads["iso"].weight
    )
    assert without_times(run_again["history"]) == without_times(run["history"])
    model = weights_of(stopped, "model")  # not only its average, which is what comes back
    assert all(
        torch.equal(v, model[k]) for k, v in weights_of(tmp_path / "whole_run", "model").items()
    )


def weights_of(out, name):
    return load_file(next(out.glob(f"checkpoint-*/{name}.safetensors")))


def test_a_loss_that_is_no_number_stops_it(tmp_path):
    config = PretrainConfig(**TINY | {"peak_lr": 1e30, "warmup": 0.0})
    with pytest.raises(FloatingPointError, match=r"epoch 1, batch \d: try a peak_lr below 1e\+30"):
        learnt(config, tmp_path)


def test_minutes_end_it_with_a_check(tmp_path):
    _, run = learnt(PretrainConfig(**TINY | {"minutes": 1e-4, "optimizer": "sgd"}), tmp_path)
    assert run["step"] == 1
    assert len(run["history"]) == 1


def test_crops_grow_in_equal_shares(tmp_path, monkeypatch):
    config = PretrainConfig(**TINY | {"render_size": 72, "crop": 70, "grow_from": 32})
    sides = [config.crop_at(s) for s in np.arange(1000) / 1000]
    assert [sides.count(side) for side in (32, 48, 64, 70)] == [250] * 4
    assert sides == sorted(sides)
    assert config.crop_at(1.0) == 70
    assert PretrainConfig(**TINY).crop_at(0.0) == 32

    shown, crops = [], module.random_crops
    monkeypatch.setattr(
        module, "random_crops", lambda x, side, **how: shown.append(side) or crops(x, side, **how)
    )
    learnt(PretrainConfig(**TINY | {"crop": 36, "grow_from": 32}), tmp_path)
    assert shown == [32] * 6 + [36] * 6  # two sizes, twelve steps


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(28, "No space left on device")

    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters())
    run = {"step": 1, "history": []}
    resume.save_run(tmp_path, model, model, optimizer, run)
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fail)
        with pytest.raises(OSError, match="No space"):
            resume.save_run(tmp_path, model, model, optimizer, run | {"step": 2})
    assert resume.load_run(tmp_path, model, model, optimizer)["step"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checkpoint-000000001", "history.json"]


def test_the_whole_command(tmp_path, monkeypatch, capsys):
    """Render, train, export; then load what was exported as the book's model does."""
    note, out = tmp_path / "config.json", tmp_path / "run"
    note.write_text(json.dumps(TINY | {"epochs": 1}))
    monkeypatch.setattr(sys, "argv", ["photopilot", "pretrain", str(note), "--out", str(out)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 0
    card = (out / "vgg16-camera.md").read_text()
    assert card in capsys.readouterr().out

    path = out / camera_weights_path().name
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert path.with_name(f"{path.name}.sha256").read_text() == f"{sha256}  {path.name}\n"
    monkeypatch.setattr("pp_lib.train.weights.camera_weights_path", lambda: path)
    loaded = ThreeHeadVGG16("camera").features.state_dict()
    averaged = weights_of(out, "average")
    features = module.CameraNet().features
    features.load_state_dict(
        {k[9:]: v for k, v in averaged.items() if k.startswith("features.")}, strict=True
    )
    for name, value in fold_batch_norm(features).state_dict().items():
        assert torch.equal(loaded[name], value.half().float())

    heads = load_file(path.with_suffix(".heads.safetensors"))
    assert {k: v.shape for k, v in heads.items()} == {
        f"{head}.{name}": shape
        for head in ("aperture", "iso", "shutter")
        for name, shape in {"weight": (3, 512), "bias": (3,)}.items()
    }
    for name, value in heads.items():
        assert torch.equal(value, averaged[f"heads.{name}"])

    history = json.loads(path.with_suffix(".history.json").read_text())
    checked = history["exported"]
    assert history["facts"]["SHA-256"] == f"`{sha256}`"
    # float16 keeps 11 bits: the loss of the file is that of training to about 1e-3
    assert checked["loss"] == pytest.approx(history["epochs"][-1]["val"]["loss"], abs=0.02)
    assert f"| sum | | | | {checked['loss']:.3f} | {checked['entropy']:.3f} |" in card
    for fact in (
        sha256,
        "6 of 8 crops",
        "48 to learn from, 16 to check with",
        "CPU, 1 thread, float32",
    ):
        assert fact in card
    assert PretrainConfig.read(path.with_suffix(".config.json")) == PretrainConfig.read(note)

    for argument in ([], ["--resume"]):  # once it is there: refused, or nothing left to do
        monkeypatch.setattr(sys, "argv", [*sys.argv[:5], *argument])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert stop.value.code == (0 if argument else 2)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    note.write_text(json.dumps(TINY | {"epochs": 2}))
    with pytest.raises(ValueError, match="other epochs"):
        pretrain(PretrainConfig.read(note), out, resume=True)


def test_weights_beyond_float16_are_not_shipped(tmp_path):
    model = module.CameraNet().eval()
    model.features[0].bias.data[0] = 1e6
    with pytest.raises(FloatingPointError, match="0.bias"):
        export.export(model, planted(4, 0), tmp_path, PretrainConfig(**TINY), {})
    assert not list(tmp_path.iterdir())


def test_a_configuration_comes_back(tmp_path):
    config = PretrainConfig(seed=5, minutes=2.5, device="cpu", label_smoothing=0.1)
    config.write(tmp_path / "config.json")
    assert PretrainConfig.read(tmp_path / "config.json") == config
    (tmp_path / "config.json").write_text("{}")
    assert PretrainConfig.read(tmp_path / "config.json") == PretrainConfig()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"learning_rate": 1}', "peak_lr.*got learning_rate"),
        ("[1, 2]", "object"),
        ("{", "no JSON"),
        ('{"epochs": 1.5}', "epochs must be .*int.*1.5"),
        ('{"epochs": true}', "epochs must be"),
        ('{"device": 1}', "device must be"),
        ('{"peak_lr": NaN}', "peak_lr cannot be nan"),
        ('{"crop": 161}', "crop cannot be 161"),
        ('{"val_seed": 1000000}', "val_seed cannot be 1000000"),
        ('{"batch_size": 300001}', "batch_size"),
        ('{"optimizer": "adam"}', "optimizer"),
        ('{"precision": "float16"}', "precision"),
        ('{"ema_decay": 1}', "ema_decay"),
        ('{"grow_from": 129}', "grow_from cannot be 129"),
        ('{"grow_from": 31}', "grow_from cannot be 31"),
    ],
)
def test_an_impossible_configuration_is_refused(tmp_path, text, said):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=said):
        PretrainConfig.read(tmp_path / "config.json")


def test_the_rate_rises_and_falls():
    rates = [module._schedule(k / 100, 0.3) for k in range(101)]
    assert max(rates) == rates[30] == 1
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert np.all(np.diff(rates[1:31]) > 0)
    assert np.all(np.diff(rates[30:]) < 0)
    assert module._schedule(0.0, 0.0) == 1


def test_elsewhere_than_in_the_main_thread_nothing_is_caught():
    seen = []

    def work():
        with resume.stop_gently() as stop:
            seen.append(stop.is_set())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]


def test_a_second_request_to_stop_is_not_noted_but_obeyed():
    with resume.stop_gently() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(10)
        with pytest.raises(KeyboardInterrupt):
            interrupt()


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(10)
