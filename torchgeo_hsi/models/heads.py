# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Heads: from the features of a backbone to scores."""

from collections.abc import Sequence
from math import ceil, log2

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .backbones._features import resize


def _in_evaluation(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor) -> Tensor:
    """Normalize by running statistics."""
    return F.batch_norm(
        x, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
    )


class _BatchNorm1d(nn.BatchNorm1d):
    """Batch normalization that treats a single value per channel as in evaluation."""

    def forward(self, input: Tensor) -> Tensor:
        # torch refuses, although the last batch of an epoch may be that small
        if self.training and input[:, 0].numel() == 1:
            return _in_evaluation(self, input)
        return super().forward(input)


class _BatchNorm2d(nn.BatchNorm2d):
    """Batch normalization that treats a single value per channel as in evaluation."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input[:, 0].numel() == 1:
            return _in_evaluation(self, input)
        return super().forward(input)


def _conv(channels: int, features: int, kernel: int, norm: bool = True) -> nn.Module:
    """Make a convolution with normalization and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, features, kernel, padding=kernel // 2, bias=not norm),
        _BatchNorm2d(features) if norm else nn.Identity(),
        nn.ReLU(),
    )


class LinearHead(nn.Module):
    """One linear layer on the features at each place of the last feature map.

    The network resizes the scores.

    Args:
        channels: Number of channels of the feature map.
        num_classes: Number of classes.
    """

    #: Number of feature maps that the head takes.
    levels = 1

    def __init__(self, channels: int, num_classes: int) -> None:
        """Initialize a new LinearHead instance."""
        super().__init__()
        self.layer = nn.Conv2d(channels, num_classes, 1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Score the places of a feature map.

        Args:
            maps: One feature map of shape ``(B, F, h, w)``.

        Returns:
            Scores of shape ``(B, num_classes, h, w)``.
        """
        scores: Tensor = self.layer(maps[0])
        return scores


class ConvHead(nn.Module):
    """Doubles the resolution by turns with 3 x 3 convolutions: SpectralEarth's for ViTs.

    As many steps as the stride asks for, with 128, 64, ... features, and the classes
    in the last one. There is at least one step, so with a stride of 1 the head is one
    convolution.

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        channels: Number of channels of the feature map.
        num_classes: Number of classes.
        stride: Stride of the feature map. What a power of two leaves over is left to
            the network, which resizes the scores.
    """

    #: Number of feature maps that the head takes.
    levels = 1

    def __init__(self, channels: int, num_classes: int, stride: int = 4) -> None:
        """Initialize a new ConvHead instance."""
        super().__init__()
        steps = ceil(log2(stride))
        layers: list[nn.Module] = []
        for i in range(max(steps, 1) - 1):
            width = max(128 >> i, 1)
            layers += [
                nn.Upsample(scale_factor=2, mode='bilinear'),
                nn.Conv2d(channels, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.ReLU(),
            ]
            channels = width
        if steps > 0:
            layers.append(nn.Upsample(scale_factor=2, mode='bilinear'))
        layers.append(nn.Conv2d(channels, num_classes, 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Score a feature map at a higher resolution.

        Args:
            maps: One feature map of shape ``(B, F, h, w)``.

        Returns:
            Scores of shape ``(B, num_classes, h * s, w * s)``, where *s* is the stride
            or the next power of two.
        """
        scores: Tensor = self.layers(maps[0])
        return scores


class FCNHead(nn.Module):
    """A 3 x 3 convolution to an eighth of the channels and a 1 x 1 one to classes.

    The head of fully convolutional networks, which SpectralEarth puts on its ResNet.
    The network resizes the scores.

    * https://doi.org/10.1109/CVPR.2015.7298965

    Args:
        channels: Number of channels of the feature map.
        num_classes: Number of classes.
    """

    #: Number of feature maps that the head takes.
    levels = 1

    def __init__(self, channels: int, num_classes: int) -> None:
        """Initialize a new FCNHead instance."""
        super().__init__()
        width = max(channels // 8, 1)
        self.layers = nn.Sequential(
            _conv(channels, width, 3), nn.Conv2d(width, num_classes, 1)
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Score the places of a feature map.

        Args:
            maps: One feature map of shape ``(B, F, h, w)``.

        Returns:
            Scores of shape ``(B, num_classes, h, w)``.
        """
        scores: Tensor = self.layers(maps[0])
        return scores


class FeaturePyramid(nn.Module):
    """Maps of one stride, as a vision transformer has them, to four strides.

    Maps that are too coarse are refined by transposed convolutions, maps that are too
    fine are pooled.

    * https://arxiv.org/abs/2106.08254 (the pyramid in front of UPerNet)

    Args:
        channels: Number of channels of each of the four maps.
        stride: Their stride.
    """

    #: Strides of the pyramid.
    strides = (4, 8, 16, 32)

    def __init__(self, channels: Sequence[int], stride: int) -> None:
        """Initialize a new FeaturePyramid instance."""
        super().__init__()
        self.scales = nn.ModuleList(
            self._scale(width, log2(stride / target))
            for width, target in zip(channels, self.strides, strict=True)
        )

    @staticmethod
    def _scale(channels: int, steps: float) -> nn.Module:
        count = round(steps)
        if count <= 0:
            return nn.MaxPool2d(2**-count, ceil_mode=True) if count else nn.Identity()
        layers: list[nn.Module] = []
        for i in range(count):
            if i:
                layers += [nn.BatchNorm2d(channels), nn.GELU()]
            layers.append(nn.ConvTranspose2d(channels, channels, 2, stride=2))
        return nn.Sequential(*layers)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Change the strides.

        Args:
            maps: Four maps of shape ``(B, F, h, w)``.

        Returns:
            Four maps, the finest first.
        """
        return [scale(x) for scale, x in zip(self.scales, maps, strict=True)]


class UPerNetHead(nn.Module):
    """UPerNet: pyramid pooling on the last map, and a feature pyramid over all four.

    There is no normalization behind the pooling to one pixel, so a batch of one image
    can be trained.

    * https://doi.org/10.1007/978-3-030-01228-1_26

    Args:
        channels: Number of channels of each of the four maps, the finest first.
        num_classes: Number of classes.
        stride: Their common stride, if they have one, as those of a vision transformer:
            a :class:`FeaturePyramid` goes in front.
        features: Width of the head.
        pools: Sides of the pooled maps.
        drop_rate: Dropout in front of the last layer.
    """

    #: Number of feature maps that the head takes.
    levels = 4

    def __init__(
        self,
        channels: Sequence[int],
        num_classes: int,
        stride: int | None = None,
        features: int = 256,
        pools: Sequence[int] = (1, 2, 3, 6),
        drop_rate: float = 0.1,
    ) -> None:
        """Initialize a new UPerNetHead instance."""
        super().__init__()
        *lower, last = channels
        self.pyramid = None if stride is None else FeaturePyramid(channels, stride)
        self.pools = tuple(pools)
        self.pooled = nn.ModuleList(
            _conv(last, features, 1, norm=side > 1) for side in pools
        )
        self.bottleneck = _conv(last + len(pools) * features, features, 3)
        self.lateral = nn.ModuleList(_conv(width, features, 1) for width in lower)
        self.smooth = nn.ModuleList(_conv(features, features, 3) for _ in lower)
        self.fuse = _conv(len(channels) * features, features, 3)
        self.drop = nn.Dropout2d(drop_rate)
        self.layer = nn.Conv2d(features, num_classes, 1)

    def _pool(self, x: Tensor) -> Tensor:
        """Look at a map as a whole, in quarters, ..."""
        size = x.shape[-2:]
        parts = [
            resize(conv(F.adaptive_avg_pool2d(x, side)), size)
            for conv, side in zip(self.pooled, self.pools, strict=True)
        ]
        pooled: Tensor = self.bottleneck(torch.cat([x, *parts], dim=1))
        return pooled

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Score the places of the finest map.

        Args:
            maps: Four maps of shape ``(B, F, h, w)``, the finest first.

        Returns:
            Scores of shape ``(B, num_classes, h, w)``, with the size of the first map.
        """
        if self.pyramid is not None:
            maps = self.pyramid(maps)
        *lower, last = maps
        x = self._pool(last)
        merged = [x]
        for lateral, finer in zip(reversed(self.lateral), reversed(lower), strict=True):
            x = resize(x, finer.shape[-2:]) + lateral(finer)
            merged.insert(0, x)
        size = merged[0].shape[-2:]
        smooth = [conv(y) for conv, y in zip(self.smooth, merged[:-1], strict=True)]
        stacked = [resize(y, size) for y in (*smooth, merged[-1])]
        scores: Tensor = self.layer(self.drop(self.fuse(torch.cat(stacked, dim=1))))
        return scores


class MLPHead(nn.Module):
    """Batch normalization and a multilayer perceptron: SpectralEarth's for Hyperview.

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        features: Number of features.
        num_outputs: Number of outputs.
        hidden: Width of each hidden layer.
        drop_rate: Dropout behind each hidden layer.
    """

    def __init__(
        self,
        features: int,
        num_outputs: int,
        hidden: Sequence[int] = (2048, 1024),
        drop_rate: float = 0.2,
    ) -> None:
        """Initialize a new MLPHead instance."""
        super().__init__()
        layers: list[nn.Module] = [_BatchNorm1d(features)]
        for width in hidden:
            layers += [nn.Linear(features, width), nn.ReLU(), nn.Dropout(drop_rate)]
            features = width
        layers.append(nn.Linear(features, num_outputs))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Turn features into outputs.

        Args:
            x: Features of shape ``(B, F)``.

        Returns:
            Outputs of shape ``(B, num_outputs)``.
        """
        outputs: Tensor = self.layers(x)
        return outputs
