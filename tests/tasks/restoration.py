# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small cubes with noise, and small networks, for the tests of restoration."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from helpers.trainers import quiet_trainer
from lightning.pytorch import Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from torchgeo_hsi.models import api
from torchgeo_hsi.tasks import HSIDenoising

BANDS = 8


class Pairs(Dataset[dict[str, Tensor]]):
    """Smooth mixtures of a few spectra, with white noise.

    Args:
        count: Number of samples.
        sigma: Standard deviation of the noise, on the scale of 0 to 255.
        size: Rows and columns.
        seed: Seed of everything.
        clean: Whether samples have a target.
        more: More entries of each sample.
    """

    def __init__(
        self,
        count: int = 8,
        sigma: float = 25.0,
        size: int = 16,
        seed: int = 0,
        clean: bool = True,
        **more: Tensor,
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(count, 3, 5, 5, generator=generator)
        fine = nn.functional.interpolate(coarse, (size, size), mode='bicubic')
        spectra = torch.rand(3, BANDS, generator=torch.Generator().manual_seed(99))
        self.target = torch.einsum('nkhw,kc->nchw', fine, spectra) / 2
        noise = torch.randn(self.target.shape, generator=generator)
        self.image = self.target + sigma / 255 * noise
        self.clean, self.more = clean, more

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        sample = {'image': self.image[index], **self.more}
        return sample | ({'target': self.target[index]} if self.clean else {})


class Residual(nn.Module):
    """Two convolutions that learn the noise."""

    def __init__(self, bands: int = BANDS, noise_map: bool = False) -> None:
        super().__init__()
        self.noise_map = noise_map
        self.layers = nn.Sequential(
            nn.Conv2d(bands, 32, 5, padding=2, padding_mode='reflect'),
            nn.ReLU(),
            nn.Conv2d(32, bands, 3, padding=1, padding_mode='reflect'),
        )
        nn.init.zeros_(self.layers[2].weight)
        nn.init.zeros_(self.layers[2].bias)
        self.sigma: Tensor | None = None

    def forward(self, image: Tensor, sigma: Tensor | None = None) -> Tensor:
        self.sigma = sigma
        noise: Tensor = self.layers(image)
        return image - noise


class Half(nn.Module):
    """A method without parameters that also wants to know what is valid."""

    def forward(self, image: Tensor, valid: Tensor | None = None) -> Tensor:
        self.valid = valid
        return image / 2


@contextmanager
def registered(**builders: Any) -> Iterator[None]:
    """Register models for a while."""
    for name, builder in builders.items():
        api.register_model(builder, name=name, owner='tests')
    try:
        yield
    finally:
        for name in builders:
            del api._MODELS._entries[name]


def loader(dataset: Dataset[dict[str, Tensor]], batch_size: int = 4) -> DataLoader[Any]:
    return DataLoader(dataset, batch_size=batch_size)


def trainer(path: Any, epochs: int = 1, **options: Any) -> Trainer:
    defaults = {'max_epochs': epochs, 'log_every_n_steps': 1}
    return quiet_trainer(path, **(defaults | options))


def denoising(**options: Any) -> HSIDenoising:
    """Make a task that trains the network of two convolutions."""
    return HSIDenoising(**({'model': 'residual', 'lr': 3e-3} | options))
