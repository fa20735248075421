# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tasks: what to train, and how."""

# naming one of our tasks in a config is enough to register our backbones in timm
from ..models.weights.load import meet_torchgeo as _meet_torchgeo
from ._graph_scores import graph_probabilities
from .classification import HSIClassification
from .denoising import HSIDenoising
from .dino import HSIDINO
from .graph_contrast import GraphContrast
from .intl import INTL
from .mae import HSIMAE
from .moco import HSIMoCo
from .neural_spectral import NeuralSpectral
from .pansharpening import HSIPansharpening
from .pixel_classification import HSIPixelClassification
from .regression import HSIRegression
from .segmentation import HSISegmentation
from .superresolution import HSISuperResolution

__all__ = (
    'HSIDINO',
    'HSIMAE',
    'INTL',
    'GraphContrast',
    'HSIClassification',
    'HSIDenoising',
    'HSIMoCo',
    'HSIPansharpening',
    'HSIPixelClassification',
    'HSIRegression',
    'HSISegmentation',
    'HSISuperResolution',
    'NeuralSpectral',
    'graph_probabilities',
)

# torchgeo looks up weights by name, and now it has been imported
_meet_torchgeo()
