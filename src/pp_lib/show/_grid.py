"""Photographs side by side."""

import numpy as np
from matplotlib import pyplot as plt


def photo_grid(photos, titles=None, *, ncols=4, width_in=5.6):
    """Show photographs side by side.

    Parameters
    ----------
    photos : sequence of array
        Each (H, W, 3) uint8 or float in [0, 1], or (H, W) grey.
    titles : sequence of str, optional
        One a photograph, written above it; may hold line breaks.
    ncols : int
        Photographs in a row.
    width_in : float
        Width of the whole grid in inches.

    Returns
    -------
    matplotlib.figure.Figure
        Pass it to `pp_lib.show.figure`.

    Raises
    ------
    ValueError
        If there is no photograph, a shape is wrong, or titles and photographs differ in number.
    """
    photos = [np.asarray(photo) for photo in photos]
    if not photos:
        raise ValueError("photos is empty: pass at least one (H, W, 3) array")
    if titles is not None and len(titles) != len(photos):
        raise ValueError(f"expected one title a photograph, got {len(titles)} for {len(photos)}")
    for i, photo in enumerate(photos):
        if photo.ndim != 2 and not (photo.ndim == 3 and photo.shape[2] == 3):
            raise ValueError(f"photo {i} must be (H, W, 3) or (H, W), got {photo.shape}")
        if photo.dtype != np.uint8 and not (photo.min() >= 0 and photo.max() <= 1):
            raise ValueError(
                f"photo {i} must be uint8 or lie in [0, 1], got {photo.dtype} "
                f"from {photo.min():g} to {photo.max():g}"
            )
    if ncols < 1:
        raise ValueError(f"ncols must be at least 1, got {ncols}")
    ncols = min(ncols, len(photos))
    nrows = -(-len(photos) // ncols)
    lines = max((title.count("\n") + 1 for title in titles), default=0) if titles else 0
    side_in = width_in / ncols
    ratio = max(photo.shape[0] / photo.shape[1] for photo in photos)
    height_in = nrows * (side_in * ratio + 0.18 * lines)
    fig, axes = plt.subplots(
        nrows, ncols, figsize=(width_in, height_in), squeeze=False, layout="constrained"
    )
    fig.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    for ax in axes.flat:
        ax.axis("off")
    for i, (ax, photo) in enumerate(zip(axes.flat, photos, strict=False)):
        ax.imshow(photo, cmap="gray" if photo.ndim == 2 else None, interpolation="none")
        if titles is not None:
            ax.set_title(titles[i], fontsize=9, loc="center", pad=3)
    return fig
