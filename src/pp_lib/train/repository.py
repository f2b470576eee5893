"""Files of the repository that are too large for the package: found, or downloaded and checked."""

import hashlib
import http.client
import json
from importlib.metadata import metadata
from pathlib import Path

from torch.hub import download_url_to_file

from pp_lib.photos.simulated import cache_folder

CAMERA_WEIGHTS = "data/weights/vgg16-camera.safetensors"
CAMERA_HEADS = "data/weights/vgg16-camera.heads.safetensors"
# SHA-256 of the files that this version goes with; a test holds them to those in the checkout
PUBLISHED = {
    CAMERA_WEIGHTS: "76b2bcab6e5eaefb5234b73d8237667150c89e3c05b9d877b3c800afac69dabe",
    CAMERA_HEADS: "0bb8396136649ec83260359938effb578fd6053d23342eeee9ae20adc2d09365",
    "data/runs/camera.json": "dd079ec9bc11af6b87b41f137a587c4837681e500466eaae4d986c982f83a54f",
    "data/runs/random.json": "a6c2a1338c1e8ae26a5bc77b5f0ac6cf5347d55a3d06af5c87e8e426e0b48321",
    "data/runs/backbone.json": "337325b43e689d386395e6f7440ad38d02c18ea067ff58e06e9efe25b275712c",
    "data/runs/limits.json": "a76f8dd7c1b09daa35bc815f6b2452d8d76168d5e5276e769528d66a25560036",
}


def in_checkout(name):
    """Say where a checkout keeps a file, whether it is there or not."""
    return Path(__file__).resolve().parents[3] / name


def address(name):
    """Give the address of a file in the repository, at this version's tag."""
    about = metadata("pp-lib")
    links = dict(entry.split(", ", 1) for entry in about.get_all("Project-URL", []))
    return f"{links['Repository']}/raw/v{about['Version']}/{name}"


def repository_file(name):
    """Give the path of a file: a checkout's own, or else a download, made once into the cache.

    Parameters
    ----------
    name : str
        One of `PUBLISHED`.

    Raises
    ------
    RuntimeError
        If there is no checkout, and the file cannot be downloaded or is another than it should be.
    """
    path = in_checkout(name)
    if path.is_file():
        return path
    sha256 = PUBLISHED[name]
    path = cache_folder() / "repository" / f"{sha256[:16]}-{Path(name).name}"
    if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    url = address(name)
    try:
        # to a temporary file first; renamed once all of it is there and its checksum is right
        download_url_to_file(url, str(path), hash_prefix=sha256)
    except (OSError, http.client.HTTPException, RuntimeError) as error:
        raise RuntimeError(
            f"{name} cannot be had from {url} ({error}); put the file at {in_checkout(name)}"
        ) from error
    return path


def recorded_run(name):
    """Give what a script in data/runs wrote down: ``"camera"``, ``"backbone"`` and so on.

    Returns
    -------
    dict
        See data/runs/README.md.

    Raises
    ------
    ValueError
        If there is no such run.
    RuntimeError
        As `repository_file`.
    """
    runs = [Path(file).stem for file in PUBLISHED if file.startswith("data/runs/")]
    if name not in runs:
        raise ValueError(f"name must be one of {', '.join(runs)}, got {name!r}")
    return json.loads(repository_file(f"data/runs/{name}.json").read_text("utf-8"))
