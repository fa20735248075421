# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes as graphs of pixels, superpixels and tiles, and views of them."""

from .diffusion import WeightedEdges, diffusion_edges, normalized_adjacency
from .neighbors import Neighbors, grid_neighbors, nearest_neighbors, undirected_edges
from .pixel_graph import pixel_graph
from .principal_components import PrincipalComponents
from .scene_graph import SceneGraph
from .superpixel_graph import slic_superpixels, superpixel_graph
from .tile_graphs import graph_labels, tile_graphs
from .views import (
    AddEdges,
    ComposeViews,
    DropEdges,
    DualPrism,
    GraphView,
    MaskFeatures,
    SpectralPerturbation,
)

__all__ = (
    'AddEdges',
    'ComposeViews',
    'DropEdges',
    'DualPrism',
    'GraphView',
    'MaskFeatures',
    'Neighbors',
    'PrincipalComponents',
    'SceneGraph',
    'SpectralPerturbation',
    'WeightedEdges',
    'diffusion_edges',
    'graph_labels',
    'grid_neighbors',
    'nearest_neighbors',
    'normalized_adjacency',
    'pixel_graph',
    'slic_superpixels',
    'superpixel_graph',
    'tile_graphs',
    'undirected_edges',
)
