# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A graph whose nodes are the pixels of a scene."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .._typing import BoolArray
from ..errors import BandMismatchError, EmptyDataError, UnitError
from .neighbors import (
    Metric,
    edge_similarity,
    grid_neighbors,
    nearest_neighbors,
    undirected_edges,
)
from .principal_components import PrincipalComponents
from .scene_graph import SceneGraph

__all__ = ('pixel_graph',)

#: A cube, or a map of it.
type Map = NDArray[Any] | Tensor


def pixel_graph(
    image: Map,
    valid: BoolArray | Tensor | None = None,
    labels: Map | None = None,
    *,
    spectral_neighbors: int = 8,
    components: int = 30,
    drop_dissimilar: float = 0.25,
    basis: PrincipalComponents | None = None,
    chunk: int = 1024,
    metric: Metric = 'cosine',
) -> SceneGraph:
    """Make a graph of the valid pixels of a scene.

    A pixel is joined with the eight around it, where there are data, and with those
    whose spectra are nearest to its own, wherever they are. Of the edges on the map,
    those between the least similar spectra are left out: they lie across borders.

    Args:
        image: Cube of shape ``(C, H, W)``.
        valid: Which pixels have data in all bands, of shape ``(H, W)``; all by default.
        labels: Class index of each pixel, of shape ``(H, W)``, -1 where it is unknown.
        spectral_neighbors: Number of neighbours in the features; 0 for none.
        components: Number of principal components that are the features.
        drop_dissimilar: Share of the edges on the map that is left out, by the angle
            between the spectra.
        basis: Principal components that were fitted before, e.g. on training pixels
            alone; fitted to the valid pixels by default. *components* is not used then.
        chunk: Number of pixels that are compared with all others at a time: memory is
            ``4 * chunk * N`` bytes, twice.
        metric: ``'cosine'`` or ``'euclidean'``, between features.

    Returns:
        Graph with a node for each valid pixel, row by row.

    Raises:
        BandMismatchError: If shapes do not fit together.
        EmptyDataError: If there are no valid pixels, or too few.
        UnitError: If *drop_dissimilar* is no share.

    Example:
        >>> import torch
        >>> image = torch.rand(20, 6, 7, generator=torch.Generator().manual_seed(0))
        >>> graph = pixel_graph(image, spectral_neighbors=2, components=4)
        >>> graph.x.shape, graph.membership[1, 0].item()
        (torch.Size([42, 4]), 7)
    """
    cube, inside, classes = scene_maps(image, valid, labels)
    spectra = cube[:, inside].T.float()
    if basis is None:
        basis = PrincipalComponents.fit(spectra, components)
    x = basis(spectra)
    membership = number_pixels(inside)
    edges = joined_edges(
        x, spectra, membership, spectral_neighbors, drop_dissimilar, chunk, metric
    )
    return SceneGraph(
        x=x,
        edge_index=edges,
        label=classes[inside],
        position=inside.nonzero().float(),
        membership=membership,
    )


def scene_maps(
    image: Map, valid: BoolArray | Tensor | None, labels: Map | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Check a scene, and turn it into tensors.

    Args:
        image: Cube of shape ``(C, H, W)``.
        valid: Which pixels have data, of shape ``(H, W)``; all by default.
        labels: Class index of each pixel; unknown by default.

    Returns:
        Cube, mask, and int64 labels, -1 where there are no data.

    Raises:
        BandMismatchError: If shapes do not fit together.
        EmptyDataError: If no pixel is valid, or a valid one is not finite.
    """
    cube = _tensor(image)
    if cube.ndim != 3:
        raise BandMismatchError(
            f'Expected a cube of shape (bands, rows, columns), got {tuple(cube.shape)}.'
        )
    shape = cube.shape[1:]
    inside = torch.ones(shape, dtype=torch.bool, device=cube.device)
    if valid is not None:
        inside = _tensor(valid).to(cube.device, torch.bool)
    classes = torch.full(shape, -1, dtype=torch.int64, device=cube.device)
    if labels is not None:
        classes = _tensor(labels).to(cube.device, torch.int64)
    for name, found in (('valid', inside), ('labels', classes)):
        if found.shape != shape:
            raise BandMismatchError(
                f'Expected {name} of shape {tuple(shape)}, as the cube has, got '
                f'{tuple(found.shape)}.'
            )
    if not inside.any():
        raise EmptyDataError('No pixel of the scene is valid. Check nodata.')
    if cube.is_floating_point():
        broken = int((inside & ~cube.isfinite().all(0)).sum())
        if broken:
            raise EmptyDataError(
                f'{broken} valid pixels hold NaN or infinity, which would reach all '
                'their neighbours. Leave them out (valid=).'
            )
    return cube, inside, torch.where(inside, classes, -1)


def _tensor(array: NDArray[Any] | Tensor) -> Tensor:
    if isinstance(array, Tensor):
        return array
    # torch has no arithmetic for the unsigned integers of files
    wide = {np.dtype('uint16'): np.int32, np.dtype('uint32'): np.int64}
    return torch.from_numpy(
        np.ascontiguousarray(array, dtype=wide.get(array.dtype, array.dtype))
    )


def number_pixels(inside: Tensor) -> Tensor:
    """Number the pixels of a mask row by row, -1 outside.

    Args:
        inside: Mask of shape ``(H, W)``.
    """
    number = torch.cumsum(inside.flatten(), 0).view(inside.shape) - 1
    return torch.where(inside, number, -1)


def joined_edges(
    x: Tensor,
    spectra: Tensor,
    membership: Tensor,
    spectral_neighbors: int,
    drop_dissimilar: float,
    chunk: int,
    metric: Metric,
) -> Tensor:
    """Join nodes that touch and are similar, and nodes with the nearest features.

    Args:
        x: Features of shape ``(N, F)``.
        spectra: Spectra of shape ``(N, C)``, for the angles across the map.
        membership: Node of each pixel, of shape ``(H, W)``.
        spectral_neighbors: Number of neighbours in the features.
        drop_dissimilar: Share of the edges on the map that is left out.
        chunk: See :func:`nearest_neighbors`.
        metric: See :func:`nearest_neighbors`.

    Returns:
        Edges of shape ``(2, E)``.

    Raises:
        UnitError: If *drop_dissimilar* is no share.
    """
    if not 0 <= drop_dissimilar <= 1:
        raise UnitError(
            f'Expected drop_dissimilar to be a share from 0 to 1, got {drop_dissimilar}.'
        )
    edges = keep_similar(grid_neighbors(membership), spectra, drop_dissimilar)
    if spectral_neighbors:
        near = nearest_neighbors(x, spectral_neighbors, chunk, metric).index
        source = torch.arange(len(x), device=x.device)[:, None].expand_as(near)
        pair = torch.stack([source.flatten(), near.flatten()])
        edges = torch.cat([edges, pair], 1)
    return undirected_edges(edges, len(x))


def keep_similar(edges: Tensor, spectra: Tensor, drop: float) -> Tensor:
    """Leave out the edges between the least similar spectra.

    Args:
        edges: Both directions of edges, of shape ``(2, E)``.
        spectra: Spectra of shape ``(N, C)``.
        drop: Share that goes, rounded down to whole edges.

    Returns:
        One direction of each edge that stays.
    """
    upper = edges[:, edges[0] < edges[1]]
    number = int(drop * upper.shape[1])
    if not number:
        return upper
    order = edge_similarity(spectra, upper).argsort(stable=True)
    keep = torch.ones_like(order, dtype=torch.bool)
    keep[order[:number]] = False
    return upper[:, keep]
