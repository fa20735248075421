# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A graph for each tile of a scene."""

from typing import Any, Literal

import torch
from torch import Tensor

from .._typing import BoolArray
from ..errors import BandMismatchError, EmptyDataError, UnitError
from .neighbors import Metric
from .pixel_graph import Map, pixel_graph, scene_maps
from .principal_components import PrincipalComponents
from .scene_graph import SceneGraph
from .superpixel_graph import majority, superpixel_graph

__all__ = ('graph_labels', 'tile_graphs')


def tile_graphs(
    image: Map,
    valid: BoolArray | Tensor | None = None,
    labels: Map | None = None,
    *,
    tile_size: int = 32,
    nodes: Literal['pixel', 'superpixel'] = 'pixel',
    segments: int = 100,
    compactness: float = 0.1,
    spectral_neighbors: int = 8,
    components: int = 30,
    drop_dissimilar: float = 0.25,
    basis: PrincipalComponents | None = None,
    min_valid: float = 0.25,
    chunk: int = 1024,
    metric: Metric = 'cosine',
) -> SceneGraph:
    """Make a graph for each tile of a scene, for tasks on whole graphs.

    The scene is cut into squares from its upper left corner; those at the other edges
    may be smaller. All are in one :class:`SceneGraph`, without edges between them, and
    ``graph.graph`` tells which tile a node is of, from 0, row by row.

    Args:
        image: Cube of shape ``(C, H, W)``.
        valid: Which pixels have data in all bands, of shape ``(H, W)``; all by default.
        labels: Class index of each pixel, of shape ``(H, W)``, -1 where it is unknown.
        tile_size: Rows and columns of a tile.
        nodes: ``'pixel'`` or ``'superpixel'``.
        segments: About how many superpixels there are in a full tile.
        compactness: See :func:`superpixel_graph`.
        spectral_neighbors: Number of neighbours in the features, within the tile.
        components: Number of principal components that are the features.
        drop_dissimilar: Share of the edges on the map that is left out, of each tile.
        basis: Principal components that were fitted before; fitted to all valid pixels
            of the scene by default, so that tiles can be compared.
        min_valid: Share of a full tile that has to be valid; other tiles have no graph.
        chunk: Number of nodes that are compared with all others at a time.
        metric: ``'cosine'`` or ``'euclidean'``, between features.

    Returns:
        Graphs of the tiles.

    Raises:
        BandMismatchError: If shapes do not fit together.
        EmptyDataError: If no tile has enough valid pixels.
        UnitError: If *min_valid* or *drop_dissimilar* is no share.
        ValueError: If *nodes* is not known, or *tile_size* below 2.

    Example:
        >>> import torch
        >>> image = torch.rand(20, 16, 24, generator=torch.Generator().manual_seed(0))
        >>> graphs = tile_graphs(image, tile_size=8, components=4)
        >>> torch.bincount(graphs.graph).tolist()
        [64, 64, 64, 64, 64, 64]
    """
    if nodes not in ('pixel', 'superpixel'):
        raise ValueError(f"Expected nodes 'pixel' or 'superpixel', got {nodes!r}.")
    if tile_size < 2:
        raise ValueError(f'Expected tiles of at least 2 pixels, got {tile_size}.')
    if not 0 <= min_valid <= 1:
        raise UnitError(f'Expected min_valid from 0 to 1, got {min_valid}.')
    cube, inside, classes = scene_maps(image, valid, labels)
    if basis is None:
        basis = PrincipalComponents.fit(cube[:, inside].T.float(), components)
    words: Any = {
        'spectral_neighbors': spectral_neighbors,
        'drop_dissimilar': drop_dissimilar,
        'basis': basis,
        'chunk': chunk,
        'metric': metric,
    }
    found = []
    for spot in tile_spots(inside, tile_size, min_valid):
        scene = cube[:, *spot], inside[spot], classes[spot]
        if nodes == 'pixel':
            graph = pixel_graph(*scene, **words)
        else:
            number = max(2, round(segments * float(inside[spot].sum()) / tile_size**2))
            graph = superpixel_graph(
                *scene, segments=number, compactness=compactness, **words
            )
        found.append((spot, graph))
    return _together(found, inside)


def tile_spots(
    inside: Tensor, tile_size: int, min_valid: float
) -> list[tuple[slice, slice]]:
    """List the tiles that have enough valid pixels, row by row.

    Args:
        inside: Which pixels have data, bool of shape ``(H, W)``.
        tile_size: Rows and columns of a tile.
        min_valid: Share of a full tile that has to be valid.

    Returns:
        Rows and columns of each.

    Raises:
        EmptyDataError: If there are none.
    """
    rows, columns = inside.shape
    found = [
        (slice(row, row + tile_size), slice(column, column + tile_size))
        for row in range(0, rows, tile_size)
        for column in range(0, columns, tile_size)
        if int(inside[row : row + tile_size, column : column + tile_size].sum())
        >= max(min_valid * tile_size**2, 2)
    ]
    if not found:
        raise EmptyDataError(
            f'No tile of {tile_size} x {tile_size} pixels is valid by at least {min_valid:.0%}, in '
            f'a scene of {rows} x {columns} with {int(inside.sum())} valid pixels. Use '
            'smaller tiles, or lower min_valid.'
        )
    return found


def _together(
    found: list[tuple[tuple[slice, slice], SceneGraph]], inside: Tensor
) -> SceneGraph:
    """Put graphs of tiles into one, each at its place."""
    membership = torch.full(inside.shape, -1, dtype=torch.int64, device=inside.device)
    edges, places, number = [], [], []
    before = 0
    for index, (spot, graph) in enumerate(found):
        assert graph.membership is not None
        there = graph.membership >= 0
        membership[spot] = torch.where(there, graph.membership + before, -1)
        corner = graph.position.new_tensor([spot[0].start, spot[1].start])
        edges.append(graph.edge_index + before)
        places.append(graph.position + corner)
        number.append(torch.full_like(graph.label, index))
        before += graph.num_nodes
    return SceneGraph(
        x=torch.cat([graph.x for _, graph in found]),
        edge_index=torch.cat(edges, 1),
        label=torch.cat([graph.label for _, graph in found]),
        position=torch.cat(places),
        membership=membership,
        graph=torch.cat(number),
    )


def graph_labels(graph: SceneGraph) -> Tensor:
    """Find the class of most labelled nodes of each graph (tile).

    Args:
        graph: Graphs that are told apart by ``graph.graph``.

    Returns:
        Class of each graph, int64 of shape ``(G,)``, the lower one of two, -1 where no
        node has a label.

    Raises:
        BandMismatchError: If there is one graph only.

    Example:
        >>> import torch
        >>> labels = torch.tensor([[0, 0, 1, -1], [1, 0, 1, -1]])
        >>> image = torch.rand(5, 2, 4)
        >>> graphs = tile_graphs(image, labels=labels, tile_size=2, spectral_neighbors=0)
        >>> graph_labels(graphs)
        tensor([0, 1])
    """
    if graph.graph is None:
        raise BandMismatchError(
            'Expected graphs of tiles, got one graph of a scene. Make them with '
            'tile_graphs.'
        )
    return majority(graph.graph, graph.label, int(graph.graph.max()) + 1)
