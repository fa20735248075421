# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The pansharpening data module, with files of several kinds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import scipy.io
import torch
from affine import Affine
from data.prisma_l2d.data import NORTH, WEST, make_file
from data.prisma_pansharpening.data import BANDS, make_root
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import ConcatDataset
from torchgeo.datasets import DatasetNotFoundError, NonGeoDataset

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
from torchgeo_hsi.datamodules.pansharpening import HSIPansharpeningDataModule
from torchgeo_hsi.datasets import PRISMAL2D
from torchgeo_hsi.datasets.pan_pairs import PanPairs
from torchgeo_hsi.datasets.prisma_pansharpening import PRISMAPansharpening
from torchgeo_hsi.errors import BandMismatchError, EmptyDataError, MetadataError
from torchgeo_hsi.io import PRISMAL2DReader


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('toolbox')
    make_root(root, count=3)
    return root


@pytest.fixture(scope='module')
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = make_file(
        tmp_path_factory.mktemp('prisma'), height=30, width=26, outside=False
    ).path
    return path


class Nearest(LightningModule):
    """Repeats the pixels of the cube."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.batches: list[dict[str, Tensor]] = []

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        self.batches.append(batch)
        loss: Tensor = self.layer(batch['image'].mean().reshape(1)).sum()
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        pass

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        ratio = batch['pan'].shape[-1] // batch['image'].shape[-1]
        return batch['image'].repeat_interleave(ratio, -1).repeat_interleave(ratio, -2)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3)


def check_shapes(batch: dict[str, Tensor], count: int, size: int, ratio: int) -> None:
    fine = ratio * size
    assert batch['image'].shape == (count, BANDS, size, size)
    assert batch['pan'].shape == (count, 1, fine, fine)
    assert batch['target'].shape == (count, BANDS, fine, fine)
    assert batch['valid'].shape == (count, size, size)
    assert batch['pan_valid'].shape == (count, fine, fine)
    assert batch['wavelength'].shape == (count, BANDS)


def test_the_folder_of_the_toolbox(root: Path) -> None:
    data = HSIPansharpeningDataModule(
        str(root), crop_size=5, length=7, batch_size=2, eval_batch_size=3
    )
    task = Nearest()
    quiet_trainer(max_epochs=2).fit(task, data)
    assert len(task.batches) == 6
    for batch in task.batches:
        check_shapes(batch, 2, 5, 6)
    # crops differ
    assert len({float(b['image'].sum()) for b in task.batches}) == 6
    val = list(data.val_dataloader())
    assert [tuple(b['image'].shape) for b in val] == [(3, BANDS, 8, 10)]
    expected = PRISMAPansharpening(root, 'val')[1]
    for key, value in expected.items():
        assert torch.equal(val[0][key][1], value)
    data.setup('test')
    assert sum(len(batch['image']) for batch in data.test_dataloader()) == 3
    data.setup('predict')
    batches = list(data.predict_dataloader())
    assert len(batches) == 3
    assert 'target' not in batches[0]
    figure = data.plot(expected)
    assert figure is not None
    assert len(figure.axes) == 3


def test_crops_are_aligned_and_repeatable(root: Path) -> None:
    def draw(seed: int, **options: Any) -> list[dict[str, Tensor]]:
        torch.manual_seed(seed)
        data = HSIPansharpeningDataModule(
            str(root), crop_size=4, batch_size=1, length=5, **options
        )
        data.setup('fit')
        return list(data.train_dataloader())

    first = draw(0)
    kept = draw(0, in_memory=True)
    workers = draw(0, num_workers=1)
    other = draw(1)
    whole = [PRISMAPansharpening(root)[k] for k in range(3)]
    assert any(
        not torch.equal(one['image'], two['image'])
        for one, two in zip(first, other, strict=True)
    )
    for one, two, three in zip(first, kept, workers, strict=True):
        for key, value in one.items():
            assert torch.equal(value, two[key])
            assert torch.equal(value, three[key])
        # find where it was cut out of
        found = [
            (pair, row, column)
            for pair in whole
            for row in range(5)
            for column in range(7)
            if torch.equal(
                pair['image'][:, row : row + 4, column : column + 4], one['image'][0]
            )
        ]
        assert len(found) == 1
        pair, row, column = found[0]
        fine = slice(6 * row, 6 * row + 24), slice(6 * column, 6 * column + 24)
        assert torch.equal(pair['pan'][:, *fine], one['pan'][0])
        assert torch.equal(pair['target'][:, *fine], one['target'][0])


def test_files_of_prisma(scene: Path) -> None:
    data = HSIPansharpeningDataModule(
        train=[str(scene)],
        val=str(scene),
        test=str(scene),
        pans='own',
        patch_size=24,
        crop_size=3,
        batch_size=2,
        bands=list(range(BANDS)),
        test_resolution='full',
    )
    data.setup('fit')
    assert len(data.train_dataloader()) == 1
    check_shapes(next(iter(data.train_dataloader())), 2, 3, 6)
    batch = next(iter(data.val_dataloader()))
    check_shapes(batch, 1, 4, 6)
    assert batch['transform'][0, :6].tolist() == [180, 0, WEST, 0, -180, NORTH]
    data.setup('test')
    full = next(iter(data.test_dataloader()))
    assert full['image'].shape == (1, BANDS, 24, 24)
    assert 'target' not in full
    assert full['transform'][0, :6].tolist() == [30, 0, WEST, 0, -30, NORTH]


@pytest.mark.parametrize('placed', [True, False])
def test_a_prediction_lies_on_the_grid_of_the_pan(
    scene: Path, tmp_path: Path, placed: bool
) -> None:
    source, pans, ratio = str(scene), 'own', 6
    if not placed:
        # the same numbers in files that know no place
        with PRISMAL2DReader(scene) as reader:
            cube, _ = reader.read([5, 6, 7])
            pan, _ = reader.read_pan()
        for name, values in {'cube': cube, 'pan': pan}.items():
            values = values.transpose(1, 2, 0)
            scipy.io.savemat(tmp_path / f'{name}.mat', {'data': values, 'n': values})
        source, pans = str(tmp_path / 'cube.mat'), str(tmp_path / 'pan.mat')
    data = HSIPansharpeningDataModule(
        predict=source,
        pans={'predict': pans},
        tile_size=12,
        overlap=4,
        bands=[5, 6, 7] if placed else None,
        reader_options=None if placed else {'key': 'n', 'pan_options': {'key': 'n'}},
    )
    out = tmp_path / 'sharp.tif'
    writer = GeoTIFFCubeWriter(out, output='cube')
    quiet_trainer(callbacks=[writer]).predict(Nearest(), data, return_predictions=False)
    with rasterio.open(out) as file:
        written = file.read()
        assert file.shape == (30 * ratio, 26 * ratio)
        if placed:
            assert file.crs.to_epsg() == 32633
            assert file.transform == Affine(5, 0, WEST, 0, -5, NORTH)
        else:
            assert file.crs is None
            assert file.transform == Affine(1, 0, 0, 0, -1, 180)
    with PRISMAL2DReader(scene) as reader:
        cube, _ = reader.read([5, 6, 7])
    expected = cube.repeat(ratio, 1).repeat(ratio, 2)
    np.testing.assert_allclose(written, expected, rtol=1e-4, atol=0.5)


def test_prediction_of_a_whole_scene_and_of_pairs(scene: Path) -> None:
    data = HSIPansharpeningDataModule(predict=str(scene), pans='own', tile_size=None)
    data.setup('predict')
    batches = list(data.predict_dataloader())
    assert [tuple(b['pan'].shape) for b in batches] == [(1, 1, 180, 156)]
    dataset: Any = data.predict_dataset
    assert dataset.index['filepath'].tolist() == [str(scene), str(scene)]
    assert dataset.bandset is not None
    pairs = PanPairs(scene, 'own', 'full')
    data = HSIPansharpeningDataModule(predict=pairs, tile_size=20, overlap=2)
    data.setup('predict')
    assert len(data.predict_dataloader()) == 4
    reduced = HSIPansharpeningDataModule(predict=PanPairs(scene, 'own'))
    with pytest.raises(MetadataError, match='which are for tests'):
        reduced.setup('predict')
    simulated = HSIPansharpeningDataModule(predict=str(scene), ratio=3)
    with pytest.raises(MetadataError, match='cannot be simulated at a finer'):
        simulated.setup('predict')
    several = HSIPansharpeningDataModule(predict=[str(scene)] * 2, pans='own')
    with pytest.raises(MetadataError, match='one scene in predict=, got 2'):
        several.setup('predict')


class Cubes(NonGeoDataset):
    """Two cubes of other sizes, or pairs."""

    def __init__(self, sizes: tuple[int, int] = (12, 16), target: bool = False) -> None:
        self.sizes = sizes
        self.target = target

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        size = self.sizes[index]
        sample = {
            'image': torch.full((BANDS, size, size), float(index + 1)),
            'wavelength': torch.linspace(0.4, 0.9, BANDS),
        }
        if self.target:
            sample['pan'] = torch.ones(1, 2 * size, 2 * size)
            sample['target'] = torch.ones(BANDS, 2 * size, 2 * size)
        return sample


def test_datasets() -> None:
    data = HSIPansharpeningDataModule(
        train=Cubes(), val=Cubes(target=True), ratio=2, crop_size=4, batch_size=2
    )
    data.setup('fit')
    check_shapes(next(iter(data.train_dataloader())), 2, 4, 2)
    assert [b['pan'].shape[-1] for b in data.val_dataloader()] == [24, 32]
    whole = HSIPansharpeningDataModule(train=Cubes(), ratio=2, batch_size=2)
    whole.setup('fit')
    assert whole.val_dataloader() == []
    with pytest.raises(BandMismatchError, match=r'image of 12 x 6 x 6, 12 x 8 x 8'):
        next(iter(whole.train_dataloader()))
    assert not isinstance(whole.train_dataset, ConcatDataset)


def test_scenes_on_a_grid(scene: Path) -> None:
    dataset = PRISMAL2D(scene, pan=True, bands=[0.5, 0.6])
    data = HSIPansharpeningDataModule(train=dataset, batch_size=1, test=dataset)
    data.setup('fit')
    batch = next(iter(data.train_dataloader()))
    data.setup('test')
    again = next(iter(data.test_dataloader()))
    expected = PanPairs(scene, 'own', bands=[0.5, 0.6])[0]
    for key in ('image', 'pan', 'target', 'valid', 'pan_valid', 'transform'):
        torch.testing.assert_close(batch[key][0], expected[key])
        assert torch.equal(again[key], batch[key])
    bare = PRISMAL2D(scene, bands=[0.5, 0.6])
    data = HSIPansharpeningDataModule(train=bare, ratio=3, batch_size=1)
    data.setup('fit')
    batch = next(iter(data.train_dataloader()))
    assert batch['pan'].shape == (1, 1, 30, 24)
    assert batch['image'].shape == (1, 2, 10, 8)


def test_what_cannot_be_set_up(root: Path, tmp_path: Path) -> None:
    data = HSIPansharpeningDataModule()
    for stage in ('fit', 'validate', 'test', 'predict'):
        with pytest.raises(MetadataError, match='or the folder of the'):
            data.setup(stage)
    with pytest.raises(EmptyDataError, match='3 training pairs make no batch of 4'):
        HSIPansharpeningDataModule(str(root)).setup('fit')
    with pytest.raises(DatasetNotFoundError, match='No file fits'):
        HSIPansharpeningDataModule(train=str(tmp_path / '*.he5')).setup('fit')
    with pytest.raises(ValueError, match='positive crop_size'):
        HSIPansharpeningDataModule(crop_size=0)
    with pytest.raises(ValueError, match='half of tile_size'):
        HSIPansharpeningDataModule(tile_size=8, overlap=5)
