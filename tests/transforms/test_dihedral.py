# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of flips and rotations."""

import numpy as np
import pytest
import torch

from torchgeo_hsi.transforms import RandomDihedral


def batch(height: int, width: int, count: int = 64) -> dict[str, torch.Tensor]:
    numbers = torch.arange(height * width, dtype=torch.float32).view(height, width)
    return {
        'image': (numbers * torch.tensor([1.0, 2.0]).view(2, 1, 1)).repeat(
            count, 1, 1, 1
        ),
        'mask': numbers.long().repeat(count, 1, 1),
        'valid': (numbers > 3).repeat(count, 1, 1),
        'wavelength': torch.tensor([0.5, 0.6]).repeat(count, 1),
    }


def symmetries(array: np.ndarray) -> list[np.ndarray]:
    turned = [np.rot90(array, k) for k in range(4)]
    return [*turned, *(np.fliplr(a) for a in turned)]


@pytest.mark.parametrize(('shape', 'number'), [((4, 4), 8), ((4, 6), 4)])
def test_all_symmetries_and_no_others(shape: tuple[int, int], number: int) -> None:
    out = RandomDihedral(torch.Generator().manual_seed(0))(batch(*shape))
    allowed = {
        a.tobytes()
        for a in symmetries(batch(*shape)['mask'][0].numpy())
        if a.shape == shape
    }
    seen = {a.numpy().tobytes() for a in out['mask']}
    assert seen == allowed
    assert len(seen) == number


def test_everything_moves_together() -> None:
    out = RandomDihedral(torch.Generator().manual_seed(1))(batch(5, 5))
    assert torch.equal(out['image'][:, 0], out['mask'].float())
    assert torch.equal(out['image'][:, 1], 2 * out['mask'].float())
    assert torch.equal(out['valid'], out['mask'] > 3)
    assert torch.equal(out['wavelength'], batch(5, 5)['wavelength'])


def test_generator_decides() -> None:
    first, second, third = (
        RandomDihedral(torch.Generator().manual_seed(seed))(batch(4, 4))['mask']
        for seed in (5, 5, 6)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_input_is_left_alone() -> None:
    given = batch(4, 4)
    before = {k: v.clone() for k, v in given.items()}
    RandomDihedral()(given)
    assert all(torch.equal(given[k], before[k]) for k in before)


def test_whatever_has_the_size_of_the_image_moves() -> None:
    given = batch(4, 4)
    given['abundance'] = given['image'] + 100
    out = RandomDihedral(torch.Generator().manual_seed(0))(given)
    assert torch.equal(out['abundance'], out['image'] + 100)
    assert out['wavelength'] is given['wavelength']


@pytest.mark.parametrize('shape', [(4, 4), (4, 6)])
def test_flips_only(shape: tuple[int, int]) -> None:
    crowd = batch(*shape, count=2000)
    augment = RandomDihedral(torch.Generator().manual_seed(0), rotate=False)
    seen = [a.numpy().tobytes() for a in augment(crowd)['mask']]
    numbers = crowd['mask'][0].numpy()
    flips = [numbers, numbers[::-1], numbers[:, ::-1], numbers[::-1, ::-1]]
    counts = [seen.count(a.tobytes()) for a in flips]
    assert sum(counts) == 2000
    # each one in four; five standard deviations
    assert max(abs(count - 500) for count in counts) < 5 * (2000 * 3 / 16) ** 0.5
