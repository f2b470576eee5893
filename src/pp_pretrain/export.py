"""What a pretraining run leaves behind: a backbone to ship, and a card that says what it is."""

import copy
import hashlib
import json
import platform
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch.utils.data import DataLoader

from pp_lib.photos.bins import HEADS
from pp_lib.photos.files import write_atomically
from pp_lib.train.crops import central_crops, standardise
from pp_lib.train.evaluation import evaluate
from pp_lib.train.metrics import summary

from .fold import fold_batch_norm

WEIGHTS = "vgg16-camera.safetensors"


def check_crops(model, scenes, config, device):
    """Ask the model about the central crop of every photograph.

    Returns
    -------
    dict
        ``loss`` and ``entropy``, sums over the heads in nats; ``heads``: for each its ``loss``
        and `metrics.summary`. Plain numbers.
    """

    def read(rows):
        x = torch.from_numpy(np.array(scenes.images[rows]))
        y = torch.from_numpy(np.array(scenes.labels[rows]))
        return standardise(central_crops(x, config.crop)), dict(zip(HEADS, y.T, strict=True))

    data = DataLoader(range(len(scenes)), batch_size=config.batch_size, collate_fn=read)
    checked = evaluate(model, data, precision=config.precision, device=device)
    judged = summary(scenes.labels, checked.predicted.numpy())
    entropy = judged.pop("sum")["entropy"]
    heads = {name: judged[name] | {"loss": checked.head_loss[name]} for name in HEADS}
    return {"loss": checked.loss, "entropy": entropy, "heads": heads}


def export(model, val, out, config, run):
    """Write the folded backbone, its checksum, its configuration, its history and its card.

    The numbers of the card are those of the numbers in the file: folded, rounded to float16, read
    back, and asked about every validation photograph once more.

    Parameters
    ----------
    model : CameraNet
    val : Scenes
    out : path-like
        Gets vgg16-camera.safetensors, .safetensors.sha256, .config.json, .history.json and .md,
        and the small heads of the run in vgg16-camera.heads.safetensors.
    config : PretrainConfig
    run : dict
        As `pp_pretrain.loop.learn` gives it.

    Returns
    -------
    pathlib.Path
        The weights.

    Raises
    ------
    FloatingPointError
        If a folded weight is too large for float16.
    OSError
        If a file cannot be written.
    """
    path = Path(out) / WEIGHTS
    folded = fold_batch_norm(model.features)
    state = {k: v.to(torch.float16).cpu().contiguous() for k, v in folded.state_dict().items()}
    for name, value in state.items():
        if not torch.isfinite(value).all():
            raise FloatingPointError(f"{name} holds numbers that float16 cannot: train longer")
    shipped = copy.deepcopy(model)
    folded.load_state_dict(state)
    shipped.features = folded
    device = next(shipped.parameters()).device
    checked = check_crops(shipped, val, replace(config, precision="float32"), device)
    sha256 = _write_weights(path, state)
    growing = f", growing from {config.grow_from}" if config.grow_from else ""
    heads = {k: v.detach().cpu().contiguous() for k, v in shipped.heads.state_dict().items()}
    write_atomically(path.with_suffix(".heads.safetensors"), save(heads))
    threads = torch.get_num_threads()
    device_name = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    if device.type == "cuda":
        device_name = torch.cuda.get_device_name(device)
    facts = {
        "Photographs": f"{config.n_train:,} to learn from, {len(val):,} to check with, simulated, "
        f"{config.render_size} pixels, crops of {config.crop}{growing}",
        "Steps": f"{run['step']:,} of {config.batch_size} crops",
        "Time": f"{run['seconds'] / 60:.1f} minutes of training and checking",
        "Device": f"{device_name}, {config.precision}",
        "Versions": f"Python {platform.python_version()}, torch {torch.__version__}",
        "SHA-256": f"`{sha256}`",
    }
    config.write(path.with_suffix(".config.json"))
    history = {"facts": facts, "epochs": run["history"], "exported": checked}
    note = json.dumps(history, indent=2) + "\n"
    write_atomically(path.with_suffix(".history.json"), note.encode())
    write_atomically(path.with_suffix(".md"), _card(facts, checked).encode())
    return path


def _write_weights(path, state):
    content = save(state)
    write_atomically(path, content)
    sha256 = hashlib.sha256(content).hexdigest()
    # the form that sha256sum --check reads
    write_atomically(path.with_name(f"{path.name}.sha256"), f"{sha256}  {path.name}\n".encode())
    return sha256


def _card(facts, checked):
    lines = [
        "# VGG16 that has seen a camera",
        "",
        "The 13 convolutions of VGG16, trained from scratch on photographs of PhotoPilot's",
        "simulated camera and nothing else; batch normalisation folded in; float16.",
        "",
        *(f"- {name}: {value}" for name, value in facts.items()),
        "",
        "Central crops of the photographs to check with, float32 arithmetic, and the training",
        "run's small heads, which lie in a file of their own:",
        "",
        "| head | accuracy | 95 % interval | most frequent class | loss, nats | label entropy |",
        "|---|---|---|---|---|---|",
    ]
    for name, head in checked["heads"].items():
        interval = f"{100 * head['low']:.1f} to {100 * head['high']:.1f} %"
        lines.append(
            f"| {name} | {100 * head['accuracy']:.1f} % | {interval} "
            f"| {100 * head['majority']:.1f} % | {head['loss']:.3f} | {head['entropy']:.3f} |"
        )
    lines += [
        f"| sum | | | | {checked['loss']:.3f} | {checked['entropy']:.3f} |",
        "",
        "Limits: nothing above was measured on real photographs. It has seen pixels as the camera",
        "gave them; a picture made smaller or saved as JPEG has lost part of what it looks for.",
    ]
    return "\n".join(lines) + "\n"
