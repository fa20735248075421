# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The head of DINO."""

from typing import cast

import torch
import torch.nn.functional as F
from lightly.models.modules.heads import ProjectionHead
from torch import Tensor, nn

from .._precision import full_precision

#: Length that rows of zeros count as.
_LEAST = 1e-12


class PrototypeHead(nn.Module):
    """Multilayer perceptron, and cosines with prototypes.

    Unlike lightly's head, whose last layer is made by a function that torch has
    deprecated, it can be copied, pickled and sent to another process. It computes
    in float32, also in mixed precision: rounded cosines, divided by the temperature of
    the teacher, would be off by several percent, and the head is small beside a backbone.

    If you use this head in your research, please cite the following paper:

    * https://arxiv.org/abs/2104.14294

    Example:
        >>> import torch
        >>> head = PrototypeHead(384, output_dim=1024)
        >>> head(torch.rand(2, 384)).shape
        torch.Size([2, 1024])
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int = 2048,
        bottleneck_dim: int = 256,
        output_dim: int = 32_768,
        batch_norm: bool = False,
        norm_last_layer: bool = True,
    ) -> None:
        """Initialize a new PrototypeHead instance.

        Args:
            input_dim: Number of features.
            hidden_dim: Width of the two hidden layers.
            bottleneck_dim: Number of features in front of the prototypes.
            output_dim: Number of prototypes.
            batch_norm: Whether the hidden layers have a batch normalization; not for
                vision transformers.
            norm_last_layer: Whether prototypes keep the length 1.
        """
        super().__init__()
        self.mlp = ProjectionHead(
            [
                (input_dim, hidden_dim, _norm(hidden_dim, batch_norm), nn.GELU()),
                (hidden_dim, hidden_dim, _norm(hidden_dim, batch_norm), nn.GELU()),
                (hidden_dim, bottleneck_dim, None, None),
            ]
        )
        for layer in self.mlp.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        self.last_layer = Prototypes(bottleneck_dim, output_dim, norm_last_layer)

    def forward(self, features: Tensor) -> Tensor:
        """Compare features with the prototypes.

        Args:
            features: Features of shape ``(B, F)``.

        Returns:
            Logits of shape ``(B, K)``.
        """
        # the type of the weights, which is another one where all of them were cast
        features = features.to(next(self.mlp.parameters()).dtype)
        with full_precision(features.device):
            found = self.last_layer(F.normalize(self.mlp(features), dim=1))
        return cast(Tensor, found)


class Prototypes(nn.Module):
    """Linear layer whose rows have a direction and a length of their own.

    Args:
        input_dim: Number of features.
        output_dim: Number of rows.
        fixed: Whether the lengths stay 1.
    """

    def __init__(self, input_dim: int, output_dim: int, fixed: bool) -> None:
        """Initialize a new Prototypes instance."""
        super().__init__()
        # as a linear layer starts: only the directions matter
        bound = input_dim**-0.5
        weight = torch.empty(output_dim, input_dim).uniform_(-bound, bound)
        self.weight = nn.Parameter(weight)
        self.length = nn.Parameter(torch.ones(output_dim, 1), not fixed)

    def forward(self, features: Tensor) -> Tensor:
        """Multiply features by the rows.

        Args:
            features: Features of shape ``(B, D)``.

        Returns:
            Products of shape ``(B, K)``.
        """
        # scaling the products, which are fewer than the weights, saves copies of these
        norm = torch.linalg.vector_norm(self.weight, dim=1).clamp(min=_LEAST)
        found: Tensor = F.linear(features, self.weight) * self.length.squeeze(1) / norm
        return found


def _norm(features: int, wanted: bool) -> nn.Module | None:
    return nn.BatchNorm1d(features) if wanted else None
