# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A backbone and a head for the class of each pixel."""

from typing import Any, Literal

from torch import Tensor, nn

from .api import register_model
from .backbones._features import (
    drop_unused,
    feature_maps,
    levels_of,
    make_backbone,
    map_sizes,
    resize,
)
from .heads import ConvHead, FCNHead, LinearHead, UPerNetHead

_HEADS: dict[str, Any] = {
    'linear': LinearHead,
    'conv': ConvHead,
    'fcn': FCNHead,
    'upernet': UPerNetHead,
}


class Segmenter(nn.Module):
    """Any backbone of timm with feature maps, and a small head that scores pixels.

    Images may have any size: what does not fill the last patches of a vision
    transformer is filled with the last pixels, and cut off again.

    The two recipes of SpectralEarth are ``Segmenter('spec_vit_small', 'conv')`` and
    ``Segmenter('spec_resnet50', 'fcn', backbone_kwargs={'output_stride': 1,
    'dilations': (1, 2, 4, 8)})``.

    If you use this model in your research, please cite the following paper:

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Example:
        >>> import torch
        >>> model = Segmenter('spec_vit_tiny', 'conv', num_classes=5)
        >>> model(torch.rand(2, 202, 17, 20)).shape
        torch.Size([2, 5, 17, 20])
    """

    def __init__(
        self,
        backbone: str = 'spec_resnet50',
        head: Literal['linear', 'conv', 'fcn', 'upernet'] = 'fcn',
        in_channels: int = 202,
        num_classes: int = 2,
        backbone_kwargs: dict[str, Any] | None = None,
        head_kwargs: dict[str, Any] | None = None,
    ) -> None:
        """Initialize a new Segmenter instance.

        Args:
            backbone: Name of a model in timm.
            head: :class:`LinearHead`, :class:`ConvHead`, :class:`FCNHead` or
                :class:`UPerNetHead`.
            in_channels: Number of bands.
            num_classes: Number of classes.
            backbone_kwargs: More arguments of the backbone.
            head_kwargs: More arguments of the head.

        Raises:
            BandMismatchError: If the spectral adapter cannot take so few bands.
            ValueError: If there is no such head, or the backbone has no feature maps.
        """
        super().__init__()
        if head not in _HEADS:
            names = ', '.join(_HEADS)
            raise ValueError(f'Expected one of the heads {names}, got {head!r}.')
        self.backbone = make_backbone(backbone, in_channels, backbone_kwargs)
        levels: int = _HEADS[head].levels
        self.levels = levels_of(self.backbone, levels)
        drop_unused(self.backbone, self.levels)
        sizes = map_sizes(self.backbone, self.levels)
        widths, strides = zip(*sizes, strict=True)
        words = dict(head_kwargs or {})
        if head in ('conv', 'upernet') and len(set(strides)) == 1:
            words.setdefault('stride', strides[0])
        self.head = _HEADS[head](
            widths if levels > 1 else widths[0], num_classes, **words
        )
        self.num_classes = num_classes

    def forward(self, x: Tensor) -> Tensor:
        """Score the pixels of images.

        Args:
            x: Images of shape ``(B, C, H, W)``.

        Returns:
            Logits of shape ``(B, num_classes, H, W)``.

        Raises:
            BandMismatchError: If the backbone was built for another number of bands.
        """
        maps, size = feature_maps(self.backbone, x, self.levels)
        scores = resize(self.head(maps), size)
        return scores[..., : x.shape[-2], : x.shape[-1]]


@register_model
def segmenter(
    backbone: str = 'spec_resnet50',
    head: Literal['linear', 'conv', 'fcn', 'upernet'] = 'fcn',
    in_channels: int = 202,
    num_classes: int = 2,
    backbone_kwargs: dict[str, Any] | None = None,
    head_kwargs: dict[str, Any] | None = None,
) -> Segmenter:
    """Build a :class:`Segmenter`.

    Args:
        backbone: Name of a model in timm.
        head: ``'linear'``, ``'conv'``, ``'fcn'`` or ``'upernet'``.
        in_channels: Number of bands.
        num_classes: Number of classes.
        backbone_kwargs: More arguments of the backbone.
        head_kwargs: More arguments of the head.

    Returns:
        The model.
    """
    return Segmenter(
        backbone, head, in_channels, num_classes, backbone_kwargs, head_kwargs
    )
