"""Batches of crops: pixels moved and never changed, the same whoever asks and whenever."""

from itertools import islice

import numpy as np
import torch

from pp_pretrain.batches import random_crops, training_batches
from pp_pretrain.config import PretrainConfig

CPU = torch.device("cpu")


def test_crops_are_windows_of_the_photograph_in_all_eight_positions():
    x = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (300, 3, 5, 6), dtype=np.uint8))
    found = set()
    crops = random_crops(x, 4, seed=1, step=2)
    assert crops.shape == (300, 3, 4, 4)
    for photo, crop in zip(x, crops, strict=True):
        windows = {
            (top, left, turns, flip): symmetry(
                photo[:, top : top + 4, left : left + 4], turns, flip
            )
            for top in range(2)
            for left in range(3)
            for turns in range(4)
            for flip in (False, True)
        }
        matches = [where for where, window in windows.items() if torch.equal(window, crop)]
        assert len(matches) == 1
        found.add(matches[0])
    assert len({where[:2] for where in found}) == 6  # each place; 300 draws of 1/6 miss one: 1e-23
    assert len({where[2:] for where in found}) == 8


def symmetry(x, turns, flip):
    x = torch.rot90(x, turns, dims=(1, 2))
    return x.flip(2) if flip else x


def test_a_crop_follows_from_seed_and_step_alone():
    x = torch.randint(256, (8, 3, 40, 40), generator=torch.Generator().manual_seed(0)).byte()
    crops = random_crops(x, 32, seed=1, step=5)
    assert torch.equal(crops, random_crops(x, 32, seed=1, step=5))
    assert not torch.equal(crops, random_crops(x, 32, seed=1, step=6))
    assert not torch.equal(crops, random_crops(x, 32, seed=2, step=5))


def test_an_epoch_brings_each_photograph_once_and_can_be_entered_anywhere():
    n, config = 23, PretrainConfig(n_train=23, batch_size=5, seed=3)
    images = np.zeros((n, 3, 32, 32), np.uint8)
    images[:, 0, 0, 0] = np.arange(n)
    labels = np.stack([np.arange(n)] * 3, axis=1)
    batches = list(islice(training_batches(images, labels, config, CPU, 0), 8))  # two epochs
    for x, y in batches:
        assert torch.equal(x[:, 0, 0, 0].long(), y[:, 0])
    epochs = [torch.cat([y[:, 0] for _, y in batches[k : k + 4]]).tolist() for k in (0, 4)]
    assert [len(set(rows)) for rows in epochs] == [20, 20]
    assert set(epochs[0]) != set(epochs[1])  # the three left out are others
    late = next(training_batches(torch.from_numpy(images), labels, config, CPU, 6))
    assert all(torch.equal(a, b) for a, b in zip(late, batches[6], strict=True))
