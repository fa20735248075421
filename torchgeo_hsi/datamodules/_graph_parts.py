# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which part of a graph is trained on, and how graphs reach the network."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor
from torch.utils.data import Dataset

from .._typing import BoolArray, Sample
from ..datasets.labelled_scenes.scene import UNLABELLED, LabelledScene
from ..datasets.splits import SHARES, PixelSplit, region_pixel_split
from ..errors import EmptyDataError
from ..graphs import SceneGraph
from ._pixel_windows import SceneMapTiles


def training_side(split: PixelSplit, tile: int | None = None) -> BoolArray:
    """Find the pixels that are on the side of training, with or without a label.

    Args:
        split: Areas that were given to splits, training first.
        tile: Rows and columns of tiles that go to one side as a whole, if they do.

    Returns:
        Pixels of the training, and those that are nearest to one of them, but none of
        the guard; or all tiles but those of another split; of shape ``(H, W)``.

    Raises:
        ValueError: If the split has no areas.
    """
    if split.method == 'random':
        raise ValueError(
            "mode='inductive' trains on the graph of one side of the scene, and random "
            "pixels have no side. Use split='block', or mode='transductive'."
        )
    side: BoolArray
    if tile is not None:
        _, chosen = tile_classes(split, tile)
        side = (chosen < 1)[tile_numbers(split.codes.shape, tile)]
        return side
    _, nearest = ndimage.distance_transform_edt(split.codes < 0, return_indices=True)
    side = (split.codes[tuple(nearest)] == 0) & ~split.left_out
    return side


def tile_numbers(shape: tuple[int, int], tile: int) -> NDArray[np.int64]:
    """Number the tiles of a scene row by row.

    Args:
        shape: Rows and columns of the scene.
        tile: Rows and columns of a tile.

    Returns:
        Number of the tile of each pixel, of shape ``(H, W)``.
    """
    rows, columns = (np.arange(length) // tile for length in shape)
    numbers: NDArray[np.int64] = rows[:, None] * (columns[-1] + 1) + columns
    return numbers


def tile_split(
    scene: LabelledScene,
    tile: int,
    shares: Mapping[str, float] | None,
    least: int,
    seed: int,
) -> PixelSplit:
    """Split a scene by its tiles.

    Args:
        scene: The scene.
        tile: Rows and columns of a tile.
        shares: Share of each split, training first.
        least: How many pixels of each class each split needs.
        seed: Seed of the split.

    Returns:
        A split of blocks, each of which is a tile; without a guard, as no edge of a
        graph leaves its tile.

    Raises:
        EmptyDataError: If there are fewer tiles than splits.
    """
    found = region_pixel_split(
        scene.labels,
        1,
        shares or SHARES,
        tile_numbers(scene.labels.shape, tile),
        ignore_index=UNLABELLED,
        least=least,
        generator=torch.Generator().manual_seed(seed),
    )
    return replace(found, method='block', block_size=tile, offset=(0, 0))


def tile_classes(
    split: PixelSplit, tile: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Give each tile to a split, and find its class.

    Args:
        split: A split of pixels.
        tile: Rows and columns of a tile.

    Returns:
        Most frequent class among the pixels of the tile that are in its split, and
        number of the split, which is that of most of its labelled pixels; of each tile
        by its number, -1 for tiles without any.
    """
    numbers = tile_numbers(split.codes.shape, tile)
    used = split.codes >= 0
    counts = np.zeros(
        (numbers.max() + 1, len(split.names), split.labels.max() + 1), dtype=np.int64
    )
    np.add.at(counts, (numbers[used], split.codes[used], split.labels[used]), 1)
    chosen = counts.sum(2).argmax(1)
    classes = np.take_along_axis(counts, chosen[:, None, None], 1)[:, 0].argmax(1)
    empty = counts.sum((1, 2)) == 0
    chosen[empty] = classes[empty] = -1
    return classes, chosen


def graph_tiles(graph: SceneGraph, tile: int, shape: tuple[int, int]) -> Tensor:
    """Find the tile of each graph.

    Args:
        graph: Graphs of tiles, which may not be of all tiles.
        tile: Rows and columns of a tile.
        shape: Rows and columns of the scene.

    Returns:
        Numbers of :func:`tile_numbers`, of shape ``(G,)``.
    """
    assert graph.graph is not None
    numbers = torch.from_numpy(tile_numbers(shape, tile))
    # the mean of the places of some pixels of a tile lies in it
    rows, columns = graph.position.cpu().long().T
    place = torch.zeros(int(graph.graph.max()) + 1, dtype=torch.long)
    place[graph.graph.cpu()] = numbers[rows, columns]
    return place


def draw_known(
    labels: Tensor, candidates: Tensor, shots: int | None, seed: int
) -> Tensor:
    """Choose tiles whose class is known in training.

    Args:
        labels: Class of each tile, of shape ``(G,)``.
        candidates: Which tiles may be chosen, bool of shape ``(G,)``.
        shots: Tiles of each class; all by default.
        seed: Seed of the choice.

    Returns:
        Classes of the chosen tiles, -1 elsewhere.

    Raises:
        EmptyDataError: If there is nothing to choose from.
    """
    if not candidates.any():
        raise EmptyDataError(
            'No tile has most of its labels in training. Use smaller tiles, or '
            "split='block', which gives whole tiles to the splits."
        )
    generator = torch.Generator().manual_seed(seed)
    known = torch.full_like(labels, -1)
    found = np.unique(labels[candidates].numpy())
    for label in found.tolist():
        mine = (candidates & (labels == label)).nonzero().flatten()
        order = torch.randperm(len(mine), generator=generator)
        known[mine[order[:shots]]] = label
    return known


def move_graph(graph: SceneGraph, device: torch.device) -> SceneGraph:
    """Put a graph on a device.

    Args:
        graph: The graph.
        device: The device.

    Returns:
        The graph; the same object if it is there already.
    """
    if graph.x.device == device:
        return graph
    values = {part.name: getattr(graph, part.name) for part in fields(graph)}
    return replace(
        graph, **{k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)}
    )


class GraphSteps(Dataset[Sample]):
    """The same graph, again and again.

    Args:
        batch: The graph, and what belongs to it.
        length: How often.
    """

    def __init__(self, batch: Mapping[str, Any], length: int = 1) -> None:
        """Initialize a new GraphSteps instance; see the class for the arguments."""
        self.batch, self.length = dict(batch), length

    def __len__(self) -> int:
        """Return how often the graph comes."""
        return self.length

    def __getitem__(self, index: int) -> Sample:
        """Return the graph.

        Args:
            index: Has no effect, but ends the loop.

        Returns:
            The batch.

        Raises:
            IndexError: If the graph came often enough.
        """
        if index >= self.length:
            raise IndexError(index)
        return self.batch


class GraphMap(SceneMapTiles):
    """The graph of a whole scene, as one tile of its map.

    Args:
        scene: The scene.
        batch: The graph, and what belongs to it.
    """

    def __init__(self, scene: LabelledScene, batch: Mapping[str, Any]) -> None:
        """Initialize a new GraphMap instance; see the class for the arguments."""
        super().__init__(scene, max(scene.shape[1:]), 0, {})
        self.batch = dict(batch)

    def __getitem__(self, index: int) -> Sample:
        """Return the graph, and its place on the map.

        Args:
            index: Number of the tile, which is 0.

        Returns:
            The batch with ``valid``, ``bounds`` and ``transform`` of the only tile;
            pixels of no node are not valid.
        """
        place = {key: value[None] for key, value in self.place(index).items()}
        membership = self.batch['graph'].membership
        return self.batch | place | {'valid': (membership >= 0)[None]}
