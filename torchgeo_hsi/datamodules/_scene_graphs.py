# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The graphs of a labelled scene that training and evaluation see."""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from .._typing import BoolArray
from ..datasets.labelled_scenes.scene import UNLABELLED, LabelledScene
from ..datasets.splits import LeakReport, PixelSplit, leak_report
from ..errors import EmptyDataError
from ..graphs import (
    PrincipalComponents,
    SceneGraph,
    pixel_graph,
    superpixel_graph,
    tile_graphs,
)
from ._graph_parts import (
    draw_known,
    graph_tiles,
    tile_classes,
    tile_numbers,
    tile_split,
    training_side,
)
from ._scene_splits import make_split


class SceneGraphs:
    """The graphs of a labelled scene, and which of their nodes are known and scored.

    Args:
        scene: The scene.
        split: Kind of the split, or a split.
        split_options: Options of the split: ``shares``, ``seed`` and so on.
        graph_options: Options of the graphs.
        nodes: ``'pixel'`` or ``'superpixel'``.
        level: ``'node'`` or ``'graph'``.
        mode: ``'transductive'`` or ``'inductive'``.
        window: Rows and columns that a node sees.
        tile_size: Rows and columns of a tile.
        shots: Training pixels or tiles of each class.
    """

    def __init__(
        self,
        scene: LabelledScene,
        split: str | PixelSplit,
        split_options: Mapping[str, Any],
        graph_options: Mapping[str, Any],
        nodes: Literal['pixel', 'superpixel'],
        level: str,
        mode: str,
        window: int,
        tile_size: int,
        shots: int | None,
    ) -> None:
        """Initialize a new SceneGraphs instance; see the class for the arguments."""
        self.scene = scene
        self.nodes: Literal['pixel', 'superpixel'] = nodes
        self.level, self.mode = level, mode
        self.window, self.tile_size, self.shots = window, tile_size, shots
        self._split, self._split_options = split, dict(split_options)
        self._graph_options = dict(graph_options)
        self._splits: tuple[PixelSplit, PixelSplit] | None = None
        self._basis: PrincipalComponents | None = None
        self._graph: SceneGraph | None = None
        self._training_graph: SceneGraph | None = None
        self._tiles: tuple[Tensor, Tensor] | None = None

    @property
    def split(self) -> PixelSplit:
        """Which pixels are trained on, validated and tested."""
        return self._make_splits()[0]

    @property
    def leaks(self) -> LeakReport | None:
        """How far test and training are apart on the map; None for tiles."""
        if self.level == 'graph' or len(self.split.names) < 2:
            return None
        return leak_report(self.split, self.window)

    def _make_splits(self) -> tuple[PixelSplit, PixelSplit]:
        """Split the pixels: with a few training labels, and with all of them."""
        if self._splits is not None:
            return self._splits
        scene, split = self.scene, self._split
        options = self._split_options
        if self.level == 'graph' and split == 'block':
            words = {k: options[k] for k in ('shares', 'least', 'seed')}
            found = tile_split(scene, self.tile_size, **words)
            self._splits = found, found
        else:
            whole = make_split(scene, split, self.window, **options)
            few = whole
            if self.shots is not None and self.level == 'node':
                # the same seed draws the same split before it draws from it
                few = make_split(scene, split, self.window, shots=self.shots, **options)
            self._splits = few, whole
        return self._splits

    @property
    def graph(self) -> SceneGraph:
        """Graph of the whole scene; labels are those of the training and no others."""
        if self._graph is None:
            self._graph = self._build(self.scene.valid)
        return self._graph

    @property
    def training_graph(self) -> SceneGraph:
        """Graph that training sees."""
        if self.mode == 'transductive':
            return self.graph
        if self._training_graph is None:
            self._training_graph = self._build(self.seen())
        return self._training_graph

    def seen(self) -> BoolArray:
        """Find the pixels that training sees.

        Returns:
            All valid pixels, or those on the side of an inductive training, of shape
            ``(H, W)``.

        Raises:
            EmptyDataError: If there are none.
        """
        if self.mode == 'transductive':
            return self.scene.valid
        tile = self.tile_size if self.level == 'graph' else None
        side = training_side(self._make_splits()[1], tile) & self.scene.valid
        if not side.any():
            raise EmptyDataError('No valid pixel is on the side of training.')
        return side

    def scored(self) -> BoolArray:
        """Find the pixels, or the pixels of tiles, that are validated or tested.

        Returns:
            Mask of shape ``(H, W)``.
        """
        split = self._make_splits()[1]
        if self.level == 'node':
            found: BoolArray = split.codes > 0
            return found
        _, chosen = tile_classes(split, self.tile_size)
        found = (chosen > 0)[tile_numbers(split.codes.shape, self.tile_size)]
        return found

    @property
    def basis(self) -> PrincipalComponents:
        """Principal components of what training sees."""
        if self._basis is None:
            spectra = self.scene.image[:, self.seen()].T.astype('float32')
            self._basis = PrincipalComponents.fit(
                torch.from_numpy(spectra), self._graph_options['components']
            )
        return self._basis

    def use_basis(self, basis: PrincipalComponents) -> bool:
        """Use the principal components that a network was trained with.

        Args:
            basis: The components.

        Returns:
            Whether they are others, so that all graphs are made anew.
        """
        own = self.basis
        if torch.equal(own.mean, basis.mean) and torch.equal(
            own.projection, basis.projection
        ):
            return False
        self._basis = basis
        self._graph = self._training_graph = self._tiles = None
        return True

    def _build(self, use: BoolArray) -> SceneGraph:
        """Build the graph of some pixels."""
        split = self.split
        labels = split.select(split.names[0], fill=UNLABELLED)
        parts = self.scene.image, use, labels
        options = self._graph_options | {'basis': self.basis}
        if self.level == 'graph':
            return tile_graphs(
                *parts, tile_size=self.tile_size, nodes=self.nodes, **options
            )
        if self.nodes == 'pixel':
            return pixel_graph(*parts, **options)
        return superpixel_graph(*parts, **options)

    def known(self) -> Tensor:
        """Return the training label of each node, or tile.

        Returns:
            Classes of shape ``(N,)``, -1 where none is known.

        Raises:
            EmptyDataError: If no tile is trained on.
        """
        if self.level == 'node':
            return self.graph.label
        labels, codes = self._tile_classes()
        return draw_known(labels, codes == 0, self.shots, self._split_options['seed'])

    def _tile_classes(self) -> tuple[Tensor, Tensor]:
        """Return class and split of each tile."""
        if self._tiles is None:
            split = self._make_splits()[1]
            found = tile_classes(split, self.tile_size)
            place = graph_tiles(self.graph, self.tile_size, split.codes.shape)
            labels, codes = (torch.from_numpy(values)[place] for values in found)
            self._tiles = labels, codes
        return self._tiles

    def targets(self, name: str) -> tuple[Tensor, Tensor]:
        """Return what a split is scored on.

        Args:
            name: ``'val'`` or ``'test'``.

        Returns:
            Node of each pixel (or tiles), and classes, both of shape ``(T,)``.

        Raises:
            EmptyDataError: If there is nothing.
        """
        split = self.split
        wanted = split.names[-1] if name == 'test' else name
        if wanted not in split.names[1:]:
            raise EmptyDataError(
                f'This split has no {name}, but {", ".join(split.names)}. Choose another '
                'split, or other shares.'
            )
        if self.level == 'graph':
            labels, codes = self._tile_classes()
            index = (codes == split.names.index(wanted)).nonzero().flatten()
            target = labels[index]
        else:
            pixels = split.pixels(wanted)
            assert self.graph.membership is not None
            index = self.graph.membership[pixels]
            target = torch.from_numpy(split.labels[pixels])
        if not len(index):
            raise EmptyDataError(
                f'No tile has most of its labels in {name}. Use smaller tiles, or '
                "split='block'."
            )
        return index, target

    def notes(self) -> tuple[str, ...]:
        """Say in a few lines what scores of this graph rest on."""
        graph = self.graph
        found = [
            f'{graph.num_nodes} nodes ({self.nodes}s), {graph.num_edges // 2} edges'
        ]
        if self.level == 'graph':
            found.append(f'counts are of tiles of {self.tile_size} x {self.tile_size}')
        elif self.nodes == 'superpixel' and len(self.split.names) > 1:
            index, _ = self.targets('test')
            share = float((graph.label[index] >= 0).float().mean())
            found.append(
                f'{share:.0%} of the test pixels lie in superpixels with training'
            )
        return tuple(found)
