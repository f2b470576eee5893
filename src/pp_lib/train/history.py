"""What happened in a training run, as plain data."""

from dataclasses import asdict, dataclass, field

import torch

from pp_lib.photos.bins import HEADS
from pp_lib.photos.stops import classes_of_predictions

from .features import classes_of


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

    def record(self, tally, checked, lr, seconds):
        """Add an epoch: its `Tally`, its `Evaluation`, the rate and the time it took."""
        train_losses, train_right = tally.means()
        self.train_loss.append(sum(train_losses))
        self.val_loss.append(checked.loss)
        for j, name in enumerate(HEADS):
            self.train_head_loss[name].append(train_losses[j])
            self.train_accuracy[name].append(train_right[j])
            self.val_head_loss[name].append(checked.head_loss[name])
            self.val_accuracy[name].append(checked.accuracy[name])
        self.lr.append(lr)
        self.seconds.append(seconds)

    def to_dict(self):
        """Give plain dicts, lists and numbers, ready for json.dump."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values):
        """Undo `to_dict`."""
        return cls(**values)


class Tally:
    """Sums over an epoch, kept on the device: a GPU then need not wait for the CPU to read them."""

    def __init__(self, n=0, loss=0.0, right=0.0):
        self.n, self.loss, self.right = n, loss, right

    def add(self, losses, right_and_n):
        """Add a batch: its mean losses (3,), and (4,) how many answers were right, and rows."""
        n = right_and_n[3]
        self.n = self.n + n
        self.loss = self.loss + losses.detach().double() * n  # (3,)
        self.right = self.right + right_and_n[:3]  # (3,)

    def means(self):
        """Give the epoch's mean losses and shares of right answers, two lists of three."""
        return (self.loss / self.n).tolist(), (self.right / self.n).tolist()


def count_right(outputs, y):
    """Count right answers a head, and rows, (4,) int64; in stops the class they lie in counts."""
    if y.is_floating_point():
        answers = torch.cat([outputs[name].detach() for name in HEADS], dim=1)  # (B, 3)
        predicted = torch.from_numpy(classes_of_predictions(answers.float().cpu().numpy()))
        right = (predicted == classes_of(y).cpu()).to(y.device)
    else:
        right = torch.stack([outputs[name].detach().argmax(dim=1) for name in HEADS], dim=1) == y
    rows = torch.full((1,), len(y), device=y.device)
    return torch.cat([right.sum(dim=0), rows])
