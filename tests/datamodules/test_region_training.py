# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Training on regions of scenes through the data modules."""

from pathlib import Path
from typing import Any

import pytest
import shapely
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from torchgeo_hsi.datamodules import EnMAPL2ADataModule, SimulatedEnMAPDataModule
from torchgeo_hsi.datasets import EnMAPL2A, LabelRaster, RegionCrops
from torchgeo_hsi.errors import EmptyDataError

SIZE = 96


class Recorder(LightningModule):
    """Remembers the places of its batches."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(202, 2, 1)
        self.places: list[list[list[float]]] = []

    def on_train_epoch_start(self) -> None:
        self.places.append([])

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        assert batch['image'].shape[1:] == (202, 16, 16)
        assert batch['mask'].shape[1:] == (16, 16)
        # normalized: bands have about the deviation 1
        assert 0.05 < float(batch['image'].std()) < 5
        self.places[-1] += batch['bounds'][:, [0, 3]].tolist()
        return self.layer(batch['image']).square().mean()

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=1e-4)


@pytest.fixture(scope='module')
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('region') / 'scene'
    SimulatedEnMAPDataModule(str(root), size=SIZE).prepare_data()
    return root


def train(root: Path, workers: int, epochs: int, **options: Any) -> Recorder:
    data = SimulatedEnMAPDataModule(
        str(root),
        batch_size=4,
        patch_size=16,
        num_workers=workers,
        crops_per_pixel=1.0,
        gap=4,
    )
    torch.manual_seed(0)
    model = Recorder()
    trainer = quiet_trainer(
        root.parent, max_epochs=epochs, limit_val_batches=0, **options
    )
    trainer.fit(model, data)
    return model


@pytest.mark.filterwarnings('ignore:.*IterableDataset.*has `__len__`')
@pytest.mark.filterwarnings('ignore:.*does not have many workers')
def test_training(root: Path) -> None:
    model = train(root, 0, 3)
    first, second, third = model.places
    assert len(first) == len(second) == len(third) > 8
    assert first != second != third
    assert len({tuple(spot) for spot in first}) > len(first) / 2
    workers = train(root, 2, 2)
    assert [len(epoch) for epoch in workers.places] == [len(first)] * 2
    assert workers.places[0] != workers.places[1]


def test_no_batch(root: Path) -> None:
    data = SimulatedEnMAPDataModule(
        str(root), batch_size=900, patch_size=16, crops_per_pixel=1.0, gap=4
    )
    with pytest.raises(EmptyDataError, match='makes no batch of 900'):
        data.setup('fit')


def test_scenes_and_labels(root: Path) -> None:
    truth = next(root.glob('*TRUTH_CLASSES.TIF'))
    scenes = EnMAPL2A(root)
    labels = LabelRaster(truth, classes=[1, 2, 3])
    joined = scenes & labels
    crops = RegionCrops(joined, 16, generator=torch.Generator().manual_seed(0))
    regions = []
    read = crops._source.read
    crops._source.read = lambda region: regions.append(read(region)) or regions[-1]  # type: ignore[func-returns-value, method-assign]
    samples = list(crops)
    # stored as in the file, by the path without GDAL
    assert {region['image'].dtype for region in regions} == {torch.int16}
    for sample in samples[:12]:
        west, east, _, south, north = sample['bounds'][:5].double().tolist()
        time = scenes.bounds[2]
        asked = joined[west:east, south:north, time]
        assert sample.keys() == asked.keys()
        for key in asked.keys() - {'bounds'}:
            torch.testing.assert_close(sample[key], asked[key], rtol=0, atol=0)


def test_option_of_all_modules(root: Path) -> None:
    truth = next(root.glob('*TRUTH_CLASSES.TIF'))
    data = EnMAPL2ADataModule(
        str(root),
        mask_paths=str(truth),
        classes=[0, 1, 2, 3],
        patch_size=8,
        batch_size=2,
        overlap=2,
        split_by='block',
        block_size=24,
        guard=2,
        statistics='spectral_earth',
        crops_per_pixel=0.5,
        length=6,
    )
    data.setup('fit')
    region = data.roi('train')
    assert region is not None
    batches = list(data.train_dataloader())
    assert len(batches) == 3
    for bounds in torch.cat([batch['bounds'] for batch in batches]).double():
        west, east, _, south, north = bounds[:5].tolist()
        assert region.buffer(1).contains(shapely.box(west, south, east, north))
