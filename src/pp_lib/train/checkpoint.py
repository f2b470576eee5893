"""A trained model as a safetensors file: numbers only, nothing in it can run."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pp_lib.photos.bins import HEADS
from pp_lib.photos.files import write_atomically

from .features import backbone_sha256

_PARTS = ("shared.", "heads.", "centre")


def save_heads(model, path):
    """Write the shared layers and the heads, whole or not at all.

    The file also says which backbone they were trained on: on any other they mean nothing. A
    backbone that is not frozen has learnt with them, so it is written as well.

    Returns
    -------
    pathlib.Path
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {
        "backbone": model.backbone,
        "outputs": model.outputs,
        "weights": model.weights,
        "seed": json.dumps(model.seed),
        "backbone_sha256": backbone_sha256(model),
        "classes": json.dumps({name: bins.names for name, bins in HEADS.items()}),
    }
    try:
        write_atomically(path, _ordered(save(_state(model, whole=not model.frozen), metadata)))
    except OSError as error:  # a full disk does not say which file it was full for
        raise OSError(f"cannot write {path}: {error}") from error
    return path


def load_heads(model, path):
    """Read a file of `save_heads` into a model with the same backbone, or with its backbone.

    Raises
    ------
    ValueError
        When the file is damaged, its arrays are not those of the model, or its heads were
        trained on another backbone. The model is then left as it was.
    """
    metadata, state = _read(path)
    about = _about(metadata)
    if (about["backbone"], about["outputs"]) != (model.backbone, model.outputs):
        raise ValueError(
            f"{path} holds heads for {about['outputs']} on the backbone {about['backbone']}, the "
            f"model's are for {model.outputs} on {model.backbone}: build the model as the file says"
        )
    whole = any(name.startswith("features.") for name in state)
    expected = {name: tuple(v.shape) for name, v in _state(model, whole).items()}
    found = {name: tuple(v.shape) for name, v in state.items()}
    if found != expected:
        differ = sorted(n for n in {*found, *expected} if found.get(n) != expected.get(n))
        listed = ", ".join(f"{n}: expected {expected.get(n)}, got {found.get(n)}" for n in differ)
        raise ValueError(f"{path} holds other heads than the model's: {listed}")
    if not whole and metadata.get("backbone_sha256") != backbone_sha256(model):
        raise ValueError(
            f"{path} was trained on another backbone (weights={metadata.get('weights')!r}, "
            f"seed={metadata.get('seed')}) than the model's (weights={model.weights!r}, "
            f"seed={model.seed}): build the model with the same ones"
        )
    model.load_state_dict(state, strict=False)
    return model


def read_heads_metadata(path):
    """Give what a file of `save_heads` says of its model, to build it.

    Returns
    -------
    dict
        ``backbone``, ``outputs``, ``weights``, ``seed`` and ``classes``; and ``whole``, whether
        the file brings the backbone's weights, so that the model's own do not matter.
    """
    metadata, state = _read(path)
    return _about(metadata) | {"whole": any(name.startswith("features.") for name in state)}


def _about(metadata):
    return {
        "backbone": metadata.get("backbone", "vgg16"),  # before others there was only this one
        "outputs": metadata.get("outputs", "classes"),
        "weights": metadata.get("weights"),
        "seed": json.loads(metadata.get("seed", "null")),
        "classes": json.loads(metadata.get("classes", "{}")),
    }


def _state(model, whole):
    state = model.state_dict()
    parts = ("",) if whole else _PARTS
    return {name: v.cpu().contiguous() for name, v in state.items() if name.startswith(parts)}


def _ordered(content):
    """Put the header's notes in order, which safetensors leaves to chance: same model, same bytes.

    The file is eight bytes of length, a header of JSON of that length, then the arrays.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the arrays begin where eight divides, as the format asks
    return len(text).to_bytes(8, "little") + text + content[end:]


def _read(path):
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file, or a damaged one: {error}") from error
