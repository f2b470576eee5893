"""Record a run of chapter 16: train the heads on a backbone, and check every derivative.

    python data/runs/record.py --weights camera --out data/runs/camera.json

Trains `ThreeHeadVGG16` on simulated photographs that no backbone has learnt from, and runs the
whole forward and backward by hand on two of its validation photographs, before and after.
"""

import argparse
import json
import platform
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torchvision

from pp_lib.photos import simulated_photographs
from pp_lib.photos.dataset import loaders
from pp_lib.photos.files import write_atomically
from pp_lib.train import ThreeHeadVGG16, load_heads, train_heads
from pp_lib.verify import vgg16_parity


def parity(model, batch):
    """Give one row a parameter array, in both precisions."""
    tables = {}
    for dtype in (np.float64, np.float32):
        rows = vgg16_parity(model, batch, dtype=dtype)
        tables[dtype.__name__] = [row._asdict() for row in rows]
    return tables


def two_photographs(folder, seed):
    """Give x (2, 3, 128, 128) and labels of the first two validation photographs."""
    _, val = loaders(folder, batch_size=2, rng=np.random.default_rng(seed))
    return next(iter(val))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="camera")
    parser.add_argument("--photographs", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    folder = simulated_photographs(options.photographs, seed=options.seed)
    batch = two_photographs(folder, options.seed)
    model = ThreeHeadVGG16(options.weights, seed=options.seed)  # as train_heads makes it
    record = {"options": {k: v for k, v in vars(options).items() if k != "out"}}
    record["parity"] = {"before": parity(model, batch)}
    with tempfile.TemporaryDirectory() as out:
        begun = time.perf_counter()
        result = train_heads(
            folder,
            weights=options.weights,
            epochs=options.epochs,
            views=options.views,
            seed=options.seed,
            out=out,
        )
        record["seconds"] = time.perf_counter() - begun
        load_heads(model, Path(out) / "heads.safetensors")
    record["parity"]["after"] = parity(model, batch)
    record["summary"] = result.summary()
    record["history"] = result.history.to_dict()
    seen = len(result.history) * options.views * result.n_train  # it may stop early
    record["heads_photographs_per_s"] = seen / sum(result.history.seconds)
    cuda = torch.cuda.is_available()
    record["device"] = (
        torch.cuda.get_device_name() if cuda else f"CPU, {torch.get_num_threads()} threads"
    )
    record["versions"] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "numpy": np.__version__,
    }
    write_atomically(options.out, (json.dumps(record, indent=1) + "\n").encode())
    print(result.table())


if __name__ == "__main__":
    main()
