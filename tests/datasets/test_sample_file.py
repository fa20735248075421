# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A sample that is written is read back as the same sample."""

from pathlib import Path
from typing import Any

import pytest
import rasterio
import torch
from torch import Tensor

from torchgeo_hsi.datasets import EnMAPL2A, HSICube, SimulatedEnMAP
from torchgeo_hsi.datasets.sample_file import write_sample
from torchgeo_hsi.errors import BandMismatchError, MetadataError, OutputError
from torchgeo_hsi.physics import get_sensor

PLACE = (30.0, 0, 365055, 0, -30, 5809965, 0, 0, 1)


def make_sample(
    bands: int = 6, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = 6000 * torch.rand(bands, 20, 30, generator=generator)
    centers = get_sensor('enmap').bands.wavelength[:bands].copy()
    return {
        'image': image.to(dtype),
        'valid': torch.rand(20, 30, generator=generator) > 0.2,
        'wavelength': torch.tensor(sorted(centers), dtype=torch.float32),
        'fwhm': torch.full((bands,), 0.0065),
        'transform': torch.tensor(PLACE),
    }


def check(found: dict[str, Any], sample: dict[str, Any]) -> None:
    assert torch.equal(found['valid'], sample['valid'])
    # where there are no data, a reader fills in 0
    image = sample['image'].float().masked_fill(~sample['valid'], 0)
    assert torch.equal(found['image'], image)
    for key in ('wavelength', 'fwhm'):
        torch.testing.assert_close(found[key], sample[key], rtol=2e-7, atol=0)
    assert torch.equal(found['transform'].flatten()[:6], sample['transform'][:6])


@pytest.mark.parametrize('bands', [1, 6, 202, 224])
@pytest.mark.parametrize('dtype', [torch.float32, torch.int16, torch.bfloat16])
def test_the_same_comes_back(tmp_path: Path, bands: int, dtype: torch.dtype) -> None:
    sample = make_sample(bands, dtype)
    path = write_sample(tmp_path / 'new' / 'sample.tif', sample, 'EPSG:32633')
    check(HSICube(path)[0], sample)
    with rasterio.open(path) as src:
        stored = torch.from_numpy(src.read()).float()
        assert torch.equal(stored, sample['image'].float())
        assert src.crs.to_epsg() == 32633
        assert src.bounds == (365055, 5809965 - 600, 365055 + 900, 5809965)


def test_of_a_scene(tmp_path: Path) -> None:
    SimulatedEnMAP(tmp_path / 'scene', size=32, seed=3, cloud_cover=0.2)
    dataset = EnMAPL2A(tmp_path / 'scene')
    sample = dataset[dataset.bounds]
    assert not sample['valid'].all()
    path = write_sample(tmp_path / 'sample.tif', sample, dataset.crs)
    found = HSICube(path)[0]
    check(found, sample)
    assert torch.equal(found['bounds'][:6], sample['bounds'][:6].float())


def test_what_is_not_there_is_not_made_up(tmp_path: Path) -> None:
    image = make_sample()['image']
    found = HSICube(write_sample(tmp_path / 'a.tif', {'image': image}))[0]
    assert torch.equal(found['image'], image)
    assert found['valid'].all()
    assert not found.keys() & {'wavelength', 'bounds'}
    # a prediction with other bands than the image
    sample = make_sample() | {'prediction': image[:2], 'crs': 'EPSG:32633'}
    words: dict[str, Any] = {'key': 'prediction'}
    found = HSICube(write_sample(tmp_path / 'b.tif', sample, **words))[0]
    assert torch.equal(found['image'], image[:2].masked_fill(~sample['valid'], 0))
    assert 'wavelength' not in found
    with pytest.raises(OutputError, match='overwrite=True'):
        write_sample(tmp_path / 'b.tif', sample)
    write_sample(tmp_path / 'b.tif', sample, overwrite=True)
    assert HSICube(tmp_path / 'b.tif')[0]['image'].shape == image.shape


@pytest.mark.parametrize(
    ('change', 'error', 'match'),
    [
        ({}, MetadataError, r'Pass crs=dataset\.crs'),
        ({'image': torch.zeros(2, 6, 20, 30)}, BandMismatchError, 'unbind_samples'),
        ({'valid': torch.ones(3, 3)}, BandMismatchError, r'valid of shape \(20, 30\)'),
    ],
)
def test_refused(
    tmp_path: Path, change: dict[str, Tensor], error: type[Exception], match: str
) -> None:
    crs = 'EPSG:32633' if change else None
    with pytest.raises(error, match=match):
        write_sample(tmp_path / 'a.tif', make_sample() | change, crs)
    with pytest.raises(MetadataError, match=r"no 'pan', but image, .* key="):
        write_sample(tmp_path / 'a.tif', make_sample(), key='pan')
    assert not list(tmp_path.iterdir())
