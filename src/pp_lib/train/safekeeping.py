"""Checkpoints while training runs: after every epoch, and when it is asked to stop."""

import json
import os
import shutil
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pp_lib.photos.journal import locked

from .fingerprint import check_same_config
from .log import write_history
from .processes import is_main_process
from .resume import (
    checkpoints,
    read_checkpoint,
    remove_leftovers,
    stop_gently,
    write_checkpoint,
)
from .training_state import read_state


@contextmanager
def safekeeping(folder, run, make_config, *, epochs, resume, processes):
    """Hold the folder, go on from its last checkpoint if asked, and give who writes the next ones.

    Parameters
    ----------
    folder : path-like, or None
        None: nothing is written or read, and no signal is caught.
    run : TrainingState
    make_config : callable
        Gives all that decides what comes out, as plain data; only called if there is a folder.
    epochs : int
    resume : bool
    processes : Processes
    """
    if folder is None:
        if resume:
            raise ValueError("resume=True needs the folder of checkpoints to go on from")
        yield _Nothing()
        return
    folder = Path(folder)
    with held(folder, "checkpoints"), stop_gently() as stop:
        config = make_config()
        found = refuse_unfinished(folder, resume)
        if found and resume:
            check_same_config(found[2]["config"], config, folder)
        processes.wait()  # all have read before the main process changes anything
        if processes.is_main:
            _tidy(folder, found if resume else None)
        if found and resume:
            _, files, state = found
            run.load(state, files, processes.device)
            _set_target(run.history, epochs)
        yield _Keeper(folder, run, config, stop, processes)


class _Nothing:
    def after_batch(self, seconds):
        """Do nothing."""

    def after_epoch(self):
        """Do nothing."""


class _Keeper:
    def __init__(self, folder, run, config, stop, processes):
        self.folder, self.run, self.config = folder, run, config
        self.stop, self.processes = stop, processes

    def after_batch(self, seconds):
        """Stop here if that was asked for; `seconds` is the time spent on the epoch."""
        if self.processes.any(self.stop.is_set()):
            self.run.seconds = seconds
            self._save()
            self._leave(f"epoch {self.run.epoch}, batch {self.run.batch}")

    def after_epoch(self):
        """Write a checkpoint and the history; stop if that was asked for and there is more."""
        self._save()
        history = self.run.history
        if self.processes.any(self.stop.is_set()) and not history.stop_reason:
            self._leave(f"epoch {len(history)}")

    def _leave(self, where):
        raise RuntimeError(
            f"stopped after {where}, all saved in {self.folder}; the same again with resume=True "
            "(photopilot train --resume) goes on from there"
        )

    def _save(self):
        if not self.processes.is_main:
            return
        run = self.run
        name = f"checkpoint-{run.epoch - 1:05d}-{run.batch:07d}"
        try:
            write_checkpoint(self.folder, name, run.to_files(self.config))
            write_history(self.folder, run.history)
        except OSError as error:  # a full disk does not say which file it was full for
            raise OSError(
                f"cannot write {self.folder / name}: {error.strerror or error}; earlier "
                "checkpoints are as they were: make room, and go on with resume=True"
            ) from error


@contextmanager
def held(folder, name):
    """Hold a folder for training, in the main process; `name` is that of the caller's argument."""
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if is_main_process():
                stack.enter_context(locked(folder, doing="training in"))
        except OSError as error:
            came = f"{folder} ({error.strerror or error})"
            raise ValueError(
                f"{name} must be a folder to write in, got {came}: name another"
            ) from error
        yield


def _last_whole(folder):
    """Give (path, files, state) of the last checkpoint that is whole; None if there is none."""
    damage = []
    for path in reversed(checkpoints(folder)):
        files, why = read_checkpoint(path)
        if files is None:
            damage.append(why)
            continue
        try:
            state = read_state(files)
        except ValueError as error:
            raise ValueError(f"{path} holds {error}") from error
        if damage:
            warnings.warn(f"{'; '.join(damage)}: using {path.name}, the one before", stacklevel=2)
        return path, files, state
    if damage:
        raise ValueError(
            f"no checkpoint in {folder} can be used: {'; '.join(damage)}; nothing in them was run. "
            "Delete them to start again, or name another folder"
        )
    return None


def refuse_unfinished(folder, resume):
    """Raise ValueError if that folder holds a run to be gone on with, and that was not asked for.

    Returns
    -------
    tuple, or None
        Path, files and state of the last checkpoint that is whole, if there is one.
    """
    found = _last_whole(folder)
    if found and not resume and not json.loads(found[2]["history"])["stop_reason"]:
        raise ValueError(
            f"{folder} holds a run that is not finished ({found[0].name}): go on with it with "
            "resume=True (photopilot train --resume), delete it, or name another folder"
        )
    return found


def _tidy(folder, found):
    """Remove what is left of a killed run, and checkpoints that will not be gone on from."""
    remove_leftovers(folder)
    for path in checkpoints(folder):
        if found is None or path > found[0]:
            shutil.rmtree(path) if path.is_dir() else os.remove(path)


def _set_target(history, epochs):
    """Let a finished run go on to more epochs; it cannot go back to fewer."""
    if len(history) > epochs:
        raise ValueError(
            f"epochs must be at least the {len(history)} that are done already, got {epochs}"
        )
    if history.stop_reason == "epochs done" and len(history) < epochs:
        history.stop_reason = ""
