"""From a prepared folder to batches of tensors (chapter 04).

Augmentation must keep the labels true. Crops, flips and quarter turns move pixels and leave their
values alone. Nothing here resamples (that averages noise away, and with it the ISO) or changes
colour or brightness (that imitates exposure).
"""

from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler
from torchvision.transforms import v2

from pp_lib.photos.bins import HEADS
from pp_lib.photos.manifest import Row, read_manifest
from pp_lib.photos.splits import split
from pp_lib.photos.stops import settings_in_stops

__all__ = ["PhotoDataset", "eval_transform", "loaders", "split", "train_transform"]

# of ImageNet's training pictures, RGB in 0..1: what VGG16's weights were trained with
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

TARGETS = ("classes", "stops")


@contextmanager
def seeded_on_cpu(seed: int):
    """Seed torch's CPU generator, from which transforms draw; put its state back afterwards.

    Not with torch.manual_seed, which would reseed the GPUs too.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


class PhotoDataset(Dataset):
    """The photographs of a prepared folder.

    Parameters
    ----------
    folder : path-like
        As `prepare` wrote it.
    rows : sequence of Row, optional
        Some of its manifest's rows. None: all.
    transform : callable, optional
        From a (3, H, W) uint8 tensor to what an item shall hold. None: that tensor.
    targets : {"classes", "stops"}
        What is to be learnt: a class for each head, or the setting in stops, for a regressor.

    Attributes
    ----------
    rows : list of Row
    labels : (N, 3) int64 ndarray
        Classes in the order of `HEADS`, whatever the targets.
    stops : (N, 3) float64 ndarray
        The settings in stops (`pp_lib.photos.stops`), in that order.
    """

    def __init__(self, folder, rows=None, transform=None, *, targets="classes"):
        if targets not in TARGETS:
            raise ValueError(f"targets must be one of {', '.join(TARGETS)}, got {targets!r}")
        self.folder, self.targets = Path(folder), targets
        self.rows: list[Row] = list(read_manifest(folder) if rows is None else rows)
        self.transform = transform
        labels = np.array([row.labels for row in self.rows], dtype=np.int64)
        self.labels = labels.reshape(-1, len(HEADS))  # (N, 3), also for N = 0
        stops = [list(settings_in_stops(row).values()) for row in self.rows]
        self.stops = np.array(stops, dtype=np.float64).reshape(-1, len(HEADS))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):
        """Give (image, {"aperture": int, "iso": int, "shutter": int}), or floats for stops.

        `index` may be a pair (index, seed): then the transform's randomness is that seed's, and
        torch's own generator is left as it was.
        """
        index, seed = index if isinstance(index, tuple) else (index, None)
        image = self.picture(index)
        if self.transform is not None:
            with nullcontext() if seed is None else seeded_on_cpu(seed):
                image = self.transform(image)
        y = self.labels if self.targets == "classes" else self.stops
        return image, dict(zip(HEADS, y[index].tolist(), strict=True))

    def picture(self, index: int) -> torch.Tensor:
        """Give a photograph as `prepare` kept it, (3, H, W) uint8, without the transform."""
        from PIL import Image

        row = self.rows[index]
        try:
            with Image.open(self.folder / row.image) as image:
                pixels = np.array(image.convert("RGB"))  # (H, W, 3)
        except (OSError, SyntaxError) as error:  # Pillow's for a damaged PNG; it names no file
            raise OSError(
                f"{self.folder / row.image}: {error}; delete it and prepare again"
            ) from error
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()  # (3, H, W)


class _AtLeast(torch.nn.Module):
    """Refuse an image that a crop would have to pad: black borders are not photograph."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, image):
        if min(image.shape[-2:]) < self.size:
            raise ValueError(
                f"images must be at least {self.size} x {self.size} pixels for this crop, got "
                f"{tuple(image.shape[-2:])}: crop less, or prepare larger ones"
            )
        return image


class _QuarterTurn(torch.nn.Module):
    """Turn by 0, 90, 180 or 270 degrees, each as likely: pixels move, none is resampled."""

    def forward(self, image):
        return torch.rot90(image, int(torch.randint(4, ())), dims=(-2, -1))


def _to_normalised() -> list:
    return [v2.ToDtype(torch.float32, scale=True), v2.Normalize(IMAGENET_MEAN, IMAGENET_STD)]


def train_transform(size: int = 128) -> v2.Compose:
    """Give the training transform: random crop, flip and quarter turn, then normalise.

    Parameters
    ----------
    size : int
        Side of the crop in pixels.

    Returns
    -------
    callable
        (3, H, W) uint8 with H, W >= `size` to (3, size, size) float32, about -2.1 to 2.6. Draws
        from torch's CPU generator, like all of torchvision's: seed it with torch.manual_seed, or
        let `loaders` do it for each photograph.
    """
    return v2.Compose(
        [
            _AtLeast(size),
            v2.RandomCrop(size),
            v2.RandomHorizontalFlip(),
            _QuarterTurn(),  # with the flip: all eight symmetries of the square
            *_to_normalised(),
        ]
    )


def eval_transform(size: int = 128) -> v2.Compose:
    """Give the validation transform: central crop, then normalise; nothing random.

    Parameters and result are as in `train_transform`.
    """
    return v2.Compose([_AtLeast(size), v2.CenterCrop(size), *_to_normalised()])


class _ShuffledAndSeeded(Sampler):
    """Give (index, seed) pairs in a new order each epoch.

    The seed of a photograph's augmentation is drawn here, in the main process, so that a batch
    does not depend on the number of workers.
    """

    def __init__(self, n: int, rng: np.random.Generator):
        self.n, self.rng = n, rng

    def __len__(self) -> int:
        return self.n

    def __iter__(self):
        order = self.rng.permutation(self.n)
        seeds = self.rng.integers(2**63, size=self.n)
        yield from zip(order.tolist(), seeds.tolist(), strict=True)


def loaders(
    folder,
    *,
    batch_size: int = 32,
    size: int = 128,
    how: str = "stratified",
    rng: np.random.Generator,
    num_workers: int = 0,
    targets: str = "classes",
) -> tuple[DataLoader, DataLoader]:
    """Give a training and a validation loader for a prepared folder, split 80 : 20.

    Two datasets and not one cut in two, because each part needs a transform of its own. No batch is
    dropped: the last one may be smaller, and fewer photographs than a batch make one batch.

    Parameters
    ----------
    folder : path-like
    batch_size : int
    size : int
        Side of the crops in pixels.
    how : {"random", "stratified", "grouped"}
        See `split`; "grouped" is by camera model.
    rng : numpy.random.Generator
        Decides the split and, epoch by epoch, the order and the augmentation.
    num_workers : int
        Processes that read images; they change nothing but the speed.
    targets : {"classes", "stops"}
        See `PhotoDataset`.

    Returns
    -------
    train, val : torch.utils.data.DataLoader
        Batches of (B, 3, size, size) float32 and {head: (B,) int64}, or float64 for stops.

    Raises
    ------
    ValueError
        If the photographs cannot be split so, or `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    rows = read_manifest(folder)
    groups = [f"{row.make} {row.model}" for row in rows] if how == "grouped" else None
    train_index, val_index = split(rows, how=how, rng=rng, groups=groups)
    train_rows, val_rows = ([rows[i] for i in index] for index in (train_index, val_index))
    train = PhotoDataset(folder, train_rows, train_transform(size), targets=targets)
    val = PhotoDataset(folder, val_rows, eval_transform(size), targets=targets)
    order = _ShuffledAndSeeded(len(train), rng.spawn(1)[0])
    # a generator of their own: DataLoader would draw each epoch's worker seed from torch's global
    # one, even where nothing uses it
    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    shared = {"batch_size": batch_size, "num_workers": num_workers, "generator": generator}
    return DataLoader(train, sampler=order, **shared), DataLoader(val, shuffle=False, **shared)
