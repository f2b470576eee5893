"""VGG16 with three heads: one photograph in, logits for aperture, ISO and shutter out."""

from .three_heads import ThreeHeads


class ThreeHeadVGG16(ThreeHeads):
    """Read three camera settings from a photograph, with the backbone VGG16.

    Parameters
    ----------
    weights, freeze_features, dropout, seed, generator
        See `ThreeHeads`. Drawn convolutions are torchvision's (He et al. 2015, normal, fan-out).

    Notes
    -----
    Chapter 14 counts its 27,693,897 parameters. Simonyan & Zisserman 2015, configuration D.
    """

    def __init__(
        self, weights="imagenet", freeze_features=True, dropout=0.5, *, seed=0, generator=None
    ):
        super().__init__("vgg16", weights, freeze_features, dropout, seed=seed, generator=generator)
