"""An epoch on kept features against an epoch of the notes' loop, on the same photographs.

    python benchmarks/epoch.py [--photos 160] [--epochs 3]

The notes' loop decodes every picture anew in every epoch, sends it through the frozen VGG16 in
float32, and trains the heads; then it does the same, without training, for the held-out fifth. Here
the backbone is asked once (chapter 14), and every later epoch reads what it answered. Both sides
train the same three heads on the same 128-pixel crops in batches of 32, with Adam, and look at the
losses of both parts after each epoch. The loop is kept from a disadvantage that it has in the
notes: it decodes our small pictures. The last row adds what the notes' JPEGs of full size cost it,
20 megapixels each, as measured on a few and multiplied.
"""

import argparse
import copy
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rows import exit_status, row
from torch.utils.data import DataLoader, Subset

from pp_lib.photos import PhotoDataset, eval_transform, simulated_photographs
from pp_lib.photos.bins import HEADS
from pp_lib.train import ThreeHeadVGG16, extract_features, fit

SIZE = 128
BATCH_SIZE = 32
CLAIM = 50


def loss_of(model, images, labels):
    """Add the heads' cross-entropies, as the notes do."""
    logits = model(images)
    return sum(torch.nn.functional.cross_entropy(logits[head], labels[head]) for head in HEADS)


def plain_epoch(model, optimizer, train, val):
    """Do what the notes' loop does in one epoch; give the mean losses of both parts."""
    means = []
    for loader, is_training in ((train, True), (val, False)):
        model.train(is_training)
        total = 0.0
        with torch.set_grad_enabled(is_training):
            for images, labels in loader:
                loss = loss_of(model, images, labels)
                if is_training:
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                total += loss.item() * len(images)
        means.append(total / len(loader.dataset))
    return means


def full_size_s(few=3):
    """Give the seconds to decode one JPEG of 20 megapixels and to shrink it to 128 pixels."""
    from PIL import Image

    from pp_lib.camera import simulate, write_dng
    from pp_lib.photos import develop

    with tempfile.TemporaryDirectory() as folder:
        photograph = simulate(1, seed=1, size=1024, workers=1, progress=False)[0]
        tile = develop(write_dng(Path(folder, "tile.dng"), photograph))
        picture = np.tile(tile, (4, 6, 1))[:3648, :5472]
        path = Path(folder, "full.jpg")
        Image.fromarray(picture).save(path, quality=95)

        def decode():
            with Image.open(path) as image:
                image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)

        return min(timed(decode)[0] for _ in range(few))


def timed(function, *args):
    start = time.perf_counter()
    answer = function(*args)
    return time.perf_counter() - start, answer


def measure(quick=False, n=160, epochs=3):
    """Give the benchmark's rows for the table."""
    n, epochs, batch_size = (10, 1, 4) if quick else (n, epochs, BATCH_SIZE)
    pictures = PhotoDataset(
        simulated_photographs(n, size=SIZE, progress=False), transform=eval_transform(SIZE)
    )
    cut = n * 4 // 5
    parts = Subset(pictures, range(cut)), Subset(pictures, range(cut, n))
    model = ThreeHeadVGG16("random")
    twin = copy.deepcopy(model)

    loaders = [DataLoader(part, batch_size=batch_size, shuffle=part is parts[0]) for part in parts]
    decode_s, _ = timed(lambda: [None for loader in loaders for _ in loader])
    free = [p for p in twin.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(free, lr=1e-3)
    plain = [timed(plain_epoch, twin, optimizer, *loaders) for _ in range(max(1, epochs - 1))]
    if not np.isfinite([losses for _, losses in plain]).all():
        raise RuntimeError(f"the notes' loop must give finite losses, got {plain}")
    theirs_s = min(seconds for seconds, _ in plain)

    jpeg_s = full_size_s(1 if quick else 3)
    extract_s, (train, val) = timed(
        lambda: [extract_features(model, part, device="cpu", progress=False) for part in parts]
    )
    fit_s, history = timed(
        lambda: fit(
            model, train, val, epochs=1 + epochs, batch_size=batch_size, device="cpu",
            stop_patience=100, progress=False,
        )
    )  # fmt: skip
    ours_s = float(np.median(history.seconds[1:]))  # the first also warms up
    first_s = extract_s + history.seconds[0]
    print(f"{n} photographs, {SIZE} px, {torch.get_num_threads()} threads")
    print(f"the notes' loop   {theirs_s:7.2f} s an epoch, of which decoding {decode_s:.2f} s")
    print(f"  a JPEG of full size would add {jpeg_s:.3f} s to each photograph")
    print(f"asking once       {extract_s:7.2f} s, then {ours_s:.3f} s an epoch")
    print(f"fit of {1 + epochs} epochs  {fit_s:7.2f} s, checks and copies of the best included")
    print(f"ratio after the first epoch: {theirs_s / ours_s:.1f} (claim: at least {CLAIM})")
    what, with_jpegs_s = f"{n} photographs, frozen VGG16", theirs_s + n * jpeg_s
    return [
        row(
            f"an epoch after the first, {what}",
            "kept features against decoding and the backbone in float32 in every epoch",
            ours=ours_s,
            theirs=theirs_s,
            ratio=theirs_s / ours_s,
            unit="s",
            at_least=CLAIM,
        ),
        row(
            f"the first epoch, {what}",
            "the backbone's answers included, against the same loop",
            ours=first_s,
            theirs=theirs_s,
            ratio=theirs_s / first_s,
            unit="s",
        ),
        row(
            f"an epoch after the first, {what}, and JPEGs of full size",
            "the same, their JPEGs' decoding measured on three and multiplied",
            ours=ours_s,
            theirs=with_jpegs_s,
            ratio=with_jpegs_s / ours_s,
            unit="s",
        ),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    return exit_status(measure(n=options.photos, epochs=options.epochs))


if __name__ == "__main__":
    sys.exit(main())
