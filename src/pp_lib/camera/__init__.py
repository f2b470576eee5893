"""A camera in NumPy and SciPy: settings in, RAW file with EXIF out (chapter 2)."""

from pp_lib.camera.dng import write_dng
from pp_lib.camera.exposure import (
    EXPOSURE_TIMES_S,
    F_NUMBERS,
    ISOS,
    Settings,
    auto_exposure,
    ev100,
    nearest_stop,
)
from pp_lib.camera.optics import circle_of_confusion_px, image_on_sensor
from pp_lib.camera.scene import Layer, Scene, make_scene
from pp_lib.camera.simulate import Photograph, simulate, take_photograph

__all__ = [
    "EXPOSURE_TIMES_S",
    "F_NUMBERS",
    "ISOS",
    "Layer",
    "Photograph",
    "Scene",
    "Settings",
    "auto_exposure",
    "circle_of_confusion_px",
    "ev100",
    "image_on_sensor",
    "make_scene",
    "nearest_stop",
    "simulate",
    "take_photograph",
    "write_dng",
]
