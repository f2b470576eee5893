"""Backbones by name: torchvision's convolutions, without the classifier behind them."""

from collections import OrderedDict
from typing import NamedTuple

import torch
import torchvision.models
from torch import nn

from pp_lib.photos.dataset import seeded_on_cpu

from .weights import camera_features, imagenet_features

WEIGHTS = ("imagenet", "camera", "random")


class Backbone(NamedTuple):
    """What has to be known of a backbone: its output's channels, and the side it is pooled to."""

    channels: int
    pooled: int


# Each halves the picture five times. Only VGG16's own classifier reads 7 x 7 places; the others
# average over all places, as torchvision does.
BACKBONES = {
    "vgg16": Backbone(512, 7),
    "resnet18": Backbone(512, 1),
    "efficientnet_b0": Backbone(1280, 1),
    "convnext_tiny": Backbone(768, 1),
}


def check_backbone(name, weights):
    """Raise ValueError for a backbone or for weights that there are none of."""
    if name not in BACKBONES:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}, got {name!r}")
    if weights not in WEIGHTS:
        raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
    if weights == "camera" and name != "vgg16":
        raise ValueError(
            f'the project\'s own weights ("camera") are of vgg16, got backbone {name!r}: choose '
            'weights="imagenet" or "random", or vgg16'
        )


def make_backbone(name, weights, generator):
    """Give a backbone, (B, 3, H, W) to (B, channels, h, w), on the CPU.

    Parameters
    ----------
    name : str
        One of ``BACKBONES``.
    weights : {"imagenet", "camera", "random"}
        See `ThreeHeads`.
    generator : torch.Generator
        Source of drawn weights.

    Returns
    -------
    torch.nn.Sequential
        Its parts and parameters bear the names that torchvision gives them.
    """
    check_backbone(name, weights)
    if weights == "random" and name != "vgg16":
        # Each architecture has a start of its own, with scales and statistics besides weights:
        # torchvision draws it, from the global generator, which gets its state back.
        seed = int(torch.randint(2**62, (), generator=generator))
        with seeded_on_cpu(seed):
            return _without_classifier(torchvision.models.get_model(name, weights=None))
    # On "meta" nothing is allocated or drawn: torchvision's vgg16 also has 124 million
    # classifier weights that are of no use here, and drawing them takes a second.
    with torch.device("meta"):
        features = _without_classifier(torchvision.models.get_model(name, weights=None))
    features.to_empty(device="cpu")
    if weights == "random":
        draw_convolutions(features, generator)
    else:
        state = imagenet_features(name) if weights == "imagenet" else camera_features()
        features.load_state_dict(state)
    return features


def draw_convolutions(features, generator):
    """Draw every convolution's weights anew, as torchvision draws VGG16's; biases are zero."""
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(
                layer.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
            nn.init.zeros_(layer.bias)


def _without_classifier(model):
    if hasattr(model, "features"):
        return model.features
    parts = model.named_children()
    return nn.Sequential(OrderedDict((n, m) for n, m in parts if n not in ("avgpool", "fc")))
