"""What the shipped backbone reads from photographs that it has never seen, beside hand-made means.

    python data/runs/judge_backbone.py [--scenes FOLDER] [--photos FOLDER] [--out FILE]

1. Simulated photographs, native crops of 128 pixels: the backbone with its training run's small
   heads, against thirty hand-made statistics and gradient boosting on 20,000 of the photographs
   that the backbone learnt from.
2. Real photographs with EXIF, if there are any: the same model as it is, and with small heads
   trained on the other half.

The result is one JSON file (backbone.json beside this script is the one of the shipped weights).
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tqdm.auto import tqdm

from pp_lib.photos import prepare, read_manifest
from pp_lib.photos.bins import HEADS
from pp_lib.photos.develop import develop
from pp_lib.photos.files import write_atomically
from pp_lib.train import ThreeHeadVGG16, camera_weights_path
from pp_lib.train.baselines import statistics_baseline, statistics_of
from pp_lib.train.crops import central_crops, standardise
from pp_lib.train.metrics import summary
from pp_pretrain.config import PretrainConfig
from pp_pretrain.scenes import render_scenes

CROP = 128  # pixels
N_BOOSTED, N_JUDGED = 20_000, 4000


def channel_means(images, backbone):
    """Give what the small heads read, (N, 512), of the central crops of (N, 3, H, W) uint8."""
    means, device = [], next(backbone.parameters()).device
    with torch.no_grad():
        for first in tqdm(range(0, len(images), 16), desc="backbone"):
            x = torch.from_numpy(np.array(images[first : first + 16])).to(device)
            f = backbone(standardise(central_crops(x, CROP)))  # (B, 512, 4, 4)
            means.append(f.mean(dim=(2, 3)).cpu())
    return torch.cat(means)


def answers(z, heads):
    """Give each head's logits, (N, 3), from channel means (N, 512)."""
    return {head: (z @ heads[f"{head}.weight"].T + heads[f"{head}.bias"]).numpy() for head in HEADS}


def judged(logits, labels):
    """Put accuracy, interval and loss of each head beside what they have to beat."""
    predicted = np.stack([logits[head].argmax(axis=1) for head in HEADS], axis=1)
    return summary(labels, predicted, logits=logits)


def kept_statistics(scenes, folder):
    """Give the thirty statistics of the central crops, (N, 30), kept beside the scenes."""
    kept = folder / f"statistics-{CROP}.npy"
    if not kept.is_file():
        np.save(kept, statistics_of(scenes.images, CROP))
    return np.load(kept)


def on_real_photographs(folder, backbone, heads):
    with tempfile.TemporaryDirectory() as prepared:
        prepare(folder, Path(prepared), size=CROP, progress=False)
        rows = read_manifest(Path(prepared))
        images = np.stack([develop(Path(prepared) / r.image).transpose(2, 0, 1) for r in rows])
    labels = np.array([row.labels for row in rows])
    z = channel_means(images, backbone)
    probabilities = {}
    for h, head in enumerate(HEADS):
        halves = StratifiedKFold(2, shuffle=True, random_state=0)
        probabilities[head] = np.zeros((len(z), 3))
        for learn, check in halves.split(z, labels[:, h]):
            model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
            model.fit(z[learn], labels[learn, h])
            probabilities[head][np.ix_(check, model.classes_)] = model.predict_proba(z[check])
    return {
        "photographs": len(rows),
        "as_it_is": judged(answers(z, heads), labels),
        # the logarithms of probabilities are logits
        "heads_of_the_other_half": judged({h: np.log(p) for h, p in probabilities.items()}, labels),
    }


def show(title, table):
    print(f"\n{title}")
    for head in HEADS:
        t = table[head]
        accuracy, low, high, majority = (
            100 * t[name] for name in ("accuracy", "low", "high", "majority")
        )
        print(
            f"{head:<9}{accuracy:6.1f} %  ({low:.1f} to {high:.1f})  majority {majority:.1f} %"
            f"  loss {t['loss']:.3f}  entropy {t['entropy']:.3f}"
        )
    gain = table["sum"]["entropy"] - table["sum"]["loss"]
    print(f"sum: loss {table['sum']['loss']:.3f}, {gain:+.3f} nats below label entropy")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=Path, default=Path("runs/scenes"))
    parser.add_argument("--photos", type=Path, default=Path("../shared/photos"))
    parser.add_argument("--judged", type=int, default=N_JUDGED)
    parser.add_argument("--boosted", type=int, default=N_BOOSTED)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    path = camera_weights_path()
    config = PretrainConfig.read(path.with_suffix(".config.json"))
    backbone = ThreeHeadVGG16("camera").features.eval()
    backbone.to("cuda" if torch.cuda.is_available() else "cpu", memory_format=torch.channels_last)
    heads = load_file(path.with_suffix(".heads.safetensors"))

    def scenes(n, seed):
        folder = options.scenes / f"scenes-{n}-{seed}-{config.render_size}"
        return render_scenes(n, seed, config.render_size, folder), folder

    test, test_folder = scenes(options.judged, config.val_seed)
    history = json.loads(path.with_suffix(".history.json").read_text("utf-8"))
    results = {"config": asdict(config), "facts": history["facts"], "crop": CROP}
    results |= {"judged": len(test), "boosted_on": options.boosted}
    results["backbone"] = judged(answers(channel_means(test.images, backbone), heads), test.labels)
    show(f"{len(test)} simulated photographs: the backbone", results["backbone"])
    train, train_folder = scenes(config.n_train, config.seed)
    results["boosting"] = statistics_baseline(
        (kept_statistics(train, train_folder)[: options.boosted], train.labels[: options.boosted]),
        (kept_statistics(test, test_folder), test.labels),
    )
    show("the same: thirty statistics and gradient boosting", results["boosting"])
    if options.photos.is_dir():
        results["real"] = on_real_photographs(options.photos, backbone, heads)
        for title in ("as_it_is", "heads_of_the_other_half"):
            show(
                f"{results['real']['photographs']} real photographs, {title}",
                results["real"][title],
            )
    else:
        print(f"\nno real photographs at {options.photos}: name a folder with --photos")
    if options.out:
        write_atomically(options.out, (json.dumps(results, indent=2) + "\n").encode())
    above = all(
        results["backbone"][h]["accuracy"] > results["boosting"][h]["accuracy"] for h in HEADS
    )
    print(f"\nevery head above the boosted statistics: {'yes' if above else 'NO'}")
    return 0 if above else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(os.cpu_count()))
    sys.exit(main())
