"""All that decides a pretraining run, in one small file."""

import json
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from pp_lib.photos.files import write_atomically

CROP_STEP = 16  # pixels by which crops grow


@dataclass(frozen=True)
class PretrainConfig:
    """All that decides a run; one JSON object, what is left out is as here.

    Attributes
    ----------
    seed, val_seed : int
        Of scenes to learn from, weights, order and crops; of scenes to check with. Far from the
        seeds that people take: photograph i of one seed has the same light and settings at any
        size, and none that the backbone has learnt from should come back to judge it.
    n_train, n_val : int
        Scenes.
    render_size, crop : int
        Sides in pixels of a scene and of the crops shown to the network.
    grow_from : int or None
        Side of the first crops: they grow in steps of 16 pixels, each size for the same share of
        the run, and end at `crop`. Small crops cost less and teach noise and blur just as well.
    batch_size, epochs : int
    minutes : float or None
        Of training and checking, after which it ends even if epochs are left; the schedule is
        then over in time. Such a run depends on the machine's speed.
    optimizer : {"adamw", "sgd"}
        SGD has Nesterov's momentum of 0.9.
    peak_lr, warmup : float
        The rate rises linearly for the share `warmup` of the run, then falls to 0 as a cosine:
        0.3 is a one-cycle schedule, 0 a plain cosine.
    weight_decay : float
        Of the convolutions' and heads' weights; biases and normalisations have none.
    label_smoothing, ema_decay : float
        In [0, 1). An `ema_decay` above 0 checks and ships the moving average of the weights.
    precision : {"float32", "bfloat16"}
        Of the layers (autocast); weights, losses and optimizer stay in float32.
    device : str or None
        A GPU if there is one.
    workers : int or None
        Processes that render; as many as there are cores.
    """

    seed: int = 1_000_000
    val_seed: int = 1_000_001
    n_train: int = 300_000
    n_val: int = 4000
    render_size: int = 160
    crop: int = 128
    grow_from: int | None = None
    batch_size: int = 512
    epochs: int = 12
    minutes: float | None = None
    optimizer: str = "adamw"
    peak_lr: float = 2e-3
    warmup: float = 0.3
    weight_decay: float = 0.05
    label_smoothing: float = 0.0
    ema_decay: float = 0.999
    precision: str = "bfloat16"
    device: str | None = None
    workers: int | None = None

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = field.type | int if isinstance(1.0, field.type) else field.type
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise ValueError(f"{field.name} must be {field.type}, got {value!r}")
        holds = {
            "seed": self.seed >= 0,
            "val_seed": self.val_seed >= 0 and self.val_seed != self.seed,
            "n_val": self.n_val >= 1,
            "crop": 32 <= self.crop <= self.render_size,
            "grow_from": self.grow_from is None or 32 <= self.grow_from <= self.crop,
            "batch_size": 2 <= self.batch_size <= self.n_train,
            "epochs": self.epochs >= 1,
            "minutes": self.minutes is None or self.minutes > 0,
            "optimizer": self.optimizer in ("adamw", "sgd"),
            "peak_lr": 0 < self.peak_lr < math.inf,
            "warmup": 0 <= self.warmup < 1,
            "weight_decay": 0 <= self.weight_decay < math.inf,
            "label_smoothing": 0 <= self.label_smoothing < 1,
            "ema_decay": 0 <= self.ema_decay < 1,
            "precision": self.precision in ("float32", "bfloat16"),
        }
        for name in (name for name, is_so in holds.items() if not is_so):
            raise ValueError(f"{name} cannot be {getattr(self, name)!r} here: see PretrainConfig")

    def crop_at(self, share):
        """Give the side of the crops when `share`, 0 to 1, of the run is over."""
        sides = [*range(self.grow_from or self.crop, self.crop, CROP_STEP), self.crop]
        return sides[min(int(share * len(sides)), len(sides) - 1)]

    @classmethod
    def read(cls, path):
        """Read a JSON file; a name that is none of these is refused."""
        try:
            values = json.loads(Path(path).read_text("utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is no JSON file: {error}") from error
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(known)) if isinstance(values, dict) else [repr(values)]
        if unknown:
            raise ValueError(
                f"{path} must be an object with some of {', '.join(known)}; "
                f"got {', '.join(unknown)}"
            )
        return cls(**values)

    def write(self, path):
        """Write a JSON file that `read` reads."""
        write_atomically(path, (json.dumps(asdict(self), indent=2) + "\n").encode())
