"""What a model answers on a data set, and how good the answers are."""

from dataclasses import dataclass

import torch

from pp_lib.photos.bins import HEADS
from pp_lib.photos.stops import classes_of_predictions

from .batches import batches, check_data, forward
from .device import choose_device, seeded
from .features import classes_of
from .metrics import summary
from .objectives import head_losses


@dataclass(frozen=True)
class Evaluation:
    """A model's answers on a data set.

    Attributes
    ----------
    loss : float
        Sum of the heads' mean cross-entropies, nats; of a regressor, of their mean squared
        errors, stops squared.
    head_loss, accuracy : dict of float
        A regressor's accuracy is that of the classes that its answers lie in.
    logits : dict of torch.Tensor, each (N, 3), on the CPU
        Of a regressor its answers in stops, each (N, 1).
    labels, predicted : torch.Tensor of int64, (N, 3), on the CPU
        Classes.
    stops, predicted_stops : torch.Tensor, (N, 3), on the CPU, or None
        A regressor's targets and answers, in stops.
    stops_error : dict of float, or None
        A regressor's mean absolute error, stops.
    """

    loss: float
    head_loss: dict
    accuracy: dict
    logits: dict
    labels: torch.Tensor
    predicted: torch.Tensor
    stops: torch.Tensor | None = None
    predicted_stops: torch.Tensor | None = None
    stops_error: dict | None = None

    def summary(self, labels_train=None, stops=None):
        """Give `metrics.summary` of these answers: its keys for classifiers, or for regressors.

        Parameters
        ----------
        labels_train : torch.Tensor, (M, 3), optional
            Classes, or settings in stops, among which the most frequent class is looked for.
        stops : array_like of float, (N, 3), optional
            True settings in stops; a regressor brings its own.
        """
        if labels_train is not None:
            labels_train = classes_of(torch.as_tensor(labels_train)).numpy()
        answers = {"logits": self.logits, "stops": stops}
        if self.stops is not None:
            answers = {"stops": self.stops, "predicted_stops": self.predicted_stops}
        return summary(self.labels.numpy(), self.predicted.numpy(), labels_train, **answers)


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
            answers = forward(model, data, x, precision)
            rows.append({name: z.float().cpu() for name, z in answers.items()})
            targets.append(y.cpu())
    model.train(was_training)
    logits = {name: torch.cat([row[name] for row in rows]) for name in HEADS}
    y = torch.cat(targets)
    labels, in_stops = classes_of(y), {}
    if y.is_floating_point():
        answers = torch.cat([logits[name] for name in HEADS], dim=1)  # (N, 3)
        predicted = torch.from_numpy(classes_of_predictions(answers.numpy()))
        errors = (answers - y).abs().double().mean(dim=0)  # (3,)
        in_stops = {"stops": y, "predicted_stops": answers}
        in_stops["stops_error"] = dict(zip(HEADS, errors.tolist(), strict=True))
    else:
        predicted = torch.stack([logits[name].argmax(dim=1) for name in HEADS], dim=1)  # (N, 3)
    losses = head_losses(logits, y)
    right = (predicted == labels).double().mean(dim=0)  # (3,)
    return Evaluation(
        loss=float(losses.sum()),
        head_loss=dict(zip(HEADS, losses.tolist(), strict=True)),
        accuracy=dict(zip(HEADS, right.tolist(), strict=True)),
        logits=logits,
        labels=labels,
        predicted=predicted,
        **in_stops,
    )
