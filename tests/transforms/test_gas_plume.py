# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Plumes over any scene."""

from pathlib import Path
from typing import Any

import pytest
import rasterio
import torch
from torch import Tensor

from torchgeo_hsi.errors import (
    BandMismatchError,
    MetadataError,
    UnitError,
    UnknownNameError,
)
from torchgeo_hsi.physics import BandSet, get_sensor
from torchgeo_hsi.physics.gases import get_gas
from torchgeo_hsi.transforms import GasPlume

BANDS = get_sensor('enmap').bands.select(['B10', 'B152', 'B205', 'B211', 'B214'])
METHANE = get_gas('methane')


def make_sample(size: int = 12, count: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shape = (count, 5, size, size) if count else (5, size, size)
    assert BANDS.fwhm is not None
    return {
        'image': 3000 + 100 * torch.rand(shape, generator=generator),
        'wavelength': torch.tensor(BANDS.wavelength, dtype=torch.float32),
        'fwhm': torch.tensor(BANDS.fwhm, dtype=torch.float32),
    }


def given(amount: float, size: int = 12, **options: Any) -> GasPlume:
    return GasPlume(enhancement=torch.full((size, size), amount), **options)


def test_given_plume() -> None:
    sample = make_sample()
    plume = 500 * torch.arange(144.0).reshape(12, 12) / 144
    found = GasPlume(enhancement=plume, sun_zenith=50.0)(sample)
    through = METHANE.band_transmittance(BANDS, plume, sun_zenith=50.0)
    torch.testing.assert_close(found['image'], sample['image'] * through)
    assert torch.equal(found['enhancement'], plume[None])
    assert torch.equal(found['image'][0], sample['image'][0])
    assert (found['image'][3, -1] < sample['image'][3, -1]).all()
    # what was given is left as it was
    assert 'enhancement' not in sample
    assert found['wavelength'] is sample['wavelength']


def test_target_and_invalid_pixels() -> None:
    sample = make_sample()
    sample['target'] = sample['image'] + 5
    sample['valid'] = torch.ones(12, 12, dtype=torch.bool)
    sample['valid'][0] = False
    sample['image'][:, 0] = torch.nan
    found = given(2000.0)(sample)
    assert found['image'][:, 0].isnan().all()
    assert torch.equal(found['target'][:, 0], sample['target'][:, 0])
    ratio = found['target'] / sample['target']
    torch.testing.assert_close(
        found['image'][:, 1:], sample['image'][:, 1:] * ratio[:, 1:]
    )


def test_two_plumes_are_one() -> None:
    sample = make_sample()
    twice = given(700.0)(given(300.0)(sample))
    once = given(1000.0)(sample)
    torch.testing.assert_close(twice['image'], once['image'])
    assert torch.equal(twice['enhancement'], once['enhancement'])


def test_batch_of_different_bands() -> None:
    batch = make_sample(count=2)
    shifted = batch['wavelength'] + 0.004
    batch['wavelength'] = torch.stack([batch['wavelength'], shifted])
    found = given(2000.0)(batch)
    assert found['enhancement'].shape == (2, 1, 12, 12)
    for i in range(2):
        bands = BandSet(batch['wavelength'][i].double().numpy(), BANDS.fwhm)
        through = METHANE.band_transmittance(bands, 2000.0)[:, None, None]
        expected = (batch['image'][i] * through).float()
        torch.testing.assert_close(found['image'][i], expected, rtol=1e-5, atol=0)


def test_drawn_plumes() -> None:
    batch = make_sample(40, count=3)

    def draw(seed: int, **options: Any) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        transform = GasPlume(generator=generator, duration=300.0, **options)
        return dict(transform(batch))

    found, again, other = draw(1), draw(1), draw(2)
    assert torch.equal(found['enhancement'], again['enhancement'])
    assert not torch.equal(found['enhancement'], other['enhancement'])
    peaks = found['enhancement'].amax((1, 2, 3))
    assert len(peaks.unique()) == 3
    assert (found['image'] <= batch['image']).all()
    mass = METHANE.to_mass(found['enhancement'].double()).sum((1, 2, 3)) * 900
    # 500 to 10 000 kg/h for 300 s, of which some is beyond the image
    assert ((mass > 0) & (mass < 10_000 / 12)).all()
    none = draw(1, p=0.0)
    assert torch.equal(none['image'], batch['image'])
    assert not none['enhancement'].any()


def test_rate_and_wind() -> None:
    options: dict[str, Any] = {'rate': (1000.0, 1000.0), 'wind': (0.0, 0.0)}
    transform = GasPlume(duration=60.0, diffusivity=5.0, **options)
    sums = []
    for seed in range(6):
        transform.generator = torch.Generator().manual_seed(seed)
        sums.append(METHANE.to_mass(transform.draw(64, 64).double()).sum() * 900)
    # all of the gas unless the source is at the edge
    assert max(sums) == pytest.approx(1000 / 60, rel=1e-3)


def test_integers_and_half_precision() -> None:
    sample = make_sample()
    whole = given(2000.0)(sample | {'image': sample['image'].short()})
    assert whole['image'].dtype == torch.float32
    half = given(2000.0)(sample | {'image': sample['image'].bfloat16()})
    assert half['image'].dtype == torch.bfloat16


def test_global_random_state() -> None:
    before = torch.get_rng_state()
    GasPlume(generator=torch.Generator())(make_sample())
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'rate': (0.0, 5.0)}, 'positive rates'),
        ({'rate': (5.0, 1.0)}, 'in order'),
        ({'wind': (-1.0, 1.0)}, 'wind'),
        ({'p': 2.0}, 'probability'),
        ({'enhancement': torch.zeros(1, 4, 4)}, r'shape \(H, W\)'),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UnitError, match=message):
        GasPlume(**options)


def test_bad_samples() -> None:
    sample = make_sample()
    with pytest.raises(UnknownNameError):
        GasPlume('methan')
    with pytest.raises(BandMismatchError, match='those of the plume'):
        given(1.0, size=10)(sample)
    with pytest.raises(BandMismatchError, match='shape'):
        GasPlume()(sample | {'image': sample['image'][0]})
    for key in ('wavelength', 'fwhm'):
        short = {name: value for name, value in sample.items() if name != key}
        with pytest.raises(MetadataError, match=f'with {key} in micrometres'):
            GasPlume()(short)


@pytest.mark.realdata
def test_real_scene(potsdam: Path) -> None:
    """A plume over Potsdam darkens the methane bands and no others."""
    path = min((potsdam / 'images').glob('*.tif'))
    with rasterio.open(path) as src:
        image = torch.from_numpy(src.read())
        tags = [src.tags(i) for i in src.indexes]
    wavelength = torch.tensor([float(t['wavelength']) for t in tags]) / 1000
    fwhm = torch.tensor([float(t['fwhm']) for t in tags]) / 1000
    sample = {'image': image, 'wavelength': wavelength, 'fwhm': fwhm}
    plume = torch.full(image.shape[1:], 5000.0)
    ratio = GasPlume(enhancement=plume)(sample)['image'].mean((1, 2)) / image.mean(
        (1, 2)
    )
    dark = (ratio < 0.97).nonzero().flatten()
    assert 2.19 < float(wavelength[dark].min()) < float(wavelength[dark].max()) < 2.42
    assert ((ratio - 1).abs()[wavelength < 1.6] < 1e-6).all()
