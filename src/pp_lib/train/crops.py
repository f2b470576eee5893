"""Photographs as the network takes them: cropped in the middle, standardised; a batch at a time.

The same that `pp_lib.photos.dataset.eval_transform` does to one photograph.
"""

import torch

from pp_lib.photos.dataset import IMAGENET_MEAN, IMAGENET_STD


def central_crops(x, size):
    """Give the central (B, 3, size, size) of (B, 3, H, W)."""
    top, left = (x.shape[2] - size) // 2, (x.shape[3] - size) // 2
    return x[:, :, top : top + size, left : left + size]


def standardise(x):
    """Give (B, 3, H, W) uint8 as float32, about -2.1 to 2.6, channels last in memory."""
    mean, std = (
        torch.tensor(v, device=x.device)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD)
    )
    return ((x.float() / 255 - mean) / std).contiguous(memory_format=torch.channels_last)
