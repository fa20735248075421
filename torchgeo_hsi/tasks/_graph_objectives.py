# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What graph contrastive learning compares: GRACE, BGRL, MVGRL, graph Barlow Twins."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from lightly.loss import BarlowTwinsLoss, NegativeCosineSimilarity, NTXentLoss
from lightly.models.utils import deactivate_requires_grad, update_momentum
from torch import Tensor, nn

from ..graphs import SceneGraph
from ..models.graphs import GraphEncoder, TwoViewEncoder
from ._graph_mvgrl import MVGRL
from ._graph_objective import GraphObjective, Level, Objective, check_count


class GRACE(GraphObjective):
    """Each node against all others of both views.

    * https://arxiv.org/abs/2006.04131

    Args:
        encoder: The encoder.
        level: See :class:`GraphObjective`.
        width: Width of the projector.
        temperature: Temperature.
        sample: Nodes that are drawn for each loss, which needs memory and time by the
            square of their number; 0 for all.
    """

    def __init__(
        self,
        encoder: GraphEncoder,
        level: Level,
        width: int,
        temperature: float,
        sample: int,
    ) -> None:
        """Initialize a new GRACE instance; see the class for arguments."""
        super().__init__(level)
        self.encoder = encoder
        out = encoder.out_channels
        self.projector = nn.Sequential(
            nn.Linear(out, width), nn.ELU(), nn.Linear(width, out)
        )
        self.sample = sample
        self.criterion = NTXentLoss(temperature=temperature)

    def forward(
        self,
        graph: SceneGraph,
        views: tuple[SceneGraph, SceneGraph],
        generator: torch.Generator,
    ) -> Tensor:
        """See :meth:`GraphObjective.forward`."""
        first, second = (self._items(self.encoder, view) for view in views)
        if self.sample and len(first) > self.sample:
            drawn = torch.randperm(len(first), generator=generator)[: self.sample]
            drawn = drawn.to(first.device)
            first, second = first[drawn], second[drawn]
        check_count(len(first))
        loss: Tensor = self.criterion(self.projector(first), self.projector(second))
        return loss


class BGRL(GraphObjective):
    """Each node of a view from the same node of the other, as a slow copy embeds it.

    There are no negatives, so all nodes are compared.

    * https://arxiv.org/abs/2102.06514

    Args:
        encoder: The encoder.
        level: See :class:`GraphObjective`.
        width: Width of the predictor.
    """

    def __init__(self, encoder: GraphEncoder, level: Level, width: int) -> None:
        """Initialize a new BGRL instance; see the class for arguments."""
        super().__init__(level)
        self.encoder = encoder
        self.teacher = deepcopy(encoder)
        deactivate_requires_grad(self.teacher)
        out = encoder.out_channels
        self.predictor = nn.Sequential(
            nn.Linear(out, width), nn.PReLU(), nn.Linear(width, out)
        )
        self.criterion = NegativeCosineSimilarity()

    def forward(
        self,
        graph: SceneGraph,
        views: tuple[SceneGraph, SceneGraph],
        generator: torch.Generator,
    ) -> Tensor:
        """See :meth:`GraphObjective.forward`."""
        guesses = [self.predictor(self._items(self.encoder, view)) for view in views]
        with torch.no_grad():
            targets = [self._items(self.teacher, view) for view in views]
        loss: Tensor = (
            2
            + self.criterion(guesses[0], targets[1])
            + self.criterion(guesses[1], targets[0])
        )
        return loss

    def follow(self, momentum: float) -> None:
        """See :meth:`GraphObjective.follow`."""
        update_momentum(self.encoder, self.teacher, m=momentum)


class GraphBarlowTwins(GraphObjective):
    """The cross-correlation of the features of both views should be the identity.

    * https://arxiv.org/abs/2106.02466

    Args:
        encoder: The encoder.
        level: See :class:`GraphObjective`.
    """

    def __init__(self, encoder: GraphEncoder, level: Level) -> None:
        """Initialize a new GraphBarlowTwins instance; see the class for arguments."""
        super().__init__(level)
        self.encoder = encoder
        self.criterion = BarlowTwinsLoss(lambda_param=1 / encoder.out_channels)

    def forward(
        self,
        graph: SceneGraph,
        views: tuple[SceneGraph, SceneGraph],
        generator: torch.Generator,
    ) -> Tensor:
        """See :meth:`GraphObjective.forward`."""
        first, second = (self._items(self.encoder, view) for view in views)
        check_count(len(first))
        loss: Tensor = self.criterion(first, second)
        return loss


def make_objective(
    objective: Objective,
    level: Level,
    in_channels: int,
    hidden_dim: int,
    output_dim: int,
    layers: int,
    activation: Any,
    batch_norm: bool,
    projector: int,
    temperature: float,
    sample_nodes: int,
    diffusion: bool,
    diffusion_options: Mapping[str, Any],
) -> GraphObjective:
    """Build the networks and the loss of an objective.

    Args:
        objective: ``'grace'``, ``'bgrl'``, ``'mvgrl'`` or ``'barlow_twins'``.
        level: What is compared.
        in_channels: Number of features of a node.
        hidden_dim: Width of all layers of the encoder but the last.
        output_dim: Number of features of the embedding.
        layers: Graph convolutions.
        activation: What follows each of them.
        batch_norm: Whether a batch normalization stands in front of it.
        projector: Width of the projector or predictor.
        temperature: Temperature of GRACE.
        sample_nodes: Nodes of a loss of GRACE.
        diffusion: Whether the second view of MVGRL shows the diffusion.
        diffusion_options: Its options.

    Returns:
        The objective.

    Raises:
        ValueError: If there is no such objective or level.
    """
    if objective not in ('grace', 'bgrl', 'mvgrl', 'barlow_twins'):
        raise ValueError(
            'Expected the objective grace, bgrl, mvgrl or barlow_twins, got '
            f'{objective!r}.'
        )
    if level not in ('node', 'graph'):
        raise ValueError(f"Expected the level 'node' or 'graph', got {level!r}.")
    sizes: tuple[Any, ...] = (hidden_dim, output_dim, layers, activation, batch_norm)
    if objective == 'mvgrl':
        both = TwoViewEncoder(in_channels, *sizes)
        return MVGRL(both, level, projector, diffusion, diffusion_options)
    encoder = GraphEncoder(in_channels, *sizes)
    if objective == 'grace':
        return GRACE(encoder, level, projector, temperature, sample_nodes)
    if objective == 'bgrl':
        return BGRL(encoder, level, projector)
    return GraphBarlowTwins(encoder, level)
