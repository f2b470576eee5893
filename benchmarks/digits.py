"""One epoch of the digits network, 784-128-64-10: NumPy by hand against eager PyTorch on the CPU.

    python benchmarks/digits.py [--rounds 120] [--threads 1]

Both sides start from the same weights and do the same work: float32, batches of 32 in the same
order, cross-entropy whose value is looked at, all gradients, Adam with PyTorch's defaults. They
take turns, an epoch each, with every number of threads; the median over the rounds counts, each
side with the number that suits it best. One is the default: so small a network gains little from
more, and on a machine that something else keeps busy two threads wait for one another without end;
where nothing else runs, try --threads 1 2. What PyTorch gains from its fused Adam, which one has
to ask for, is printed beside it.
"""

import argparse
import sys
import time

import numpy as np
import torch
from rows import exit_status, row
from threadpoolctl import ThreadpoolController

from pp_lib import nn
from pp_lib.photos import load_digits

CLAIM = 2
BATCH_SIZE = 32
SIZES = (784, 128, 64, 10)

BLAS = ThreadpoolController()  # made once: it looks through all that is loaded
RTOL_LOSS = 1e-4  # the first epoch's mean loss: float32, 45 steps, in which roundings grow


class ByHand:
    """The network in NumPy."""

    def __init__(self, x, y, threads):
        rng, (D, H1, H2, K) = np.random.default_rng(0), SIZES
        first, second, third = (
            nn.Linear(n_in, n_out, rng=rng, dtype=np.float32)
            for n_in, n_out in ((D, H1), (H1, H2), (H2, K))
        )
        first.input_gradient = False  # as in PyTorch, where data requires no gradient
        self.model = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), third)
        self.optimizer = nn.Adam(self.model.parameters())
        self.x, self.y, self.threads = x, y, threads

    def epoch(self):
        """Train for one epoch; give the mean of its losses."""
        total = 0.0
        with BLAS.limit(limits=self.threads, user_api="blas"):
            for i in range(0, len(self.x), BATCH_SIZE):
                Z = self.model(self.x[i : i + BATCH_SIZE])
                loss, dZ = nn.cross_entropy_and_gradient(Z, self.y[i : i + BATCH_SIZE])
                self.model.backward(dZ)
                self.optimizer.step()
                total += float(loss)
        return total / -(-len(self.x) // BATCH_SIZE)


class ByTorch:
    """The same in PyTorch, from the same weights."""

    def __init__(self, x, y, threads, **options):
        layers = [torch.nn.Linear(n, m) for n, m in zip(SIZES, SIZES[1:], strict=False)]
        relu = torch.nn.ReLU
        self.model = torch.nn.Sequential(layers[0], relu(), layers[1], relu(), layers[2])
        ours = ByHand(x, y, threads).model.parameters()
        self.model.load_state_dict({n: torch.from_numpy(p.value) for n, p in ours.items()})
        self.optimizer = torch.optim.Adam(self.model.parameters(), **options)
        self.x, self.y, self.threads = torch.from_numpy(x), torch.from_numpy(y), threads

    def epoch(self):
        """Train for one epoch; give the mean of its losses."""
        torch.set_num_threads(self.threads)
        total = 0.0
        for i in range(0, len(self.x), BATCH_SIZE):
            self.optimizer.zero_grad()
            Z = self.model(self.x[i : i + BATCH_SIZE])
            loss = torch.nn.functional.cross_entropy(Z, self.y[i : i + BATCH_SIZE])
            loss.backward()
            self.optimizer.step()
            total += loss.item()
        return total / -(-len(self.x) // BATCH_SIZE)


def measure(quick=False, rounds=120, threads=(1,)):
    """Give the benchmark's rows for the table."""
    rounds = 2 if quick else rounds
    digits = load_digits()
    x, y = digits.x_train.astype(np.float32), digits.y_train
    sides = {}
    for n in threads:
        sides["NumPy by hand", n] = ByHand(x, y, n)
        sides["PyTorch", n] = ByTorch(x, y, n)
        sides["PyTorch, fused Adam", n] = ByTorch(x, y, n, fused=True)

    first = np.array([side.epoch() for side in sides.values()])  # also warms up
    if not np.allclose(first, first[0], rtol=RTOL_LOSS, atol=0):
        raise RuntimeError(f"the sides must do the same, got the losses {first}")
    seconds = {key: [] for key in sides}
    for _ in range(rounds):
        for key, side in sides.items():
            start = np.array([time.perf_counter(), time.process_time()])
            side.epoch()
            seconds[key].append([time.perf_counter(), time.process_time()] - start)

    medians = {key: np.median(times, axis=0) for key, times in seconds.items()}
    for (name, n), (wall_s, processor_s) in sorted(medians.items()):
        print(
            f"{name:<20} {n} thread{'s' * (n > 1):<2} {1000 * wall_s:6.1f} ms an epoch, "
            f"{1000 * processor_s:6.1f} ms of processor time"
        )
    ours, plain, fused = (
        np.min([m for (side, _), m in medians.items() if side == name], axis=0)
        for name in ("NumPy by hand", "PyTorch", "PyTorch, fused Adam")
    )
    Z = sides["NumPy by hand", threads[0]].model(digits.x_val.astype(np.float32))
    accuracy = (Z.argmax(axis=1) == digits.y_val).mean()
    print(f"held-out digits right after {rounds + 1} epochs: {100 * accuracy:.1f} %")
    (ratio, of_processor), with_fused = plain / ours, (fused / ours)[0]
    print(f"ratio with PyTorch's fused Adam: {with_fused:.2f}")
    print(f"ratio of processor times: {of_processor:.2f}")
    print(f"ratio: {ratio:.2f} (claim: at least {CLAIM})")
    ours_ms, plain_ms, fused_ms = (1000 * times[0] for times in (ours, plain, fused))
    return [
        row(
            "digits network, an epoch",
            "NumPy by hand against eager PyTorch on the CPU, 784-128-64-10, Adam",
            ours=ours_ms,
            theirs=plain_ms,
            ratio=ratio,
            unit="ms",
            at_least=CLAIM,
        ),
        row(
            "digits network, an epoch, PyTorch with fused Adam",
            "the same against the Adam that PyTorch gives when asked",
            ours=ours_ms,
            theirs=fused_ms,
            ratio=with_fused,
            unit="ms",
        ),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=120)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    options = parser.parse_args()
    return exit_status(measure(rounds=options.rounds, threads=options.threads))


if __name__ == "__main__":
    sys.exit(main())
