# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The noise of real EnMAP tiles, against what is modelled of it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import rasterio
import torch

from torchgeo_hsi.physics import get_sensor
from torchgeo_hsi.physics.noise import NoiseCurve, draw_resampled

pytestmark = pytest.mark.realdata


class Tiles(NamedTuple):
    """Reflectance and noise of the tiles, bands first, in the order of wavelength."""

    wavelength: np.ndarray
    reflectance: np.ndarray
    noise: np.ndarray

    def between(self, low: float, high: float) -> np.ndarray:
        return (self.wavelength >= low) & (self.wavelength < high)


@pytest.fixture(scope='module')
def tiles(potsdam: Path) -> Tiles:
    """Estimate the noise: what a regression on all other bands leaves of each."""
    cubes = []
    for path in sorted((potsdam / 'images').glob('*.tif')):
        with rasterio.open(path) as file:
            cubes.append(file.read())
            tags = [file.tags(k + 1) for k in range(file.count)]
    cube = np.stack(cubes, axis=1).astype(np.float64) / 1e4
    wavelength = np.array([float(tag['wavelength']) / 1000 for tag in tags])
    sensor = get_sensor('enmap')
    kept = sensor.bands.wavelength[np.isin(sensor.bands.names, sensor.default_bands)]
    order = [
        k
        for k in np.argsort(wavelength)
        # the tables of scenes are shifted by fractions of a nanometre
        if abs(kept - wavelength[k]).min() < 0.0015 and cube[k].min() > -1
    ]
    cube, wavelength = cube[order], wavelength[order]
    centered = (cube - cube.mean((1, 2, 3), keepdims=True)).reshape(len(cube), -1)
    inverse = np.linalg.inv(np.cov(centered) + 1e-12 * np.eye(len(cube)))
    residual = (inverse @ centered) / np.diag(inverse)[:, None]
    freedom = centered.shape[1] / (centered.shape[1] - len(cube))
    return Tiles(wavelength, cube, np.sqrt(freedom) * residual.reshape(cube.shape))


@pytest.mark.parametrize(
    ('low', 'high', 'ratio'), [(0.4, 0.7, 1.2), (1.0, 1.75, 0.7), (2.1, 2.3, 0.6)]
)
def test_level(tiles: Tiles, low: float, high: float, ratio: float) -> None:
    here = tiles.between(low, high)
    curve = NoiseCurve.of_sensor('enmap')
    light = np.moveaxis(tiles.reflectance[here], 0, -1)
    power = curve.sigma(tiles.wavelength[here], light) ** 2
    want = np.sqrt(power.mean((0, 1, 2)))
    got = tiles.noise[here].std((1, 2, 3))
    assert np.median(got / want) == pytest.approx(ratio, rel=0.1)


@pytest.mark.parametrize(('low', 'high'), [(0.4, 0.7), (1.0, 1.3), (1.95, 2.5)])
def test_neighbors_share_noise(tiles: Tiles, low: float, high: float) -> None:
    noise = tiles.noise[tiles.between(low, high)]

    def lag(noise: np.ndarray, down: int, right: int) -> float:
        one = noise[..., down:, right:]
        other = noise[..., : 32 - down, : 32 - right]
        axes = tuple(range(1, noise.ndim))
        return float(np.median((one * other).mean(axes) / noise.var(axes)))

    shape = (50, 16, 32, 32)
    model, _ = draw_resampled(
        shape, torch.empty(0), 13.0, torch.Generator().manual_seed(0)
    )
    # in the mean of both directions it is as if interpolated linearly
    got = (lag(noise, 0, 1) + lag(noise, 1, 0)) / 2
    want = (lag(model.numpy(), 0, 1) + lag(model.numpy(), 1, 0)) / 2
    assert got == pytest.approx(want, abs=0.05)
    assert got > 0.2
    assert lag(noise, 0, 3) < 0.05
