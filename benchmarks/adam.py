"""Adam by hand against torch.optim.Adam: 500 steps in float64, by the same gradients.

    python benchmarks/adam.py [--steps 500] [--rounds 5]

The gradients are those of the digits network, 784-128-64-10, which Adam by hand trains meanwhile;
PyTorch's optimizer gets the same arrays and keeps its own weights and moments. The error is the
largest difference of a weight over the largest weight of its array. The time of a step is measured
in the same run, in turns, the processor's time counting.
"""

import argparse
import sys
import time

import numpy as np
import torch
from rows import exit_status, row

from pp_lib import nn
from pp_lib.photos import load_digits

CLAIM = 1e-12  # 500 steps, each of some ten operations right to 1.1e-16
BATCH_SIZE = 32
SIZES = (784, 128, 64, 10)


def network(rng):
    first, second, third = (
        nn.Linear(n_in, n_out, rng=rng) for n_in, n_out in zip(SIZES[:-1], SIZES[1:], strict=True)
    )
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)


def train(digits, steps, rng):
    """Take the steps side by side; give the worst error and both times of a step, in s."""
    model = network(rng)
    named = model.parameters()
    twins = {name: torch.from_numpy(p.value.copy()).requires_grad_() for name, p in named.items()}
    ours, theirs = nn.Adam(named), torch.optim.Adam(twins.values())
    seconds = np.zeros(2)
    for _ in range(steps):
        batch = rng.choice(len(digits.x_train), BATCH_SIZE, replace=False)
        Z = model(digits.x_train[batch])
        model.backward(nn.cross_entropy_and_gradient(Z, digits.y_train[batch])[1])
        for name, p in named.items():
            twins[name].grad = torch.from_numpy(p.grad)
        for i, optimizer in enumerate((ours, theirs)):
            start = time.process_time()
            optimizer.step()
            seconds[i] += time.process_time() - start
    errors = [
        np.abs(p.value - twins[name].detach().numpy()).max() / np.abs(p.value).max()
        for name, p in named.items()
    ]
    return max(errors), seconds / steps


def measure(quick=False, steps=500, rounds=5):
    """Give the benchmark's rows for the table."""
    steps, rounds = (20, 1) if quick else (steps, rounds)
    torch.set_num_threads(1)  # processor time then compares like with like
    digits = load_digits()
    results = [train(digits, steps, np.random.default_rng(i)) for i in range(rounds)]
    worst = max(error for error, _ in results)
    ours_s, theirs_s = np.median([seconds for _, seconds in results], axis=0)
    print(f"step by hand {1e6 * ours_s:.0f} us, by PyTorch {1e6 * theirs_s:.0f} us, one thread")
    print(f"ratio {theirs_s / ours_s:.2f}")
    print(
        f"largest relative difference of a weight after {steps} steps: {worst:.1e} "
        f"(claim: under {CLAIM})"
    )
    return [
        row(
            f"Adam by hand, weights after {steps} steps",
            "the same weights as torch.optim.Adam's: largest relative difference",
            ours=worst,
            unit="relative",
            at_most=CLAIM,
        ),
        row(
            "Adam by hand, a step",
            "processor time against torch.optim.Adam, float64, one thread",
            ours=1e6 * ours_s,
            theirs=1e6 * theirs_s,
            ratio=theirs_s / ours_s,
            unit="us",
        ),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    return exit_status(measure(steps=options.steps, rounds=options.rounds))


if __name__ == "__main__":
    sys.exit(main())
