# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import pickle
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from data.desis_l2a.data import NORTH, PIXEL, WEST, Scene, make_product
from data.enmap_l2a.data import make_product as make_enmap
from pyproj import CRS
from torch.utils.data import DataLoader
from torchgeo.datasets import DatasetNotFoundError, stack_samples
from torchgeo.samplers import GriddedPatchSampler

from torchgeo_hsi.datasets import DESISL2A
from torchgeo_hsi.errors import (
    BandMismatchError,
    CorruptFileError,
    HSIWarning,
    MetadataError,
    UnitError,
    UnknownNameError,
)

HEIGHT, WIDTH = 16, 12


def query(
    column: float = 0, row: float = 0, width: int = WIDTH, height: int = HEIGHT
) -> tuple[slice, slice]:
    west, north = WEST + column * PIXEL, NORTH - row * PIXEL
    return slice(west, west + width * PIXEL), slice(north - height * PIXEL, north)


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_product(tmp_path_factory.mktemp('desis'))


def test_sample(scene: Scene) -> None:
    dataset = DESISL2A(scene.folder.parent)
    sample = dataset[query()]
    assert dataset.files == [str(scene.image)]
    assert dataset.bands == DESISL2A.all_bands
    np.testing.assert_array_equal(
        sample['image'].numpy(), np.where(scene.data, scene.dn, 0)
    )
    flagged = ('cloud_land', 'cloud_water', 'haze_land', 'haze_water', 'shadow')
    expected = scene.data & ~np.any([scene.flags[f] for f in flagged], axis=0)
    np.testing.assert_array_equal(sample['valid'].numpy(), expected)
    np.testing.assert_allclose(
        sample['wavelength'].numpy() * 1e3, scene.wavelength, atol=2e-4
    )
    np.testing.assert_allclose(sample['fwhm'].numpy() * 1e3, scene.fwhm, atol=2e-4)
    assert sample['transform'].tolist()[:6] == [30, 0, WEST, 0, -30, NORTH]


@pytest.mark.parametrize('name', ['folder', 'metadata', 'image'])
def test_paths(scene: Scene, name: str) -> None:
    dataset = DESISL2A(getattr(scene, name), bands=[0.66, 'B3', 200])
    assert dataset.bands[1:] == ('B3', 'B201')
    sample = dataset[query(2, 3, 4, 5)]
    indexes = [int(band[1:]) - 1 for band in dataset.bands]
    np.testing.assert_array_equal(sample['image'].numpy(), scene.dn[indexes, 3:8, 2:6])
    assert sample['wavelength'][0].item() == pytest.approx(0.66, abs=0.0013)


def test_quality_is_an_option(scene: Scene, tmp_path: Path) -> None:
    plain = DESISL2A(scene.image, bands=[0.66], quality=())[query()]
    np.testing.assert_array_equal(plain['valid'].numpy(), scene.data)
    water = DESISL2A(scene.image, bands=[0.66], quality=['water'])[query()]
    np.testing.assert_array_equal(
        water['valid'].numpy(), scene.data & (scene.flags['water'] == 0)
    )
    with pytest.raises(MetadataError, match=r"'fog'. Known: cloud, haze"):
        DESISL2A(scene.image, quality='fog')
    bare = make_product(tmp_path, quality=False)
    with pytest.raises(MetadataError, match=r'no quality layer cloud.*QL_QUALITY-2'):
        DESISL2A(bare.folder, quality=['cloud'])
    with pytest.warns(HSIWarning, match='cloud of QL_QUALITY-2'):
        dataset = DESISL2A(bare.folder)
    np.testing.assert_array_equal(dataset[query()]['valid'].numpy(), scene.data)


def test_two_scenes(tmp_path: Path) -> None:
    first = make_product(tmp_path, seed=1)
    second = make_product(tmp_path, seed=2, column=4, date='20220504T193259')
    dataset = DESISL2A(tmp_path, bands=['B50', 'B150'], quality=())
    sample = dataset[query(0, 0, 16, HEIGHT)]
    expected = np.zeros((2, HEIGHT, 16))
    expected[:, :, 4:] = np.where(second.data, second.dn[[49, 149]], 0)
    mine = np.where(first.data, first.dn[[49, 149]], expected[:, :, :WIDTH])
    expected[:, :, :WIDTH] = mine
    np.testing.assert_array_equal(sample['image'].numpy(), expected)


def test_scenes_of_another_binning(tmp_path: Path) -> None:
    make_product(tmp_path, date='20220404T193259')
    make_product(tmp_path, date='20220504T193259', binning=2)
    with pytest.raises(BandMismatchError, match=r'Expected 235 bands.*got 118'):
        DESISL2A(tmp_path, bands=['B50'])
    assert len(DESISL2A(next(tmp_path.glob('*20220504*'))).bands) == 118


def test_other_products_in_the_folder_are_left_alone(tmp_path: Path) -> None:
    scene = make_product(tmp_path)
    make_product(tmp_path, level='L1C', date='20220504T193259')
    make_enmap(tmp_path)
    assert DESISL2A(tmp_path, bands=[0.66]).files == [str(scene.image)]
    plain = make_product(tmp_path / 'plain', plain_names=True)
    assert DESISL2A(tmp_path / 'plain', bands=[0.66]).files == [str(plain.image)]


def test_wrong_paths_and_bands(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match='holds no DESIS-HSI-L2A'):
        DESISL2A(tmp_path)
    with pytest.raises(DatasetNotFoundError, match='does not exist'):
        DESISL2A(tmp_path / 'none')
    enmap = make_enmap(tmp_path / 'enmap')
    with pytest.raises(MetadataError, match='Expected DESIS metadata'):
        DESISL2A(enmap.image)
    with pytest.raises(UnknownNameError, match='B236'):
        DESISL2A(scene.image, bands=['B236'])
    with pytest.raises(UnitError):
        DESISL2A(scene.image, bands=[660.0])
    other = make_product(tmp_path / 'other')
    other.metadata.write_text(other.metadata.read_text()[:200])
    with pytest.raises(CorruptFileError, match=r'METADATA\.xml is truncated'):
        DESISL2A(other.image)


def test_warped(scene: Scene) -> None:
    dataset = DESISL2A(scene.image, bands=[0.66], crs=CRS.from_epsg(4326))
    sampler = GriddedPatchSampler(dataset, size=8)
    samples = [dataset[index] for index in sampler]
    seen = torch.cat([sample['image'][0, sample['valid']] for sample in samples])
    stored = scene.dn[int(dataset.bands[0][1:]) - 1]
    assert len(seen)
    assert seen.max() <= stored.max()
    # nodata never gets into the interpolation
    assert seen.min() >= stored[scene.data].min()


@pytest.mark.parametrize('workers', [0, 2])
def test_loader(scene: Scene, workers: int) -> None:
    dataset = DESISL2A(scene.image, bands=[0.66, 0.86])
    sampler = GriddedPatchSampler(dataset, size=8, stride=8)
    loader: Any = DataLoader(
        dataset,
        sampler=sampler,
        batch_size=2,
        collate_fn=stack_samples,
        num_workers=workers,
    )
    images = torch.cat([batch['image'] for batch in loader])
    assert images.shape == (len(sampler), 2, 8, 8)
    copy = pickle.loads(pickle.dumps(dataset))
    torch.testing.assert_close(copy[query()]['image'], dataset[query()]['image'])


def test_plot(scene: Scene) -> None:
    dataset = DESISL2A(scene.image)
    figure = dataset.plot(dataset[query()], suptitle='Scene')
    assert figure.axes[0].get_title().startswith('True color')
    plt.close(figure)
