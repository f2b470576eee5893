"""Small stand-ins for the tests of training; one thread, so that they do not disturb each other."""

import pytest
import torch
from torch import nn

from pp_lib.photos.bins import HEADS
from pp_lib.train.features import FeatureSet
from pp_lib.train.vgg16 import ThreeHeadVGG16


class TinyHeads(nn.Module):
    """Three linear heads on the channel means: what fit needs of a model, in 39 parameters."""

    frozen = True

    def __init__(self, channels=4, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.heads = nn.ModuleDict({name: nn.Linear(channels, 3) for name in HEADS})
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(0.1 * torch.randn(p.shape, generator=generator))

    def forward_from_features(self, f):
        z = f.float().mean(dim=(2, 3))
        return {name: head(z) for name, head in self.heads.items()}

    def forward(self, x):
        return self.forward_from_features(x)


@pytest.fixture
def tiny():
    return TinyHeads()


@pytest.fixture
def make_tiny():
    return TinyHeads


@pytest.fixture
def make_features():
    """Make n rows whose first three channels tell the aperture, if `signal` is not zero."""

    def make(n, *, channels=4, signal=3.0, seed=0, dtype=torch.bfloat16):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.randint(0, 3, (n, 3), generator=generator)
        f = torch.randn(n, channels, 2, 2, generator=generator)
        f[:, :3] += signal * nn.functional.one_hot(labels[:, 0], 3)[:, :, None, None]
        return FeatureSet(f.to(dtype), labels, torch.arange(n))

    return make


@pytest.fixture(scope="session")
def frozen_model():
    """Give a random frozen model that no test may change."""
    return ThreeHeadVGG16("random").eval()


class Pictures(torch.utils.data.Dataset):
    """Random pictures with labels; with `jitter` each reading is another view."""

    def __init__(self, n, size=32, jitter=0.0, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(n, 3, size, size, generator=generator)
        self.labels = torch.randint(0, 3, (n, 3), generator=generator)
        self.jitter = jitter

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        x = self.x[i] + self.jitter * torch.randn(self.x[i].shape) if self.jitter else self.x[i]
        return x, {name: int(k) for name, k in zip(HEADS, self.labels[i], strict=True)}


@pytest.fixture
def make_pictures():
    return Pictures
