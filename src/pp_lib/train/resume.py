"""Stopping a pretraining run without loss, and going on with it."""

import json
import os
import shutil
import signal
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import safetensors.torch
import torch

from pp_lib.photos.files import write_atomically

CONFIG, HISTORY = "config.json", "history.json"
_MAY_CHANGE = {"device", "workers"}  # between a run and its going on


def check_same_run(config, out, resume):
    """Write the configuration into `out`, unless that folder holds another run's, or this run."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / CONFIG
    if path.is_file():
        found, asked = asdict(config.read(path)), asdict(config)
        differ = sorted(k for k in asked if found[k] != asked[k] and k not in _MAY_CHANGE)
        if differ:
            raise ValueError(f"{out} holds a run with other {', '.join(differ)}: name another")
        if _checkpoints(out) and not resume:
            raise ValueError(f"{out} holds this run already: resume it, or name another folder")
    config.write(path)


def _checkpoints(out):
    return sorted(out.glob("checkpoint-*"))


def save_run(out, model, average, optimizer, run):
    """Write a checkpoint: a folder that is there whole or not at all. The one before it goes."""
    old = _checkpoints(out)
    with tempfile.TemporaryDirectory(dir=out, prefix=".checkpoint-") as folder:
        part = Path(folder) / "whole"
        part.mkdir()
        for name, module in (("model", model), ("average", average)):
            state = {k: v.cpu().contiguous() for k, v in module.state_dict().items()}
            (part / f"{name}.safetensors").write_bytes(safetensors.torch.save(state))
        torch.save({"optimizer": optimizer.state_dict(), "run": run}, part / "state.pt")
        os.replace(part, out / f"checkpoint-{run['step']:09d}")
    for folder in old:
        shutil.rmtree(folder)
    write_atomically(out / HISTORY, (json.dumps(run["history"], indent=2) + "\n").encode())


def load_run(out, model, average, optimizer):
    """Take over the last checkpoint; give its `run`, or nothing if there is none."""
    for leftover in out.glob(".checkpoint-*"):
        shutil.rmtree(leftover)  # of a killed run
    if not _checkpoints(out):
        return {}
    folder = _checkpoints(out)[-1]
    for name, module in (("model", model), ("average", average)):
        module.load_state_dict(safetensors.torch.load_file(folder / f"{name}.safetensors"))
    state = torch.load(folder / "state.pt", weights_only=True, map_location="cpu")
    optimizer.load_state_dict(state["optimizer"])
    return state["run"]


@contextmanager
def stop_gently():
    """Note Ctrl-C and SIGTERM instead of dying of them; a second one ends the process at once."""
    stop, previous = threading.Event(), {}

    def ask(number, frame):
        stop.set()
        signal.signal(number, previous[number])

    try:
        if threading.current_thread() is threading.main_thread():  # only there can one ask
            for number in (signal.SIGINT, signal.SIGTERM):
                previous[number] = signal.signal(number, ask)
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
