# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of what all data modules of cubes share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from data.tiles.data import make_tiles
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from torchgeo_hsi.callbacks import GeoTIFFCubeWriter
from torchgeo_hsi.datamodules import EnMAPL2ADataModule
from torchgeo_hsi.errors import MetadataError
from torchgeo_hsi.physics import get_sensor
from torchgeo_hsi.tasks import HSISegmentation

Make = Callable[..., EnMAPL2ADataModule]


class OtherDataModule(EnMAPL2ADataModule):
    """Lightning keys the state of a data module by the name of its class."""


def trainer(path: Path, **kwargs: Any) -> Trainer:
    return quiet_trainer(path, max_epochs=1, num_sanity_val_steps=0, **kwargs)


def other(folders: tuple[Path, Path]) -> OtherDataModule:
    return OtherDataModule(str(folders[0]), patch_size=16, overlap=4)


@pytest.fixture
def checkpoint(make: Make, tmp_path: Path) -> tuple[Path, list[Tensor]]:
    """A network that was trained on one tile, and the statistics of this tile."""
    module = make(make_tiles(tmp_path / 'train'), val=['*_b', '*_c', '*_d'], length=4)
    fit = trainer(tmp_path)
    fit.fit(HSISegmentation(num_classes=3, ignore_index=255), datamodule=module)
    fit.save_checkpoint(tmp_path / 'last.ckpt')
    return tmp_path / 'last.ckpt', list(module.normalization())


def test_another_data_module_takes_the_statistics_of_the_checkpoint(
    tiles: tuple[Path, Path], checkpoint: tuple[Path, list[Tensor]], tmp_path: Path
) -> None:
    path, statistics = checkpoint
    module, task = other(tiles), HSISegmentation(num_classes=3, ignore_index=255)
    trainer(tmp_path).predict(task, datamodule=module, ckpt_path=path)
    for found, want in zip(module.normalization(), statistics, strict=True):
        assert torch.equal(found, want)


def test_checkpoint_without_statistics(
    make: Make, checkpoint: tuple[Path, list[Tensor]], tmp_path: Path
) -> None:
    content = torch.load(checkpoint[0], weights_only=True)
    del content['EnMAPL2ADataModule']
    torch.save(content, tmp_path / 'bare.ckpt')
    task = HSISegmentation(num_classes=3, ignore_index=255)
    with pytest.raises(MetadataError, match=r'bare\.ckpt keeps no band statistics'):
        trainer(tmp_path).predict(
            task, datamodule=make(), ckpt_path=tmp_path / 'bare.ckpt'
        )


def test_predict_without_checkpoint_and_training_data(
    tiles: tuple[Path, Path], tmp_path: Path
) -> None:
    task = HSISegmentation(num_classes=3, ignore_index=255)
    with pytest.raises(MetadataError, match=r'ckpt_path.*spectral_earth'):
        trainer(tmp_path).predict(task, datamodule=other(tiles))


def test_bands_by_wavelength(make: Make) -> None:
    table = get_sensor('enmap').bands
    names = [table.names[table.nearest(center)] for center in (0.66, 0.86, 1.65)]
    by_name = make(bands=names, statistics='spectral_earth').normalization()
    module = make(bands=[0.66, 0.86, 1.65], statistics='spectral_earth')
    for found, want in zip(module.normalization(), by_name, strict=True):
        assert torch.equal(found, want)


@pytest.mark.parametrize(
    'options', [{'statistics': 'imagenet'}, {'batch_size': 0}, {'patch_size': 0}]
)
def test_bad_options(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match='Expected'):
        make(**options)


def test_scene_smaller_than_the_overlap(tiles: tuple[Path, Path]) -> None:
    one = str(tiles[0] / 'tile_a.tif')
    module = EnMAPL2ADataModule(one, patch_size=64, overlap=32)
    module.setup('predict')
    (batch,) = module.predict_dataloader()
    assert int(batch['valid'].sum()) == 16 * 16


@pytest.mark.parametrize('precision', ['bf16-true', '16-true', '64-true'])
def test_true_precision(make: Make, tmp_path: Path, precision: Any) -> None:
    seen: list[torch.dtype] = []

    class Task(HSISegmentation):
        def training_step(self, batch: Any, *args: Any) -> Any:
            seen.append(batch['image'].dtype)
            return super().training_step(batch, *args)

    task: LightningModule = Task(num_classes=3, ignore_index=255)
    trainer(tmp_path, precision=precision, limit_train_batches=1).fit(
        task, datamodule=make()
    )
    assert seen == [next(task.parameters()).dtype]


def test_positions_that_were_rounded_are_refused(
    make: Make, checkpoint: tuple[Path, list[Tensor]], tmp_path: Path
) -> None:
    writer = GeoTIFFCubeWriter(tmp_path / 'map.tif')
    predict = trainer(tmp_path, precision='bf16-true', callbacks=[writer])
    task = HSISegmentation(num_classes=3, ignore_index=255)
    with pytest.raises(MetadataError, match='bf16-mixed'):
        predict.predict(task, datamodule=make(), ckpt_path=checkpoint[0])
    assert not (tmp_path / 'map.tif').exists()
