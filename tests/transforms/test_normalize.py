# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the normalization."""

import pytest
import torch

from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.transforms import NormalizeValid
from torchgeo_hsi.transforms.normalize import denormalize

MEAN, STD = torch.tensor([100.0, 200.0, 300.0]), torch.tensor([1.0, 2.0, 4.0])


def batch(hidden: float) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    valid = torch.rand(2, 5, 6, generator=generator) > 0.3
    image = 1000 * torch.rand(2, 3, 5, 6, generator=generator)
    image = torch.where(valid.unsqueeze(1), image, torch.tensor(hidden))
    mask = torch.randint(0, 4, (2, 5, 6), generator=generator)
    return {'image': image, 'valid': valid, 'mask': mask}


def test_by_hand() -> None:
    given = batch(0.0)
    out = NormalizeValid(MEAN, STD, ignore_index=9)(given)
    for b, i, j in torch.cartesian_prod(*map(torch.arange, (2, 5, 6))).tolist():
        if given['valid'][b, i, j]:
            for c in range(3):
                want = (float(given['image'][b, c, i, j]) - MEAN[c]) / STD[c]
                assert float(out['image'][b, c, i, j]) == pytest.approx(float(want))
            assert out['mask'][b, i, j] == given['mask'][b, i, j]
        else:
            assert (out['image'][b, :, i, j] == 0).all()
            assert out['mask'][b, i, j] == 9


@pytest.mark.parametrize('hidden', [-32768.0, 1e30, float('nan'), float('inf')])
def test_nothing_of_invalid_pixels_gets_through(hidden: float) -> None:
    normalize = NormalizeValid(MEAN, STD, ignore_index=255)
    clean, dirty = normalize(batch(0.0)), normalize(batch(hidden))
    assert all(torch.equal(clean[key], dirty[key]) for key in clean)


def test_back_and_forth() -> None:
    image = batch(0.0)['image']
    out = NormalizeValid(MEAN, STD)({'image': image})
    torch.testing.assert_close(denormalize(out['image'], MEAN, STD), image)


def test_single_sample_and_no_mask() -> None:
    given = {key: value[0] for key, value in batch(0.0).items() if key != 'mask'}
    out = NormalizeValid(MEAN, STD, ignore_index=255)(given)
    want = NormalizeValid(MEAN, STD)(batch(0.0))['image'][0]
    assert torch.equal(out['image'], want)
    assert 'mask' not in out


def test_bad_statistics() -> None:
    with pytest.raises(BandMismatchError, match='one mean and one standard'):
        NormalizeValid(MEAN, STD[:2])
    with pytest.raises(UnitError, match=r'bands \[1\]'):
        NormalizeValid(MEAN, torch.tensor([1.0, 0.0, 1.0]))
    with pytest.raises(BandMismatchError, match='Expected images of 3 bands'):
        NormalizeValid(MEAN, STD)({'image': torch.rand(1, 4, 2, 2)})


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16, torch.float64])
def test_floating_types_come_back_as_they_came(dtype: torch.dtype) -> None:
    image = torch.tensor([100.0, 300.0], dtype=dtype).view(1, 1, 1, 2)
    normalize = NormalizeValid(torch.tensor([200.0]), torch.tensor([50.0]))
    out = normalize({'image': image})['image']
    assert out.dtype == dtype
    assert out.flatten().tolist() == [-2.0, 2.0]


def test_integers_become_float32() -> None:
    image = torch.tensor([100, 300], dtype=torch.int16).view(1, 1, 1, 2)
    normalize = NormalizeValid(torch.tensor([200.0]), torch.tensor([50.0]))
    assert normalize({'image': image})['image'].dtype == torch.float32
