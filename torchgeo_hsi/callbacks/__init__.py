# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Callbacks: what is written while a task runs."""

# naming one of our callbacks in a config is enough to register our backbones in timm
from .. import models as _models  # noqa: F401
from .cube_writer import GeoTIFFCubeWriter
from .map_figure import MapFigure, draw_map
from .score_file import ScoreFile, read_scores
from .spectral_figures import SpectralFigures, draw_restoration
from .stages import StagedTraining

__all__ = (
    'GeoTIFFCubeWriter',
    'MapFigure',
    'ScoreFile',
    'SpectralFigures',
    'StagedTraining',
    'draw_map',
    'draw_restoration',
    'read_scores',
)
