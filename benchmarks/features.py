"""Speed of feature extraction against plain float32 in PyTorch's default layout.

    python benchmarks/features.py [--photos 96] [--rounds 3]

Both sides read the same 128-pixel pictures from memory through a DataLoader, in turns, in one run;
the best round of each counts, since whatever else the machine does can only slow a round down.
On a CPU the gain has two causes: bfloat16 doubles the arithmetic that a vector unit does at once
(more than that with matrix units), and channels-last with small batches keeps data in the cache.
How much there is to gain is measured beside it: the fastest square matrix product in either format.
"""

import argparse
import copy
import sys
import time

import torch
from roof import matmul_peak, operations
from rows import exit_status, row
from torch.utils.data import DataLoader, TensorDataset

from pp_lib.train import ThreeHeadVGG16, extract_features
from pp_lib.train.batches import HEADS
from pp_lib.train.device import choose_device
from pp_lib.train.features import BATCH_SIZE

SIZE = 128
PLAIN_BATCH_SIZE = 32  # what loaders give
CLAIM = 4


class Pictures(TensorDataset):
    """Pictures in memory, with labels that nobody looks at."""

    def __getitem__(self, i):
        return super().__getitem__(i)[0], dict.fromkeys(HEADS, 0)


def plain(model, pictures, device):
    """Extract features as one writes it down first: float32, NCHW, no gradients."""
    with torch.no_grad():
        loader = DataLoader(pictures, batch_size=PLAIN_BATCH_SIZE)
        return torch.cat([model.features(x.to(device)).cpu() for x, _ in loader])


def autocast(model, pictures, device):
    """Do the same arithmetic as `extract_features`, but cast the weights for every batch."""
    backbone = copy.deepcopy(model.features).to(device, memory_format=torch.channels_last)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
        loader = DataLoader(pictures, batch_size=BATCH_SIZE[device.type])
        batches = (x.to(device, memory_format=torch.channels_last) for x, _ in loader)
        return torch.cat([backbone(x).cpu() for x in batches])


def photos_per_s(work, n):
    start = time.perf_counter()
    work()
    return n / (time.perf_counter() - start)


def measure(quick=False, n=96, rounds=3, sizes=()):
    """Give the benchmark's rows for the table; `sizes` are more batch sizes to try."""
    n, rounds = (4, 1) if quick else (n, rounds)
    device = choose_device()
    generator = torch.Generator().manual_seed(0)
    pictures = Pictures(torch.randn(n, 3, SIZE, SIZE, generator=generator))
    model = ThreeHeadVGG16("random").eval().to(device)

    def ours(batch_size=None):
        return extract_features(model, pictures, batch_size=batch_size, progress=False)

    contestants = {
        f"plain float32 NCHW, batch {PLAIN_BATCH_SIZE}": lambda: plain(model, pictures, device),
        "extract_features": ours,
        "  with autocast instead": lambda: autocast(model, pictures, device),
    }
    for size in sizes:
        contestants[f"  with batch {size}"] = lambda size=size: ours(size)
    best = dict.fromkeys(contestants, 0.0)
    for _ in range(rounds):
        for name, work in contestants.items():
            best[name] = max(best[name], photos_per_s(work, n))

    print(f"{device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {SIZE} px")
    for name, speed in best.items():
        print(f"{name:<32} {speed:7.1f} photos/s")
    first, second, *_ = best.values()
    print(f"ratio {second / first:.2f} (claim: at least {CLAIM})")
    squares = (128,) if quick else (512, 1024, 2048) if device.type == "cpu" else (8192,)
    peaks = {
        dtype: matmul_peak(device, dtype, squares, 0.1 if quick else 1.0)
        for dtype in (torch.float32, torch.bfloat16)
    }
    work, _ = operations(model.features.cpu(), SIZE)  # of one photograph
    share = 100 * second * work / peaks[torch.bfloat16]
    for dtype, peak in peaks.items():
        print(f"matrix products, {dtype}: {peak / 1e9:.0f} billion operations/s")
    print(f"extract_features runs at {share:.0f} % of that in bfloat16")
    return [
        row(
            f"features of frozen VGG16, {SIZE} px",
            "bfloat16 and channels-last against float32 in PyTorch's default layout",
            ours=second,
            theirs=first,
            ratio=second / first,
            unit="photos/s",
            at_least=CLAIM,
        ),
        row(
            "matrix products, bfloat16",
            "the fastest square one against float32: what the format alone can gain here",
            ours=peaks[torch.bfloat16] / 1e9,
            theirs=peaks[torch.float32] / 1e9,
            ratio=peaks[torch.bfloat16] / peaks[torch.float32],
            unit="billion operations/s",
        ),
        row(
            f"features of frozen VGG16, {SIZE} px: share of the peak",
            "of the fastest matrix product in bfloat16, measured in the same run",
            ours=share,
            unit="%",
        ),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    on_cpu = choose_device().type == "cpu"
    sizes = (1, 2, 4, 8, 16, 32, 64) if on_cpu else (32, 128, 256, 512)
    return exit_status(measure(n=arguments.photos, rounds=arguments.rounds, sizes=sizes))


if __name__ == "__main__":
    sys.exit(main())
