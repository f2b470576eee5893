"""One way to read both kinds of data: cached features, and loaders of photographs."""

import torch
from torch.utils.data import DataLoader

from pp_lib.photos.bins import HEADS

from .features import FeatureSet, stack_labels


def check_data(model, data, name, batch_size=None):
    """Raise ValueError for data that cannot be used; give the number of batches."""
    if isinstance(data, FeatureSet):
        n = len(data)
        if n == 0:
            raise ValueError(f"{name} holds no photograph")
        if batch_size is not None and not 1 <= batch_size <= n:
            raise ValueError(
                f"batch_size must be from 1 to the {n} rows of {name}, got {batch_size}"
            )
        if not getattr(model, "frozen", True):
            raise ValueError(
                "cached features cannot train the backbone: pass loaders of photographs, or "
                "freeze it with model.set_frozen(True)"
            )
        _check_targets(model, data.labels.is_floating_point(), name)
        check_labels(data.labels, name)
        return -(-n // batch_size) if batch_size else 1
    if not isinstance(data, DataLoader):
        raise ValueError(f"{name} must be a FeatureSet or a DataLoader, got {type(data).__name__}")
    if len(data) == 0:
        raise ValueError(
            f"{name} gives no batch: {len(data.dataset)} photographs, batch size "
            f"{data.batch_size}, drop_last {data.drop_last}; choose a smaller batch size"
        )
    if (targets := getattr(data.dataset, "targets", None)) is not None:
        _check_targets(model, targets == "stops", name)
    return len(data)


def _check_targets(model, in_stops, name):
    outputs = getattr(model, "outputs", "classes")
    if in_stops != (outputs == "stops"):
        targets = "stops" if in_stops else "classes"
        raise ValueError(
            f"{name} has {targets} for labels, but the model's heads answer {outputs}: build the "
            f'model with outputs="{targets}", or the data with targets="{outputs}"'
        )


def check_labels(y, name):
    """Raise ValueError when a label is no class of its head, or no finite setting; y is (B, 3)."""
    if y.is_floating_point():
        if not torch.isfinite(y).all():
            raise ValueError(f"{name}: settings in stops must be finite, got others")
        return
    for j, (head, bins) in enumerate(HEADS.items()):
        low, high = int(y[:, j].min()), int(y[:, j].max())
        if low < 0 or high >= bins.n_classes:
            raise ValueError(
                f"{name}: labels of {head} must be 0 to {bins.n_classes - 1}, got {low} to {high}"
            )


def batches(data, batch_size, device, order=None):
    """Give (x, y) on the device; cached features shuffled if `order` is given.

    y is (B, 3): int64 classes, or float32 settings in stops. The last batch may be smaller: no
    photograph is left out.
    """
    if isinstance(data, FeatureSet):
        n = len(data)
        index = torch.arange(n) if order is None else torch.randperm(n, generator=order)
        for rows in index.split(batch_size):
            yield data.features[rows].to(device), data.labels[rows].to(device)
        return
    for number, (x, y) in enumerate(data, start=1):
        missing = [name for name in HEADS if name not in y]
        if missing:
            raise ValueError(f"batch {number} has no label for {', '.join(missing)}")
        y = stack_labels(y)  # (B, 3)
        check_labels(y, f"batch {number}")
        # channels-last is the order of pixels in which convolutions are fastest
        yield x.to(device, memory_format=torch.channels_last), y.to(device)


def forward(model, data, x, precision):
    """Give the answers: through the whole model, or through the heads if x is cached features."""
    call = model.forward_from_features if isinstance(data, FeatureSet) else model
    with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        return call(x)
