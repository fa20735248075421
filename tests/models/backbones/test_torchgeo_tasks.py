# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Stock tasks of torchgeo train with our backbones: importing them is all it takes."""

from pathlib import Path

import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from torchgeo.tasks import BYOL, MAE, Classification, MoCo, SemanticSegmentation, SimCLR
from torchgeo.tasks.utils import load_state_dict

import torchgeo_hsi.models
from torchgeo_hsi.models import SpectralAdapter

BANDS = 80


class Tiles(Dataset[dict[str, Tensor]]):
    """Two noise tiles with a class for each pixel and for the tile."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(index)
        shape = (self.size, self.size)
        return {
            'image': torch.rand(BANDS, *shape, generator=generator),
            'mask': torch.randint(3, shape, generator=generator),
            'label': torch.tensor(index),
        }


class Gradients(Callback):
    """Keeps the gradients of the adapters that are trained."""

    def __init__(self) -> None:
        self.adapters: list[dict[str, Tensor]] = []

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        for module in pl_module.modules():
            if isinstance(module, SpectralAdapter):
                named = module.named_parameters()
                grads = {k: p.grad.clone() for k, p in named if p.grad is not None}
                if grads:
                    self.adapters.append(grads)


def train_one_step(task: LightningModule, size: int, validate: bool = False) -> None:
    loader = DataLoader(Tiles(size), batch_size=2)
    gradients = Gradients()
    trainer = quiet_trainer(fast_dev_run=True, callbacks=[gradients])
    trainer.fit(task, loader, loader if validate else None)
    # one, even where a momentum network has an adapter of its own
    (grads,) = gradients.adapters
    assert len(grads) == 12
    assert all(grad.isfinite().all() for grad in grads.values())
    assert all(grads[f'{i}.weight'].abs().max() > 0 for i in (0, 1, 3, 4, 6, 7))


@pytest.mark.parametrize('model', ['spec_resnet50', 'spec_vit_tiny', 'spec_resnet18'])
def test_classification(model: str) -> None:
    task = Classification(model=model, in_channels=BANDS, num_classes=2)
    train_one_step(task, 32, validate=True)


@pytest.mark.parametrize(
    ('model', 'backbone'),
    [
        ('unet', 'tu-spec_resnet50'),
        ('upernet', 'tu-spec_resnet50'),
        ('deeplabv3+', 'tu-spec_resnet50'),
        ('segformer', 'tu-spec_resnet50'),
        ('unet', 'tu-spec_resnet18'),
        ('upernet', 'tu-spec_swin_tiny_patch4_window7_224'),
        ('dpt', 'tu-spec_vit_tiny'),
    ],
)
def test_semantic_segmentation(model: str, backbone: str) -> None:
    task = SemanticSegmentation(
        model=model, backbone=backbone, in_channels=BANDS, num_classes=3
    )
    train_one_step(task, 32, validate=True)
    assert task.eval()(torch.rand(1, BANDS, 32, 32)).shape == (1, 3, 32, 32)


@pytest.mark.parametrize('model', ['spec_vit_tiny', 'spec_resnet50'])
def test_moco(model: str) -> None:
    task = MoCo(model=model, in_channels=BANDS, size=32, hidden_dim=64, output_dim=16)
    train_one_step(task, 32)


def test_simclr() -> None:
    task = SimCLR(
        model='spec_vit_tiny',
        in_channels=BANDS,
        size=32,
        layers=2,
        hidden_dim=64,
        output_dim=16,
    )
    train_one_step(task, 32)


def test_byol() -> None:
    train_one_step(BYOL(model='spec_resnet18', in_channels=BANDS), 32)


def test_mae() -> None:
    task = MAE(model='spec_vit_tiny', in_channels=BANDS, size=128, decoder_dim=32)
    train_one_step(task, 128)


@pytest.mark.parametrize('model', ['spec_resnet50', 'spec_vit_tiny', 'spec_resnet18'])
def test_torchgeo_loads_our_checkpoints(model: str, tmp_path: Path) -> None:
    # torchgeo compares the first layer of the model with the file: a mistake there
    # would leave it random, with nothing but a warning
    source = torchgeo_hsi.models.get_model(model, in_chans=BANDS, num_classes=2)
    target = torchgeo_hsi.models.get_model(model, in_chans=202, num_classes=2)
    missing, unexpected = load_state_dict(target, dict(source.state_dict()))
    assert not missing
    assert not unexpected
    for key, value in source.state_dict().items():
        torch.testing.assert_close(target.state_dict()[key], value)


def test_classification_starts_from_a_checkpoint(tmp_path: Path) -> None:
    task = Classification(model='spec_vit_tiny', in_channels=BANDS, num_classes=2)
    path = tmp_path / 'last.ckpt'
    state = {f'model.{k}': v for k, v in task.model.state_dict().items()}
    torch.save({'hyper_parameters': dict(task.hparams), 'state_dict': state}, path)
    again = Classification(
        model='spec_vit_tiny', weights=str(path), in_channels=BANDS, num_classes=2
    )
    x = torch.rand(1, BANDS, 32, 32)
    torch.testing.assert_close(again.eval()(x), task.eval()(x))
