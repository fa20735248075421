# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Views of graphs, for learning without labels."""

from .add_edges import AddEdges
from .compose_views import ComposeViews
from .drop_edges import DropEdges
from .dual_prism import DualPrism
from .graph_view import GraphView
from .mask_features import MaskFeatures
from .spectral_perturbation import SpectralPerturbation

__all__ = (
    'AddEdges',
    'ComposeViews',
    'DropEdges',
    'DualPrism',
    'GraphView',
    'MaskFeatures',
    'SpectralPerturbation',
)
