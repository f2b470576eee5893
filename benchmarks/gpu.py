"""What a GPU makes of VGG16: images a second at 128 px in bfloat16, as a share of its matmul peak.

    python benchmarks/gpu.py [--batch 512] [--rounds 20]

The peak is that of one large matrix product in bfloat16, and a photograph's work is counted from
the layers' shapes (roof.py), both in the same run. Without a GPU there are no rows.
"""

import argparse
import sys
import time

import torch
from roof import matmul_peak, operations
from rows import Absent, exit_status, row

from pp_lib.photos.bins import HEADS
from pp_lib.train import ThreeHeadVGG16

SIZE = 128
MATRIX = 8192


def per_second(work, device, rounds):
    """Give how often a second `work` is done, after a warm-up; the GPU's queue is waited for."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(max(2, rounds // 5)):
        work()
    wait()
    start = time.perf_counter()
    for _ in range(rounds):
        work()
    wait()
    return rounds / (time.perf_counter() - start)


def speeds(device, batch, rounds, size=SIZE, matrix=MATRIX):
    """Give the peak in operations a second, and photographs a second forward and in training."""
    peak = matmul_peak(device, torch.bfloat16, (matrix,))
    model = ThreeHeadVGG16("random", freeze_features=False)
    model = model.to(device, memory_format=torch.channels_last)
    x = torch.randn(batch, 3, size, size, device=device)
    x = x.to(memory_format=torch.channels_last)
    y = {head: torch.randint(3, (batch,), device=device) for head in HEADS}
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-5, fused=True)
    frozen = ThreeHeadVGG16("random").eval()
    frozen = frozen.to(device, torch.bfloat16, memory_format=torch.channels_last)
    x_frozen = x.bfloat16()

    def forward():
        with torch.inference_mode():
            return frozen(x_frozen)

    def train():
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(x)
            loss = sum(torch.nn.functional.cross_entropy(logits[h].float(), y[h]) for h in HEADS)
        loss.backward()
        optimizer.step()

    model.train()
    return (
        peak,
        batch * per_second(forward, device, rounds),
        batch * per_second(train, device, rounds),
    )


def rows_of(peak, forward, train, size):
    """Give the rows for the table."""
    work = operations(ThreeHeadVGG16("random"), size)
    found = [
        row(
            "a matrix product in bfloat16",
            "the peak that the shares below are of",
            ours=peak / 1e12,
            unit="TFLOP/s",
        )
    ]
    for name, speed, each in (("forward", forward, work[0]), ("training", train, work[1])):
        found.append(
            row(
                f"VGG16 with three heads, {name}, {size} px, bfloat16",
                "photographs a second against what the peak would allow",
                ours=speed,
                theirs=peak / each,
                ratio=speed * each / peak,
                unit="photos/s",
            )
        )
        print(f"{name}: {speed:,.0f} photographs a second, {speed * each / peak:.1%} of the peak")
    return found


def measure(quick=False, batch=512, rounds=20):
    """Give the benchmark's rows for the table."""
    if not torch.cuda.is_available():
        raise Absent("no GPU here: torch.cuda.is_available() is False")
    batch, rounds = (8, 1) if quick else (batch, rounds)
    print(torch.cuda.get_device_name())
    return rows_of(*speeds(torch.device("cuda"), batch, rounds), SIZE)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    try:
        return exit_status(measure(batch=options.batch, rounds=options.rounds))
    except Absent as absent:
        print(absent)
        return 0


if __name__ == "__main__":
    sys.exit(main())
