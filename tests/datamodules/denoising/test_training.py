# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The denoising data module, with files of several kinds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from data.tiles.data import make_tiles
from datamodules.denoising.cubes import BANDS, module
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule
from torch import Tensor
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

from torchgeo_hsi.datamodules import HSIDenoisingDataModule
from torchgeo_hsi.datasets import HSICube, MatPairs, SimulatedEnMAP
from torchgeo_hsi.errors import (
    BandMismatchError,
    EmptyDataError,
    MetadataError,
    NodataWarning,
    UnknownNameError,
)
from torchgeo_hsi.transforms import GaussianNoise


class Recorder(LightningModule):
    """Keeps what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.train_batches: list[dict[str, Tensor]] = []
        self.val_batches: list[dict[str, Tensor]] = []

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        self.train_batches.append(batch)
        loss: Tensor = self.layer(batch['image'].mean().reshape(1)).sum()
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        self.val_batches.append(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3)


def fit(data: HSIDenoisingDataModule, epochs: int = 1) -> Recorder:
    task = Recorder()
    trainer = quiet_trainer(max_epochs=epochs, num_sanity_val_steps=0)
    torch.manual_seed(0)
    trainer.fit(task, data)
    return task


def test_pairs_of_training_and_validation(root: Path) -> None:
    data = module(root, val=str(root / 'abu-1.mat'), noise='gaussian_30', num_bands=8)
    task = fit(data, epochs=2)
    assert len(task.train_batches) == 4
    for batch in task.train_batches:
        assert batch['image'].shape == (4, 8, 16, 16)
        residual = batch['image'] - batch['target']
        assert residual.std() == pytest.approx(30 / 255, rel=0.05)
        assert -0.01 < batch['target'].min() < batch['target'].max() < 1.01
        assert torch.allclose(batch['sigma'], torch.tensor(30.0))
        assert batch['scale'].shape == batch['offset'].shape == (4,)
    assert not torch.equal(
        task.train_batches[0]['image'], task.train_batches[2]['image']
    )
    first, second = task.val_batches
    assert first['image'].shape == (1, BANDS, 40, 30)
    assert torch.equal(first['image'], second['image'])
    cube = scipy.io.loadmat(root / 'abu-1.mat')['data'].transpose(2, 0, 1)
    physical = first['target'][0] * first['scale'] + first['offset']
    assert np.allclose(physical, cube, atol=1e-2)


def test_noise_of_stages(root: Path) -> None:
    data = module(root, val=str(root / 'abu-1.mat'), noise='gaussian_10')
    data.setup('fit')
    before = data.val_dataset[0]['sigma']
    data.set_train_noise('gaussian_70')
    task = fit(data)
    assert task.train_batches[0]['sigma'].unique().tolist() == [70.0]
    assert before.unique().tolist() == [10.0]
    assert torch.equal(task.val_batches[0]['sigma'][0], before)
    data.set_train_noise(GaussianNoise(5.0))
    assert isinstance(data.train_noise, GaussianNoise)
    with pytest.raises(UnknownNameError, match='gaussian'):
        data.set_train_noise('gausian')
    with pytest.raises(MetadataError, match='another kind of pairs'):
        data.set_train_noise(None)


def test_noises_of_their_own(root: Path) -> None:
    data = module(
        root,
        test=str(root / 'abu-1.mat'),
        noise='mixture',
        val=str(root / 'abu-1.mat'),
        val_noise=GaussianNoise(20.0),
        test_noise=None,
    )
    data.setup('validate')
    data.setup('test')
    assert data.val_dataset[0]['sigma'].unique().tolist() == [20.0]
    assert 'target' not in data.test_dataset[0]


def test_validation_does_not_seed_training(root: Path) -> None:
    generator = torch.Generator().manual_seed(5)
    noise = GaussianNoise(20.0, generator=generator)
    data = module(root, noise=noise, val=str(root / 'abu-1.mat'), length=4)
    batches = fit(data, epochs=3).train_batches
    residuals = [batch['image'] - batch['target'] for batch in batches]
    assert not torch.equal(residuals[1], residuals[2])
    assert noise.generator is generator


def test_workers_draw_the_same_crops(root: Path) -> None:
    crops = []
    for workers in (0, 2):
        torch.manual_seed(3)
        data = module(root, num_workers=workers)
        data.setup('fit')
        crops.append([batch['image'] for batch in data.train_dataloader()])
    assert all(torch.equal(a, b) for a, b in zip(*crops, strict=True))


def test_length(root: Path) -> None:
    data = module(root, length=None, scales=[1.0, 0.5])
    data.setup('fit')
    # 40 x 30 pixels twice; half of that is smaller than a crop
    assert len(data.train_sampler) == round(2 * 1200 / 256)
    with pytest.raises(EmptyDataError, match='no batch of 4'):
        module(root, length=3).setup('fit')


def test_what_a_path_may_be(root: Path, images: Path) -> None:
    with pytest.raises(BandMismatchError, match='12, 14 bands'):
        module(root, train=str(root)).setup('fit')
    data = module(root, train=str(root), exclude=['oth*'])
    data.setup('fit')
    assert len(data.train_dataset.cubes) == 2
    sources = [
        str(root / 'abu-1.mat'),
        str(images),
        MatPairs(root / 'abu-2.mat', None, 'data'),
    ]
    data = module(root, train=sources, num_bands=5, scales=[1.0])
    data.setup('fit')
    assert len(data.train_dataset.cubes) == 6
    assert {cube.image.dtype for cube in data.train_dataset.cubes} == {
        torch.int16,
        torch.float32,
    }
    for wrong in ('nowhere', 'ab?.tif'):
        with pytest.raises(DatasetNotFoundError, match='Check the p'):
            module(root, train=str(root / wrong)).setup('fit')
    (root / 'empty').mkdir(exist_ok=True)
    with pytest.raises(DatasetNotFoundError, match='holds no file'):
        module(root, train=str(root / 'empty')).setup('fit')
    with pytest.raises(MetadataError, match='train=, got none'):
        module(root, train=None).setup('fit')


def test_options_of_readers(root: Path) -> None:
    options = {'scale': 2.0, 'nodata': -50}
    data = module(root, scaling=1.0, reader_options=options)
    data.setup('fit')
    cube = data.train_dataset.cubes[0]
    stored = scipy.io.loadmat(root / 'abu-1.mat')['data'].transpose(2, 0, 1)
    assert torch.equal(cube.valid, torch.from_numpy((stored != -50).all(0)))
    assert cube.cut()['image'].max() == 2 * stored.max()
    with pytest.raises(MetadataError, match='option colour'):
        module(root, reader_options={'colour': 1}).setup('fit')


def test_bands_and_scenes_without_data(tmp_path: Path) -> None:
    images, _ = make_tiles(tmp_path, empty='a')
    data = module(tmp_path, train=str(images), length=4, scales=[1.0])
    with pytest.warns(NodataWarning, match='tile_a.tif holds no data.*left out'):
        data.setup('fit')
    assert len(data.train_dataset.cubes) == 3
    with (
        pytest.warns(NodataWarning),
        pytest.raises(EmptyDataError, match='No cube with data is left'),
    ):
        module(tmp_path, train=str(images / '*_a.tif')).setup('fit')


def test_patches_that_do_not_fit_into_memory(root: Path) -> None:
    patches = HSICube(root / 'abu-1.mat', key='data', patch_size=20)
    data = module(
        root, train=patches, val=patches, in_memory=False, scales=[1.0, 0.8, 0.1]
    )
    task = fit(data)
    assert data.train_dataset.scales == [1.0, 0.8]
    assert data.train_dataset.cover == 4
    assert task.train_batches[0]['target'].shape == (4, BANDS, 16, 16)
    assert len(task.val_batches) == 4
    cube = scipy.io.loadmat(root / 'abu-1.mat')['data'].transpose(2, 0, 1)
    last = task.val_batches[-1]
    physical = last['target'][0] * last['scale'] + last['offset']
    assert np.allclose(physical[:, :, :10], cube[:, 20:, 20:], atol=1e-2)
    # what lies outside of the cube does not count
    assert not last['valid'][0, :, 10:].any()
    with pytest.raises(MetadataError, match='in_memory=False'):
        module(root, in_memory=False).setup('fit')
    with pytest.raises(EmptyDataError, match='too small'):
        module(root, train=patches, in_memory=False, scales=[0.1]).setup('fit')


class Blank(NonGeoDataset):
    """Patches of which most are empty."""

    def __init__(self, count: int, full: int) -> None:
        self.count, self.full = count, full

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        image = torch.rand(3, 16, 16) + 1
        return {'image': image * (index >= self.count - self.full)}


def test_empty_patches_are_passed_over(root: Path) -> None:
    data = module(root, train=Blank(20, 1), in_memory=False, length=4)
    task = fit(data)
    assert task.train_batches[0]['valid'].all()
    with pytest.raises(EmptyDataError, match='32 images in a row'):
        fit(module(root, train=Blank(500, 1), in_memory=False, length=8))
    with pytest.raises(EmptyDataError, match='No patch'):
        fit(module(root, train=Blank(5, 0), in_memory=False))


def test_pairs_that_a_dataset_brings(tmp_path: Path) -> None:
    scene = SimulatedEnMAP(
        tmp_path / 'scene', 64, bands=[0.5, 0.6, 0.7, 0.8], target=True
    )
    whole = scene[scene.bounds]
    data = module(tmp_path, train=scene, noise=None, scaling='reflectance')
    data.setup('fit')
    (cube,) = (
        c for c in data.train_dataset.cubes if c.shape[1:] == whole['valid'].shape
    )
    sample = cube.cut()
    ok = whole['valid']
    assert torch.equal(cube.valid, ok)
    for key in ('image', 'target'):
        want = whole[key][:, ok] / 1e4
        assert torch.allclose(sample[key][:, ok], want, atol=1e-6)
    assert sample['wavelength'].tolist() == pytest.approx(whole['wavelength'].tolist())
    # with other noise, the pair starts from the clean image
    data = module(tmp_path, train=scene, scaling='reflectance')
    data.setup('fit')
    clean = data.train_dataset.cubes[0].cut()
    assert torch.equal(clean['image'], sample['target'])
    assert 'target' not in clean


class Noisy(NonGeoDataset):
    """One image with noise of its own, of which it knows how strong it is."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(0)
        image = 0.5 + 0.1 * torch.randn(6, 64, 64, generator=generator)
        return {'image': image, 'sigma': torch.full((6,), 25.5)}


@pytest.mark.parametrize('in_memory', [True, False])
def test_noise_of_the_images_is_that_of_their_own_scale(in_memory: bool) -> None:
    options = {'train': Noisy(), 'scaling': 1.0, 'in_memory': in_memory, 'length': 64}
    options |= {'patch_size': 16, 'batch_size': 4}
    data = HSIDenoisingDataModule(**options, noise=None)
    data.setup('fit')
    batches = list(data.train_dataloader())
    image = torch.cat([batch['image'] for batch in batches])
    assert 255 * image.std() == pytest.approx(25.5, rel=0.05)
    assert all((batch['sigma'] == 25.5).all() for batch in batches)
    # where noise is added, smaller scales are good; what was there before is not known
    data = HSIDenoisingDataModule(**options, noise='gaussian_10')
    data.setup('fit')
    assert len(set(data.train_dataset.weights)) == 3
    assert all('sigma' not in batch for batch in data.train_dataloader())
    # the kind of pairs may change until then
    data = HSIDenoisingDataModule(**options, scales=[1.0, 0.5])
    data.set_train_noise(None)
    with pytest.raises(ValueError, match='with noise=None'):
        data.setup('fit')


@pytest.mark.parametrize(
    ('options', 'match'),
    [
        ({'batch_size': 0}, 'positive batch_size'),
        ({'num_bands': 0}, 'positive num_bands or None, got 0'),
        ({'num_bands': -3}, 'positive num_bands'),
        ({'eval_patch_size': -4}, 'positive eval_patch_size'),
        ({'eval_patch_size': 0}, 'positive eval_patch_size'),
        ({'eval_num_bands': 0}, 'positive eval_num_bands'),
        ({'eval_num_bands': -2}, 'positive eval_num_bands'),
        ({'length': 0}, 'positive length'),
        ({'noise': None, 'scales': [1.0, 0.5]}, r'scales=\[1.0\] with noise=None'),
        ({'eval_batch_size': 0}, 'eval_batch_size'),
        ({'patch_size': -1}, 'patch_size'),
        ({'scales': [2.0]}, 'scales above 0'),
        ({'scales': []}, 'scales above 0'),
        ({'reverse': 2}, 'share from 0 to 1'),
        ({'min_valid': 1.5}, 'min_valid'),
        ({'scaling': 'max'}, "got 'max'"),
        ({'scaling': -1.0}, 'positive number'),
        ({'tile_size': 12, 'overlap': 0}, 'multiples of 8'),
        ({'overlap': 100}, 'half of it'),
    ],
)
def test_bad_options(root: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        module(root, **options)


def test_unknown_noise(root: Path) -> None:
    with pytest.raises(UnknownNameError, match='mixture'):
        module(root, noise='mixtur')


def test_validation_is_optional(root: Path) -> None:
    assert fit(module(root)).val_batches == []
    with pytest.raises(MetadataError, match='val='):
        module(root).setup('validate')


@pytest.mark.realdata
def test_real_cubes(real_data: Path) -> None:
    data = HSIDenoisingDataModule(
        train=[
            str(real_data / 'aviris' / 'abu-*.mat'),
            str(real_data / 'enmap_potsdam' / 'images'),
        ],
        exclude=['abu-urban-4', 'abu-airport-3', '*_tile_96_0', '*_tile_128_128'],
        num_bands=31,
        patch_size=32,
        batch_size=8,
        length=16,
    )
    data.setup('fit')
    crops = data.train_dataset
    # the quarter of 100 pixels is smaller than a crop; the tiles have 32
    whole = [cube for cube in crops.cubes if cube.shape[1:] != (50, 50)]
    assert sum(cube.shape[1] >= 100 for cube in crops.cubes) == 7
    assert sum(cube.shape[1:] == (32, 32) for cube in whole) == 14
    # the six bands that the tiles lack are left out
    assert {c.shape[0] for c in whole if c.shape[1] == 32} == {218}
    for batch in data.train_dataloader():
        assert batch['image'].shape == (8, 31, 32, 32)
        assert batch['image'].isfinite().all()
