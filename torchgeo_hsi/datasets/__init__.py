# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Hyperspectral datasets with torchgeo's conventions, and their plots."""

# naming one of our datasets in a config is enough to register our backbones in timm
from .. import models as _models  # noqa: F401
from .enmap_l2a import EnMAPL2A
from .hsi_cube import HSICube
from .label_raster import LabelRaster
from .plotting import class_map, false_color, plot_sample, plot_spectrum, true_color
from .simulated_enmap import SimulatedEnMAP

__all__ = (
    'EnMAPL2A',
    'HSICube',
    'LabelRaster',
    'SimulatedEnMAP',
    'class_map',
    'false_color',
    'plot_sample',
    'plot_spectrum',
    'true_color',
)
