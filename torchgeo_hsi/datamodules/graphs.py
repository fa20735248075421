# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The graph of one labelled scene, under a split that is known."""

from collections import deque
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import DataLoader
from torchgeo.datasets import NonGeoDataset

from .._typing import BoolArray
from ..datasets.labelled_scenes.scene import LabelledScene
from ..datasets.splits import LeakReport, PixelSplit
from ..graphs import PrincipalComponents, SceneGraph
from ._cube_module import check_counts
from ._graph_parts import GraphMap, GraphSteps, move_graph
from ._labelled_scene import LabelledSceneModule
from ._scene_graphs import SceneGraphs
from ._trained_pixels import is_known

#: A graph, and what of it counts.
type GraphBatch = dict[str, Any]


class HSIGraphDataModule(LabelledSceneModule):
    """The graph of one scene: of its pixels, superpixels or tiles.

    A step of training sees a whole graph, *steps_per_epoch* of them make an epoch.
    Validation and test fit a linear classifier to the labelled training nodes and score
    it on pixels of their split, also if nodes are superpixels.

    * ``mode='transductive'``: one graph of the whole scene, so the pixels of the test
      are seen in training, without their labels. This is what most papers on graphs do.
    * ``mode='inductive'``: training sees the graph of its own side of the scene only,
      and principal components are fitted there; the graph of the whole scene is built
      for evaluation.

    Checkpoints keep the components, and which pixels were seen. With another seed or
    split than in training, :attr:`mode` is still that of the network.

    With ``level='graph'`` the scene is cut into tiles without edges between them, whole
    tiles are classified by the most frequent class of their labelled pixels, and
    ``split='block'`` gives whole tiles to the splits.

    Example:
        .. code-block:: yaml

            data:
              class_path: torchgeo_hsi.datamodules.HSIGraphDataModule
              init_args:
                scene: data/scene.tif
                labels: data/fields.gpkg
                scene_options: {column: crop}
                nodes: superpixel
                shots: 10
    """

    def __init__(
        self,
        dataset: NonGeoDataset | LabelledScene | None = None,
        scene: str | list[str] | None = None,
        labels: str | None = None,
        nodes: Literal['pixel', 'superpixel'] = 'pixel',
        level: Literal['node', 'graph'] = 'node',
        mode: Literal['transductive', 'inductive'] = 'transductive',
        window: int = 5,
        split: str | PixelSplit = 'block',
        shares: dict[str, float] | None = None,
        guard: int | None = None,
        block_size: int | None = None,
        shots: int | None = None,
        folds: int | None = None,
        fold: int = 0,
        least: int = 5,
        tile_size: int = 32,
        components: int = 30,
        graph_options: dict[str, Any] | None = None,
        steps_per_epoch: int = 20,
        seed: int = 0,
        scene_options: dict[str, Any] | None = None,
    ) -> None:
        """Initialize a new HSIGraphDataModule instance.

        Args:
            dataset: A benchmark, such as :class:`~torchgeo_hsi.datasets.Salinas`, or a
                labelled scene.
            scene: In place of it, the cube: a file, product or folder of tiles.
            labels: Its labels: raster, ``.mat`` or vector file.
            nodes: ``'pixel'`` or ``'superpixel'``.
            level: Whether nodes (``'node'``) or tiles (``'graph'``) are classified.
            mode: ``'transductive'`` or ``'inductive'``.
            window: Rows and columns that a node sees through edges of the map: 5 for
                two graph convolutions. Splits are made and judged by it.
            split: ``'block'``, ``'region'``, ``'random'``, ``'official'``, ``'all'``,
                or the raster that ``torchgeo-hsi split`` wrote.
            shares: Share of each split; 60 % ``train``, 20 % ``val`` and 20 % ``test``
                by default.
            guard: Pixels left out on either side of a border between splits; ``window
                // 2`` by default.
            block_size: Rows and columns of a block; some are tried by default.
            shots: Training pixels (or tiles) of each class; all by default.
            folds: Folds of a cross-validation, of which this is one.
            fold: Number of the fold, from 0.
            least: How many pixels of each class each split needs.
            tile_size: Rows and columns of the tiles of ``level='graph'``.
            components: Principal components that are the features of a node.
            graph_options: More options of the graph, such as ``spectral_neighbors`` and
                ``drop_dissimilar`` (:func:`~torchgeo_hsi.graphs.pixel_graph`), or
                ``segments`` (:func:`~torchgeo_hsi.graphs.superpixel_graph`).
            steps_per_epoch: Training steps of an epoch.
            seed: Seed of split and *shots*.
            scene_options: Options of
                :func:`~torchgeo_hsi.datasets.open_labelled_scene` for *scene* and
                *labels*, such as the ``column`` of a vector file, ``class_names``,
                ``label_key`` or ``bands``.

        Raises:
            ValueError: If a number is out of its range, or options do not fit together.
        """
        super().__init__(NonGeoDataset)
        check_counts(window=window, steps_per_epoch=steps_per_epoch)
        check_counts(' or None', shots=shots)
        _check_choices(nodes, level, mode)
        if level == 'graph':
            _check_tiles(split, folds=folds, guard=guard, block_size=block_size)
        self.nodes: Literal['pixel', 'superpixel'] = nodes
        self.level, self._mode = level, mode
        self.window, self.shots, self.seed = window, shots, seed
        self.tile_size, self.steps_per_epoch = tile_size, steps_per_epoch
        self._split = split
        self._split_options: dict[str, Any] = {
            'shares': shares,
            'guard': guard,
            'block_size': block_size,
            'folds': folds,
            'fold': fold,
            'seed': seed,
            'least': least,
        }
        self._graph_options = {'components': components} | (graph_options or {})
        self._source = (dataset, scene, labels, scene_options)
        self._graphs: SceneGraphs | None = None
        self._stages: list[str] = []
        self._moved: deque[tuple[SceneGraph, SceneGraph]] = deque(maxlen=2)

    @property
    def scene_graphs(self) -> SceneGraphs:
        """Split and graphs of the scene, which is opened the first time."""
        if self._graphs is None:
            self._graphs = SceneGraphs(
                self.labelled_scene,
                self._split,
                self._split_options,
                self._graph_options,
                self.nodes,
                self.level,
                self._mode,
                self.window,
                self.tile_size,
                self.shots,
            )
        return self._graphs

    @property
    def pixel_split(self) -> PixelSplit:
        """Which pixels are trained on, validated and tested."""
        return self.scene_graphs.split

    @property
    def leaks(self) -> LeakReport | None:
        """How far test and training are apart on the map; None for tiles."""
        return self.scene_graphs.leaks

    @property
    def graph(self) -> SceneGraph:
        """Graph of the whole scene; labels are those of the training and no others."""
        return self.scene_graphs.graph

    @property
    def training_graph(self) -> SceneGraph:
        """Graph that training sees."""
        return self.scene_graphs.training_graph

    @property
    def in_channels(self) -> int:
        """Number of features of a node."""
        return self.graph.x.shape[1]

    @property
    def notes(self) -> tuple[str, ...]:
        """What reports say about the graph, and about a network from a checkpoint."""
        found = [*self.scene_graphs.notes()]
        if not self.seen.any():
            found.append('trained on another scene')
        elif self.mode == 'transductive':
            found.append('transductive: the test was seen in training, without labels')
            if self._mode == 'inductive':
                number = int((self.seen & self.scene_graphs.scored()).sum())
                found.append(
                    f'trained on another split: {number} such pixels were seen'
                )
        return tuple(found)

    @property
    def seen(self) -> BoolArray:
        """Pixels that training saw, with or without a label, of shape ``(H, W)``.

        Those of this split and mode, or those of the training that a checkpoint comes
        from, or both if that goes on; none if it was on another scene.
        """
        return self._with_checkpoint(self.scene_graphs.seen())

    @property
    def mode(self) -> str:
        """``'transductive'`` if training saw what is tested; also of a checkpoint."""
        scored = self.scene_graphs.scored()
        if not scored.any():
            return self._mode
        return 'transductive' if (self.seen & scored).any() else 'inductive'

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps.

        Returns:
            Principal components, and a bit for each pixel that training saw; nothing
            without a training.
        """
        if not self._is_trained:
            return {}
        basis = self.scene_graphs.basis
        components = {'mean': basis.mean, 'projection': basis.projection}
        return components | self._saved(self.seen)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the principal components of a checkpoint, and what it has seen.

        Args:
            state_dict: What :meth:`state_dict` returned.
        """
        self._state = dict(state_dict)
        if is_known(self._state):
            mean, projection = (self._state[k].cpu() for k in ('mean', 'projection'))
            # an encoder knows features by the components that it was trained with
            if self.scene_graphs.use_basis(PrincipalComponents(mean, projection)):
                for stage in list(self._stages):
                    self.setup(stage)

    def setup(self, stage: str) -> None:
        """Open the scene, split it, and build the graphs of a stage.

        Args:
            stage: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.

        Raises:
            EmptyDataError: If there is nothing to validate or test with.
        """
        if stage not in self._stages:
            self._stages.append(stage)
        names = self.pixel_split.names[1:]
        if stage == 'fit':
            self._fits = True
            batch: GraphBatch = {'graph': self.training_graph}
            self.train_dataset = GraphSteps(batch, self.steps_per_epoch)
        if stage == 'validate' or (stage == 'fit' and 'val' in names):
            self.val_dataset = self._evaluation('val')
        if stage == 'test':
            self.test_dataset = self._evaluation('test')
        if stage == 'predict':
            batch = {'graph': self.graph, 'known': self.scene_graphs.known()}
            self.predict_dataset = GraphMap(self.labelled_scene, batch)

    def _evaluation(self, name: str) -> GraphSteps:
        index, target = self.scene_graphs.targets(name)
        batch: GraphBatch = {'graph': self.graph, 'known': self.scene_graphs.known()}
        return GraphSteps(batch | {'index': index, 'target': target})

    def train_dataloader(self) -> DataLoader[GraphBatch]:
        """Return the loader of training: the graph of each step."""
        return _loader(self.train_dataset)

    def val_dataloader(self) -> Any:
        """Return the loader of validation; without one, there are no batches."""
        return [] if self.val_dataset is None else _loader(self.val_dataset)

    def test_dataloader(self) -> DataLoader[GraphBatch]:
        """Return the loader of the test."""
        return _loader(self.test_dataset)

    def predict_dataloader(self) -> DataLoader[GraphBatch]:
        """Return the loader of the whole scene."""
        return _loader(self.predict_dataset)

    def transfer_batch_to_device(
        self, batch: GraphBatch, device: torch.device, dataloader_idx: int
    ) -> GraphBatch:
        """Put a graph on a device.

        Args:
            batch: Batch with ``graph``.
            device: The device.
            dataloader_idx: Number of the data loader.

        Returns:
            The batch on the device.
        """
        moved: GraphBatch = {
            # places are in double precision, which not all devices know
            key: value.to(device)
            if isinstance(value, Tensor) and key not in ('bounds', 'transform')
            else value
            for key, value in batch.items()
        }
        # the same object each time: it is large, and the diffusion of MVGRL belongs to it
        for graph, there in self._moved:
            if graph is batch['graph'] and there.x.device == device:
                return moved | {'graph': there}
        there = move_graph(batch['graph'], device)
        self._moved.append((batch['graph'], there))
        return moved | {'graph': there}

    def on_after_batch_transfer(
        self, batch: GraphBatch, dataloader_idx: int
    ) -> GraphBatch:
        """Leave a batch as it is: views are made by the task.

        Args:
            batch: The batch.
            dataloader_idx: Number of the data loader.

        Returns:
            The same batch.
        """
        return batch


def _check_choices(nodes: str, level: str, mode: str) -> None:
    """Refuse words that say nothing."""
    for name, value, known in (
        ('nodes', nodes, ('pixel', 'superpixel')),
        ('level', level, ('node', 'graph')),
        ('mode', mode, ('transductive', 'inductive')),
    ):
        if value not in known:
            raise ValueError(
                f'Expected {name}={known[0]!r} or {known[1]!r}, got {value!r}.'
            )


def _check_tiles(split: str | PixelSplit, **options: int | None) -> None:
    """Refuse options that a split of tiles does not have."""
    for name, value in options.items():
        if value is not None and (split == 'block' or name == 'folds'):
            raise ValueError(
                f"level='graph' has no {name}: whole tiles, of tile_size, go to a "
                'split, and no edge leaves a tile. Leave it out.'
            )


def _loader(dataset: Any) -> DataLoader[GraphBatch]:
    """Load graphs one by one, as they are."""
    return DataLoader(dataset, batch_size=None, collate_fn=_same)


def _same(batch: Any) -> Any:
    return batch
