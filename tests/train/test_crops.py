"""The crop that is judged is the one that the book shows."""

import pytest
import torch
from torchvision.transforms.v2.functional import center_crop

from pp_lib.photos.dataset import eval_transform
from pp_lib.train.crops import central_crops, standardise


@pytest.mark.parametrize("size", [32, 33])
def test_what_is_checked_is_what_the_book_transforms(size):
    x = torch.randint(256, (2, 3, 46, 46), generator=torch.Generator().manual_seed(0)).byte()
    if size == 32:  # torchvision rounds an odd margin the other way
        assert torch.equal(central_crops(x, size), center_crop(x, [size, size]))
    assert central_crops(x, size).shape[2:] == (size, size)
    expected = torch.stack([eval_transform(46)(photo) for photo in x])
    torch.testing.assert_close(standardise(x), expected)  # float32: another order of operations
