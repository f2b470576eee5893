"""A run of fit as a process of its own, to be killed or to be shared by two (torchrun).

    python small_run.py OUT [--epochs N] [--rows N] [--dropout P] [--weights] [--kind loader]

Says ``ready`` before training and the epoch and batch of every step; leaves ``final.safetensors``
and ``final.json`` in OUT.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader

from pp_lib.photos.bins import HEADS
from pp_lib.train import FeatureSet, balanced_class_weights, fit
from pp_lib.train.processes import is_main_process
from pp_lib.train.training_state import TrainingState


class Small(nn.Module):
    """A frozen layer, a hidden one with dropout, three heads."""

    frozen = True

    def __init__(self, dropout):
        super().__init__()
        self.base = nn.Conv2d(4, 6, 1).requires_grad_(False)
        self.hidden = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Dropout(dropout))
        self.heads = nn.ModuleDict({name: nn.Linear(16, 3) for name in HEADS})
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.3 * torch.randn(p.shape, generator=generator))

    def forward(self, x):
        return self.forward_from_features(self.base(x))

    def forward_from_features(self, f):
        z = self.hidden(f.mean(dim=(2, 3)))
        return {name: head(z) for name, head in self.heads.items()}


def photographs(n, seed, channels):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (n, 3), generator=generator)
    x = torch.randn(n, channels, 2, 2, generator=generator)
    x[:, :3] += nn.functional.one_hot(labels[:, 0], 3)[:, :, None, None]
    return x, labels


def as_loader(x, labels, batch_size, shuffle):
    items = [(v, dict(zip(HEADS, y.tolist(), strict=True))) for v, y in zip(x, labels, strict=True)]
    return DataLoader(items, batch_size=batch_size, shuffle=shuffle)


def say(line):
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=33)
    parser.add_argument("--dropout", type=float, default=0.3)
    parser.add_argument("--weights", action="store_true")
    parser.add_argument("--kind", default="features")
    options = parser.parse_args()
    torch.set_num_threads(1)
    is_cached = options.kind == "features"
    train, val = (photographs(n, seed, 6 if is_cached else 4) for seed, n in
                  enumerate((options.rows, 20)))  # fmt: skip
    weights = balanced_class_weights(train[1]) if options.weights else None
    if is_cached:
        train, val = (FeatureSet(x, y, torch.arange(len(x))) for x, y in (train, val))
    else:
        train, val = as_loader(*train, 8, True), as_loader(*val, 8, False)
    model = Small(options.dropout)

    rest_of_epoch, gradient = TrainingState.rest_of_epoch, []

    def telling(run, batches):
        for item in rest_of_epoch(run, batches):
            say(f"{run.epoch} {run.batch}")
            if (run.epoch, run.batch) == (1, 2):  # still that of the first step
                gradient.extend(run.model.heads["iso"].weight.grad.flatten().tolist())
            yield item

    TrainingState.rest_of_epoch = telling
    say("ready")
    history = fit(
        model, train, val, epochs=options.epochs, batch_size=8, lr=0.01, stop_patience=10**6,
        class_weights=weights, device="cpu", progress=False,
        checkpoints=options.out / "checkpoints", resume=True,
    )  # fmt: skip
    if is_main_process():
        save_file(model.state_dict(), options.out / "final.safetensors")
        (options.out / "final.json").write_text(
            json.dumps(history.to_dict() | {"gradient": gradient})
        )


if __name__ == "__main__":
    main()
