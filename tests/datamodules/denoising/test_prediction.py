# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Prediction with the denoising data module."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from datamodules.denoising.cubes import BANDS, module
from torch import Tensor

from torchgeo_hsi.datamodules import HSIDenoisingDataModule
from torchgeo_hsi.datasets import EnMAPL2A, HSICube
from torchgeo_hsi.errors import MetadataError
from torchgeo_hsi.io import open_cube


def mosaic(data: HSIDenoisingDataModule, shape: tuple[int, ...]) -> Iterator[Tensor]:
    """Put tiles at their place; yield physical numbers, and how often each is set."""
    left, top = (
        data.predict_dataset.bounds[0].start,
        data.predict_dataset.bounds[1].stop,
    )
    res = data.predict_dataset.res[0]
    numbers, count = torch.zeros(shape), torch.zeros(shape[1:])
    for batch in data.predict_dataloader():
        a, _, c, _, _, f = batch['transform'][0, :6].double().tolist()
        row, column = round((top - f) / res), round((c - left) / res)
        image = (batch['image'] * batch['scale'] + batch['offset'])[0]
        image[:, ~batch['valid'][0]] = torch.nan
        h, w = image.shape[1:]
        numbers[:, row : row + h, column : column + w] = image[
            :, : shape[1] - row, : shape[2] - column
        ]
        count[row : row + h, column : column + w] += 1
        assert a == res
    yield numbers
    yield count


def test_predict_a_file_with_a_place(images: Path) -> None:
    path = images / 'tile_b.tif'
    data = HSIDenoisingDataModule(predict=str(path), tile_size=8, overlap=0)
    data.setup('predict')
    with open_cube(path) as reader:
        good = np.flatnonzero(reader.info.bands.good).tolist()
        stored, known = reader.read(good)
        good = [i for i, full in enumerate(known.any((1, 2))) if full]
        want, ok = torch.from_numpy(stored[good]), known[good].all(0)
        crs, bands = reader.info.crs, reader.info.bands
    numbers, count = mosaic(data, want.shape)
    assert (count == 1).all()
    assert torch.allclose(numbers[:, ok], want[:, ok], rtol=1e-4, atol=1e-2)
    assert numbers[:, ~ok].isnan().all()
    assert (~ok).sum() == 24
    assert data.predict_dataset.crs == crs
    assert data.predict_dataset.bandset.names == tuple(
        bands.good_only().names[i] for i in good
    )
    assert data.predict_dataset.index['filepath'].tolist() == [str(path)]


def test_predict_a_file_without_a_place(root: Path) -> None:
    data = module(root, predict=str(root / 'abu-1.mat'), tile_size=16, overlap=8)
    data.setup('predict')
    numbers, count = mosaic(data, (BANDS, 40, 30))
    cube = scipy.io.loadmat(root / 'abu-1.mat')['data'].transpose(2, 0, 1)
    assert np.allclose(numbers, cube, atol=1e-2)
    assert count.min() == 1
    assert count.max() > 1
    assert data.predict_dataset.crs is None


@pytest.mark.parametrize('scaling', ['percentile', 'min_max', 'reflectance', 700.0])
def test_predict_a_mosaic(images: Path, scaling: Any) -> None:
    scenes = EnMAPL2A(images)
    data = HSIDenoisingDataModule(
        predict=scenes, tile_size=16, overlap=8, scaling=scaling
    )
    data.setup('predict')
    whole = scenes[scenes.bounds]
    numbers, count = mosaic(data, whole['image'].shape)
    ok = whole['valid']
    assert (count > 0)[ok].all()
    assert torch.allclose(numbers[:, ok], whole['image'][:, ok], rtol=1e-4, atol=0.05)
    known = whole['image'][:, ok].double().numpy()
    low, high = {
        'min_max': (known.min(), known.max()),
        'percentile': np.quantile(known, (0.001, 0.999)),
        'reflectance': (0, 10_000),
        700.0: (0, 700),
    }[scaling]
    tile = data.predict_dataset[0]
    assert float(tile['offset']) == pytest.approx(low, abs=20)
    assert float(tile['scale'] + tile['offset']) == pytest.approx(high, rel=0.02)


def test_predict_patches_without_a_grid(root: Path) -> None:
    patches = HSICube(root / 'abu-1.mat', key='data', patch_size=20)
    data = module(root, predict=patches)
    data.setup('predict')
    assert [b['image'].shape[-1] for b in data.predict_dataloader()] == [20] * 4


def test_predict_one_scene_at_a_time(root: Path) -> None:
    for wrong in (str(root / 'abu-*.mat'), None):
        with pytest.raises(MetadataError, match='one scene in predict='):
            module(root, predict=wrong).setup('predict')
