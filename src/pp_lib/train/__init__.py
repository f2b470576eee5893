"""The real model in PyTorch: VGG16 with three heads, cached features, the training loop.

Names are looked up on first use, so that ``import pp_lib.train`` does not pay for torch.
"""

from importlib import import_module

# No module is called like a name in it: importing the module would put it in the name's place.
_HOMES = {
    "ThreeHeads": "three_heads",
    "ThreeHeadVGG16": "vgg16",
    "camera_weights_path": "weights",
    "recorded_run": "repository",
    "FeatureSet": "features",
    "extract_features": "features",
    "EarlyStopping": "stopping",
    "Evaluation": "evaluation",
    "evaluate": "evaluation",
    "fit": "loop",
    "History": "history",
    "load_heads": "checkpoint",
    "read_heads_metadata": "checkpoint",
    "save_heads": "checkpoint",
    "accuracy": "metrics",
    "confusion": "metrics",
    "balanced_class_weights": "objectives",
    "head_losses": "objectives",
    "label_entropy": "metrics",
    "majority_accuracy": "metrics",
    "summary": "metrics",
    "wilson_interval": "metrics",
    "macro_f1": "metrics",
    "expected_calibration_error": "calibration",
    "log_loss": "calibration",
    "stops_error": "stops",
    "stops_to_class": "stops",
    "statistics_baseline": "baselines",
    "Prediction": "prediction",
    "predict": "prediction",
    "track_record": "prediction",
    "TrainResult": "run",
    "train_heads": "run",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__():
    return sorted({*globals(), *__all__})
