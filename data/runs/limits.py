"""Record the experiments of chapter 17 that are too slow for a page.

    python data/runs/limits.py --out data/runs/limits.json

1. habit: what the published backbone reads from scenes that were photographed twice, by the
   exposure program that it grew up with, and with settings drawn one by one, the light on the
   scene being made to fit.
2. after: the same photographs of the program once something was done to them after the shutter
   had closed; with the small heads as published, and with heads fitted to the changed photographs.
3. trained: the three-head network on crops of 64 pixels, on photographs as they were developed
   and saved as JPEG. Its convolutions are frozen; frozen and then thawed, at a tenth of the rate;
   thawed from the first step; or thawed from random weights.

None of these photographs was shown to the backbone before: it was trained on other seeds.
"""

import argparse
import hashlib
import io
import json
import platform
import tempfile
import time
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy.ndimage import median_filter
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader
from torchvision.transforms import v2
from tqdm.auto import tqdm

from pp_lib.camera import (
    EXPOSURE_TIMES_S,
    F_NUMBERS,
    ISOS,
    Settings,
    auto_exposure,
    make_scene,
    take_photograph,
    write_dng,
)
from pp_lib.photos import (
    HEADS,
    PhotoDataset,
    develop,
    eval_transform,
    read_manifest,
    simulated_photographs,
    train_transform,
)
from pp_lib.photos.files import write_atomically
from pp_lib.train import ThreeHeadVGG16, camera_weights_path, evaluate, fit, wilson_interval
from pp_lib.train.crops import central_crops, standardise
from pp_lib.train.repository import CAMERA_HEADS, repository_file

SEED = 1700  # of the scenes here; the chapter's own are of seed 17
CROP, SMALL_CROP = 128, 64  # pixels
N_TRAIN, N_CHECK = 400, 100  # of the prepared photographs; the rest are judged
ARMS = {"frozen": "camera", "thawed at once": "camera", "from scratch": "random"}  # backbones


# --- photographs ------------------------------------------------------------------------------


def between(table, low, high):
    return [stop for stop in table if low <= stop <= high]


FREE = (
    between(F_NUMBERS, 2, 22),
    between(ISOS, 100, 6400),
    between(EXPOSURE_TIMES_S, Fraction(1, 2000), Fraction(1, 4)),
)


def photographed_twice(i, size, place):
    """Give (picture, classes) by the program and by free settings: one scene, one hand."""
    of_scene, of_program, of_dice, of_noise = np.random.default_rng([SEED, i]).spawn(4)
    scene = make_scene(of_scene, size)
    habit = auto_exposure(
        scene.light_ev100,
        focal_length_mm=scene.focal_length_mm,
        tripod=scene.tripod,
        rng=of_program,
    )
    dice = Settings(*(t[of_dice.integers(len(t))] for t in FREE), scene.focal_length_mm)
    missed = 0.25 * float(np.clip(of_dice.standard_normal(), -2.5, 2.5))
    made_to_fit = replace(scene, light_ev100=dice.ev100 - missed)
    taken = []
    for lit, settings in ((scene, habit), (made_to_fit, dice)):
        photo = take_photograph(lit, settings, of_noise)
        values = (settings.f_number, settings.iso, settings.exposure_time_s)
        classes = [bins.encode(v) for bins, v in zip(HEADS.values(), values, strict=True)]
        taken.append((develop(write_dng(place / "photo.dng", photo)), classes))
    return taken


def two_collections(n, size):
    """Give ((images, labels) of the program, (images, labels) of free settings)."""
    with tempfile.TemporaryDirectory() as place:
        pairs = [photographed_twice(i, size, Path(place)) for i in tqdm(range(n), desc="scenes")]
    return [tuple(map(np.stack, zip(*side, strict=True))) for side in zip(*pairs, strict=True)]


def saved_as_jpeg(picture, quality):
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def halved(picture):
    h, w = picture.shape[0] // 2, picture.shape[1] // 2
    means = picture[: 2 * h, : 2 * w].reshape(h, 2, w, 2, 3).mean(axis=(1, 3))
    return np.rint(means).astype(np.uint8)


AFTER = {
    "as developed": lambda picture: picture,
    "JPEG 95": lambda picture: saved_as_jpeg(picture, 95),
    "JPEG 75": lambda picture: saved_as_jpeg(picture, 75),
    "median of 3 x 3": lambda picture: median_filter(picture, size=(3, 3, 1)),
    "half the size": halved,
}


# --- what is read from them -------------------------------------------------------------------


def judged(probabilities, labels):
    """Give for each head accuracy, interval, what guessing gets, and the loss in nats."""
    table = {}
    for h, head in enumerate(HEADS):
        p, y = probabilities[head], labels[:, h]
        right = int((p.argmax(axis=1) == y).sum())
        low, high = wilson_interval(right, len(y))
        paid = -np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(np.float32).tiny))
        table[head] = {
            "right": right,
            "n": len(y),
            "accuracy": right / len(y),
            "low": low,
            "high": high,
            "majority": np.bincount(y).max() / len(y),
            "loss": float(paid.mean()),
        }
    return table


@torch.inference_mode()
def channel_means(features, images):
    """Give (N, 512) of the central crops of (N, H, W, 3) uint8."""
    means = []
    for first in tqdm(range(0, len(images), 8), desc="backbone"):
        x = torch.from_numpy(np.ascontiguousarray(images[first : first + 8]))
        x = standardise(central_crops(x.permute(0, 3, 1, 2), CROP))
        means.append(features(x).mean(dim=(2, 3)))
    return torch.cat(means)


def as_published(z, heads):
    return {
        head: torch.softmax(z @ heads[f"{head}.weight"].T + heads[f"{head}.bias"], dim=1).numpy()
        for head in HEADS
    }


def fitted_anew(z, labels):
    """Give what linear heads say about photographs that they were not fitted to."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    return {
        head: cross_val_predict(model, z.numpy(), labels[:, h], cv=folds, method="predict_proba")
        for h, head in enumerate(HEADS)
    }


def read_by_the_backbone(n):
    features = ThreeHeadVGG16("camera").features.eval()
    heads = load_file(repository_file(CAMERA_HEADS))
    (habit, y_habit), (free, y_free) = two_collections(n, 2 * CROP)
    z = channel_means(features, free)
    by_habit = {"free": judged(as_published(z, heads), y_free)}
    by_habit["free, heads fitted anew"] = judged(fitted_anew(z, y_free), y_free)
    after = {}
    for name, change in AFTER.items():
        z = channel_means(features, np.stack([change(picture) for picture in habit]))
        after[name] = {
            "as published": judged(as_published(z, heads), y_habit),
            "fitted anew": judged(fitted_anew(z, y_habit), y_habit),
        }
    by_habit["program"] = after["as developed"]["as published"]
    return by_habit, after


# --- what is trained --------------------------------------------------------------------------


def three_loaders(folder, posted):
    """Give loaders to learn from, to check with and to be judged by, of small crops."""
    rows = read_manifest(folder)
    saved = [v2.JPEG((75, 75))] if posted else []
    learn = v2.Compose([*saved, train_transform(SMALL_CROP)])
    check = v2.Compose([*saved, eval_transform(SMALL_CROP)])
    parts = (rows[:N_TRAIN], rows[N_TRAIN : N_TRAIN + N_CHECK], rows[N_TRAIN + N_CHECK :])
    order = torch.Generator().manual_seed(0)
    return [
        DataLoader(PhotoDataset(folder, part, how), 32, shuffle=how is learn, generator=order)
        for part, how in zip(parts, (learn, check, check), strict=True)
    ]


def fitted(model, loaders, epochs, lr):
    """Train what is free, on from where the model is, and judge it."""
    learn, check, judge = loaders
    begun = time.perf_counter()
    history = fit(model, learn, check, epochs=epochs, lr=lr, precision="bfloat16", seed=0)
    seconds = time.perf_counter() - begun
    said = evaluate(model, judge, precision="bfloat16")
    p = {head: said.logits[head].double().softmax(dim=1).numpy() for head in HEADS}
    kept = history.to_dict()
    return {
        "trainable": sum(x.numel() for x in model.parameters() if x.requires_grad),
        "lr": lr,
        "best_epoch": kept["best_epoch"],
        "train_loss": kept["train_loss"],
        "val_loss": kept["val_loss"],
        "judged": judged(p, said.labels.numpy()),
        "seconds": seconds,
    }


def trained(folder, arms, posted, epochs, lr):
    """Yield a row an arm; the frozen arm goes on, thawed, for half as many epochs."""
    loaders = three_loaders(folder, posted)
    for arm in arms:
        model = ThreeHeadVGG16(ARMS[arm], seed=0).set_frozen(arm == "frozen")
        yield {"arm": arm, "posted": posted} | fitted(model, loaders, epochs, lr)
        if arm == "frozen":
            model.set_frozen(False)
            name = {"arm": "frozen, then thawed", "posted": posted}
            yield name | fitted(model, loaders, -(-epochs // 2), lr / 10)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--photographs", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    record = {"options": {k: v for k, v in vars(options).items() if k != "out"}}
    record["options"] |= {"crop": CROP, "small_crop": SMALL_CROP, "n_train": N_TRAIN}
    record["weights_sha256"] = hashlib.sha256(camera_weights_path().read_bytes()).hexdigest()
    record["versions"] = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }
    record["habit"], record["after"] = read_by_the_backbone(options.scenes)
    record["trained"] = []
    folder = simulated_photographs(options.photographs)
    for posted, arms in ((False, ARMS), (True, ["frozen"])):
        for row in trained(folder, arms, posted, options.epochs, options.lr):
            record["trained"].append(row)
            # after each, because they take minutes
            write_atomically(options.out, (json.dumps(record, indent=1) + "\n").encode())
            shares = ", ".join(f"{head} {t['accuracy']:.1%}" for head, t in row["judged"].items())
            print(f"{row['arm']:20}{'JPEG' if posted else '':6}{shares}")


if __name__ == "__main__":
    main()
