"""VGG16 with three heads: one photograph in, logits for aperture, ISO and shutter out."""

import torch
from torch import nn
from torchvision.models import vgg16

from pp_lib.photos.bins import HEADS

from .weights import camera_features, imagenet_features

WEIGHTS = ("imagenet", "camera", "random")
MIN_SIZE = 32  # five poolings halve the picture five times; a smaller one would end at nothing


class ThreeHeadVGG16(nn.Module):
    """Read three camera settings from a photograph.

    Parameters
    ----------
    weights : {"imagenet", "camera", "random"}
        Where the 13 convolutions come from: torchvision's ImageNet weights (a download), the
        project's own (data/weights), or drawn anew as torchvision draws them (He et al. 2015,
        normal, fan-out).
    freeze_features : bool
        Whether the convolutions stay as they are; see `set_frozen`.
    dropout : float
        Probability, in [0, 1), with which a shared unit is dropped in training.
    seed : int
        Seed of the drawn weights, when no `generator` is given.
    generator : torch.Generator, optional
        Source of the drawn weights. The caller's global random state is never touched.

    Raises
    ------
    ValueError
        For an unknown `weights` or an impossible `dropout`; when the file of the project's own
        weights is not the one that its checksum is of.
    RuntimeError
        When weights cannot be had: ImageNet's always come from the network, the project's own
        where the package was installed without the repository.

    Notes
    -----
    Chapter 14 counts its 27,693,897 parameters. Simonyan & Zisserman 2015, configuration D.
    """

    def __init__(
        self,
        weights="imagenet",
        freeze_features=True,
        dropout=0.5,
        *,
        seed=0,
        generator=None,
    ):
        super().__init__()
        if weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout!r}")
        self.weights, self.seed = weights, None if generator is not None else seed
        generator = generator if generator is not None else torch.Generator().manual_seed(seed)

        # On "meta" nothing is allocated or drawn: torchvision's vgg16 also has 124 million
        # classifier weights that are of no use here, and drawing them takes a second.
        with torch.device("meta"):
            self.features = vgg16(weights=None, init_weights=False).features
            self.avgpool = nn.AdaptiveAvgPool2d(7)
            self.shared = nn.Sequential(
                nn.Linear(512 * 7 * 7, 512),
                nn.ReLU(),
                nn.Dropout(dropout),
                nn.Linear(512, 256),
                nn.ReLU(),
                nn.Dropout(dropout),
            )
            self.heads = nn.ModuleDict(
                {name: nn.Linear(256, bins.n_classes) for name, bins in HEADS.items()}
            )
        self.to_empty(device="cpu")

        # Linear layers first: the same seed then gives the same heads on every backbone.
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)
        if weights == "random":
            draw_convolutions(self.features, generator)
        else:
            state = imagenet_features() if weights == "imagenet" else camera_features()
            self.features.load_state_dict(state)
        self.set_frozen(freeze_features)

    def set_frozen(self, frozen):
        """Freeze the convolutions (no gradient, always in evaluation mode) or let them learn."""
        self.frozen = bool(frozen)
        self.features.requires_grad_(not self.frozen)
        self.train(self.training)
        return self

    def train(self, mode=True):
        """Switch training mode, but leave a frozen backbone in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.features.eval()
        return self

    def forward(self, x):
        """Give the logits of every head for standardised photographs.

        Parameters
        ----------
        x : torch.Tensor, (B, 3, H, W), floating, H and W at least 32

        Returns
        -------
        dict of torch.Tensor, each (B, 3)
        """
        check_images(x)
        return self.forward_from_features(self.features(x))

    def forward_from_features(self, f):
        """Give the logits of every head for the backbone's output, (B, 512, h, w)."""
        if f.ndim != 4 or f.shape[1] != 512 or not f.is_floating_point():
            raise ValueError(
                f"features must be (B, 512, h, w) floating, got {tuple(f.shape)} {f.dtype}"
            )
        f = f.to(self.shared[0].weight.dtype)  # cached features are bfloat16
        z = self.shared(self.avgpool(f).flatten(1))  # (B, 512, h, w) -> (B, 25088) -> (B, 256)
        return {name: head(z) for name, head in self.heads.items()}  # each (B, 3)

    def count_parameters(self):
        """Count the parameters of each part, in all, and of those that train.

        Returns
        -------
        dict of int
            Keys ``features``, ``shared.0``, ``shared.3``, ``heads``, ``total``, ``trainable``.
        """

        def count(module):
            return sum(p.numel() for p in module.parameters())

        parts = {
            "features": count(self.features),
            "shared.0": count(self.shared[0]),
            "shared.3": count(self.shared[3]),
            "heads": count(self.heads),
        }
        trainable = sum(p.numel() for p in self.parameters() if p.requires_grad)
        return parts | {"total": sum(parts.values()), "trainable": trainable}


def check_images(x):
    """Raise ValueError for what is no batch of standardised photographs."""
    if x.dtype == torch.uint8:
        raise ValueError(
            "images must be floating and standardised, got uint8: pass them through "
            "pp_lib.photos.dataset.eval_transform first"
        )
    if x.ndim != 4 or x.shape[1] != 3 or not x.is_floating_point():
        raise ValueError(
            f"images must be (B, 3, H, W) floating, got {tuple(x.shape)} {x.dtype}; "
            "a single image needs a batch axis: x[None]"
        )
    if min(x.shape[2:]) < MIN_SIZE:
        raise ValueError(
            f"images must be at least {MIN_SIZE} x {MIN_SIZE} pixels (five poolings halve them "
            f"five times), got {x.shape[2]} x {x.shape[3]}"
        )


def draw_convolutions(features, generator):
    """Draw every convolution's weights anew, as torchvision draws them; biases are zero."""
    for layer in features:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(
                layer.weight, mode="fan_out", nonlinearity="relu", generator=generator
            )
            nn.init.zeros_(layer.bias)
