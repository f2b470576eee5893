"""Stopping a run without loss, and going on with it: folders that are there whole or not at all."""

import hashlib
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

CONFIG, HISTORY, SUMS = "config.json", "history.json", "sums.json"
KEPT = 2  # checkpoints: should the last one be damaged, there is the one before it
_MAY_CHANGE = {"device", "workers"}  # between a pretraining run and its going on


def checkpoints(out):
    """Give the checkpoint folders in `out`, the oldest first."""
    return sorted(out.glob("checkpoint-*"))


@contextmanager
def whole_folder(out, name):
    """Give a folder to fill, which then stands in `out` under its name; or not at all."""
    with tempfile.TemporaryDirectory(dir=out, prefix=".checkpoint-") as folder:
        part = Path(folder) / "whole"
        part.mkdir()
        yield part
        for file in part.iterdir():  # past a power failure, too
            with open(file, "rb+") as stream:
                os.fsync(stream.fileno())
        _names_onto_the_disk(part)
        os.replace(part, out / name)
        _names_onto_the_disk(out)


def _names_onto_the_disk(folder):
    if hasattr(os, "O_DIRECTORY"):  # where a system lets one ask for that
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(out):
    """Remove what a killed run was filling."""
    for leftover in out.glob(".checkpoint-*"):
        shutil.rmtree(leftover)


def write_checkpoint(out, name, files):
    """Write a checkpoint with the checksum of each file; all but the last `KEPT` go.

    Parameters
    ----------
    out : pathlib.Path
    name : str
        Names sort as the checkpoints follow one another; begins with "checkpoint-".
    files : dict of str to bytes
    """
    sums = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    with whole_folder(out, name) as part:
        for file, content in (files | {SUMS: json.dumps(sums).encode()}).items():
            (part / file).write_bytes(content)
    for folder in checkpoints(out)[:-KEPT]:
        shutil.rmtree(folder)


def read_checkpoint(folder):
    """Give the files of a checkpoint as bytes, or None and why it is not whole.

    Returns
    -------
    files : dict of str to bytes, or None
    damage : str
        Empty if there is none.
    """
    try:
        sums = json.loads((folder / SUMS).read_text("ascii"))
        files = {file: (folder / file).read_bytes() for file in sums}
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError) as error:
        return None, f"{folder.name} is not whole ({error})"
    for file, content in files.items():
        if hashlib.sha256(content).hexdigest() != sums[file]:
            return None, f"{folder.name}/{file} is cut short or changed"
    return files, ""


def check_same_run(config, out, resume):
    """Write the configuration into `out`, unless that folder holds another run's, or this run."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / CONFIG
    if path.is_file():
        found, asked = asdict(config.read(path)), asdict(config)
        differ = sorted(k for k in asked if found[k] != asked[k] and k not in _MAY_CHANGE)
        if differ:
            raise ValueError(f"{out} holds a run with other {', '.join(differ)}: name another")
        if checkpoints(out) and not resume:
            raise ValueError(f"{out} holds this run already: resume it, or name another folder")
    config.write(path)


def save_run(out, model, average, optimizer, run):
    """Write a checkpoint of pretraining, whole or not at all. The one before it goes."""
    old = checkpoints(out)
    with whole_folder(out, f"checkpoint-{run['step']:09d}") as part:
        for name, module in (("model", model), ("average", average)):
            state = {k: v.cpu().contiguous() for k, v in module.state_dict().items()}
            (part / f"{name}.safetensors").write_bytes(safetensors.torch.save(state))
        torch.save({"optimizer": optimizer.state_dict(), "run": run}, part / "state.pt")
    for folder in old:
        shutil.rmtree(folder)
    write_atomically(out / HISTORY, (json.dumps(run["history"], indent=2) + "\n").encode())


def load_run(out, model, average, optimizer):
    """Take over pretraining's last checkpoint; give its `run`, or nothing if there is none."""
    remove_leftovers(out)
    if not checkpoints(out):
        return {}
    folder = checkpoints(out)[-1]
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
