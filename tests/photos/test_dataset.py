import numpy as np
import pytest
import torch
from PIL import Image

from pp_lib.photos.dataset import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PhotoDataset,
    eval_transform,
    loaders,
    train_transform,
)
from pp_lib.photos.prepare import prepare, read_manifest

N = 20


@pytest.fixture(scope="module")
def folder(make, tmp_path_factory):
    base = tmp_path_factory.mktemp("dataset")
    for i in range(N):
        entries = make.settings(((4, 1), (8, 1))[i % 2], (100, 400)[i // 2 % 2], (1, 60))
        make.jpeg(base / "photos" / f"{i:02d}.jpg", entries, make.pixels(40, 40, seed=i))
    prepare(base / "photos", base / "out", size=40, progress=False)
    return base / "out"


def batches(loader):
    return [(images, torch.stack(list(labels.values()), 1)) for images, labels in loader]


def denormalised(image):
    mean, std = torch.tensor(IMAGENET_MEAN), torch.tensor(IMAGENET_STD)
    return (image * std[:, None, None] + mean[:, None, None]) * 255


def test_items_are_the_manifests(folder):
    dataset = PhotoDataset(folder)
    assert len(dataset) == N
    assert dataset.labels.dtype == np.int64
    for (image, labels), row in zip(dataset, read_manifest(folder), strict=False):
        assert labels == {"aperture": row.aperture, "iso": row.iso_class, "shutter": row.shutter}
        with Image.open(folder / row.image) as stored:
            np.testing.assert_array_equal(image.permute(1, 2, 0).numpy(), np.asarray(stored))
    assert PhotoDataset(folder, rows=[]).labels.shape == (0, 3)


def test_eval_is_the_central_crop_in_imagenets_scale(folder):
    image, _ = PhotoDataset(folder)[0]
    got = eval_transform(32)(image)
    assert got.dtype == torch.float32
    # float32: a few units in the last place of 255
    torch.testing.assert_close(denormalised(got), image[:, 4:36, 4:36].float(), atol=1e-4, rtol=0)


def test_training_moves_pixels_and_changes_none(folder):
    """Crops, flips, quarter turns: every result is one of the image's 8 x 9 x 9 squares."""
    image = PhotoDataset(folder)[0][0]
    squares = {}
    for k in range(4):
        for flipped in (False, True):
            turned = torch.rot90(image.flip(-1) if flipped else image, k, (-2, -1))
            for top in range(9):
                for left in range(9):
                    crop = turned[:, top : top + 32, left : left + 32].contiguous()
                    squares[crop.numpy().tobytes()] = (k, flipped)
    seen, transform = set(), train_transform(32)
    for _ in range(100):
        got = denormalised(transform(image)).round().to(torch.uint8)
        seen.add(squares[got.numpy().tobytes()])  # KeyError if it is none of them
    assert len(seen) == 8  # missing one of eight in 100 draws: 8 (7/8)^100 = 1e-5


@pytest.mark.parametrize("transform", [train_transform(64), eval_transform(64)])
def test_no_padding_with_black(folder, transform):
    with pytest.raises(ValueError, match="at least 64 x 64"):
        PhotoDataset(folder, transform=transform)[0]


@pytest.mark.filterwarnings("ignore:no photograph of:UserWarning")  # of four, by chance
def test_batches_depend_on_the_generator_alone(folder):
    def epochs(seed, num_workers):
        rng = np.random.default_rng(seed)
        train, val = loaders(
            folder, batch_size=8, size=32, how="random", rng=rng, num_workers=num_workers
        )
        return [*batches(train), *batches(train), *batches(val)]

    first = epochs(1, 0)
    for other in (epochs(1, 0), epochs(1, 2)):
        for (a, ya), (b, yb) in zip(first, other, strict=True):
            assert torch.equal(a, b)
            assert torch.equal(ya, yb)
    assert not torch.equal(first[0][0], epochs(2, 0)[0][0])
    assert not torch.equal(first[0][0], first[2][0])  # the second epoch is another


def test_torchs_generator_is_left_alone(folder):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    rng = np.random.default_rng(0)
    train, val = loaders(folder, batch_size=8, size=32, how="random", rng=rng)
    batches(train)
    batches(val)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("batch_size", [1, 7, 16, 1000])
def test_no_photograph_is_dropped(folder, batch_size):
    rng = np.random.default_rng(0)
    train, val = loaders(folder, batch_size=batch_size, size=32, how="random", rng=rng)
    assert (len(train) >= 1, len(val) >= 1) == (True, True)
    assert sum(len(images) for images, _ in batches(train)) == 16
    assert sum(len(images) for images, _ in batches(val)) == 4


def test_stratified_loaders(folder):
    _, val = loaders(folder, size=32, rng=np.random.default_rng(0))
    ((_, labels),) = batches(val)
    assert sorted(map(tuple, labels.tolist())) == [(0, 0, 1), (0, 1, 1), (1, 0, 1), (1, 1, 1)]


def test_grouped_needs_two_cameras(folder):
    with pytest.raises(ValueError, match="number of groups must be .* got 1:"):
        loaders(folder, how="grouped", rng=np.random.default_rng(0))


def test_impossible_batches(folder):
    with pytest.raises(ValueError, match="batch_size must be"):
        loaders(folder, batch_size=0, rng=np.random.default_rng(0))


def test_one_photograph_is_too_few(make, tmp_path):
    make.jpeg(tmp_path / "photos" / "a.jpg")
    prepare(tmp_path / "photos", tmp_path / "out", size=32, progress=False)
    with pytest.raises(ValueError, match="split into fewer parts"):
        loaders(tmp_path / "out", size=32, how="random", rng=np.random.default_rng(0))
