"""A whole training run on a prepared folder: split, features, heads, verdict."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from pp_lib.photos.bins import HEADS
from pp_lib.photos.dataset import loaders
from pp_lib.photos.files import write_atomically

from .checkpoint import save_heads
from .evaluation import evaluate
from .features import extract_features
from .history import History
from .loop import fit
from .metrics import summary
from .vgg16 import ThreeHeadVGG16


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
    weights="imagenet",
    epochs=12,
    batch_size=32,
    views=2,
    lr=1e-3,
    dropout=0.5,
    size=128,
    how="stratified",
    seed=0,
    device=None,
    out=None,
    progress=True,
):
    """Train the three heads on the features of a frozen VGG16.

    Parameters
    ----------
    folder : path
        Of `pp_lib.photos.prepare`.
    views : int
        Random crops cached per training photograph; a validation photograph has one, the centre.
    size : int
        Side of a crop, pixels.
    seed : int
        Decides the split, the crops, the weights, the order and dropout.
    out : path, optional
        Folder for ``history.json``, ``summary.json`` and ``heads.safetensors``.

    Returns
    -------
    TrainResult
    """
    model = ThreeHeadVGG16(weights, dropout=dropout, seed=seed)
    train_loader, val_loader = loaders(
        folder, batch_size=batch_size, size=size, how=how, rng=np.random.default_rng(seed)
    )
    common = {"seed": seed, "device": device, "progress": progress}
    train = extract_features(model, train_loader, views=views, **common)
    val = extract_features(model, val_loader, **common)
    history = fit(model, train, val, epochs=epochs, batch_size=batch_size, lr=lr, **common)

    checked = evaluate(model, val, device=device)
    judged = summary(checked.labels.numpy(), checked.predicted.numpy(), train.labels.numpy())
    entropy = judged.pop("sum")["entropy"]
    result = TrainResult(
        history=history,
        heads={name: judged[name] | {"loss": checked.head_loss[name]} for name in HEADS},
        loss=checked.loss,
        entropy=entropy,
        n_train=len(train_loader.dataset),
        n_val=len(val_loader.dataset),
    )
    if out is not None:
        out = Path(out)
        save_heads(model, out / "heads.safetensors")
        for name, values in {"history": history.to_dict(), "summary": result.summary()}.items():
            write_atomically(out / f"{name}.json", (json.dumps(values, indent=2) + "\n").encode())
    return result
