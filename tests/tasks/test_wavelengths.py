# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tasks hand the wavelengths of a batch to backbones that know them."""

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer
from models.spectra import see
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from torchgeo_hsi.physics import get_sensor
from torchgeo_hsi.tasks import HSIClassification, HSIRegression, HSISegmentation


class Seen(Dataset[dict[str, Tensor]]):
    """The same place, seen by a sensor."""

    def __init__(self, sensor: str, targets: dict[str, Tensor]) -> None:
        bands = get_sensor(sensor).default_bandset
        image, (wavelength, fwhm) = see(bands)
        self.image = torch.cat([image, image.flip(2), image.mT, image.flip(3)])
        self.axes = {'wavelength': wavelength.float(), 'fwhm': fwhm.float()}
        self.targets = targets

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        targets = {key: values[index] for key, values in self.targets.items()}
        return {'image': self.image[index], **self.axes, **targets}


def loader(sensor: str, **targets: Tensor) -> DataLoader[dict[str, Tensor]]:
    return DataLoader(Seen(sensor, targets), batch_size=2)


def trainer(path: Path) -> Trainer:
    return quiet_trainer(path, max_epochs=2)


def predict(task: Any, sensor: str, path: Path) -> Tensor:
    found: Any = trainer(path).predict(task, loader(sensor))
    return torch.cat([batch['probabilities'] for batch in found])


def test_segmentation_by_another_sensor(tmp_path: Path) -> None:
    torch.manual_seed(0)
    words = {'backbone': 'spec_vit_tiny_wl', 'backbone_kwargs': {'depth': 2}}
    task = HSISegmentation(
        'segmenter', 202, 3, model_kwargs={**words, 'head': 'conv'}, lr=1e-3
    )
    mask = Seen('enmap', {}).image[:, [20, 100, 180]].argmax(dim=1)
    data = loader('enmap', mask=mask)
    trainer(tmp_path).fit(task, data, data)
    trainer(tmp_path).test(task, data, verbose=False)
    enmap = predict(task, 'enmap', tmp_path)
    # no other size of input, and no training for it
    prisma = predict(task, 'prisma', tmp_path)
    # 3 classes of different pixels, not one
    assert len(enmap.argmax(dim=1).unique()) == 3
    agree = (enmap.argmax(dim=1) == prisma.argmax(dim=1)).float().mean()
    assert float(agree) > 0.9
    assert float((enmap - prisma).abs().mean()) < 0.05


@pytest.mark.parametrize('kind', ['segmentation', 'classification', 'regression'])
def test_every_task_uses_the_wavelengths(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    task: Any
    if kind == 'segmentation':
        kwargs = {'backbone': 'spec_resnet18_wl', 'head': 'fcn'}
        task = HSISegmentation('segmenter', 202, 2, model_kwargs=kwargs)
        targets = {'mask': torch.randint(0, 2, (4, 20, 20))}
    elif kind == 'classification':
        task = HSIClassification('spec_resnet18_wl', num_classes=2)
        targets = {'label': torch.randint(0, 2, (4,))}
    else:
        task = HSIRegression('spec_resnet18_wl', in_channels=202, num_outputs=1)
        targets = {'label': torch.randn(4, 1)}
    # PRISMA has other bands than the network was built for
    data = loader('prisma', **targets)
    runner = trainer(tmp_path)
    runner.fit(task, data, data)
    runner.test(task, data, verbose=False)
    batch = next(iter(data))
    task.eval()
    with torch.no_grad():
        found = task.predict_step(batch, 0)
        other = task.predict_step({**batch, 'wavelength': batch['wavelength'] + 0.1}, 0)
    values = [
        next(iter(r.values())) if isinstance(r, dict) else r for r in (found, other)
    ]
    assert not torch.allclose(values[0], values[1], atol=1e-6)


@pytest.mark.parametrize('protocol', ['adapter', 'lora', 'frozen'])
def test_protocols(protocol: Any, tmp_path: Path) -> None:
    task = HSIClassification(
        'spec_vit_tiny_wl', backbone_kwargs={'depth': 2}, protocol=protocol
    )
    learns = {k for k, p in task.model.backbone.named_parameters() if p.requires_grad}
    inside = {k.startswith('spectral_adapter.') for k in learns}
    assert (
        inside == {'adapter': {True}, 'lora': {True, False}, 'frozen': set()}[protocol]
    )
    data = loader('prisma', label=torch.randint(0, 2, (4,)))
    trainer(tmp_path).fit(task, data, data)


def test_batches_without_wavelengths() -> None:
    task = HSIClassification('spec_resnet18_wl', num_classes=2).eval()
    image = torch.randn(2, 202, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(
            task.predict_step({'image': image}, 0), task(image).softmax(dim=1)
        )
