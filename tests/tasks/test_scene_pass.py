# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The first pass over predict batches, with a real trainer."""

from typing import Any

import numpy as np
import pytest
import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader

from torchgeo_hsi.errors import MetadataError
from torchgeo_hsi.layers import SceneModel, ScenePool
from torchgeo_hsi.tasks._scene_pass import SeenPixels, run_scene_pass

# north-west corner between two pixels of a grid that starts at 0
WEST, NORTH, PIXEL = 365040.0, 5809965.0, 30.0


class Mean(SceneModel):
    needs_scene = True

    def __init__(self) -> None:
        super().__init__()
        self.pool = ScenePool()

    def forward(self, image: Tensor, gain: Tensor | None = None) -> Tensor:
        mean: Tensor = self.pool(image if gain is None else image * gain)
        return mean[..., None, None].expand_as(image)


class Task(LightningModule):
    def __init__(self, with_gain: bool = False) -> None:
        super().__init__()
        self.model = Mean()
        self.with_gain = with_gain

    def on_predict_start(self) -> None:
        run_scene_pass(self, self.model, self.inputs if self.with_gain else None)

    def inputs(self, batch: dict[str, Any]) -> dict[str, Any]:
        # the second one is what a task gives to methods that leave out pixels
        return {'gain': batch['gain'][:, None, None, None], 'valid': batch['valid']}

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        batch = super().transfer_batch_to_device(batch, device, dataloader_idx)
        # what a data module does to each batch
        return batch | {'image': batch['image'] + 1}

    def predict_step(self, batch: dict[str, Any]) -> Tensor:
        mean: Tensor = self.model(batch['image'])[:, :, 0, 0]
        return mean


def tiles(scene: Tensor, size: int, step: int, place: str) -> list[dict[str, Tensor]]:
    height, width = scene.shape[1:]
    samples = []
    for row in range(0, height - size + 1, step):
        for col in range(0, width - size + 1, step):
            x, y = WEST + col * PIXEL, NORTH - row * PIXEL
            image = scene[:, row : row + size, col : col + size]
            edge = size * PIXEL
            where = {
                'transform': torch.tensor([PIXEL, 0, x, 0, -PIXEL, y]),
                'bounds': torch.tensor(
                    [x, x + edge, PIXEL, y - edge, y, PIXEL, 0.0, 1.0, 1.0]
                ),
            }
            sample = {'image': image, 'valid': image[0] < 50}
            samples.append(sample | ({place: where[place]} if place else {}))
    return samples


def predict(task: Task, samples: list[dict[str, Tensor]], **options: Any) -> Tensor:
    loader = DataLoader(samples, batch_size=2)  # type: ignore[arg-type]
    found = quiet_trainer(**options).predict(task, loader)
    assert found is not None
    return torch.cat(found)  # type: ignore[arg-type]


def scene() -> Tensor:
    image = torch.rand(2, 24, 32, generator=torch.Generator().manual_seed(0))
    image[:, 3:5, 7:9] = 99
    return image


@pytest.mark.parametrize('place', ['transform', 'bounds'])
def test_each_pixel_counts_once(place: str) -> None:
    image = scene()
    means = predict(Task(), tiles(image, 8, 4, place))
    expected = image[:, image[0] < 50].mean(1) + 1
    torch.testing.assert_close(means, expected.expand_as(means))


def test_without_a_place_tiles_count_as_they_come() -> None:
    image = scene()
    samples = tiles(image, 8, 8, '')
    means = predict(Task(), samples)
    expected = image[:, image[0] < 50].mean(1) + 1
    torch.testing.assert_close(means, expected.expand_as(means))


def test_only_batches_that_are_predicted_count() -> None:
    image = scene()
    samples = tiles(image, 8, 8, 'transform')
    means = predict(Task(), samples, limit_predict_batches=1)
    assert len(means) == 2
    seen = image[:, :8, :16]
    expected = seen[:, seen[0] < 50].mean(1) + 1
    torch.testing.assert_close(means, expected.expand_as(means))


def test_more_inputs_reach_the_network() -> None:
    image = scene()
    samples = [s | {'gain': torch.tensor(2.0)} for s in tiles(image, 8, 8, 'transform')]
    means = predict(Task(with_gain=True), samples)
    expected = 2 * (image[:, image[0] < 50].mean(1) + 1)
    torch.testing.assert_close(means, expected.expand_as(means))


def test_local_network_is_left_alone() -> None:
    task = Task()
    task.model.needs_scene = False
    means = predict(task, tiles(scene(), 8, 8, 'transform'))
    assert means.std(0).min() > 0


def test_several_processes_are_refused() -> None:
    class Many:
        world_size = 2

    task = Task()
    task._trainer = Many()  # type: ignore[assignment]
    with pytest.raises(MetadataError, match='devices: 1'):
        run_scene_pass(task, task.model)


def test_seen_pixels() -> None:
    rng = np.random.default_rng(0)
    seen = SeenPixels()
    truth = np.zeros((3000, 3000), bool)
    for _ in range(60):
        row, col = rng.integers(-1400, 1400, 2)
        height, width = rng.integers(1, 700, 2)
        part = truth[row + 1500 :, col + 1500 :][:height, :width]
        height, width = part.shape
        new = seen.add(int(row), int(col), height, width)
        np.testing.assert_array_equal(new, ~part)
        part[:] = True
