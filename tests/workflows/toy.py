# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A classifier that numpy can imitate: the nearest mean of means over windows."""

import numpy as np
import pytest
import torch
from torch import Tensor

from torchgeo_hsi.datasets.labelled_scenes.scene import LabelledScene
from torchgeo_hsi.models import api, register_model
from torchgeo_hsi.models.pixel_classification.base import PixelClassifier
from torchgeo_hsi.workflows import methods

WINDOW = 3


class NearestMean(PixelClassifier):
    learns_by_gradient = False

    def __init__(
        self, in_channels: int, num_classes: int, window: int, seed: int, power: float
    ) -> None:
        super().__init__(in_channels, num_classes, window)
        self.power = power
        self.register_buffer('means', torch.full((num_classes, in_channels), 1e3))

    def fit_windows(self, windows: Tensor, labels: Tensor) -> None:
        for k in labels.unique():
            self.means[k] = windows[labels == k].mean((0, 2, 3))

    def classify(self, x: Tensor) -> Tensor:
        return -(torch.cdist(x.mean((2, 3)), self.means) ** self.power)


def nearest_mean(
    in_channels: int = 4,
    num_classes: int = 2,
    window: int = WINDOW,
    seed: int = 0,
    power: float = 1.0,
) -> NearestMean:
    return NearestMean(in_channels, num_classes, window, seed, power)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the method for the time of a test."""
    monkeypatch.setattr(api._MODELS, '_entries', dict(api._MODELS._entries))
    register_model(nearest_mean)
    recipe = methods.Recipe('nearest_mean', WINDOW)
    monkeypatch.setattr(methods, 'METHODS', {**methods.METHODS, 'toy': recipe})
    return 'toy'


def imitate(scene: LabelledScene, used: np.ndarray) -> np.ndarray:
    """Compute the distances of all pixels, pixel by pixel: shape ``(K, H, W)``."""
    _, height, width = scene.shape
    edge = WINDOW // 2
    seen = np.zeros(scene.valid.shape, dtype=bool)
    for r, c in zip(*np.nonzero(used), strict=True):
        seen[max(r - edge, 0) : r + edge + 1, max(c - edge, 0) : c + edge + 1] = True
    values = scene.image.astype(np.float64)
    train = values[:, seen & scene.valid]
    image = (values - train.mean(1)[:, None, None]) / train.std(1)[:, None, None]
    image[:, ~scene.valid] = 0
    image = np.pad(image, ((0, 0), (edge, edge), (edge, edge)))
    means = np.zeros((height, width, len(image)))
    for r in range(height):
        for c in range(width):
            window = image[:, r : r + WINDOW, c : c + WINDOW]
            means[r, c] = window.mean((1, 2))
    distances = np.full((scene.num_classes, height, width), 1e3)
    for k in range(scene.num_classes):
        mine = used & (scene.labels == k)
        if mine.any():
            center = means[mine].mean(0)
            distances[k] = np.linalg.norm(means - center, axis=2)
    return distances
