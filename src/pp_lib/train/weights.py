"""Where a backbone's weights come from: ImageNet, or the project's own photographs."""

import hashlib
import http.client

import safetensors.torch
from torchvision.models import get_model_weights

from . import repository


def imagenet_features(backbone="vgg16"):
    """Give torchvision's ImageNet weights of a backbone, a download on first use.

    Parameters
    ----------
    backbone : str
        As torchvision calls the model.

    Returns
    -------
    dict of torch.Tensor
        Without the classifier, under the names of `make_backbone`'s parameters and buffers.

    Raises
    ------
    RuntimeError
        When they cannot be had, for instance without a network.
    """
    published = get_model_weights(backbone).IMAGENET1K_V1
    try:
        state = published.get_state_dict(progress=True, check_hash=True)
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        own = 'weights="camera" (the project\'s own) or ' if backbone == "vgg16" else "weights="
        raise RuntimeError(
            f"the ImageNet weights cannot be had from {published.url} ({error}); "
            f'without a network choose {own}"random"'
        ) from error
    if any(name.startswith("features.") for name in state):
        return {
            k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")
        }
    return {k: v for k, v in state.items() if not k.startswith("fc.")}  # ResNets


def camera_weights_path():
    """Say where a checkout keeps the project's own weights."""
    return repository.in_checkout(repository.CAMERA_WEIGHTS)


def camera_features():
    """Give the project's own weights of VGG16: a checkout's file, or else a download.

    Raises
    ------
    ValueError
        When a checkout's file is not the one that the checksum beside it is of.
    RuntimeError
        When there is no file and it cannot be downloaded.
    """
    path = camera_weights_path()
    if path.is_file():
        content = path.read_bytes()
        _check(path, content)
    else:
        content = repository.repository_file(repository.CAMERA_WEIGHTS).read_bytes()
    return {name: value.float() for name, value in safetensors.torch.load(content).items()}


def _check(path, content):
    note = path.with_name(f"{path.name}.sha256")
    expected = note.read_text("ascii").split()[:1] if note.is_file() else []
    found = hashlib.sha256(content).hexdigest()
    if expected != [found]:
        raise ValueError(
            f"{path} is damaged or another file: its SHA-256 must be the one in {note.name} beside "
            f"it ({expected[0] if expected else 'which is missing or empty'}), got {found}; fetch "
            "both files again"
        )
