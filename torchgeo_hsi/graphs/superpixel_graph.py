# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A graph whose nodes are superpixels of a scene."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .._typing import BoolArray
from ..errors import EmptyDataError
from .neighbors import Metric
from .pixel_graph import Map, joined_edges, scene_maps
from .principal_components import PrincipalComponents
from .scene_graph import SceneGraph

__all__ = ('slic_superpixels', 'superpixel_graph')

#: Components that superpixels are made of.
_CHANNELS = 3

#: Difference of features that counts as much as a whole superpixel of distance does at
#: compactness 1: from a dark to a bright pixel, in deviations of the first component.
_RANGE = 4.0


def superpixel_graph(
    image: Map,
    valid: BoolArray | Tensor | None = None,
    labels: Map | None = None,
    *,
    segments: int = 1000,
    compactness: float = 0.1,
    spectral_neighbors: int = 8,
    components: int = 30,
    drop_dissimilar: float = 0.25,
    basis: PrincipalComponents | None = None,
    chunk: int = 1024,
    metric: Metric = 'cosine',
) -> SceneGraph:
    """Make a graph of the superpixels of a scene.

    Superpixels (SLIC, of the first principal components) are pixels that touch and look
    alike. The features of each are those of its mean spectrum; its label is the most
    frequent one among its labelled pixels, the lower one of two. Those that touch are
    joined, and those whose spectra are most similar, as in :func:`pixel_graph`.

    A superpixel across a border has one class only: what is lost that way is lost for
    every method that works on this graph. Compare ``graph.to_map(graph.label)`` with
    the labels.

    Args:
        image: Cube of shape ``(C, H, W)``.
        valid: Which pixels have data in all bands, of shape ``(H, W)``; all by default.
        labels: Class index of each pixel, of shape ``(H, W)``, -1 where it is unknown.
        segments: About how many superpixels there are.
        compactness: Weight of places against spectra: 0.01 follows every border, 1 makes
            almost squares.
        spectral_neighbors: Number of neighbours in the features; 0 for none.
        components: Number of principal components that are the features.
        drop_dissimilar: Share of the edges on the map that is left out.
        basis: Principal components that were fitted before; fitted to the valid pixels
            by default.
        chunk: Number of nodes that are compared with all others at a time.
        metric: ``'cosine'`` or ``'euclidean'``, between features.

    Returns:
        Graph with a node for each superpixel; ``membership`` has its number at each
        pixel.

    Raises:
        BandMismatchError: If shapes do not fit together.
        EmptyDataError: If there are no valid pixels, or too few.
        ImportError: If scikit-image is not installed.
        UnitError: If *drop_dissimilar* is no share.

    Example:
        >>> import torch
        >>> rows, columns = torch.meshgrid(
        ...     torch.arange(30.0), torch.arange(40.0), indexing='ij'
        ... )
        >>> image = torch.stack([rows, columns, rows * columns / 40])
        >>> graph = superpixel_graph(image, segments=40, compactness=1.0)
        >>> int(graph.membership.max()) + 1 == graph.num_nodes
        True
    """
    cube, inside, classes = scene_maps(image, valid, labels)
    spectra = cube[:, inside].T.float()
    if basis is None:
        basis = PrincipalComponents.fit(spectra, components)
    membership = slic_superpixels(basis(spectra), inside, segments, compactness)
    node = membership[inside]
    count = int(node.max()) + 1
    size = torch.bincount(node, minlength=count)[:, None]
    mean = spectra.new_zeros(count, len(cube)).index_add_(0, node, spectra) / size
    places = inside.nonzero().float()
    centre = places.new_zeros(count, 2).index_add_(0, node, places) / size
    x = basis(mean)
    edges = joined_edges(
        x, mean, membership, spectral_neighbors, drop_dissimilar, chunk, metric
    )
    return SceneGraph(
        x=x,
        edge_index=edges,
        label=majority(node, classes[inside], count),
        position=centre,
        membership=membership,
    )


def slic_superpixels(
    features: Tensor, inside: Tensor, segments: int = 1000, compactness: float = 0.1
) -> Tensor:
    """Divide the pixels of a scene into superpixels, by SLIC.

    From https://doi.org/10.1109/TPAMI.2012.120. *compactness* means the same for every
    scene and tile: neither a bright roof nor a field without any contrast changes it.

    Args:
        features: Principal components of the valid pixels, of shape ``(N, K)``; the
            first three are used. The first has about unit variance, in a whole scene.
        inside: Which pixels these are, row by row, bool of shape ``(H, W)``.
        segments: About how many superpixels there are.
        compactness: Weight of places against features.

    Returns:
        Number of the superpixel of each pixel, int64 of shape ``(H, W)``, -1 outside.

    Raises:
        EmptyDataError: If *segments* is below 2, there are fewer pixels, or all pixels
            become one superpixel.
        ImportError: If scikit-image is not installed.
    """
    try:
        from skimage import measure, segmentation
    except ImportError as error:
        raise ImportError(
            "Superpixels need scikit-image: pip install 'torchgeo-hsi[graph]'"
        ) from error
    count = int(inside.sum())
    if not 2 <= segments <= count:
        raise EmptyDataError(
            f'Expected from 2 to as many segments as there are valid pixels ({count}), '
            f'got {segments}.'
        )
    values = features[:, :_CHANNELS].double().cpu().numpy()
    mask = inside.cpu().numpy()
    channels = np.zeros((*mask.shape, values.shape[1]))
    channels[mask] = values
    full = bool(mask.all())
    found = segmentation.slic(
        channels,
        n_segments=segments,
        # skimage divides values by their range, which differs from tile to tile
        compactness=compactness * _RANGE / (np.ptp(values) or _RANGE),
        # three channels would be taken for red, green and blue
        convert2lab=False,
        mask=None if full else mask,
        start_label=1,
        channel_axis=-1,
    )
    # pixels of islands may be in none, or in one that lies elsewhere
    found = np.where(mask & (found == 0), found.max() + 1, found)
    label: Any = measure.label
    parts = label(found, background=0, connectivity=2)
    number = torch.from_numpy(parts.astype(np.int64) - 1).to(inside.device)
    if not number.max() > 0:
        raise EmptyDataError(
            'All pixels became one superpixel, as happens with noise. Raise compactness.'
        )
    return number


def majority(group: Tensor, label: Tensor, count: int) -> Tensor:
    """Find the most frequent known label of each group, the lower one of two.

    Args:
        group: Number of the group of each item, int64 of shape ``(N,)``.
        label: Its label, int64 of shape ``(N,)``, -1 where it is unknown.
        count: Number of groups.

    Returns:
        Labels of shape ``(count,)``, -1 where none is known.
    """
    known = label >= 0
    if not known.any():
        return torch.full((count,), -1, dtype=torch.int64, device=label.device)
    classes = int(label.max()) + 1
    pair = group[known] * classes + label[known]
    votes = torch.bincount(pair, minlength=count * classes).view(count, classes)
    return torch.where(votes.sum(1) > 0, votes.argmax(1), -1)
