"""Batch normalisation while a backbone learns, and none in what it leaves behind.

Plain VGG16 hardly moves from a random start; with a normalisation after each convolution it
learns. Once trained, a normalisation is a fixed scale and shift of each channel, which the
convolution before it can do itself.
"""

import copy

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval
from torchvision.models import vgg16, vgg16_bn

from pp_lib.photos.bins import HEADS
from pp_lib.train.backbones import draw_convolutions
from pp_lib.train.three_heads import check_images


class CameraNet(nn.Module):
    """VGG16's convolutions, each followed by batch normalisation, and three small heads.

    The heads see each channel's mean over the picture and nothing of where it was: noise, blur and
    smear are the same everywhere, any size of crop will do, and the 13 million weights of
    `ThreeHeadVGG16`'s shared layers, which would be thrown away with the heads, need no training.

    Parameters
    ----------
    seed : int
        Of the weights, drawn as `ThreeHeadVGG16` draws them. The caller's global random state is
        left as it was.
    """

    def __init__(self, seed=0):
        super().__init__()
        with torch.device("meta"):  # as in ThreeHeadVGG16: no classifier is drawn for nothing
            self.features = vgg16_bn(weights=None, init_weights=False).features
            self.heads = nn.ModuleDict(
                {name: nn.Linear(512, bins.n_classes) for name, bins in HEADS.items()}
            )
        self.to_empty(device="cpu")
        generator = torch.Generator().manual_seed(seed)
        draw_convolutions(self.features, generator)
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()  # scale 1, shift 0, running statistics of N(0, 1)
            elif isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)

    def forward(self, x):
        """Give the logits of every head, each (B, 3), for standardised (B, 3, H, W)."""
        check_images(x)
        z = self.features(x).mean(dim=(2, 3))  # (B, 512, h, w) -> (B, 512)
        return {name: head(z) for name, head in self.heads.items()}


def fold_batch_norm(features_bn):
    """Fold every normalisation into the convolution before it.

    Parameters
    ----------
    features_bn : nn.Sequential
        ``vgg16_bn().features`` of torchvision. Not changed.

    Returns
    -------
    nn.Sequential
        ``vgg16().features``, in evaluation mode, on the same device and in the same precision:
        the same function as `features_bn` in evaluation mode, up to rounding.

    Raises
    ------
    ValueError
        If `features_bn` does not have that layout, or a normalisation no running statistics.

    Notes
    -----
    y = gamma (w * x + b - mean) / sqrt(var + eps) + beta is a convolution with the weight s w and
    the bias s (b - mean) + beta, where s = gamma / sqrt(var + eps), one number a channel.
    """
    folded = []
    layers = copy.deepcopy(features_bn).eval()
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        if isinstance(layer, nn.Conv2d):
            if not isinstance(after, nn.BatchNorm2d) or after.running_var is None:
                raise ValueError(
                    "features_bn must be vgg16_bn().features, a BatchNorm2d with running "
                    f"statistics after each convolution, got {after} after {layer}"
                )
            dtype = layer.weight.dtype
            # in float64: the folded numbers are then rounded once
            folded.append(fuse_conv_bn_eval(layer.double(), after.double()).to(dtype))
        elif not isinstance(layer, nn.BatchNorm2d):
            folded.append(layer)
    with torch.device("meta"):
        plain = vgg16(weights=None, init_weights=False).features
    if [str(layer) for layer in folded] != [str(layer) for layer in plain]:
        raise ValueError("features_bn must be vgg16_bn().features: other layers or channels came")
    return nn.Sequential(*folded).eval()
