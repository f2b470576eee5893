"""What happened in a training run, as plain data."""

from dataclasses import asdict, dataclass, field

from pp_lib.photos.bins import HEADS


def _per_head():
    return {name: [] for name in HEADS}


@dataclass
class History:
    """One number an epoch in every list; epochs are counted from 1.

    Attributes
    ----------
    train_loss, val_loss : list of float
        Sum of the three heads' cross-entropies, nats, mean over the photographs. The training
        loss is gathered while the weights change and with dropout on.
    train_head_loss, val_head_loss, train_accuracy, val_accuracy : dict of list of float
        The same for each head.
    lr : list of float
        Learning rate that the epoch ran with.
    seconds : list of float
        Wall time of the epoch with its validation.
    best_epoch : int
        Epoch whose weights the model was left with; 0 if none was finished.
    stop_reason : str
        ``"epochs done"``, ``"early stop"`` or ``"interrupted"``; ``""`` while it runs.
    """

    train_loss: list[float] = field(default_factory=list)
    val_loss: list[float] = field(default_factory=list)
    train_head_loss: dict[str, list[float]] = field(default_factory=_per_head)
    val_head_loss: dict[str, list[float]] = field(default_factory=_per_head)
    train_accuracy: dict[str, list[float]] = field(default_factory=_per_head)
    val_accuracy: dict[str, list[float]] = field(default_factory=_per_head)
    lr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int = 0
    stop_reason: str = ""

    def __len__(self):
        """Count the finished epochs."""
        return len(self.val_loss)

    @property
    def best_val_loss(self):
        """Validation loss of the best epoch."""
        if self.best_epoch == 0:
            raise ValueError("no epoch was finished, so there is no best one")
        return self.val_loss[self.best_epoch - 1]

    def to_dict(self):
        """Give plain dicts, lists and numbers, ready for json.dump."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values):
        """Undo `to_dict`."""
        return cls(**values)
