# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Contrastive learning on graphs of pixels, superpixels or tiles."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from ..errors import BandMismatchError
from ..graphs import SceneGraph
from ..metrics import ClassificationReport
from ..models.graphs import mean_pool
from ..models.graphs.encoder import Activation
from ._graph_objective import GraphObjective, Level, Objective, graph_numbers
from ._graph_objectives import make_objective
from ._graph_scores import (
    graph_probabilities,
    graph_report,
    log_scores,
    report_is_shown,
)
from ._graph_views import ViewOptions, make_views
from ._recipes import Recipe, ScheduleName, build_both
from ._steps import SteppedTask, check_shares


class GraphContrast(SteppedTask):
    """Learn features of pixels, superpixels or tiles from views of their graph.

    Two random views of the graph of a scene are encoded by graph convolutions and
    compared, without labels. What has been learned is judged by a linear classifier of
    the features of the labelled training nodes, of the graph as it is: views are for
    training only. Scores have the split and the mode in their names, such as
    ``test_OA_block_transductive``: *transductive* if the pixels of the test were seen
    in training, without their labels.

    * ``'grace'``: each node against all others of both views, of which *sample_nodes*
      are drawn (https://arxiv.org/abs/2006.04131).
    * ``'bgrl'``: no negatives, a slow copy of the encoder instead
      (https://arxiv.org/abs/2102.06514).
    * ``'barlow_twins'``: features of both views correlate one with one
      (https://arxiv.org/abs/2106.02466).
    * ``'mvgrl'``: nodes against the summary of the graph, seen through its edges and
      through its diffusion (https://arxiv.org/abs/2006.05582).

    https://arxiv.org/abs/2405.19600 compares views: random dropping and adding of edges
    is as good as changing the spectrum of the graph, at far lower cost.

    Data come from :class:`~torchgeo_hsi.datamodules.HSIGraphDataModule`.

    Example:
        >>> from torchgeo_hsi.graphs import pixel_graph
        >>> graph = pixel_graph(torch.rand(20, 8, 8), components=4)
        >>> task = GraphContrast('barlow_twins', in_channels=4, hidden_dim=16, output_dim=8)
        >>> task.embed(graph).shape
        torch.Size([64, 8])
    """

    ignore = ('weights',)
    monitor = 'train_loss'

    #: Scores of the last validation or test.
    report: ClassificationReport | None = None

    def __init__(
        self,
        objective: Objective = 'grace',
        in_channels: int = 30,
        num_classes: int | None = None,
        hidden_dim: int = 256,
        output_dim: int = 128,
        layers: int = 2,
        activation: Activation = 'relu',
        batch_norm: bool = False,
        views: Sequence[dict[str, Any]] | None = None,
        level: Level = 'node',
        projector: int = 128,
        temperature: float = 0.4,
        sample_nodes: int = 2048,
        teacher_momentum: float = 0.99,
        diffusion: bool = True,
        diffusion_options: dict[str, Any] | None = None,
        lr: float = 1e-3,
        weight_decay: float = 1e-5,
        schedule: ScheduleName = 'constant',
        warmup_epochs: float = 0.0,
        penalty: float = 1e-2,
        labels: Sequence[str] | None = None,
    ) -> None:
        """Initialize a new GraphContrast instance.

        Args:
            objective: ``'grace'``, ``'bgrl'``, ``'mvgrl'`` or ``'barlow_twins'``.
            in_channels: Number of features of a node: the principal components that
                the data module computes.
            num_classes: Number of classes; by default as many as the data module has,
                or *labels*.
            hidden_dim: Width of all layers of the encoder but the last.
            output_dim: Number of features that are learned.
            layers: Graph convolutions; one or two are best.
            activation: What follows each of them.
            batch_norm: Whether a batch normalization stands in front of it, as in BGRL.
            views: What each of the two views does, by names: ``drop_edges``,
                ``add_edges``, ``mask_features`` (each with a share),
                ``spectral_perturbation`` and ``dual_prism`` (with their options). By
                default edges are dropped and features masked, by shares that suit the
                objective; MVGRL compares edges with their diffusion.
            level: Whether to compare nodes (``'node'``) or tiles (``'graph'``).
            projector: Width of the projector (GRACE), the predictor (BGRL) or the heads
                (MVGRL of tiles).
            temperature: Temperature of GRACE.
            sample_nodes: Nodes that GRACE draws for each loss, which needs memory and
                time by the square of their number; 0 for all.
            teacher_momentum: How much of the slow copy of BGRL stays in the first step; 1 at
                the end.
            diffusion: Whether the second view of MVGRL shows the diffusion of the
                graph; else it shows the edges of the second of *views*.
            diffusion_options: Options of
                :func:`~torchgeo_hsi.graphs.diffusion_edges`.
            lr: Learning rate of AdamW.
            weight_decay: Weight decay, except of biases and normalizations.
            schedule: ``'constant'`` or ``'cosine'``.
            warmup_epochs: Epochs in which the learning rate rises.
            penalty: Weight of the squared weights of the linear classifier.
            labels: Names of the classes, for maps.

        Raises:
            ImportError: If torch_geometric is not installed.
            UnknownNameError: If there is no such part of a view.
            ValueError: If a number is out of its range.
        """
        check_shares(teacher_momentum=teacher_momentum)
        if not temperature > 0 or not penalty >= 0:
            raise ValueError(
                'Expected a positive temperature and a penalty of 0 or more, got '
                f'{temperature} and {penalty}.'
            )
        self.recipe = Recipe(
            'adamw', lr, weight_decay, schedule, warmup_epochs, scale_lr=False
        )
        super().__init__()

    def configure_models(self) -> None:
        """Build encoder, heads and views."""
        hparams = self.hparams
        words: tuple[str, ...] = (
            'objective',
            'level',
            'in_channels',
            'hidden_dim',
            'output_dim',
            'layers',
        )
        words += (
            'activation',
            'batch_norm',
            'projector',
            'temperature',
            'sample_nodes',
        )
        options: Mapping[str, Any] = hparams['diffusion_options'] or {}
        self.objective: GraphObjective = make_objective(
            **{word: hparams[word] for word in words},
            diffusion=hparams['diffusion'],
            diffusion_options=options,
        )
        chosen: Sequence[ViewOptions] | None = hparams['views']
        self.views = torch.nn.ModuleList(make_views(hparams['objective'], chosen))

    def forward(self, graph: SceneGraph) -> Tensor:
        """Embed a graph as it is; see :meth:`embed`, which keeps no gradients.

        Args:
            graph: The graph.

        Returns:
            Features of nodes or tiles.

        Raises:
            BandMismatchError: If its nodes have another number of features.
        """
        expected = self.hparams['in_channels']
        if graph.x.shape[1] != expected:
            raise BandMismatchError(
                f'Expected nodes with {expected} features, got {graph.x.shape[1]}. Set '
                'in_channels of the task to components of the data module (fewer where '
                'the scene has fewer bands).'
            )
        nodes = self.objective.embed(graph)
        if self.hparams['level'] == 'node':
            return nodes
        return mean_pool(nodes, graph_numbers(graph))

    @torch.no_grad()
    def embed(self, graph: SceneGraph) -> Tensor:
        """Compute what was learned about a graph, without views.

        Args:
            graph: The graph, on the device of the task.

        Returns:
            Features of shape ``(N, output_dim)`` of nodes, or of tiles for ``level='graph'``.

        Raises:
            BandMismatchError: If its nodes have another number of features.
        """
        training = self.training
        self.eval()
        found: Tensor = self(graph)
        self.train(training)
        return found

    def compare(self, graph: SceneGraph, generator: torch.Generator) -> Tensor:
        """Compute the loss of two random views of a graph.

        Args:
            graph: The graph.
            generator: Source of randomness, on the CPU.

        Returns:
            The loss.

        Raises:
            BandMismatchError: If its nodes have another number of features.
            MetadataError: If tiles shall be compared, and there are none.
        """
        with torch.no_grad():
            first, second = (view(graph, generator) for view in self.views)
        loss: Tensor = self.objective(graph, (first, second), generator)
        return loss

    def training_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> Tensor:
        """Compute the loss of a step.

        Args:
            batch: ``graph``.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            The loss.
        """
        numbers = self._seed or 0, self.global_rank, self.current_epoch, batch_idx
        state = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0] >> np.uint64(1)))
        loss = self.compare(batch['graph'], generator)
        self.log('train_loss', loss, batch_size=1)
        return loss

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take a step, then let the slow copy of BGRL follow.

        Args:
            *args: As for Lightning.
            **kwargs: As for Lightning.
        """
        super().optimizer_step(*args, **kwargs)
        self.objective.follow(self._rising_momentum(self.hparams['teacher_momentum']))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer and its schedule.

        Returns:
            AdamW, and a learning rate that changes with every step.

        Raises:
            ValueError: If the training has no end.
        """
        return build_both(self, self.recipe)

    def _evaluate(self, batch: Any, stage: str) -> None:
        """Fit the linear classifier, and log its scores."""
        found = graph_probabilities(self, batch['graph'], batch['known'])
        found = found[batch['index'].cpu()]
        self.report = graph_report(self, found, batch['target'].cpu(), stage)
        log_scores(self, self.report, found, batch['target'].cpu(), stage)
        if report_is_shown(self, stage):
            self.print(f'\n{self.report}')

    def validation_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Score a linear classifier of the features on the pixels of the validation.

        Args:
            batch: ``graph``; ``known``, the training label of each node (or tile), -1
                without one; ``index`` and ``target``: nodes and classes of the pixels
                (or tiles) to score.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.
        """
        self._evaluate(batch, 'val')

    def test_step(self, batch: Any, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Score a linear classifier of the features on the pixels of the test.

        Args:
            batch: As for :meth:`validation_step`.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.
        """
        self._evaluate(batch, 'test')

    def predict_step(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> dict[str, Tensor]:
        """Predict the class of each pixel.

        Args:
            batch: ``graph`` and ``known``, and the place of the map.
            batch_idx: Its number.
            dataloader_idx: Number of the data loader.

        Returns:
            ``probabilities`` of shape ``(1, K, H, W)``, 0 in pixels of no node.
        """
        graph: SceneGraph = batch['graph']
        found = graph_probabilities(self, graph, batch['known']).to(graph.x.device)
        if self.hparams['level'] == 'graph':
            found = found[graph_numbers(graph)]
        return {'probabilities': graph.to_map(found)[None]}
