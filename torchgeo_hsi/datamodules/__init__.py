# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Data modules: what is trained on, validated, tested and mapped."""

from .._timm import import_with_timm as _import_with_timm
from ._dataset_statistics import dataset_statistics
from .base import HSIGeoDataModule
from .denoising import HSIDenoisingDataModule
from .enmap_l2a import EnMAPL2ADataModule
from .equations import EquationDataModule
from .graphs import HSIGraphDataModule
from .hyperview import HyperviewDataModule
from .hyspecnet import HSIHySpecNet11kDataModule
from .leaks import datamodule_leaks
from .pansharpening import HSIPansharpeningDataModule
from .patches import PatchDataModule
from .pixels import HSIPixelDataModule
from .simulated_enmap import SimulatedEnMAPDataModule
from .spectral_earth import SpectralEarthDataModule
from .spectral_earth_corine import SpectralEarthCORINEDataModule
from .spectral_earth_downstream import (
    DESISCDLDataModule,
    EO1CDLDataModule,
    SpectralEarthBDForetDataModule,
    SpectralEarthBNETDDataModule,
    SpectralEarthCDLDataModule,
    SpectralEarthDownstreamDataModule,
    SpectralEarthEuroCropsDataModule,
    SpectralEarthNLCDDataModule,
    SpectralEarthTreeMapDataModule,
)
from .statistics import compute_statistics, spectral_earth_statistics
from .store_loader import StoreLoader
from .superresolution import HSISuperResolutionDataModule

# naming one of our data modules in a config is enough to register our backbones in timm
_import_with_timm('torchgeo_hsi.models')

__all__ = (
    'DESISCDLDataModule',
    'EO1CDLDataModule',
    'EnMAPL2ADataModule',
    'EquationDataModule',
    'HSIDenoisingDataModule',
    'HSIGeoDataModule',
    'HSIGraphDataModule',
    'HSIHySpecNet11kDataModule',
    'HSIPansharpeningDataModule',
    'HSIPixelDataModule',
    'HSISuperResolutionDataModule',
    'HyperviewDataModule',
    'PatchDataModule',
    'SimulatedEnMAPDataModule',
    'SpectralEarthBDForetDataModule',
    'SpectralEarthBNETDDataModule',
    'SpectralEarthCDLDataModule',
    'SpectralEarthCORINEDataModule',
    'SpectralEarthDataModule',
    'SpectralEarthDownstreamDataModule',
    'SpectralEarthEuroCropsDataModule',
    'SpectralEarthNLCDDataModule',
    'SpectralEarthTreeMapDataModule',
    'StoreLoader',
    'compute_statistics',
    'datamodule_leaks',
    'dataset_statistics',
    'spectral_earth_statistics',
)
