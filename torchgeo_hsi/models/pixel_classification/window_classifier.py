# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Any backbone of timm on the window around each pixel."""

from typing import Any, Literal

import torch.nn.functional as F
from torch import Tensor

from ..api import register_model
from ..backbones._features import Pool, is_vit, pooled_features, whole_patches
from ..backbones.adapter_backbone import SpectralAdapterBackbone
from ..classifier import Classifier
from ._dense import map_windows
from .base import CHUNK, PixelClassifier


class WindowClassifier(PixelClassifier):
    """Any backbone of timm and a head, on the window around each pixel.

    A :class:`~torchgeo_hsi.models.Classifier` of small images. Names that begin with
    ``spec_`` have the spectral adapter in front; its weights and those of the backbone
    may be pretrained, which is what few labels need.

    Windows are much smaller than what backbones are made for: strides of 32 leave one
    pixel of them. Either that is what they see, or *size* enlarges them.

    Args:
        in_channels: Number of bands; at least 75 with the spectral adapter.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        backbone: Name of a model in timm.
        head: ``'linear'`` for one layer, ``'mlp'`` for
            :class:`~torchgeo_hsi.models.MLPHead`.
        pool: Take the class token of a vision transformer (``'token'``), or the average
            of the others (``'avg'``); by default what the backbone does.
        size: Rows and columns to which windows are resized, bilinearly.
        backbone_kwargs: More arguments of the backbone.
        head_kwargs: More arguments of the head.

    Raises:
        BandMismatchError: If the spectral adapter cannot take so few bands.
        ValueError: If there are fewer than two classes, the window is even, or there
            is no such head.

    Example:
        >>> import torch
        >>> model = WindowClassifier(in_channels=202, num_classes=6, window=9).eval()
        >>> model(torch.rand(2, 202, 9, 9)).shape
        torch.Size([2, 6])
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        window: int = 9,
        backbone: str = 'spec_resnet18',
        head: Literal['linear', 'mlp'] = 'linear',
        pool: Pool | None = None,
        size: int | None = None,
        backbone_kwargs: dict[str, Any] | None = None,
        head_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Initialize a new WindowClassifier instance; see the class for arguments."""
        super().__init__(in_channels, num_classes, window)
        if size is not None and size < 1:
            raise ValueError(f'Expected a positive size, got {size}.')
        network = Classifier(
            backbone, head, in_channels, num_classes, pool, backbone_kwargs, head_kwargs
        )
        # the names of the weights are those of the classifier
        self.backbone, self.head = network.backbone, network.head
        self.pool, self.size = pool, size

    def classify(self, x: Tensor) -> Tensor:
        """Classify windows.

        Args:
            x: Windows of shape ``(B, in_channels, window, window)``.

        Returns:
            Logits of shape ``(B, num_classes)``.
        """
        if self.size is not None:
            x = F.interpolate(x, size=(self.size,) * 2, mode='bilinear')
        logits: Tensor = self.head(pooled_features(self.backbone, x, self.pool))
        return logits

    def classify_dense(self, x: Tensor, chunk: int = CHUNK) -> Tensor:
        """Classify each pixel whose window lies inside of images.

        A spectral adapter sees single pixels, so in evaluation it runs once over the
        image and not over each window.

        Args:
            x: Images of shape ``(B, in_channels, H, W)``.
            chunk: Windows at a time.

        Returns:
            Logits of shape ``(B, num_classes, H - window + 1, W - window + 1)``.
        """
        adapted = isinstance(self.backbone, SpectralAdapterBackbone)
        if not adapted or self.training or self.size or is_vit(self.backbone):
            return super().classify_dense(x, chunk)
        maps = self.backbone.spectral_adapter(x)
        return map_windows(self._classify_maps, maps, self.window, chunk)

    def _classify_maps(self, x: Tensor) -> Tensor:
        """Classify windows of the feature maps of the spectral adapter."""
        network = self.backbone.backbone
        features = network.forward_features(whole_patches(self.backbone, x))
        pooled = self.backbone.forward_head(features, pre_logits=True)
        logits: Tensor = self.head(pooled)
        return logits


@register_model
def window_classifier(
    in_channels: int = 202,
    num_classes: int = 2,
    window: int = 9,
    backbone: str = 'spec_resnet18',
    head: Literal['linear', 'mlp'] = 'linear',
    pool: Pool | None = None,
    size: int | None = None,
    backbone_kwargs: dict[str, Any] | None = None,
    head_kwargs: dict[str, Any] | None = None,
) -> WindowClassifier:
    """Build a :class:`WindowClassifier`.

    Args:
        in_channels: Number of bands; at least 75 with the spectral adapter.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        backbone: Name of a model in timm.
        head: ``'linear'`` or ``'mlp'``.
        pool: ``'token'`` or ``'avg'``; by default what the backbone does.
        size: Rows and columns to which windows are resized.
        backbone_kwargs: More arguments of the backbone.
        head_kwargs: More arguments of the head.

    Returns:
        The model.
    """
    return WindowClassifier(
        in_channels,
        num_classes,
        window,
        backbone,
        head,
        pool,
        size,
        backbone_kwargs,
        head_kwargs,
    )
