"""A frozen backbone always answers the same: ask it once, keep the answers, train on them."""

import copy
import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from pp_lib.photos.bins import HEADS
from pp_lib.photos.dataset import seeded_on_cpu
from pp_lib.photos.stops import classes_of_settings

from .device import choose_device

# Measured by benchmarks/features.py: the activations of 4 to 8 photographs stay in a CPU's cache.
BATCH_SIZE = {"cpu": 8, "cuda": 256}


@dataclass(frozen=True)
class FeatureSet:
    """The backbone's output for every view of every photograph, with the labels.

    Attributes
    ----------
    features : torch.Tensor, (N * views, channels, h, w), bfloat16 unless asked otherwise
        First one view of all photographs, then the next view of all.
    labels : torch.Tensor, (N * views, 3)
        One column a head, in the order of ``HEADS``: classes, int64, or settings in stops,
        floating.
    photo : torch.Tensor of int64, (N * views,)
        Which photograph of the data set each row shows.
    """

    features: torch.Tensor
    labels: torch.Tensor
    photo: torch.Tensor

    def __post_init__(self):
        n = len(self.features)
        if self.features.ndim != 4 or not self.features.is_floating_point():
            raise ValueError(
                f"features must be (N, channels, h, w) floating, "
                f"got {tuple(self.features.shape)} {self.features.dtype}"
            )
        is_target = self.labels.dtype == torch.int64 or self.labels.is_floating_point()
        if self.labels.shape != (n, len(HEADS)) or not is_target:
            raise ValueError(
                f"labels must be ({n}, {len(HEADS)}), int64 classes or floating stops, "
                f"got {tuple(self.labels.shape)} {self.labels.dtype}"
            )
        if self.photo.shape != (n,):
            raise ValueError(f"photo must be ({n},), got {tuple(self.photo.shape)}")

    def __len__(self):
        return len(self.features)

    @property
    def classes(self):
        """Give the classes, (N * views, 3) int64, also where the labels are settings in stops."""
        return classes_of(self.labels)


def extract_features(
    model,
    data,
    *,
    views=1,
    batch_size=None,
    dtype=torch.bfloat16,
    seed=0,
    device=None,
    num_workers=0,
    progress=True,
):
    """Send every photograph through the backbone `views` times and keep what comes out.

    Parameters
    ----------
    model : ThreeHeads
        Its ``features`` are used, in evaluation mode; the model itself is not changed.
    data : Dataset or DataLoader
        Items ``(image (3, H, W), {"aperture": int, "iso": int, "shutter": int})``, or with
        floats, settings in stops. Of a loader only its data set and number of workers are used:
        features keep the data set's order.
    views : int
        How often each photograph is read. With a random transform each reading is another view.
    batch_size : int, optional
        Photographs at a time; what was measured to be fastest on the device if left out.
    dtype : torch.dtype
        In which the convolutions are computed and the features kept. bfloat16 has 8 bits of
        precision, which costs about 1 % of a feature and saves two thirds of the time.
    seed : int
        Decides the views. The caller's global random state is left as it was.
    device : str or torch.device, optional
        Where to compute: a GPU if there is one. The features come back to the CPU.

    Raises
    ------
    ValueError
        For no photographs, and for fewer than one view.
    """
    if views < 1:
        raise ValueError(f"views must be at least 1, got {views}")
    if isinstance(data, DataLoader):
        if len(data.sampler) != len(data.dataset):
            raise ValueError(
                f"a loader of {len(data.sampler)} out of {len(data.dataset)} photographs: pass the "
                "data set with those photographs instead, for its loader's order is not used"
            )
        data, num_workers = data.dataset, data.num_workers
    if len(data) == 0:
        raise ValueError("the data set holds no photograph: nothing to extract")
    device = choose_device(device)

    # Autocast would do the same arithmetic, but it does not keep the casts of frozen weights, so
    # it casts them anew for every batch. A copy cast once is bit for bit the same and faster.
    backbone = copy.deepcopy(model.features).eval().requires_grad_(False)
    backbone = backbone.to(device, dtype, memory_format=torch.channels_last)
    batch_size = batch_size or BATCH_SIZE[device.type]
    seeds = torch.randint(2**62, (views, len(data)), generator=torch.Generator().manual_seed(seed))
    features, labels = [], []
    with (
        torch.inference_mode(),
        tqdm(total=views * len(data), desc="features", unit="photo", disable=not progress) as bar,
    ):
        for view in range(views):
            loader = DataLoader(
                _Seeded(data, seeds[view].tolist()),
                batch_size=batch_size,
                num_workers=num_workers,
                generator=torch.Generator(),  # otherwise it draws from the global one
            )
            for x, y in loader:
                x = x.to(device, dtype, memory_format=torch.channels_last)  # (B, 3, H, W)
                features.append(backbone(x).contiguous().cpu())  # (B, channels, h, w)
                labels.append(stack_labels(y))  # (B, 3)
                bar.update(len(x))
    return FeatureSet(
        features=torch.cat(features),
        labels=torch.cat(labels),
        photo=torch.arange(len(data)).repeat(views),
    )


class _Seeded(Dataset):
    """Each photograph under a seed of its own: views do not depend on the number of workers."""

    def __init__(self, data, seeds):
        self.data, self.seeds = data, seeds

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        with seeded_on_cpu(self.seeds[i]):
            return self.data[i]


def stack_labels(y):
    """Give (B, 3) of {head: (B,)}: int64 for classes, float32 for settings in stops."""
    y = torch.stack([y[name] for name in HEADS], dim=1)
    return y.float() if y.is_floating_point() else y.long()


def classes_of(labels):
    """Give classes, (N, 3) int64, of labels that are classes or settings in stops."""
    if not labels.is_floating_point():
        return labels
    return torch.from_numpy(classes_of_settings(labels.double().cpu().numpy()))


def backbone_sha256(model):
    """Hash the backbone's weights and buffers: features and heads only fit those they came of."""
    digest = hashlib.sha256()
    for name, value in model.features.state_dict().items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(value.detach().cpu().numpy()))
    return digest.hexdigest()
