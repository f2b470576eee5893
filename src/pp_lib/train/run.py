"""A whole training run on a prepared folder: split, features, heads, verdict."""

import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from pp_lib.photos.bins import HEADS
from pp_lib.photos.dataset import loaders
from pp_lib.photos.files import write_atomically

from .checkpoint import save_heads
from .evaluation import evaluate
from .feature_cache import kept_features
from .history import History
from .log import write_history
from .loop import fit
from .objectives import balanced_class_weights
from .processes import is_main_process
from .safekeeping import held, refuse_unfinished
from .three_heads import ThreeHeads

MODES = ("frozen", "fine-tuned", "scratch")


@dataclass(frozen=True)
class TrainResult:
    """What came out of `train_heads`.

    Attributes
    ----------
    history : History
    heads : dict of dict
        For each head `metrics.summary` of the validation photographs, and its ``loss``.
    loss, entropy : float
        Validation loss of the three heads together, and what guessing by the frequencies of the
        validation labels costs, both in nats.
    n_train, n_val : int
        Photographs.
    """

    history: History
    heads: dict
    loss: float
    entropy: float
    n_train: int
    n_val: int

    def table(self):
        """Give a table for people: each head beside what it has to beat."""
        lines = [
            f"{self.n_train} photographs to learn from, {self.n_val} to check with",
            "head      accuracy  95 % interval   majority  loss   label entropy (nats)",
        ]
        for name, head in self.heads.items():
            interval = f"{100 * head['low']:.0f} to {100 * head['high']:.0f} %"
            lines.append(
                f"{name:<9} {100 * head['accuracy']:6.1f} %  {interval:<14}"
                f"{100 * head['majority']:8.1f} %  {head['loss']:.3f}  {head['entropy']:.3f}"
            )
        lines.append(f"{'sum':<46}{self.loss:.3f}  {self.entropy:.3f}")
        return "\n".join(lines)

    def summary(self):
        """Give the same as plain data, without the history."""
        values = asdict(self)
        del values["history"]
        return values | {
            "epochs": len(self.history),
            "best_epoch": self.history.best_epoch,
            "stop_reason": self.history.stop_reason,
        }


def train_heads(
    folder,
    *,
    backbone="vgg16",
    weights="imagenet",
    mode="frozen",
    epochs=12,
    batch_size=32,
    views=2,
    lr=None,
    dropout=0.5,
    class_weights=None,
    label_smoothing=0.0,
    focal_gamma=0.0,
    precision="float32",
    size=128,
    how="stratified",
    seed=0,
    device=None,
    out=None,
    resume=False,
    progress=True,
):
    """Train a backbone with three heads on a prepared folder, and judge it.

    Parameters
    ----------
    folder : path
        Of `pp_lib.photos.prepare`.
    backbone, weights : str
        See `ThreeHeads`.
    mode : {"frozen", "fine-tuned", "scratch"}
        The backbone stays as it is, and the heads are trained on its cached features; or it learns
        too, from weights that others have trained; or from drawn ones (``weights="random"``).
    views : int
        Random crops cached per training photograph; a validation photograph has one, the centre.
        Only a frozen backbone has a cache: else every epoch draws new crops.
    lr : float, optional
        1e-3 with a frozen backbone, 1e-4 with one that learns.
    class_weights : {"balanced"}, optional
        Weigh classes as `balanced_class_weights` of the training photographs.
    label_smoothing, focal_gamma, precision
        See `fit`.
    size : int
        Side of a crop, pixels.
    seed : int
        Decides the split, the crops, the weights, the order and dropout.
    out : path, optional
        Folder for ``history.json``, ``log.csv``, ``summary.json``, ``heads.safetensors`` (with a
        backbone that learnt ``model.safetensors``: all weights) and ``checkpoints`` (the last two;
        of VGG16 0.4 GB, of a backbone that learns 0.9 GB).
    resume : bool
        Go on from the last checkpoint in `out`, if there is one. Cached features are in
        ``checkpoints`` too: computed again elsewhere they need not be the same to the last bit.

    Returns
    -------
    TrainResult

    Raises
    ------
    ValueError
        For arguments and photographs that cannot be trained with; when `out` holds a run that is
        not finished, and `resume` is False or the run is another.
    RuntimeError
        When another process trains in `out`, and when stopped by Ctrl-C or SIGTERM.
    """
    _check_mode(mode, weights, class_weights)
    lr = lr if lr is not None else (1e-3 if mode == "frozen" else 1e-4)
    out = None if out is None else Path(out)
    model = ThreeHeads(backbone, weights, mode == "frozen", dropout=dropout, seed=seed)
    train_loader, val_loader = loaders(
        folder, batch_size=batch_size, size=size, how=how, rng=np.random.default_rng(seed)
    )
    common = {"seed": seed, "device": device, "progress": progress}
    with nullcontext() if out is None else held(out, "out"):
        if out is not None:
            refuse_unfinished(out / "checkpoints", resume)  # before hours of features
        train, val = train_loader, val_loader
        if mode == "frozen":
            kept = [
                out and out / "checkpoints" / f"{name}-features.safetensors"
                for name in ("training", "validation")
            ]
            made_with = {"size": size, "seed": seed}
            train = kept_features(kept[0], model, train_loader, made_with, views=views, **common)
            val = kept_features(kept[1], model, val_loader, made_with, **common)
        labels = torch.as_tensor(train_loader.dataset.labels)  # (n_train, 3)
        history = fit(
            model,
            train,
            val,
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            class_weights=balanced_class_weights(labels) if class_weights else None,
            label_smoothing=label_smoothing,
            focal_gamma=focal_gamma,
            precision=precision,
            checkpoints=out and out / "checkpoints",
            resume=resume,
            **common,
        )
        checked = evaluate(model, val, precision=precision, device=device)
        result = _judge(history, checked, labels, val_loader.dataset)
        if out is not None and is_main_process():
            _write(out, model, result)
    return result


def _check_mode(mode, weights, class_weights):
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")
    if mode == "scratch" and weights != "random":
        raise ValueError(
            'mode "scratch" begins with drawn weights: choose weights "random", or mode '
            f'"fine-tuned" to go on from {weights!r}'
        )
    if class_weights not in (None, "balanced"):
        raise ValueError(f'class_weights must be None or "balanced", got {class_weights!r}')


def _judge(history, checked, labels, val):
    # a data set that is not from a prepared folder may not know its settings, only their classes
    judged = checked.summary(labels, getattr(val, "stops", None))
    entropy = judged.pop("sum")["entropy"]
    return TrainResult(
        history=history,
        heads={name: judged[name] | {"loss": checked.head_loss[name]} for name in HEADS},
        loss=checked.loss,
        entropy=entropy,
        n_train=len(labels),
        n_val=len(val),
    )


def _write(out, model, result):
    # heads mean nothing without a backbone that learnt with them: then the file holds it too
    save_heads(model, out / f"{'heads' if model.frozen else 'model'}.safetensors")
    write_history(out, result.history)
    values = json.dumps(result.summary(), indent=2) + "\n"
    write_atomically(out / "summary.json", values.encode())
