# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of the segmentation task."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchgeo.datamodules import NonGeoDataModule

from torchgeo_hsi.errors import (
    BandMismatchError,
    MetadataError,
    PluginError,
    UnknownNameError,
)
from torchgeo_hsi.losses import MaskedCrossEntropy
from torchgeo_hsi.models import SpectralMLP
from torchgeo_hsi.tasks import HSISegmentation


class Samples(Dataset[dict[str, Tensor]]):
    """Two classes that differ in one band."""

    def __init__(self, ignored: bool = False) -> None:
        generator = torch.Generator().manual_seed(0)
        self.mask = torch.randint(0, 2, (8, 6, 6), generator=generator)
        self.image = torch.randn(8, 5, 6, 6, generator=generator)
        self.image[:, 2] = 4.0 * self.mask - 2
        if ignored:
            self.mask.fill_(255)

    def __len__(self) -> int:
        return len(self.mask)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {'image': self.image[index], 'mask': self.mask[index]}


def task(**kwargs: Any) -> HSISegmentation:
    options: dict[str, Any] = {
        'in_channels': 5,
        'num_classes': 2,
        'ignore_index': 255,
        'lr': 0.05,
    }
    return HSISegmentation(**(options | kwargs))


def trainer(path: Path, epochs: int) -> Trainer:
    return quiet_trainer(path, max_epochs=epochs)


def test_learns(tmp_path: Path) -> None:
    torch.manual_seed(0)
    loader: DataLoader[Any] = DataLoader(Samples(), batch_size=4)
    model = task()
    run = trainer(tmp_path, 10)
    run.fit(model, loader, loader)
    assert run.callback_metrics['val_AverageJaccardIndex'] > 0.95
    # one cycle ends far below where it began
    assert run.optimizers[0].param_groups[0]['lr'] < 0.01 * 0.05
    run.save_checkpoint(tmp_path / 'last.ckpt')
    again = HSISegmentation.load_from_checkpoint(tmp_path / 'last.ckpt')
    x = Samples().image
    assert torch.equal(again.eval()(x), model.eval()(x))


@pytest.mark.parametrize('loss', ['ce', 'jaccard', 'focal', 'dice'])
def test_batch_without_labels(tmp_path: Path, loss: Any) -> None:
    loader: DataLoader[Any] = DataLoader(Samples(ignored=True), batch_size=4)
    model = task(loss=loss)
    trainer(tmp_path, 1).fit(model, loader)
    assert all(torch.isfinite(v).all() for v in model.parameters())


@pytest.mark.parametrize('loss', ['jaccard', 'focal', 'dice'])
def test_other_losses_learn_beside_ignored_pixels(tmp_path: Path, loss: Any) -> None:
    torch.manual_seed(0)
    samples = Samples()
    samples.mask[:, :, :2] = 255
    loader: DataLoader[Any] = DataLoader(samples, batch_size=4)
    run = trainer(tmp_path, 10)
    run.fit(task(loss=loss), loader, loader)
    assert run.callback_metrics['val_AverageJaccardIndex'] > 0.9


class Labelled(LightningDataModule):
    def __init__(self, ignore_index: int, class_names: list[str]) -> None:
        super().__init__()
        self.ignore_index = ignore_index
        self.class_names = class_names

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(Samples(), batch_size=4)

    def test_dataloader(self) -> DataLoader[Any]:
        return DataLoader(Samples(), batch_size=4)


@pytest.mark.parametrize(
    ('options', 'match'),
    [((0, ['a', 'b']), 'ignore_index=0'), ((255, ['a', 'b', 'c']), 'num_classes=2')],
)
def test_other_labels_than_the_data(tmp_path: Path, options: Any, match: str) -> None:
    with pytest.raises(MetadataError, match=match):
        trainer(tmp_path, 1).fit(task(), datamodule=Labelled(*options))
    with pytest.raises(MetadataError, match=match):
        trainer(tmp_path, 1).test(task(), datamodule=Labelled(*options))


def test_network_that_was_never_trained(tmp_path: Path) -> None:
    model = task(model_kwargs={'whiten': 3})
    loader: DataLoader[Any] = DataLoader(Samples(), batch_size=4)
    for verb in ('test', 'predict'):
        with pytest.raises(MetadataError, match='has not been trained'):
            getattr(trainer(tmp_path, 1), verb)(model, loader)


def test_whitening_of_another_number_of_bands(tmp_path: Path) -> None:
    model = task(in_channels=7, model_kwargs={'whiten': 3})
    with pytest.raises(BandMismatchError, match=r'7.*got \(4, 5, 6, 6\)'):
        trainer(tmp_path, 1).fit(model, datamodule=OnlyTrain())


class OnlyTrain(NonGeoDataModule):
    def __init__(self) -> None:
        super().__init__(Samples, 4, 0)

    def setup(self, stage: str) -> None:
        self.train_dataset = Samples()


def test_options_reach_their_parts() -> None:
    model = task(model_kwargs={'hidden': [7]}, class_weights=[1.0, 3.0])
    assert isinstance(model.model, SpectralMLP)
    assert model.model.head.in_channels == 7
    assert isinstance(model.criterion, MaskedCrossEntropy)
    assert model.criterion.ignore_index == 255
    assert model.criterion.weight is not None
    assert model.criterion.weight.tolist() == [1.0, 3.0]
    assert not isinstance(task(loss='dice').criterion, MaskedCrossEntropy)


def test_wrong_models() -> None:
    with pytest.raises(ValueError, match='ce, jaccard, focal, dice'):
        task(loss='entropy')
    with pytest.raises(UnknownNameError, match='spectral_mlp'):
        task(model='spectral_mpl')
    with pytest.raises(PluginError, match="backbone: 'tu-spec_resnet50'"):
        task(model='spec_resnet50')
