# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small scene, and all it takes to predict on it."""

from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from affine import Affine
from helpers.trainers import quiet_trainer
from rasterio.crs import CRS
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torchgeo.datamodules import BaseDataModule
from torchgeo.datasets import RasterDataset, stack_samples
from torchgeo.samplers import GriddedPatchSampler

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter

TRANSFORM = Affine(30, 0, 366975, 0, -30, 5805165)
UTM33 = CRS.from_epsg(32633)
WAVELENGTH = torch.tensor([0.41824, 0.56, 0.64, 0.85, 2.4453])
FWHM = torch.tensor([0.0065, 0.007, 0.007, 0.008, 0.01])
HEIGHT, WIDTH = 101, 83

#: Marks of tests of a writer, which hear of Lightning what does not matter here.
QUIET = [
    pytest.mark.filterwarnings('ignore:.*does not have many workers'),
    pytest.mark.filterwarnings('ignore:.*infer the batch indices'),
]


class Cubes(RasterDataset):
    """GeoTIFFs with nodata, as our samples describe them."""

    filename_glob = 'scene*.tif'

    def __getitem__(self, index: Any) -> dict[str, Any]:
        sample: dict[str, Any] = super().__getitem__(index)
        sample['valid'] = (sample['image'] != -9999).all(dim=0)
        sample['image'] = torch.where(sample['valid'], sample['image'], 0)
        sample['wavelength'], sample['fwhm'] = WAVELENGTH, FWHM
        return sample


class Shuffled(Sampler[Any]):
    """The tiles of another sampler in any order."""

    def __init__(self, sampler: Any, seed: int) -> None:
        self.tiles = list(sampler)
        np.random.default_rng(seed).shuffle(self.tiles)

    def __iter__(self) -> Any:
        return iter(self.tiles)

    def __len__(self) -> int:
        return len(self.tiles)


class SceneData(pl.LightningDataModule):
    """Predict on the scenes of a folder."""

    def __init__(
        self, root: str, size: int = 32, stride: int = 20, seed: int | None = None
    ) -> None:
        pl.LightningDataModule.__init__(self)
        self.root, self.size, self.stride, self.seed = root, size, stride, seed
        self.mean, self.std = torch.full((5,), 100.0), torch.full((5,), 10.0)

    def setup(self, stage: str) -> None:
        self.predict_dataset = Cubes(self.root)

    def predict_dataloader(self) -> DataLoader[Any]:
        dataset = self.predict_dataset
        sampler = GriddedPatchSampler(dataset, size=self.size, stride=self.stride)
        tiles = sampler if self.seed is None else Shuffled(sampler, self.seed)
        return DataLoader(
            dataset, batch_size=3, sampler=tiles, collate_fn=stack_samples
        )


class StockData(SceneData, BaseDataModule):
    """The same for torchgeo's command line, which wants its own base class."""

    kwargs: ClassVar[dict[str, Any]] = {}

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return batch


class Pixelwise(pl.LightningModule):
    """A network whose output depends on nothing but the pixel."""

    def __init__(self, kind: str = 'cube', **hparams: Any) -> None:
        super().__init__()
        self.save_hyperparameters(hparams)
        self.kind = kind

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> Any:
        image = batch['image']
        where = {'bounds': batch['bounds'], 'transform': batch['transform']}
        match self.kind:
            case 'probabilities':
                return {'probabilities': (image / 50).softmax(dim=1), **where}
            case 'double':
                return {
                    'cube': 2 * image.repeat_interleave(2, 2).repeat_interleave(2, 3)
                }
            case 'nan':
                bad = torch.where(image > 400, torch.nan, image)
                return {'cube': bad, **where}
            case 'one':
                return image[:, 0]
            case 'labels':
                return image.argmax(dim=1)
            case 'small':
                return image[..., 1:, 1:]
            case 'two':
                return {'a': image, 'b': image + 1}
            case 'image':
                return (image - 100) / 10
        return image


def make_scene(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    rng = np.random.default_rng(0)
    cube = rng.uniform(0, 300, (5, height, width)).astype('float32')
    cube[:, 10:20, 30:50] = -9999
    return cube


def make_trainer(*callbacks: pl.Callback, **options: Any) -> pl.Trainer:
    return quiet_trainer(callbacks=list(callbacks), **options)


def run_predict(
    root: Path, kind: str = 'cube', data: dict[str, Any] | None = None, **options: Any
) -> tuple[Path, GeoTIFFCubeWriter]:
    options = {'output_path': root.parent / 'out' / 'map.tif', **options}
    writer = GeoTIFFCubeWriter(**options)
    task = Pixelwise(kind)
    assert (
        make_trainer(writer).predict(task, SceneData(str(root), **(data or {}))) is None
    )
    return Path(options['output_path']), writer


def leftovers(folder: Path) -> list[str]:
    return [p.name for p in folder.rglob('.*')] if folder.exists() else []
