"""Device, precision and processes, as Hugging Face Accelerate sees to them.

Started plainly there is one process, and none of this changes a number. Under ``torchrun`` each
process takes its share of every batch, in the same order, and all take the same step.
"""

import os

import torch
from torch import nn
from torch.utils.data import DataLoader

from .device import choose_device


def is_main_process():
    """Say whether this is the only process, or the one of several that writes files."""
    return int(os.environ.get("RANK", "0")) == 0


class Processes:
    """Accelerate for one run of `fit`.

    Parameters
    ----------
    device : str or torch.device, optional
        As for `fit`. Of several processes each has a GPU of its own, or all have the CPU.
    precision : {"float32", "bfloat16"}

    Attributes
    ----------
    device : torch.device
    n : int
        Processes.
    is_main : bool
        Whether this process is the one that writes files and talks.
    """

    def __init__(self, device, precision):
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        # Accelerate keeps one state a program and refuses a second precision in it; a notebook
        # may well train in float32 and then in bfloat16.
        AcceleratorState._reset_state(reset_partial_state=True)
        device = choose_device(device)
        self._accelerator = Accelerator(
            cpu=device.type == "cpu",
            mixed_precision={"float32": "no", "bfloat16": "bf16"}[precision],
        )
        self.n, self._rank = self._accelerator.num_processes, self._accelerator.process_index
        self.is_main = self._accelerator.is_main_process
        self.device = device if self.n == 1 else self._accelerator.device
        self.backward = self._accelerator.backward
        self._parts = None

    def prepare(self, model, optimizer, *, from_features):
        """Give what to call for the model's outputs, and the optimizer to step.

        Several processes average their gradients in the backward pass of what is given here, so
        the outputs must come through it and not through the model.
        """
        ask = _Ask(model, from_features)
        return (
            self._accelerator.prepare_model(ask, device_placement=False),
            self._accelerator.prepare_optimizer(optimizer, device_placement=False),
        )

    def own_part(self, data):
        """Give a loader that reads only this process's photographs of each batch; features as are.

        Photographs under a seed each, as those of `pp_lib.photos.dataset.loaders`, look the same in
        whichever process reads them.
        """
        if self.n == 1 or getattr(data, "batch_sampler", None) is None:
            return data
        self._parts = _Parts(data.batch_sampler, self._rank, self.n)
        names = ("num_workers", "collate_fn", "pin_memory", "worker_init_fn", "generator")
        options = {name: getattr(data, name) for name in names}
        return DataLoader(data.dataset, batch_sampler=self._parts, **options)

    def share(self, x, y, number):
        """Give this process's rows of the batch of this number, and whether they count.

        A process for which no row is left takes the first, so that it still answers when gradients
        are averaged; that row is another's and must not count twice.
        """
        if self.n == 1:
            return x, y, True
        if self._parts is not None:
            return x, y, self._parts.counts[number - 1]
        counts = self._rank < len(y)
        rows = slice(self._rank, None, self.n) if counts else slice(1)
        return x[rows], y[rows], counts

    def align(self):
        """Give all processes the main one's random state: they must draw the same order."""
        if self.n > 1:
            from accelerate.utils import synchronize_rng_states

            synchronize_rng_states(["torch"])

    def mean(self, losses, divisors):
        """Give the losses of the whole batch, (3,), from those of this process's share.

        Their value is the mean over all processes' rows. Their gradient is that of the share, times
        the number of processes, since gradients are averaged over processes and not added.
        """
        if self.n == 1:
            return losses
        everywhere = self._sum(divisors)
        mine = losses * divisors / everywhere  # a summand of the mean
        mine = torch.where(divisors > 0, mine, mine * 0)
        scaled = self.n * mine
        return self._sum(mine.detach()) + (scaled - scaled.detach())

    def total(self, values, counts=True):
        """Add up (k,) counts over the processes whose rows count."""
        if self.n == 1:
            return values
        return self._sum((values * counts).double()).to(values.dtype)

    def any(self, flag):
        """Say whether the flag is set in any process."""
        return bool(flag) if self.n == 1 else bool(self._sum(torch.tensor(float(flag))) > 0)

    def from_main(self, number):
        """Give the main process's number to all: decisions by it are then the same everywhere."""
        if self.n == 1:
            return number
        from accelerate.utils import broadcast

        return broadcast(torch.tensor(number, dtype=torch.float64, device=self.device)).item()

    def wait(self):
        """Wait until every process is here."""
        self._accelerator.wait_for_everyone()

    def _sum(self, values):
        return self._accelerator.reduce(values.to(self.device), reduction="sum")


class _Parts:
    """Every n-th index of each batch; `counts` says of which batches one was left."""

    def __init__(self, batches, rank, n):
        self.batches, self.rank, self.n, self.counts = batches, rank, n, []

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        self.counts.clear()
        for batch in self.batches:
            mine = list(batch)[self.rank :: self.n]
            self.counts.append(bool(mine))
            yield mine or list(batch)[:1]


class _Ask(nn.Module):
    """The model's answer, to photographs or to cached features, as a forward pass of its own."""

    def __init__(self, model, from_features):
        super().__init__()
        self.model, self.from_features = model, from_features

    def forward(self, x):
        return self.model.forward_from_features(x) if self.from_features else self.model(x)
