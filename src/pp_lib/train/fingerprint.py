"""What a run was made with, in short: so that no other run goes on from its checkpoint."""

import hashlib
import json
from dataclasses import asdict, is_dataclass

import numpy as np
import torch

from .features import FeatureSet


def run_config(model, train, val, options):
    """Give what a run is known by, as plain data: its options, hashes of its data and model."""
    weights = options["class_weights"]
    if weights is not None:
        weights = {head: torch.as_tensor(w).tolist() for head, w in weights.items()}
    return (
        options
        | {"class_weights": weights}
        | {"training data": data_fingerprint(train), "validation data": data_fingerprint(val)}
        | model_fingerprint(model)
    )


def data_fingerprint(data):
    """Give a hash of the data that decides what is learnt.

    Of cached features: features and labels. Of a loader: its batch size, and the manifest's rows
    (with the SHA-256 of every source) and the size of every picture's file. A data set that is not
    from a prepared folder is known by its length and its `labels`, if it has some.
    """
    digest = hashlib.sha256()
    if isinstance(data, FeatureSet):
        for value in (data.features, data.labels):
            digest.update(f"{tuple(value.shape)} {value.dtype}".encode())
            digest.update(_bytes(value))
        return digest.hexdigest()
    rows = getattr(data.dataset, "rows", None)
    about = {"n": len(data.dataset), "batch_size": data.batch_size, "drop_last": data.drop_last}
    about |= {"targets": getattr(data.dataset, "targets", None)}
    digest.update(json.dumps(about).encode())
    for row in rows or ():
        described = asdict(row) if is_dataclass(row) else row
        digest.update(json.dumps(described, default=str, sort_keys=True).encode())
        digest.update(str((data.dataset.folder / row.image).stat().st_size).encode())
    labels = getattr(data.dataset, "labels", None)
    if labels is not None:
        digest.update(_bytes(torch.as_tensor(labels)))
    return digest.hexdigest()


def model_fingerprint(model):
    """Give hashes of the model's layers and of its frozen weights, which no checkpoint holds."""
    layers = repr(model) + repr([(n, tuple(p.shape)) for n, p in model.named_parameters()])
    frozen = hashlib.sha256()
    for name, p in model.named_parameters():
        if not p.requires_grad:
            frozen.update(name.encode())
            frozen.update(_bytes(p.detach()))
    return {
        "layers": hashlib.sha256(layers.encode()).hexdigest(),
        "frozen weights": frozen.hexdigest(),
    }


def check_same_config(found, asked, where):
    """Raise ValueError naming what differs between a checkpoint's configuration and this run's."""
    differ = [k for k in {**found, **asked} if found.get(k) != asked.get(k)]
    if differ:
        told = "; ".join(f"{k}: expected {found.get(k)}, came {asked.get(k)}" for k in differ)
        raise ValueError(
            f"{where} holds a run with other data or options ({told}): repeat them to go on with "
            "it, or name another folder"
        )


def _bytes(tensor):
    """Give the tensor's memory; NumPy has no bfloat16, so it is taken as bytes."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return np.ascontiguousarray(flat.view(torch.uint8).numpy())
