# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What transforms keep together, whatever the size, and what never leaks."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from torchgeo_hsi.transforms import (
    BandDropout,
    CenterResizedCrop,
    Illumination,
    NormalizeValid,
    RandomBandSubset,
    RandomDihedral,
    RandomResizedCrop,
    SpatialBlur,
    SpectralMask,
)
from torchgeo_hsi.transforms.dihedral import Move, move
from torchgeo_hsi.transforms.normalize import denormalize

SIDES = st.integers(1, 13)
SEEDS = st.integers(0, 10_000)
#: What may stand where there are no data.
FILLS = st.sampled_from([0.0, -9999.0, 1e30, float('nan'), float('inf')])


def make_batch(
    count: int, bands: int, height: int, width: int, seed: int, fill: float
) -> dict[str, Tensor]:
    """Make images in which every key says where its pixel is."""
    generator = torch.Generator().manual_seed(seed)
    place = torch.arange(height * width).reshape(1, height, width)
    place = place + 1000 * torch.arange(count)[:, None, None]
    valid = torch.rand(count, height, width, generator=generator) > 0.3
    image = place[:, None].float() + 0.1 * torch.arange(bands)[:, None, None]
    hidden = ~valid[:, None]
    return {
        'image': image.masked_fill(hidden, fill),
        'target': (image + 5).masked_fill(hidden, fill),
        'pan': (image[:, :1] + 9).masked_fill(hidden, fill),
        'mask': place.clone(),
        'valid': valid,
        'wavelength': torch.linspace(0.4, 2.4, bands).expand(count, -1),
        'fwhm': torch.linspace(0.006, 0.01, bands).expand(count, -1),
    }


@given(SIDES, SIDES, st.integers(1, 3), SEEDS)
def test_dihedral_moves_all_keys_alike(
    height: int, width: int, count: int, seed: int
) -> None:
    batch = make_batch(count, 3, height, width, seed, -9999.0)
    augment = RandomDihedral(torch.Generator().manual_seed(seed))
    found = augment(batch)
    assert found['image'].shape == batch['image'].shape
    valid = found['valid']
    # the label says where a pixel was, so the others have to say the same
    for image, mask, ok, whole in zip(
        found['image'], found['mask'], valid, batch['valid'], strict=True
    ):
        torch.testing.assert_close(image[0][ok], mask[ok].float())
        assert ok.sum() == whole.sum()
        assert (image[0][~ok] == -9999).all()
    torch.testing.assert_close(found['target'][:, 0][valid], found['mask'][valid] + 5.0)
    assert found['wavelength'] is batch['wavelength']


@given(SIDES, SIDES, st.integers(0, 3), st.booleans())
def test_every_move_has_an_inverse(
    height: int, width: int, turns: int, flip: bool
) -> None:
    image = torch.arange(height * width).reshape(height, width)
    there = move(image, Move(turns, flip))
    # a reflection is its own inverse
    back = Move(turns, True) if flip else Move(-turns % 4, False)
    assert torch.equal(move(there, back), image)


@given(SIDES, SIDES, st.integers(1, 9), SEEDS, FILLS)
def test_crops_let_nothing_invalid_through(
    height: int, width: int, size: int, seed: int, fill: float
) -> None:
    clean = make_batch(2, 2, height, width, seed, 0.0)
    dirty = make_batch(2, 2, height, width, seed, fill)
    results = [
        RandomResizedCrop(size, generator=torch.Generator().manual_seed(seed))(batch)
        for batch in (clean, dirty)
    ]
    for one, other in (results, [CenterResizedCrop(size)(b) for b in (clean, dirty)]):
        assert one['image'].shape[-2:] == (size, size)
        assert torch.equal(one['valid'], other['valid'])
        assert torch.equal(one['mask'], other['mask'])
        for key in ('image', 'target', 'pan'):
            ok = one['valid'][:, None].expand_as(one[key])
            assert torch.equal(one[key][ok], other[key][ok]), key


@given(SIDES, SIDES, st.integers(1, 5), SEEDS, FILLS)
def test_normalization_inverts_and_hides(
    height: int, width: int, bands: int, seed: int, fill: float
) -> None:
    batch = make_batch(2, bands, height, width, seed, fill)
    generator = torch.Generator().manual_seed(seed)
    mean = 100 * torch.rand(bands, generator=generator)
    std = 0.1 + 100 * torch.rand(bands, generator=generator)
    found = NormalizeValid(mean, std, ignore_index=-1)(batch)
    valid = batch['valid']
    assert (found['image'].masked_select(~valid[:, None]) == 0).all()
    assert (found['mask'][~valid] == -1).all()
    assert torch.equal(found['mask'][valid], batch['mask'][valid])
    back = denormalize(found['image'], mean, std)
    ok = valid[:, None].expand_as(back)
    torch.testing.assert_close(back[ok], batch['image'][ok], rtol=1e-4, atol=1e-2)
    # a batch is its samples
    single = NormalizeValid(mean, std)({k: v[0] for k, v in batch.items()})
    assert torch.equal(single['image'], found['image'][0])


@given(SIDES, st.integers(2, 40), SEEDS)
def test_band_subsets_keep_their_wavelengths(side: int, bands: int, seed: int) -> None:
    batch = make_batch(2, bands, side, side, seed, -9999.0)
    batch['image'] = batch['wavelength'][..., None, None].expand_as(batch['image'])
    batch['image'] = batch['image'].clone()
    subset = RandomBandSubset(
        max(bands // 2, 1), generator=torch.Generator().manual_seed(seed)
    )
    found = subset(batch)
    count = found['image'].shape[1]
    assert found['wavelength'].shape[-1] == found['fwhm'].shape[-1] == count
    wavelength = found['wavelength'].expand(2, -1)
    torch.testing.assert_close(found['image'][..., 0, 0], wavelength)
    index = torch.searchsorted(batch['wavelength'][0].contiguous(), wavelength[0])
    torch.testing.assert_close(found['fwhm'].expand(2, -1)[0], batch['fwhm'][0, index])


@pytest.mark.parametrize('kind', [BandDropout, SpectralMask, SpatialBlur, Illumination])
@given(side=st.integers(3, 9), bands=st.integers(2, 12), seed=SEEDS)
def test_views_let_nothing_invalid_through(
    kind: Any, side: int, bands: int, seed: int
) -> None:
    clean = make_batch(2, bands, side, side, seed, 0.0)
    dirty = clean | {'image': clean['image'].clone()}
    dirty['image'].masked_fill_(~clean['valid'][:, None], 7e5)
    one, other = (
        kind(generator=torch.Generator().manual_seed(seed))(batch)
        for batch in (clean, dirty)
    )
    assert one['image'].shape == clean['image'].shape
    ok = one['valid'][:, None].expand_as(one['image'])
    assert torch.equal(one['image'][ok], other['image'][ok])
