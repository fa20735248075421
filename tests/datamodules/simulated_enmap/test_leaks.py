# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is written over a region of a scene reaches no other region."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from datamodules.simulated_enmap.regions import (
    NODATA,
    Make,
    Split,
    clear,
    gather,
    image_file,
    inside,
    kept_bands,
    layer,
    stored,
)
from helpers.trainers import quiet_trainer

from torchgeo_hsi.datamodules import SimulatedEnMAPDataModule
from torchgeo_hsi.datasets import SimulatedEnMAP
from torchgeo_hsi.tasks import HSISegmentation


def scribble(root: Path, copy: Path, where: np.ndarray) -> Path:
    """Copy a product and overwrite pixels that have data."""
    shutil.copytree(root, copy)
    with rasterio.open(image_file(copy), 'r+') as dst:
        cube = dst.read()
        rng = np.random.default_rng(0)
        noise = rng.integers(1, 12_000, cube.shape, dtype=np.int16)
        dst.write(np.where(where & (cube != NODATA), noise, cube))
    return copy


class TestNothingLeaks:
    def fit(self, module: SimulatedEnMAPDataModule, folder: Path) -> Any:
        torch.manual_seed(0)
        task = HSISegmentation(
            num_classes=len(SimulatedEnMAP.classes), ignore_index=255, lr=0.01
        )
        trainer = quiet_trainer(folder, max_epochs=1, limit_val_batches=0)
        before = {k: v.clone() for k, v in task.state_dict().items()}
        trainer.fit(task, datamodule=module)
        after = task.state_dict()
        assert any(not torch.equal(before[key], after[key]) for key in before)
        return trainer.callback_metrics, module.normalization(), after

    def test_training_knows_nothing_but_valid_training_pixels(
        self, make: Make, root: Path, tmp_path: Path
    ) -> None:
        used = clear(root) & inside('train')
        other = scribble(root, tmp_path / 'other', ~used)
        assert 0.2 < (stored(other) != stored(root)).mean() < 0.9
        results = [self.fit(make(f, length=8), tmp_path) for f in (root, other)]
        (scores, statistics, state), (scores2, statistics2, state2) = results
        assert {k: float(v) for k, v in scores.items()} == {
            k: float(v) for k, v in scores2.items()
        }
        for a, b in zip(statistics, statistics2, strict=True):
            assert torch.equal(a, b)
        assert all(torch.equal(state[key], state2[key]) for key in state)
        # and the other way round: training pixels do matter
        third = scribble(root, tmp_path / 'third', used)
        _, statistics3, _ = self.fit(make(third, length=8), tmp_path)
        assert not torch.equal(statistics.mean, statistics3.mean)

    @pytest.mark.parametrize('split', ['val', 'test'])
    def test_evaluation_knows_nothing_but_its_valid_pixels(
        self, make: Make, root: Path, tmp_path: Path, split: Split
    ) -> None:
        other = scribble(root, tmp_path / 'other', ~(clear(root) & inside(split)))
        statistics = make().normalization()
        batches: list[list[dict[str, torch.Tensor]]] = []
        for folder in (root, other):
            module = make(folder)
            module._use(statistics)
            module.setup('validate' if split == 'val' else 'test')
            loader = getattr(module, f'{split}_dataloader')()
            batches.append([module.aug(batch) for batch in loader])
        for one, two in zip(*batches, strict=True):
            assert torch.equal(one['image'], two['image'])
            assert torch.equal(one['mask'], two['mask'])

    @pytest.mark.parametrize('stage', ['fit', 'validate', 'test', 'predict'])
    def test_nodata_becomes_the_mean(self, make: Make, stage: str) -> None:
        module = make(length=8)
        module.setup('fit')
        module.setup(stage)
        name = {'fit': 'train', 'validate': 'val'}.get(stage, stage)
        augment = module.train_aug if stage == 'fit' else module.aug
        invalid = 0
        for batch in getattr(module, f'{name}_dataloader')():
            # no number of the file where it has none
            assert batch['image'].min() > NODATA / 2
            result = augment(batch)
            image, valid = result['image'].movedim(1, -1), result['valid']
            assert (image[~valid] == 0).all()
            assert (image[valid] != 0).float().mean() > 0.9 or not valid.any()
            assert torch.isfinite(image).all()
            assert (result['mask'][~valid] == 255).all()
            invalid += int((~valid).sum())
        assert invalid > 0

    def test_quality_layers_of_choice(self, make: Make, root: Path) -> None:
        data = (stored(root)[kept_bands(root)] != NODATA).all(axis=0)
        for quality, want in (
            ([], data),
            (['cloud'], data & (layer(root, 'QL_QUALITY_CLOUD') == 0)),
        ):
            module = make(quality=quality)
            module.setup('test')
            hits, _ = gather(module.test_dataset, module.test_dataloader())
            np.testing.assert_array_equal(hits, want & inside('test'))
