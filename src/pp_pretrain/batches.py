"""From photographs in one large array to batches of crops, on the device that trains.

Only crops, flips and quarter turns: they move pixels and leave their values alone (see
`pp_lib.photos.dataset`, which does the same to one photograph at a time).
"""

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count

import numpy as np
import torch

_ORDER, _CROPS = 0, 1  # what a stream of random numbers is for
_COPIED_AT_ONCE = 4096  # photographs


def keep_on_device(scenes, device):
    """Give the images on a GPU with plenty of room, else the array as it is.

    A gigabyte holds 13,000 photographs of 160 pixels; from there no batch waits for the disk.
    """
    images = scenes.images
    if device.type != "cuda" or images.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
        return images
    kept = torch.empty(images.shape, dtype=torch.uint8, device=device)
    for first in range(0, len(images), _COPIED_AT_ONCE):
        rows = slice(first, first + _COPIED_AT_ONCE)
        kept[rows] = torch.from_numpy(np.array(images[rows])).to(device)
    return kept


def training_batches(images, labels, config, device, first):
    """Give (x, y) of the steps from `first` on, for ever; each is read one step ahead.

    What step k holds follows from (seed, k) alone, so that a run can go on anywhere. A photograph
    comes once an epoch at most; the few that do not fill a batch wait for another epoch.

    Parameters
    ----------
    images : (N, 3, H, W) uint8 array, or tensor on the device
    labels : (N, 3) int64 array
    config : PretrainConfig
        Its ``seed`` and ``batch_size``.

    Yields
    ------
    x : (B, 3, H, W) uint8 tensor on the device
    y : (B, 3) int64 tensor on the device
    """
    n, batch_size, is_kept = len(labels), config.batch_size, isinstance(images, torch.Tensor)
    targets = torch.from_numpy(np.array(labels)).to(device)

    @lru_cache(maxsize=1)
    def order(epoch):
        return np.random.default_rng([config.seed, epoch, _ORDER]).permutation(n)

    def read(step):
        epoch, k = divmod(step, n // batch_size)
        rows = np.sort(order(epoch)[k * batch_size : (k + 1) * batch_size])  # as on the disk
        index = torch.from_numpy(rows).to(device)
        x = images[index] if is_kept else torch.from_numpy(images[rows]).to(device)
        return x, targets[index]

    with ThreadPoolExecutor(1) as thread:
        ahead = thread.submit(read, first)
        for step in count(first + 1):
            batch, ahead = ahead.result(), thread.submit(read, step)
            yield batch


def random_crops(x, size, *, seed, step):
    """Cut a crop out of each photograph, in one of the eight positions of a square.

    Parameters
    ----------
    x : (B, 3, H, W) uint8 tensor, H and W at least `size`
    seed, step : int
        Decide what is drawn; the same on every device.

    Returns
    -------
    (B, 3, size, size) uint8 tensor, channels last in memory
    """
    n, height, width = len(x), *x.shape[2:]
    rng = np.random.default_rng([seed, step, _CROPS])
    side = np.arange(size)
    rows = rng.integers(height - size + 1, size=(n, 1)) + side  # (B, size)
    columns = rng.integers(width - size + 1, size=(n, 1)) + side
    flip_rows, flip_columns, swap = rng.integers(2, size=(3, n, 1)).astype(bool)
    rows = np.where(flip_rows, rows[:, ::-1], rows)
    columns = np.where(flip_columns, columns[:, ::-1], columns)
    rows, columns, swap = (torch.from_numpy(a).to(x.device) for a in (rows, columns, swap))
    photo = torch.arange(n, device=x.device)[:, None, None]
    crops = x[photo, :, rows[:, :, None], columns[:, None, :]]  # (B, size, size, 3)
    # a swap of the axes after flips: with them, every flip and quarter turn
    crops = torch.where(swap[:, :, None, None], crops.transpose(1, 2), crops)
    return crops.permute(0, 3, 1, 2)
