# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The same simulated ground through the bands of any sensor, for spectrum_series.py."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from torchgeo_hsi.physics import BandSet, gaussian_srf, get_sensor
from torchgeo_hsi.physics.simulation import (
    WAVELENGTH,
    EnMAPScene,
    SceneConfig,
    enmap_noise,
)
from torchgeo_hsi.physics.simulation.materials import spectral_library
from torchgeo_hsi.physics.simulation.mixing import mix_surface

#: Share of a pixel that its class covers at least; others have no label.
PURE = 0.5
IGNORE = 255
SUN_ZENITH = 31.6


class Ground(NamedTuple):
    """Mixed pixels: reflectance of shape (H, W, wavelengths), and labels (H, W)."""

    weights: NDArray[np.float32]
    library: NDArray[np.float64]
    labels: NDArray[np.int64]


def simulate_ground(seed: int, size: int) -> Ground:
    """Draw what lies on the ground, without air and instrument."""
    scene = EnMAPScene(SceneConfig(height=size, width=size, seed=seed, footprint=False))
    mixture = mix_surface(scene.left, scene.top, size, size, seed)
    labels = mixture.abundances.argmax(-1)
    labels[mixture.abundances.max(-1) < PURE] = IGNORE
    return Ground(mixture.weights, spectral_library(scene.conditions), labels)


def see(ground: Ground, bands: BandSet) -> NDArray[np.float64]:
    """Look at the ground through Gaussian bands: reflectance (H, W, C)."""
    assert bands.fwhm is not None
    response = gaussian_srf(WAVELENGTH, bands.wavelength, bands.fwhm).numpy()
    response /= response.sum(axis=1, keepdims=True)
    return ground.weights @ (ground.library @ response.T)


@lru_cache
def _variance() -> tuple[NDArray[np.float64], ...]:
    """Return wavelengths, variance for each unit of reflectance, and at 0 (EnMAP)."""
    bands = get_sensor('enmap').default_bandset
    return (bands.wavelength, *enmap_noise(bands, SUN_ZENITH).variance())


def add_noise(
    seen: NDArray[np.float64], bands: BandSet, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Add the noise that EnMAP has at these wavelengths."""
    where, slope, fixed = _variance()
    slope, fixed = (np.interp(bands.wavelength, where, v) for v in (slope, fixed))
    sigma = np.sqrt(np.maximum(slope * seen + fixed, 0))
    return seen + sigma * rng.standard_normal(seen.shape)


def sensor_bands(name: str) -> BandSet:
    """Return the bands of a sensor; ``enmap/3`` is every third one of EnMAP."""
    sensor, _, step = name.partition('/')
    bands = get_sensor(sensor).default_bandset
    return bands.select(range(0, len(bands), int(step or 1)))
