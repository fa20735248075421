# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Hyperspectral datasets with torchgeo's conventions, and their plots."""

# naming one of our datasets in a config is enough to register our backbones in timm
from .. import models as _models  # noqa: F401
from .enmap_l2a import EnMAPL2A
from .hsi_cube import HSICube
from .hyspecnet import HSIHySpecNet11k
from .label_raster import LabelRaster
from .plotting import class_map, false_color, plot_sample, plot_spectrum, true_color
from .simulated_enmap import SimulatedEnMAP
from .spectral_earth.bdforet import SpectralEarthBDForet
from .spectral_earth.bnetd import SpectralEarthBNETD
from .spectral_earth.cdl import SpectralEarthCDL
from .spectral_earth.corine import SpectralEarthCORINE
from .spectral_earth.desis_cdl import DESISCDL
from .spectral_earth.downstream import SpectralEarthDownstream
from .spectral_earth.eo1_cdl import EO1CDL
from .spectral_earth.eurocrops import SpectralEarthEuroCrops
from .spectral_earth.hyperview import Hyperview
from .spectral_earth.nlcd import SpectralEarthNLCD
from .spectral_earth.pretraining import SpectralEarth
from .spectral_earth.treemap import SpectralEarthTreeMap

__all__ = (
    'DESISCDL',
    'EO1CDL',
    'EnMAPL2A',
    'HSICube',
    'HSIHySpecNet11k',
    'Hyperview',
    'LabelRaster',
    'SimulatedEnMAP',
    'SpectralEarth',
    'SpectralEarthBDForet',
    'SpectralEarthBNETD',
    'SpectralEarthCDL',
    'SpectralEarthCORINE',
    'SpectralEarthDownstream',
    'SpectralEarthEuroCrops',
    'SpectralEarthNLCD',
    'SpectralEarthTreeMap',
    'class_map',
    'false_color',
    'plot_sample',
    'plot_spectrum',
    'true_color',
)
