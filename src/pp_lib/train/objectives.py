"""What training asks for: one loss a head, with weights, soft labels or a focus (chapter 10)."""

import math

import torch
from torch.nn.functional import cross_entropy, log_softmax, mse_loss

from pp_lib.photos.bins import HEADS


def head_losses(outputs, y, *, class_weights=None, label_smoothing=0.0, focal_gamma=0.0):
    """Give the mean loss of each head over a batch, always in float32, whatever the layers used.

    Parameters
    ----------
    outputs : dict of torch.Tensor
        Logits (B, K) of every head; or (B, 1), settings in stops, where y is floating.
    y : torch.Tensor, (B, 3)
        int64: classes, one column a head; the loss is the cross-entropy, nats. Floating: log2 of
        the settings, stops; the loss is the mean squared error, stops squared.
    class_weights : dict of torch.Tensor, (K,), optional
        For each head one positive weight a class. The mean divides by the sum of the weights of
        the batch's classes, as PyTorch's does; that of the focal loss divides by B.
    label_smoothing : float
        eps in [0, 1]: the targets become (1 - eps) Y + eps / K.
    focal_gamma : float
        At least 0. Above 0 each cross-entropy is multiplied by (1 - p)^gamma, p the probability
        of the true class.

    Returns
    -------
    torch.Tensor of float32, (3,)

    Raises
    ------
    ValueError
        For options of classes with settings in stops; for smoothing and focus together, which is
        no loss that anyone has defined.

    Notes
    -----
    Chapter 10, twins `pp_lib.nn.cross_entropy` and `pp_lib.nn.focal_loss`; Lin et al. 2017.
    """
    if y.is_floating_point():
        if class_weights is not None or label_smoothing or focal_gamma:
            raise ValueError(
                "class_weights, label_smoothing and focal_gamma are for classes, got labels in "
                "stops: leave them out"
            )
        return torch.stack(
            [mse_loss(outputs[h].float()[:, 0], y[:, j].float()) for j, h in enumerate(HEADS)]
        )
    if focal_gamma and label_smoothing:
        raise ValueError(
            f"label_smoothing or focal_gamma, not both: got {label_smoothing} and {focal_gamma}"
        )
    losses = []
    for j, head in enumerate(HEADS):
        z, t = outputs[head].float(), y[:, j]  # (B, K), (B,)
        w = None if class_weights is None else class_weights[head].to(z)
        if focal_gamma:
            losses.append(_focal(z, t, w, focal_gamma))
        else:
            losses.append(cross_entropy(z, t, weight=w, label_smoothing=label_smoothing))
    return torch.stack(losses)


def _focal(z, t, weight, gamma):
    logp = log_softmax(z, dim=1).gather(1, t[:, None])[:, 0]  # (B,), of the true class
    # 1 - p without the cancellation; not quite 0, where a power below 1 has no finite slope
    q = (-torch.expm1(logp)).clamp(min=torch.finfo(z.dtype).tiny)
    each = q**gamma * -logp
    return (each if weight is None else weight[t] * each).mean()


def head_divisors(y, *, class_weights=None, focal_gamma=0.0):
    """Give what the mean of each head in `head_losses` divides by, (3,) float32.

    Means of parts of a batch, weighted with it, add up to the mean of the batch: so that several
    processes can share one.
    """
    if class_weights is None or focal_gamma:
        return torch.full((len(HEADS),), float(len(y)), device=y.device)
    w = [class_weights[h].to(y.device)[y[:, j]].sum() for j, h in enumerate(HEADS)]
    return torch.stack(w).float()


def balanced_class_weights(labels):
    """Weigh every class by N / (K n_k): in the sum over `labels` all classes then count the same.

    Parameters
    ----------
    labels : torch.Tensor or array_like of int, (N, 3)

    Returns
    -------
    dict of torch.Tensor of float32, (K,)

    Raises
    ------
    ValueError
        When a class has no photograph: no weight would make it count.
    """
    labels = torch.as_tensor(labels)
    weights = {}
    for j, (head, bins) in enumerate(HEADS.items()):
        counts = torch.bincount(labels[:, j], minlength=bins.n_classes)
        if counts.min() == 0:
            empty = bins.names[int(counts.argmin())]
            raise ValueError(
                f"balanced weights need a photograph of every class; of {head} there is none "
                f"that is {empty}: take more photographs, or no weights"
            )
        weights[head] = len(labels) / (bins.n_classes * counts.double())
    return {head: w.float() for head, w in weights.items()}


def check_objective(class_weights, label_smoothing, focal_gamma):
    """Raise ValueError for options that no batch can be judged by."""
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"label_smoothing must lie in [0, 1], got {label_smoothing}")
    if not 0 <= focal_gamma < math.inf:
        raise ValueError(f"focal_gamma must be at least 0 and finite, got {focal_gamma}")
    if focal_gamma and label_smoothing:
        raise ValueError(
            f"label_smoothing or focal_gamma, not both: got {label_smoothing} and {focal_gamma}"
        )
    if class_weights is None:
        return
    if set(class_weights) != set(HEADS):
        raise ValueError(
            f"class_weights must have the heads {', '.join(HEADS)}, got {', '.join(class_weights)}"
        )
    for head, bins in HEADS.items():
        w = torch.as_tensor(class_weights[head])
        if w.shape != (bins.n_classes,) or not (torch.isfinite(w) & (w > 0)).all():
            raise ValueError(
                f"class_weights of {head} must be {bins.n_classes} positive numbers, got "
                f"{w.tolist()}; to leave a class out, leave its photographs out"
            )
