# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Slopes of spectra in place of spectra."""

import numpy as np
import pytest
import torch

from torchgeo_hsi._typing import Sample
from torchgeo_hsi.errors import BandMismatchError, UnitError
from torchgeo_hsi.physics import BandSet, get_sensor
from torchgeo_hsi.physics.series import derivative_spectra
from torchgeo_hsi.transforms import SpectralDerivative

EMIT = get_sensor('emit').default_bandset


def make_sample() -> Sample:
    assert EMIT.fwhm is not None
    wavelength = torch.tensor(EMIT.wavelength).float()
    image = torch.sin(3 * wavelength)[:, None, None].expand(-1, 4, 5).clone()
    return {
        'image': image,
        'target': 2 * image,
        'wavelength': wavelength,
        'fwhm': torch.tensor(EMIT.fwhm).float(),
        'valid': torch.ones(4, 5, dtype=torch.bool),
    }


@pytest.mark.parametrize('order', [1, 2])
def test_bands_move_together(order: int) -> None:
    sample = make_sample()
    found = SpectralDerivative(order, smoothness=0.002)(sample)
    count = len(found['wavelength'])
    assert count < len(EMIT)
    assert found['image'].shape == found['target'].shape == (count, 4, 5)
    assert found['fwhm'].shape == (count,)
    assert not ((found['wavelength'] > 1.36) & (found['wavelength'] < 1.44)).any()
    wave = torch.cos if order == 1 else (lambda x: -torch.sin(x))
    truth = 3**order * wave(3 * found['wavelength'])
    error = (found['image'][:, 0, 0] - truth).abs()
    # the ends of windows are straight
    assert error.median() < 0.01
    torch.testing.assert_close(found['target'], 2 * found['image'])
    assert torch.equal(found['valid'], sample['valid'])
    # what came is not changed
    assert sample['image'].shape == (len(EMIT), 4, 5)


def test_like_the_function() -> None:
    sample = make_sample()
    found = SpectralDerivative()(sample)
    bands = BandSet(sample['wavelength'].numpy(), sample['fwhm'].numpy())
    expected, inside = derivative_spectra(sample['image'], bands, smoothness=0.008)
    torch.testing.assert_close(found['image'], expected[inside])


def test_batches() -> None:
    sample = make_sample()
    batch = {key: torch.stack([value] * 2) for key, value in sample.items()}
    found, expected = SpectralDerivative()(batch), SpectralDerivative()(sample)
    torch.testing.assert_close(found['image'][1], expected['image'])
    assert found['wavelength'].shape == (2, len(expected['wavelength']))
    batch['wavelength'][1] += 0.001
    with pytest.raises(BandMismatchError, match='same wavelength'):
        SpectralDerivative()(batch)


@pytest.mark.parametrize('dtype', [torch.float16, torch.float64, torch.int16])
def test_types(dtype: torch.dtype) -> None:
    sample = make_sample()
    sample['image'] = (100 * sample['image']).to(dtype)
    del sample['fwhm'], sample['target']
    found = SpectralDerivative()(sample)['image']
    assert found.dtype == (torch.float32 if dtype == torch.int16 else dtype)
    assert found.isfinite().all()


def test_errors() -> None:
    sample = make_sample()
    with pytest.raises(ValueError, match='order 1 or more'):
        SpectralDerivative(0)
    with pytest.raises(BandMismatchError, match='with "wavelength"'):
        SpectralDerivative()({'image': sample['image']})
    with pytest.raises(BandMismatchError, match='one for each band'):
        SpectralDerivative()({**sample, 'wavelength': torch.tensor([0.5])})
    nanometres = {'image': torch.rand(9, 2, 2), 'wavelength': np.arange(9.0) * 9 + 500}
    with pytest.raises(UnitError, match='by 1000'):
        SpectralDerivative()(nanometres)  # type: ignore[arg-type]
