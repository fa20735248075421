# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Hyperspectral datasets with torchgeo's conventions, and their plots."""

from .._timm import import_with_timm as _import_with_timm
from .._typing import resolve_types
from .convert import convert_dataset
from .desis_l2a import DESISL2A
from .emit_l2a import EMITL2A
from .enmap_l2a import EnMAPL2A
from .hsi_cube import HSICube
from .hyspecnet import HSIHySpecNet11k
from .label_raster import LabelRaster
from .labelled_scenes import (
    KSC,
    BenchmarkScene,
    Botswana,
    Houston2013,
    IndianPines,
    LabelledScene,
    LabelMap,
    PaviaUniversity,
    Salinas,
    WHUHi,
    WHUHiHanChuan,
    WHUHiHongHu,
    WHUHiLongKou,
    open_labelled_scene,
    read_label_map,
)
from .mat_pairs import MatPairs
from .plotting import class_map, false_color, plot_sample, plot_spectrum, true_color
from .prisma_l2d import PRISMAL2D
from .region_crops import RegionCrops
from .sample_file import write_sample
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
from .splits import (
    block_geo_split,
    block_patch_split,
    block_pixel_split,
    few_labels,
    leak_report,
    official_pixel_split,
    pixel_folds,
    random_pixel_split,
    region_geo_split,
    region_patch_split,
    region_pixel_split,
)
from .stored_patches import StoredPatches
from .temporal_pairs import TemporalPairs

resolve_types()
from .pan_pairs import PanPairs
from .prisma_pansharpening import PRISMAPansharpening

# naming one of our datasets in a config is enough to register our backbones in timm
_import_with_timm('torchgeo_hsi.models')

__all__ = (
    'DESISCDL',
    'DESISL2A',
    'EMITL2A',
    'EO1CDL',
    'KSC',
    'PRISMAL2D',
    'BenchmarkScene',
    'Botswana',
    'EnMAPL2A',
    'HSICube',
    'HSIHySpecNet11k',
    'Houston2013',
    'Hyperview',
    'IndianPines',
    'LabelMap',
    'LabelRaster',
    'LabelledScene',
    'MatPairs',
    'PRISMAPansharpening',
    'PanPairs',
    'PaviaUniversity',
    'RegionCrops',
    'Salinas',
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
    'StoredPatches',
    'TemporalPairs',
    'WHUHi',
    'WHUHiHanChuan',
    'WHUHiHongHu',
    'WHUHiLongKou',
    'block_geo_split',
    'block_patch_split',
    'block_pixel_split',
    'class_map',
    'convert_dataset',
    'false_color',
    'few_labels',
    'leak_report',
    'official_pixel_split',
    'open_labelled_scene',
    'pixel_folds',
    'plot_sample',
    'plot_spectrum',
    'random_pixel_split',
    'read_label_map',
    'region_geo_split',
    'region_patch_split',
    'region_pixel_split',
    'true_color',
    'write_sample',
)
