"""Photographs: files in, labelled tensors out (chapters 01, 03 and 04)."""

from importlib import import_module

from pp_lib.photos.bins import APERTURE, HEADS, ISO, SHUTTER, Bins, labels, nominal_stop
from pp_lib.photos.develop import develop
from pp_lib.photos.exif import ExposureRecord, read_exposure
from pp_lib.photos.files import REASONS, UnusablePhoto
from pp_lib.photos.fivek import FetchReport, fetch, fetch_and_prepare
from pp_lib.photos.manifest import Row, read_manifest
from pp_lib.photos.prepare import PrepareReport, prepare
from pp_lib.photos.simulated import simulated_photographs

# these need torch or scikit-learn, which preparing photographs does not
_LAZY = dict.fromkeys(("PhotoDataset", "eval_transform", "loaders", "train_transform"), "dataset")
_LAZY["split"] = "splits"
_LAZY["load_digits"] = "digits"

__all__ = ["APERTURE", "HEADS", "ISO", "REASONS", "SHUTTER", "Bins", "ExposureRecord"]
__all__ += ["FetchReport", "PrepareReport", "Row", "UnusablePhoto", "develop", "fetch"]
__all__ += ["fetch_and_prepare", "labels", "nominal_stop", "prepare", "read_exposure"]
__all__ += ["read_manifest", "simulated_photographs", *_LAZY]


def __getattr__(name: str):
    if name in _LAZY:
        return getattr(import_module(f"pp_lib.photos.{_LAZY[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
