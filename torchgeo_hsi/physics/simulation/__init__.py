# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A physical simulator of EnMAP scenes: spectra, landscape, air and instrument."""

from .atmosphere import cloud_reflectance, gas_optical_depth
from .built import (
    asphalt_reflectance,
    concrete_reflectance,
    metal_reflectance,
    tile_reflectance,
)
from .canopy import canopy_reflectance
from .instrument import NoiseModel, enmap_noise
from .leaf import Leaf, leaf_optics
from .materials import LAND_COVER, LandCover, SceneConditions, material_spectrum
from .plume import PlumeSource
from .scene import EnMAPScene, SceneConfig, SceneTile
from .soil import Soil, soil_reflectance
from .spectral_grid import WATER_ABSORPTION, WAVELENGTH
from .water import WaterBody, water_reflectance

__all__ = (
    'LAND_COVER',
    'WATER_ABSORPTION',
    'WAVELENGTH',
    'EnMAPScene',
    'LandCover',
    'Leaf',
    'NoiseModel',
    'PlumeSource',
    'SceneConditions',
    'SceneConfig',
    'SceneTile',
    'Soil',
    'WaterBody',
    'asphalt_reflectance',
    'canopy_reflectance',
    'cloud_reflectance',
    'concrete_reflectance',
    'enmap_noise',
    'gas_optical_depth',
    'leaf_optics',
    'material_spectrum',
    'metal_reflectance',
    'soil_reflectance',
    'tile_reflectance',
    'water_reflectance',
)
