# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The graph method: features learned without labels, and a linear classifier."""

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ..datamodules.graphs import HSIGraphDataModule
from ..datasets.labelled_scenes.scene import UNLABELLED, LabelledScene
from ..datasets.splits import PixelSplit
from ..errors import BandMismatchError
from ..graphs import SceneGraph
from ..graphs.superpixel_graph import majority
from ..tasks import GraphContrast, graph_probabilities
from ._pixel_training import make_trainer, quiet
from .fitted import FittedMethod
from .methods import Recipe

#: Pixels up to which each is a node; larger scenes have superpixels.
_PIXEL_NODES = 30_000

#: Pixels of a superpixel, about.
_PIXELS = 10


class FittedGraph(FittedMethod):
    """A linear classifier of features of the nodes of one scene.

    Args:
        method: Name of the method.
        scene: The scene.
        window: Rows and columns that a node sees through edges of the map.
        used: Labelled pixels that it was fitted to, bool of shape ``(H, W)``.
        graph: The graph of the scene.
        probabilities: Probabilities of the nodes, shape ``(N, K)``.
    """

    mode = 'transductive'

    def __init__(
        self,
        method: str,
        scene: LabelledScene,
        window: int,
        used: NDArray[np.bool_],
        graph: SceneGraph,
        probabilities: NDArray[np.float32],
    ) -> None:
        """Initialize a new FittedGraph instance; see the class for the arguments."""
        super().__init__(method, scene.class_names, window, used)
        assert graph.membership is not None
        self._scene = scene
        self._nodes = graph.membership.numpy()
        self._probabilities = probabilities

    def rows(self, scene: LabelledScene, start: int, stop: int) -> NDArray[np.float32]:
        """Classify some rows of the scene; see :meth:`FittedMethod.rows`."""
        self._check(scene)
        found = self._probabilities[self._nodes[start:stop]]
        return np.moveaxis(found, -1, 0)

    def pixels(
        self, scene: LabelledScene, rows: NDArray[np.int64], columns: NDArray[np.int64]
    ) -> NDArray[np.float32]:
        """Classify single pixels of the scene; see :meth:`FittedMethod.pixels`."""
        self._check(scene)
        found: NDArray[np.float32] = self._probabilities[self._nodes[rows, columns]]
        return found

    def _check(self, scene: LabelledScene) -> None:
        if scene is not self._scene:
            raise BandMismatchError(
                f'{self.method} knows the pixels of {self._scene.name} and of no other '
                'scene, for it is transductive. Fit it to the other scene, or choose '
                'another method.'
            )


class SceneEmbedding:
    """Features of the nodes of a scene, learned once and without labels.

    Args:
        scene: The scene.
        recipe: How they are learned.
        seed: Seed of weights and views.
        device: Device of the training; a GPU by default, if there is one.

    Raises:
        ImportError: If torch_geometric or scikit-image are needed and not installed.
    """

    def __init__(
        self, scene: LabelledScene, recipe: Recipe, seed: int, device: str | None
    ) -> None:
        """Initialize a new SceneEmbedding instance; see the class for the arguments."""
        self.scene, self.window = scene, recipe.window
        place = torch.device(device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        parts = graph_options(**recipe.kwargs)
        data = _data(scene, recipe, seed, parts['graph'])
        with (
            torch.random.fork_rng([place.index or 0] if place.type == 'cuda' else []),
            quiet(),
        ):
            torch.manual_seed(seed)
            self.task = GraphContrast(
                in_channels=data.in_channels,
                num_classes=scene.num_classes,
                lr=recipe.lr,
                weight_decay=recipe.weight_decay,
                **parts['task'],
            )
            make_trainer(place, recipe.steps).fit(self.task, datamodule=data)
        self.task.cpu()
        self.graph = data.graph

    def fit(self, used: NDArray[np.bool_], method: str) -> FittedGraph:
        """Fit a linear classifier.

        Args:
            used: Labelled pixels to fit to, bool of shape ``(H, W)``.
            method: Name of the method.

        Returns:
            The fitted method.
        """
        membership = self.graph.membership
        assert membership is not None
        inside = membership >= 0
        labels = torch.from_numpy(np.where(used, self.scene.labels, UNLABELLED))
        # a superpixel has the most frequent class of its labelled pixels
        known = majority(membership[inside], labels[inside], self.graph.num_nodes)
        found = graph_probabilities(self.task, self.graph, known).numpy()
        return FittedGraph(method, self.scene, self.window, used, self.graph, found)


def graph_options(
    nodes: Literal['pixel', 'superpixel'] | None = None,
    segments: int | None = None,
    compactness: float = 0.1,
    spectral_neighbors: int = 8,
    components: int = 30,
    drop_dissimilar: float = 0.25,
    objective: Literal['grace', 'bgrl', 'mvgrl', 'barlow_twins'] = 'grace',
    hidden_dim: int = 256,
    output_dim: int = 128,
    layers: int = 2,
    temperature: float = 0.4,
    sample_nodes: int = 2048,
    penalty: float = 1e-2,
) -> dict[str, dict[str, Any]]:
    """Sort the options of the graph method.

    Args:
        nodes: Whether a node is a pixel or a superpixel; superpixels by default for
            scenes of more than 30 000 pixels.
        segments: About how many superpixels there are; one for ten pixels by default.
        compactness: Weight of places against spectra in superpixels.
        spectral_neighbors: Edges of a node to the nearest ones by their features.
        components: Principal components that are the features of a node.
        drop_dissimilar: Share of the edges of the map that is left out.
        objective: Objective of :class:`~torchgeo_hsi.tasks.GraphContrast`.
        hidden_dim: Width of all layers of the encoder but the last.
        output_dim: Number of features that are learned.
        layers: Graph convolutions.
        temperature: Temperature of GRACE.
        sample_nodes: Nodes that GRACE draws for each loss.
        penalty: Weight of the squared weights of the linear classifier.

    Returns:
        Options of the ``graph`` and of the ``task``.
    """
    graph = {
        'nodes': nodes,
        'segments': segments,
        'compactness': compactness,
        'spectral_neighbors': spectral_neighbors,
        'components': components,
        'drop_dissimilar': drop_dissimilar,
    }
    task = {
        'objective': objective,
        'hidden_dim': hidden_dim,
        'output_dim': output_dim,
        'layers': layers,
        'temperature': temperature,
        'sample_nodes': sample_nodes,
        'penalty': penalty,
    }
    return {'graph': graph, 'task': task}


def _data(
    scene: LabelledScene, recipe: Recipe, seed: int, options: dict[str, Any]
) -> HSIGraphDataModule:
    """Make the graph of a scene."""
    count = int(scene.valid.sum())
    options = dict(options)
    usual = 'pixel' if count <= _PIXEL_NODES else 'superpixel'
    nodes: Any = options.pop('nodes') or usual
    components = options.pop('components')
    more = {key: options[key] for key in ('spectral_neighbors', 'drop_dissimilar')}
    if nodes == 'superpixel':
        more['segments'] = options['segments'] or max(count // _PIXELS, 2)
        more['compactness'] = options['compactness']
    labelled = scene.labels != UNLABELLED
    codes = np.where(labelled, 0, -1).astype(np.int8)
    return HSIGraphDataModule(
        dataset=scene,
        split=PixelSplit(
            ('train',), codes, scene.labels, labelled, recipe.window, 'all'
        ),
        window=recipe.window,
        steps_per_epoch=recipe.steps,
        seed=seed,
        nodes=nodes,
        components=components,
        graph_options=more,
    )
