"""A backbone with three heads: one photograph in, answers for aperture, ISO and shutter out."""

import torch
from torch import nn

from pp_lib.photos.bins import HEADS

from .backbones import BACKBONES, check_backbone, make_backbone

OUTPUTS = ("classes", "stops")
MIN_SIZE = 32  # every backbone halves the picture five times; a smaller one would end at nothing


class ThreeHeads(nn.Module):
    """Read three camera settings from a photograph.

    Parameters
    ----------
    backbone : {"vgg16", "resnet18", "efficientnet_b0", "convnext_tiny"}
        torchvision's convolutions of this name.
    weights : {"imagenet", "camera", "random"}
        Where they come from: torchvision's ImageNet weights (a download), the project's own
        (data/weights, of vgg16 only), or drawn anew as torchvision draws them. Drawn ones are for
        training from scratch: behind a frozen network with batch normalisation, whose statistics
        no photograph has set, next to nothing may come out.
    freeze_features : bool
        Whether the convolutions stay as they are; see `set_frozen`.
    dropout : float
        Probability, in [0, 1), with which a shared unit is dropped in training.
    outputs : {"classes", "stops"}
        What a head answers: three logits, one a class; or one number, the setting in stops
        (`pp_lib.photos.stops`). See `set_centre`.
    seed : int
        Seed of the drawn weights, when no `generator` is given.
    generator : torch.Generator, optional
        Source of the drawn weights. The caller's global random state is never touched.

    Raises
    ------
    ValueError
        For an unknown or impossible argument; when the file of the project's own weights is not
        the one that its checksum is of.
    RuntimeError
        When weights cannot be had: ImageNet's always come from the network, the project's own
        where the package was installed without the repository.

    Notes
    -----
    `ThreeHeadVGG16` is the case that chapters 14 to 16 take apart.
    """

    def __init__(
        self,
        backbone="vgg16",
        weights="imagenet",
        freeze_features=True,
        dropout=0.5,
        *,
        outputs="classes",
        seed=0,
        generator=None,
    ):
        super().__init__()
        check_backbone(backbone, weights)
        if outputs not in OUTPUTS:
            raise ValueError(f"outputs must be one of {', '.join(OUTPUTS)}, got {outputs!r}")
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), got {dropout!r}")
        self.backbone, self.weights, self.outputs = backbone, weights, outputs
        self.seed = None if generator is not None else seed
        generator = generator if generator is not None else torch.Generator().manual_seed(seed)

        # Linear layers first: the same seed then gives the same heads whatever the weights.
        channels, side = BACKBONES[backbone]
        ends = _layers_behind(channels * side**2, dropout, outputs)
        for layer in ends.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight, generator=generator)
                nn.init.zeros_(layer.bias)
        self.features = make_backbone(backbone, weights, generator)
        self.avgpool = nn.AdaptiveAvgPool2d(side)
        self.shared, self.heads = ends["shared"], ends["heads"]
        if outputs == "stops":
            self.register_buffer("centre", torch.zeros(len(HEADS)))
        self.set_frozen(freeze_features)

    def set_frozen(self, frozen):
        """Freeze the convolutions or let them learn.

        Frozen they get no gradient and are always in evaluation mode: the statistics of a batch
        normalisation stay what they were, and no layer is skipped at random.
        """
        self.frozen = bool(frozen)
        self.features.requires_grad_(not self.frozen)
        self.train(self.training)
        return self

    def set_centre(self, stops):
        """Let the heads say how far settings lie from the mean of these, (N, 3), in stops.

        Shutters lie some seven stops from zero. Without a centre, training would spend its first
        epochs on finding that out.
        """
        if self.outputs != "stops":
            raise ValueError(f'only outputs="stops" have a centre, this model has {self.outputs!r}')
        stops = torch.as_tensor(stops, dtype=torch.float64)
        if stops.ndim != 2 or stops.shape[1] != len(HEADS):
            raise ValueError(f"stops must be (N, {len(HEADS)}), got {tuple(stops.shape)}")
        centre = stops.mean(dim=0)  # nan of none
        if not torch.isfinite(centre).all():
            raise ValueError(f"stops must be finite, N >= 1, got a mean of {centre.tolist()}")
        self.centre.copy_(centre)
        return self

    def train(self, mode=True):
        """Switch training mode, but leave a frozen backbone in evaluation mode."""
        super().train(mode)
        if self.frozen:
            self.features.eval()
        return self

    def forward(self, x):
        """Give the answers of every head for standardised photographs.

        Parameters
        ----------
        x : torch.Tensor, (B, 3, H, W), floating, H and W at least 32

        Returns
        -------
        dict of torch.Tensor
            Each (B, 3), logits; with ``outputs="stops"`` each (B, 1), stops.
        """
        check_images(x)
        return self.forward_from_features(self.features(x))

    def forward_from_features(self, f):
        """Give the answers of every head for the backbone's output, (B, channels, h, w)."""
        channels = BACKBONES[self.backbone].channels
        if f.ndim != 4 or f.shape[1] != channels or not f.is_floating_point():
            raise ValueError(
                f"features must be (B, {channels}, h, w) floating, got {tuple(f.shape)} {f.dtype}"
            )
        f = f.to(self.shared[0].weight.dtype)  # cached features are bfloat16
        z = self.shared(self.avgpool(f).flatten(1))  # VGG16: (B, 512, h, w), (B, 25088), (B, 256)
        answers = {name: head(z) for name, head in self.heads.items()}  # each (B, 3), or (B, 1)
        if self.outputs == "classes":
            return answers
        return {name: z + self.centre[j] for j, (name, z) in enumerate(answers.items())}

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


def _layers_behind(width, dropout, outputs):
    """Give the shared layers and the heads, their weights not drawn yet."""
    with torch.device("meta"):
        shared = nn.Sequential(
            nn.Linear(width, 512),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(512, 256),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        heads = nn.ModuleDict(
            {
                name: nn.Linear(256, bins.n_classes if outputs == "classes" else 1)
                for name, bins in HEADS.items()
            }
        )
    return nn.ModuleDict({"shared": shared, "heads": heads}).to_empty(device="cpu")
