# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Data modules: what is trained on, validated, tested and mapped."""

# naming one of our data modules in a config is enough to register our backbones in timm
from .. import models as _models  # noqa: F401
from .base import HSIGeoDataModule
from .enmap_l2a import EnMAPL2ADataModule
from .simulated_enmap import SimulatedEnMAPDataModule
from .statistics import compute_statistics, spectral_earth_statistics

__all__ = (
    'EnMAPL2ADataModule',
    'HSIGeoDataModule',
    'SimulatedEnMAPDataModule',
    'compute_statistics',
    'spectral_earth_statistics',
)
