# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A backbone and a head for what an image shows as a whole."""

from typing import Any, Literal

from torch import Tensor, nn

from .api import register_model
from .backbones._features import Pool, check_pool, make_backbone, pooled_features
from .heads import MLPHead


class Classifier(nn.Module):
    """Any backbone of timm and a linear layer or a multilayer perceptron.

    For classes, several labels or numbers alike: the task decides what the outputs
    mean. In contrast to timm's own heads, a vision transformer with pretrained weights
    can be pooled in both ways: masked autoencoders do not train their class token, so
    ``pool='avg'`` suits their weights better.

    If you use this model in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Example:
        >>> import torch
        >>> model = Classifier('spec_vit_tiny', 'linear', num_classes=19, pool='avg')
        >>> model(torch.rand(2, 202, 32, 32)).shape
        torch.Size([2, 19])
    """

    def __init__(
        self,
        backbone: str = 'spec_resnet50',
        head: Literal['linear', 'mlp'] = 'linear',
        in_channels: int = 202,
        num_classes: int = 2,
        pool: Pool | None = None,
        backbone_kwargs: dict[str, Any] | None = None,
        head_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Initialize a new Classifier instance.

        Args:
            backbone: Name of a model in timm.
            head: ``'linear'`` for one layer, ``'mlp'`` for :class:`MLPHead`.
            in_channels: Number of bands.
            num_classes: Number of outputs.
            pool: Take the class token of a vision transformer (``'token'``), or the
                average of the others (``'avg'``); by default what the backbone does.
            backbone_kwargs: More arguments of the backbone.
            head_kwargs: More arguments of :class:`MLPHead`, or of ``nn.Linear``.

        Raises:
            BandMismatchError: If the spectral adapter cannot take so few bands.
            ValueError: If there is no such head, or no class token to take.
        """
        super().__init__()
        if head not in ('linear', 'mlp'):
            raise ValueError(f"Expected the head 'linear' or 'mlp', got {head!r}.")
        self.backbone = make_backbone(backbone, in_channels, backbone_kwargs)
        check_pool(self.backbone, pool)
        self.pool = pool
        # some networks widen their features once more behind the pooling
        features = getattr(self.backbone, 'head_hidden_size', None)
        features = features or self.backbone.num_features
        make = MLPHead if head == 'mlp' else nn.Linear
        self.head = make(features, num_classes, **(head_kwargs or {}))
        self.num_classes = num_classes

    def forward_features(self, x: Tensor) -> Tensor:
        """Compute the features that the head gets.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Features of shape ``(B, F)``.
        """
        return pooled_features(self.backbone, x, self.pool)

    def forward(self, x: Tensor) -> Tensor:
        """Turn images into outputs.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Logits or numbers of shape ``(B, num_classes)``.

        Raises:
            BandMismatchError: If the backbone was built for another number of bands.
        """
        outputs: Tensor = self.head(self.forward_features(x))
        return outputs


@register_model
def classifier(
    backbone: str = 'spec_resnet50',
    head: Literal['linear', 'mlp'] = 'linear',
    in_channels: int = 202,
    num_classes: int = 2,
    pool: Pool | None = None,
    backbone_kwargs: dict[str, Any] | None = None,
    head_kwargs: dict[str, Any] | None = None,
) -> Classifier:
    """Build a :class:`Classifier`.

    Args:
        backbone: Name of a model in timm.
        head: ``'linear'`` or ``'mlp'``.
        in_channels: Number of bands.
        num_classes: Number of outputs.
        pool: ``'token'`` or ``'avg'``; by default what the backbone does.
        backbone_kwargs: More arguments of the backbone.
        head_kwargs: More arguments of the head.

    Returns:
        The model.
    """
    return Classifier(
        backbone, head, in_channels, num_classes, pool, backbone_kwargs, head_kwargs
    )
