# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectra of mixed pixels, as any sensor would see them."""

from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

from torchgeo_hsi.physics import BandSet, gaussian_srf, get_sensor
from torchgeo_hsi.physics.simulation import WAVELENGTH, material_spectrum

MATERIALS = ('water', 'broadleaf', 'grass', 'crop', 'straw', 'soil', 'asphalt', 'tiles')

type Bands = tuple[Tensor, Tensor]


@cache
def spectra(pixels: int = 400) -> Tensor:
    """Mix materials to spectra of shape ``(pixels, 2101)``, 1 nm apart."""
    values = (0.0, 0.5, 1.0)
    library = [
        material_spectrum(m, p, q) for m in MATERIALS for p in values for q in values
    ]
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.full(len(library), 0.1), pixels)
    return torch.tensor(shares @ np.stack(library))


def see(bands: BandSet) -> tuple[Tensor, Bands]:
    """Look at the spectra through Gaussian bands.

    Returns:
        Image of shape ``(1, C, 20, 20)``, standardized per band, and its bands.
    """
    assert bands.fwhm is not None
    response = gaussian_srf(WAVELENGTH, bands.wavelength, bands.fwhm)
    x = spectra() @ (response / response.sum(dim=1, keepdim=True)).T
    x = (x - x.mean(dim=0)) / x.std(dim=0)
    image = x.T.reshape(1, -1, 20, 20).float()
    return image, (torch.tensor(bands.wavelength), torch.tensor(bands.fwhm))


def distance(a: Tensor, b: Tensor) -> float:
    """Return the distance of feature maps, relative to their own variation."""
    spread = a - a.mean(dim=(2, 3), keepdim=True)
    return float((a - b).norm() / spread.norm())


def bands_of(name: str, low: float = 0.0, high: float = 3.0) -> BandSet:
    """Return the bands of a sensor between two wavelengths in micrometres."""
    bands = get_sensor(name).default_bandset
    inside = (bands.wavelength > low) & (bands.wavelength < high)
    return bands.select(np.flatnonzero(inside).tolist())


def run(adapter: nn.Module, bands: BandSet) -> Tensor:
    """Return the maps that an adapter makes of the spectra, seen through bands."""
    image, axes = see(bands)
    with torch.no_grad():
        maps: Tensor = adapter(image, *axes)
    return maps
