# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HybridSN: convolutions over space and spectrum, then over space."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..api import register_model
from ._dense import map_windows
from .base import CHUNK, PixelClassifier

#: Numbers of a feature map that is worked on at once over a whole image.
_NUMBERS = 2**25


def _spectral_kernels(depth: int) -> list[int]:
    """Return the kernels along the spectrum: 7, 5 and 3 if it is long enough."""
    kernels = [7, 5, 3]
    while sum(kernels) - 2 > depth:
        kernels[kernels.index(max(kernels))] -= 2
    return kernels


def _spatial_kernels(window: int) -> list[int]:
    """Return the kernels of the four convolutions: 3 as long as there is room."""
    count = min(4, (window - 1) // 2)
    return [3] * count + [1] * (4 - count)


class _HybridTrunk(nn.Module):
    """All layers of HybridSN but the last."""

    def __init__(
        self,
        depth: int,
        window: int,
        filters: tuple[int, int, int],
        maps: int,
        hidden: tuple[int, int],
        drop_rate: float,
    ) -> None:
        super().__init__()
        deep, flat = _spectral_kernels(depth), _spatial_kernels(window)
        widths = (1, *filters)
        layers: list[nn.Module] = []
        for i in range(3):
            size = (deep[i], flat[i], flat[i])
            layers += [nn.Conv3d(widths[i], widths[i + 1], size), nn.ReLU()]
        self.conv3d = nn.Sequential(*layers)
        #: numbers that each pixel has behind the last convolution along the spectrum
        self.width = filters[2] * (depth - sum(deep) + 3)
        self.conv2d = nn.Conv2d(self.width, maps, flat[3])
        #: rows and columns of what is left of a window
        self.side = window - sum(flat) + 4
        self.dense1 = nn.Linear(maps * self.side**2, hidden[0])
        self.dense2 = nn.Linear(*hidden)
        self.dropout = nn.Dropout(drop_rate)

    def maps(self, x: Tensor) -> Tensor:
        """Convolve images or windows, ``(B, depth, H, W)``."""
        x = self.conv3d(x[:, None]).flatten(1, 2)
        return F.relu(self.conv2d(x))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features of windows, ``(B, hidden)``."""
        x = F.relu(self.dense1(self.maps(x).flatten(1)))
        return self._finish(x)

    def everywhere(self, x: Tensor) -> Tensor:
        """Compute the features of all windows of images, ``(B, rows, columns, F)``."""
        maps = self.maps(x)
        dense: nn.Module = self.dense1
        if isinstance(dense, nn.Linear):
            # a dense layer on a window is a convolution
            kernel = dense.weight.view(-1, maps.shape[1], self.side, self.side)
            x = F.conv2d(maps, kernel, dense.bias)
        else:
            # with low-rank matrices beside it, it is more than its weight
            x = map_windows(lambda w: dense(w.flatten(1)), maps, self.side, CHUNK)
        return self._finish(F.relu(x.movedim(1, -1)))

    def _finish(self, x: Tensor) -> Tensor:
        """Drop features, and let the second dense layer see them."""
        x = F.relu(self.dense2(self.dropout(x)))
        features: Tensor = self.dropout(x)
        return features


class HybridSN(PixelClassifier):
    """HybridSN: three convolutions over space and spectrum, then one over space.

    Two dense layers and the classifier follow. Nothing is padded, so a whole image is
    convolved once and gives what its windows give. From:

    * https://doi.org/10.1109/LGRS.2019.2918719

    The defaults are those of the paper: windows of 25 pixels of 30 principal
    components. The window sets the size of the first dense layer, in which 92 % of the
    5 million parameters are; smaller windows suit few labels better, and touch fewer
    other pixels. Below 9 pixels, the last convolutions over space become 1 x 1, and
    below 13 components, kernels along the spectrum get shorter.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        components: Number of principal components; 0 for the bands.
        whiten: How equal their variances get; 1 in the authors' code.
        filters: Feature maps of the three convolutions over space and spectrum.
        maps: Feature maps of the convolution over space.
        hidden: Widths of the two dense layers.
        drop_rate: Probability with which dropout sets a feature of these to 0.

    Raises:
        BandMismatchError: If there are fewer bands than components, or none.
        ValueError: If there are fewer than two classes, or the window is even.

    Example:
        >>> import torch
        >>> model = HybridSN(in_channels=200, num_classes=16).eval()
        >>> model(torch.rand(2, 200, 25, 25)).shape
        torch.Size([2, 16])
        >>> sum(p.numel() for p in model.parameters())  # as in the paper
        5122176
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        window: int = 25,
        components: int = 30,
        whiten: float = 0.5,
        filters: tuple[int, int, int] = (8, 16, 32),
        maps: int = 64,
        hidden: tuple[int, int] = (256, 128),
        drop_rate: float = 0.4,
    ) -> None:
        """Initialize a new HybridSN instance; see the class for arguments."""
        super().__init__(in_channels, num_classes, window, components, whiten)
        self.backbone = _HybridTrunk(
            self.depth, window, filters, maps, hidden, drop_rate
        )
        self.head = nn.Linear(hidden[1], num_classes)

    def classify(self, x: Tensor) -> Tensor:
        """Classify windows whose spectra are reduced.

        Args:
            x: Windows of shape ``(B, depth, window, window)``.

        Returns:
            Logits of shape ``(B, num_classes)``.
        """
        logits: Tensor = self.head(self.backbone(x))
        return logits

    def classify_dense(self, x: Tensor, chunk: int = CHUNK) -> Tensor:
        """Classify each pixel whose window lies inside of images, by convolutions.

        Args:
            x: Images of shape ``(B, depth, H, W)`` with reduced spectra.
            chunk: Not used: there are no windows, and memory is bounded by rows.

        Returns:
            Logits of shape ``(B, num_classes, H - window + 1, W - window + 1)``.
        """
        more = self.window - 1
        in_a_row = len(x) * x.shape[3] * self.backbone.width
        step = max(self.window, _NUMBERS // in_a_row)
        found = [
            self.head(self.backbone.everywhere(x[:, :, top : top + step + more]))
            for top in range(0, x.shape[2] - more, step)
        ]
        return torch.cat(found, dim=1).movedim(-1, 1)


@register_model
def hybridsn(
    in_channels: int = 202,
    num_classes: int = 2,
    window: int = 25,
    components: int = 30,
    whiten: float = 0.5,
    filters: tuple[int, int, int] = (8, 16, 32),
    maps: int = 64,
    hidden: tuple[int, int] = (256, 128),
    drop_rate: float = 0.4,
) -> HybridSN:
    """Build a :class:`HybridSN`.

    Args:
        in_channels: Number of bands.
        num_classes: Number of classes.
        window: Rows and columns around a pixel that it looks at; odd.
        components: Number of principal components; 0 for the bands.
        whiten: How equal their variances get; 1 in the authors' code.
        filters: Feature maps of the three convolutions over space and spectrum.
        maps: Feature maps of the convolution over space.
        hidden: Widths of the two dense layers.
        drop_rate: Probability with which dropout sets a feature of these to 0.

    Returns:
        The model.
    """
    return HybridSN(
        in_channels,
        num_classes,
        window,
        components,
        whiten,
        filters,
        maps,
        hidden,
        drop_rate,
    )
