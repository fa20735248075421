# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Batches that tests of views share."""

import torch
from torch import Tensor

from torchgeo_hsi.physics import BandSet, get_sensor


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def enmap(step: int = 1) -> BandSet:
    """Return every *step*-th of the usual bands of EnMAP, by wavelength."""
    bands = get_sensor('enmap').default_bandset.by_wavelength()
    return bands.select(list(range(0, len(bands), step)))


def statistics(bands: int) -> tuple[Tensor, Tensor]:
    mean = torch.linspace(300.0, 3000.0, bands)
    return mean, 0.3 * mean + 50.0


def normalized(image: Tensor) -> Tensor:
    mean, std = statistics(image.shape[1])
    return (image - mean.view(-1, 1, 1)) / std.view(-1, 1, 1)


def physical(image: Tensor) -> Tensor:
    mean, std = statistics(image.shape[1])
    return image * std.view(-1, 1, 1) + mean.view(-1, 1, 1)


def batch(
    count: int = 4,
    bands: int = 202,
    size: tuple[int, int] = (8, 8),
    holes: bool = False,
    wavelength: bool = True,
) -> dict[str, Tensor]:
    """Make a batch of normalized images."""
    found = {'image': torch.randn(count, bands, *size, generator=seeded(9))}
    if wavelength:
        table = enmap(202 // bands).select(list(range(bands)))
        assert table.fwhm is not None
        found['wavelength'] = torch.tensor(table.wavelength).float().repeat(count, 1)
        found['fwhm'] = torch.tensor(table.fwhm).float().repeat(count, 1)
    if holes:
        valid = torch.rand(count, *size, generator=seeded(8)) < 0.8
        found['valid'] = valid
        found['image'] = found['image'].masked_fill(~valid.unsqueeze(1), 0.0)
    return found


def spectra(values: Tensor) -> Tensor:
    """Make images of one pixel of spectra of shape ``(B, C)``."""
    return values[..., None, None]
