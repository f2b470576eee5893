"""Where the 13 convolutions come from: ImageNet, or the project's own photographs."""

import hashlib
import http.client
from importlib.metadata import metadata
from pathlib import Path

import safetensors.torch
from torch.hub import download_url_to_file
from torchvision.models import VGG16_Weights

from pp_lib.photos.simulated import cache_folder

CAMERA_FILE = "vgg16-camera.safetensors"
# of the file that this version of the package goes with; in a checkout a .sha256 lies beside it
CAMERA_SHA256 = ""


def imagenet_features():
    """Give torchvision's ImageNet weights of the convolutions, a download on first use.

    Raises
    ------
    RuntimeError
        When they cannot be had, for instance without a network.
    """
    try:
        state = VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        raise RuntimeError(
            f"the ImageNet weights cannot be had from {VGG16_Weights.IMAGENET1K_V1.url} ({error}); "
            'without a network choose weights="camera" (the project\'s own) or "random"'
        ) from error
    return {k.removeprefix("features."): v for k, v in state.items() if k.startswith("features.")}


def camera_features():
    """Give the project's own weights: a checkout's file, or else a download into the cache.

    Raises
    ------
    ValueError
        When the file is not the one that its checksum is of.
    RuntimeError
        When there is no file and it cannot be downloaded.
    """
    path = camera_weights_path()
    if path.is_file():
        note = path.with_name(f"{path.name}.sha256")
        expected = note.read_text("ascii").split()[:1] if note.is_file() else []
        where = f"the one in {note.name} beside it"
    else:
        path, expected = _downloaded(), [CAMERA_SHA256]
        where = "the one of this version of PhotoPilot"
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if expected != [found]:
        raise ValueError(
            f"{path} is damaged or another file: its SHA-256 must be {where} "
            f"({expected[0] if expected else 'which is missing or empty'}), got {found}; delete it "
            "and fetch it again"
        )
    return {name: value.float() for name, value in safetensors.torch.load(content).items()}


def camera_weights_path():
    """Say where a checkout keeps the project's own weights."""
    return Path(__file__).resolve().parents[3] / "data" / "weights" / CAMERA_FILE


def camera_weights_url():
    """Give the address of the file in the repository, at this version's tag."""
    about = metadata("pp-lib")
    links = dict(entry.split(", ", 1) for entry in about.get_all("Project-URL", []))
    return f"{links['Repository']}/raw/v{about['Version']}/data/weights/{CAMERA_FILE}"


def _downloaded():
    path = cache_folder() / "weights" / f"{CAMERA_SHA256[:16]}-{CAMERA_FILE}"
    if path.is_file():
        return path
    url = camera_weights_url()
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # to a temporary file first; renamed once all of it is there and its checksum is right
        download_url_to_file(url, str(path), hash_prefix=CAMERA_SHA256)
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        raise RuntimeError(
            f"the project's own weights cannot be had from {url} ({error}); put the file at "
            f'{camera_weights_path()}, or choose weights="imagenet" or "random"'
        ) from error
    return path
