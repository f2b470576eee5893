"""What a model answers on a data set, and how good the answers are."""

from dataclasses import dataclass

import torch

from pp_lib.photos.bins import HEADS

from .batches import batches, check_data, forward
from .device import choose_device, seeded
from .objectives import head_losses


@dataclass(frozen=True)
class Evaluation:
    """A model's answers on a data set.

    Attributes
    ----------
    loss : float
        Sum of the heads' mean cross-entropies, nats.
    head_loss, accuracy : dict of float
    logits : dict of torch.Tensor, each (N, 3), on the CPU
    labels, predicted : torch.Tensor of int64, (N, 3), on the CPU
    """

    loss: float
    head_loss: dict
    accuracy: dict
    logits: dict
    labels: torch.Tensor
    predicted: torch.Tensor


def evaluate(model, data, *, batch_size=256, precision="float32", device=None):
    """Ask the model about every photograph, without dropout and in the data's order.

    Parameters are those of `fit`; a loader that shuffles keeps its own order.

    Returns
    -------
    Evaluation
    """
    device = choose_device(device)
    check_data(model, data, "data")
    was_training = model.training
    model.to(device).eval()
    rows, targets = [], []
    with seeded(0), torch.no_grad():
        for x, y in batches(data, batch_size, device):
            logits = forward(model, data, x, precision)
            rows.append({name: z.float().cpu() for name, z in logits.items()})
            targets.append(y.cpu())
    model.train(was_training)
    logits = {name: torch.cat([row[name] for row in rows]) for name in HEADS}
    labels = torch.cat(targets)
    predicted = torch.stack([logits[name].argmax(dim=1) for name in HEADS], dim=1)  # (N, 3)
    losses = head_losses(logits, labels)
    right = (predicted == labels).double().mean(dim=0)  # (3,)
    return Evaluation(
        loss=float(losses.sum()),
        head_loss=dict(zip(HEADS, losses.tolist(), strict=True)),
        accuracy=dict(zip(HEADS, right.tolist(), strict=True)),
        logits=logits,
        labels=labels,
        predicted=predicted,
    )
