"""The whole VGG16 by hand: how right, how fast beside PyTorch, and in how much memory.

    python benchmarks/vgg16_by_hand.py [--rounds 3] [--photos FOLDER] [--weights random]

Two photographs at 128 pixels, simulated ones if no prepared folder is named. The errors are those
of `vgg16_parity` with dropout's masks given. For the ratio both sides run forward and backward in
turns, with as many threads as the machine offers each; the median counts. The memory is the
process's largest, PyTorch, the photographs and both sides' gradients included.
"""

import argparse
import resource
import sys
import time

import numpy as np
import torch
from rows import Absent, exit_status, row

from pp_lib.photos import PhotoDataset, eval_transform, simulated_photographs
from pp_lib.photos.bins import HEADS
from pp_lib.train import ThreeHeadVGG16
from pp_lib.verify import RTOL_VGG16, parity, vgg16_parity

SIZE = 128
MOST_RATIO, MOST_S, MOST_GIB = 2.5, 15, 6


def two_photographs(folder):
    pictures = PhotoDataset(folder, transform=eval_transform(SIZE))
    images = torch.stack([pictures[i][0] for i in range(2)])
    return images, dict(zip(HEADS, pictures.labels[:2].T, strict=True))


def by_hand(model, images, classes):
    trunk, heads = parity._layers_by_hand(model, None)
    _, dlogits = parity._forward_by_hand(trunk, heads, images.numpy(), classes)
    return parity._backward_by_hand(trunk, heads, dlogits)


def by_torch(model, images, classes):
    model.zero_grad()
    losses = [
        torch.nn.functional.cross_entropy(Z, torch.from_numpy(classes[head]))
        for head, Z in model(images).items()
    ]
    sum(losses).backward()


def timed(function, *args):
    """Give (wall time, processor time) in s; the second is summed over threads."""
    wall, processor = time.perf_counter(), time.process_time()
    function(*args)
    return [time.perf_counter() - wall, time.process_time() - processor]


def measure(quick=False, rounds=3, photos=None, weights="random"):
    """Give the benchmark's rows for the table."""
    if quick:
        raise Absent("the whole VGG16 has no quick form: two photographs are as few as there are")
    images, classes = two_photographs(photos or simulated_photographs(2, progress=False))
    model = ThreeHeadVGG16(weights, freeze_features=False).eval()
    rng = np.random.default_rng(0)
    masks = [rng.random((2, n)) < 0.5 for n in (512, 256)]

    print(f"{torch.get_num_threads()} threads for PyTorch, {SIZE} px, weights: {weights}")
    found, slowest_s = [], 0.0
    for dtype, most in RTOL_VGG16.items():
        arrays = []
        wall_s, processor_s = timed(
            lambda dtype=dtype, arrays=arrays: arrays.extend(
                vgg16_parity(model, (images, classes), masks=masks, dtype=dtype)
            )
        )
        slowest_s = max(slowest_s, wall_s)
        error, ties = max(a.max_relative_error for a in arrays), sum(a.ties for a in arrays)
        found.append(
            row(
                f"VGG16 by hand in {dtype}, two photographs",
                "largest relative error of its values and gradients against PyTorch's",
                ours=error,
                unit="relative",
                at_most=most,
            )
        )
        print(
            f"{dtype}: worst of {len(arrays)} arrays, {sum(a.count for a in arrays):,} numbers: "
            f"{error:.1e} (claim: under {most}), {ties} ties settled, "
            f"{wall_s:.1f} s ({processor_s:.1f} of processor time)"
        )
    for dtype in RTOL_VGG16:
        given = model.to(getattr(torch, dtype.name)), images.to(getattr(torch, dtype.name)), classes
        pairs = [[timed(by_hand, *given), timed(by_torch, *given)] for _ in range(rounds)]
        (ours_s, ours_cpu_s), (theirs_s, theirs_cpu_s) = np.median(pairs, axis=0)
        most = MOST_RATIO if dtype == np.float64 else None
        limit = f" (claim: at most {most})" if most else ""
        found.append(
            row(
                f"VGG16 by hand in {dtype}, forward and backward",
                "time over PyTorch's",
                ours=ours_s,
                theirs=theirs_s,
                ratio=ours_s / theirs_s,
                unit="s",
                at_most=most,
            )
        )
        print(
            f"{dtype}: by hand {ours_s:.2f} s ({ours_cpu_s:.2f} of processor time), PyTorch "
            f"{theirs_s:.2f} s ({theirs_cpu_s:.2f}): ratio {ours_s / theirs_s:.2f}{limit}"
        )
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # Linux counts in KiB
    print(f"slowest call {slowest_s:.1f} s (claim: under {MOST_S})")
    print(f"largest memory {peak_gib:.1f} GiB (claim: under {MOST_GIB})")
    call, memory = "VGG16 by hand, slowest call of vgg16_parity", "VGG16 by hand, largest memory"
    with_all = "PyTorch, the photographs and both sides' gradients included"
    return [
        *found,
        row(call, "every array compared", ours=slowest_s, unit="s", at_most=MOST_S),
        row(memory, with_all, ours=peak_gib, unit="GiB", at_most=MOST_GIB),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--photos", help="a prepared folder; simulated photographs if unset")
    parser.add_argument("--weights", default="random")
    options = parser.parse_args()
    return exit_status(measure(False, options.rounds, options.photos, options.weights))


if __name__ == "__main__":
    sys.exit(main())
