"""Everything that the next step of training depends on, in one place and in a checkpoint's files.

Weights are in safetensors files; the rest is a file for ``torch.load(weights_only=True)``, which
builds tensors, numbers and text and runs nothing.
"""

import io
import json
import pickle
from itertools import islice

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from .history import History, Tally

MODEL, BEST, STATE = "model.safetensors", "best.safetensors", "state.pt"
# what torch.load and safetensors raise for other bytes than their own
_NO_CHECKPOINT = (pickle.UnpicklingError, SafetensorError, RuntimeError, EOFError)
_NO_CHECKPOINT += (LookupError, TypeError, ValueError)


class TrainingState:
    """Where a run of `fit` is.

    Attributes
    ----------
    epoch, batch : int
        The epoch in work, from 1, and the batches of it that were begun.
    history : History
        Finished epochs.
    tally : Tally
        Sums over the epoch in work; ``seconds`` is the time that earlier calls spent on it.
    best : dict of torch.Tensor, or None
        `snapshot` of the best epoch.
    order : torch.Generator
        Of the order of cached features.
    """

    def __init__(self, model, optimizer, schedule, stopper, data, seed):
        self.model, self.optimizer = model, optimizer
        self.schedule, self.stopper = schedule, stopper
        self.epoch, self.batch, self.seconds = 1, 0, 0.0
        self.history, self.tally, self.best = History(), Tally(), None
        self.order = torch.Generator().manual_seed(seed)
        self._generators = [self.order, *_generators_of(data)]
        self._epoch_start = None

    def rest_of_epoch(self, batches):
        """Give the batches of the epoch in work that were not begun yet, and count them.

        After a stop within an epoch its order is drawn again from the same random state and the
        batches done are read past; then randomness goes on from where it was.
        """
        done = self.batch
        if done:
            now = _torch_state()
            self._restore(self._epoch_start)
        else:
            self._epoch_start = self._random_state()
        batches = iter(batches)
        for _ in islice(batches, done):
            pass
        if done:
            _set_torch_state(now)
        for self.batch, item in enumerate(batches, start=done + 1):
            yield item

    def finish_epoch(self, checked, lr, seconds):
        """Note a finished epoch, and keep its weights if it is the best."""
        self.history.record(self.tally, checked, lr, seconds)
        if self.stopper.improved:
            self.history.best_epoch, self.best = self.epoch, snapshot(self.model)
        self.epoch, self.batch, self.seconds, self.tally = self.epoch + 1, 0, 0.0, Tally()

    def to_files(self, config):
        """Give the checkpoint's files as bytes."""
        files = {MODEL: _weights(snapshot(self.model))}
        if self.best is not None and not self._is_best_now():
            files[BEST] = _weights(self.best)
        state = {
            "config": json.dumps(config),
            "history": json.dumps(self.history.to_dict()),
            "epoch": self.epoch,
            "batch": self.batch,
            "seconds": self.seconds,
            "tally": {k: torch.as_tensor(v).cpu() for k, v in vars(self.tally).items()},
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "stopper": self.stopper.state_dict(),
            "random": self._random_state(),
            "epoch_start": self._epoch_start,
        }
        stream = io.BytesIO()
        torch.save(state, stream)
        return files | {STATE: stream.getvalue()}

    def _is_best_now(self):
        return self.batch == 0 and self.history.best_epoch == len(self.history)

    def load(self, state, files, device):
        """Take over a checkpoint: `state` of `read_state`, and its files."""
        self.model.load_state_dict(load(files[MODEL]), strict=False)
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.stopper.load_state_dict(state["stopper"])
        self.history = History.from_dict(json.loads(state["history"]))
        self.epoch, self.batch, self.seconds = state["epoch"], state["batch"], state["seconds"]
        self.tally = Tally(**{k: v.to(device) for k, v in state["tally"].items()})
        self._epoch_start = state["epoch_start"]
        self._restore(state["random"])
        if BEST in files:
            best = load(files[BEST])
            self.best = {name: value.to(device) for name, value in best.items()}
        elif self.history.best_epoch:
            self.best = snapshot(self.model)

    def _random_state(self):
        return {"torch": _torch_state(), "generators": [_get(g) for g in self._generators]}

    def _restore(self, random):
        _set_torch_state(random["torch"])
        for generator, state in zip(self._generators, random["generators"], strict=True):
            _set(generator, state)


def read_state(files):
    """Give the state that a checkpoint holds beside the weights.

    Raises
    ------
    ValueError
        When it holds anything that is no tensor, number or text: nothing in it is run.
    """
    try:
        state = torch.load(io.BytesIO(files[STATE]), weights_only=True, map_location="cpu")
        for name in (MODEL, BEST):
            if name in files:
                load(files[name])
        state["config"] = json.loads(state["config"])
    except (
        pickle.UnpicklingError,
        SafetensorError,
        RuntimeError,
        EOFError,
        LookupError,
        TypeError,
    ) as error:
        raise ValueError(
            f"something else than a checkpoint of training: {type(error).__name__}; it was refused "
            "and nothing in it was run. Delete it, or name another folder"
        ) from error
    return state


def snapshot(model):
    """Copy all that training can change: free parameters, and buffers."""
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    state = model.state_dict()
    return {name: value.clone() for name, value in state.items() if name not in frozen}


def _weights(state):
    return save({name: value.cpu().contiguous() for name, value in state.items()})


def _generators_of(data):
    """Find the random generators that loaders and their samplers draw from, each once."""
    found = []
    for loader in data:
        for owner in (loader, getattr(loader, "sampler", None)):
            for name in ("generator", "rng"):
                generator = getattr(owner, name, None)
                is_one = isinstance(generator, (torch.Generator, np.random.Generator))
                if is_one and not any(generator is other for other in found):
                    found.append(generator)
    return found


def _get(generator):
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    return json.dumps(generator.bit_generator.state)  # integers of 128 bits: no tensor holds them


def _set(generator, state):
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    else:
        generator.bit_generator.state = json.loads(state)


def _torch_state():
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def _set_torch_state(state):
    torch.set_rng_state(state["cpu"])
    for device, value in zip(range(torch.cuda.device_count()), state["cuda"], strict=False):
        torch.cuda.set_rng_state(value, device)
