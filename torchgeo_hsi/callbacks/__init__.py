# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Callbacks: what is written while a task runs."""

from .._timm import import_with_timm as _import_with_timm
from .cube_writer import GeoTIFFCubeWriter
from .embedding_writer import EmbeddingWriter
from .field_figure import FieldFigure
from .field_writer import FieldWriter
from .lora_scale_cycle import LoRAScaleCycle
from .map_figure import MapFigure, draw_map
from .online_probe import OnlineProbe
from .reconstruction_figures import ReconstructionFigures, draw_reconstruction
from .representation_report import RepresentationReport
from .score_file import ScoreFile, read_scores
from .score_report import ScoreReport
from .spectral_figures import SpectralFigures, draw_restoration
from .stages import StagedTraining
from .whole_checkpoint import WholeCheckpoint
from .zero_shot_figures import ZeroShotFigures, plot_records

# naming one of our callbacks in a config is enough to register our backbones in timm
_import_with_timm('torchgeo_hsi.models')

__all__ = (
    'EmbeddingWriter',
    'FieldFigure',
    'FieldWriter',
    'GeoTIFFCubeWriter',
    'LoRAScaleCycle',
    'MapFigure',
    'OnlineProbe',
    'ReconstructionFigures',
    'RepresentationReport',
    'ScoreFile',
    'ScoreReport',
    'SpectralFigures',
    'StagedTraining',
    'WholeCheckpoint',
    'ZeroShotFigures',
    'draw_map',
    'draw_reconstruction',
    'draw_restoration',
    'plot_records',
    'read_scores',
)
