"""Cached features on the disk, so that a run that goes on has the very same."""

import json
import warnings

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from pp_lib.photos.files import write_atomically

from .features import FeatureSet, backbone_sha256, extract_features
from .fingerprint import data_fingerprint
from .processes import is_main_process

_NAMES = ("features", "labels", "photo")


def kept_features(path, model, loader, made_with, *, views=1, **options):
    """Give the features in the file, if they are these; else extract them and keep them there.

    They need not come out with the same bits on another device or number of threads, and then a run
    could not go on.

    Parameters
    ----------
    path : pathlib.Path, or None
        None: nothing is kept.
    model, loader, views, **options
        As for `extract_features`.
    made_with : dict
        What decides the features beside model, photographs and views, as plain data.
    """
    if path is None:
        return extract_features(model, loader, views=views, **options)
    about = {"photographs": data_fingerprint(loader), "backbone": backbone_sha256(model)}
    about = json.dumps(about | {"views": views} | made_with, sort_keys=True)
    found = _read(path, about)
    if found is None:
        found = extract_features(model, loader, views=views, **options)
        if is_main_process():
            content = save({name: getattr(found, name) for name in _NAMES}, {"about": about})
            path.parent.mkdir(exist_ok=True)
            try:
                write_atomically(path, content)
            except OSError as error:  # a full disk does not say which file it was full for
                raise OSError(f"cannot write {path}: {error.strerror or error}") from error
    return found


def _read(path, about):
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            if (file.metadata() or {}).get("about") != about:
                return None
            return FeatureSet(**{name: file.get_tensor(name) for name in _NAMES})
    except SafetensorError as error:
        warnings.warn(f"{path} is damaged ({error}): computed again", stacklevel=3)
        return None
