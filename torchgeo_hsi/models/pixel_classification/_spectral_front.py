# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Three-dimensional convolutions in front of a transformer on windows."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Length of the kernels along the spectral axis.
_LENGTHS = (7, 5, 3)

#: Rows that the convolutions leave, if the window has them.
_LEAST = 7


class ChannelGate(nn.Module):
    """Weigh channels by what their means say: squeeze and excitation.

    * https://doi.org/10.1109/CVPR.2018.00745

    Args:
        channels: Number of channels.
        reduction: How many times fewer there are between the two layers.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        """Initialize a new ChannelGate instance."""
        super().__init__()
        hidden = max(channels // reduction, 4)
        # convolutions, and not linear layers: low-rank adaptation leaves them alone
        self.squeeze = nn.Conv2d(channels, hidden, 1, bias=False)
        self.excite = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, means: Tensor) -> Tensor:
        """Compute the weights.

        Args:
            means: Mean of each channel, shape ``(B, C, H, W)``.

        Returns:
            Weights from 0 to 1, shape ``(B, C, H, W)``.
        """
        return torch.sigmoid(self.excite(F.relu(self.squeeze(means))))


class BandDropout(nn.Module):
    """Leave out whole slices of the spectral axis in training.

    Each sample loses others; what stays is divided by the probability to stay.

    Args:
        rate: Probability with which a slice is left out.

    Raises:
        ValueError: If the rate is not from 0 to below 1.
    """

    def __init__(self, rate: float) -> None:
        """Initialize a new BandDropout instance."""
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f'Expected a band dropout from 0 to below 1, got {rate}.')
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Leave out slices.

        Args:
            x: Windows of shape ``(B, depth, H, W)``.

        Returns:
            Windows of the same shape.
        """
        if not self.training or not self.rate:
            return x
        keep = 1 - self.rate
        mask = x.new_empty(len(x), x.shape[1], 1, 1).bernoulli_(keep)
        return x * mask / keep


class SpectralFront(nn.Module):
    """Turn windows of spectra into features without a spectral axis.

    Three convolutions along rows, columns and the spectral axis, each with batch
    normalization and SiLU; weights of the channels, which depend on the window; the
    mean over the spectral axis. There is nothing beyond the edges of a window: kernels are
    three rows and columns as long as 7 rows are left, then one. So neighbouring windows
    have their convolutions in common, and :meth:`volume` computes them once for a whole
    image.

    Args:
        window: Rows and columns of the windows.
        channels: Channels behind each convolution.
        band_dropout: Probability with which a slice of the spectral axis is left out.
    """

    def __init__(
        self, window: int, channels: tuple[int, int, int], band_dropout: float = 0.0
    ) -> None:
        """Initialize a new SpectralFront instance."""
        super().__init__()
        self.band_dropout = BandDropout(band_dropout)
        layers: list[nn.Module] = []
        rows, before = window, 1
        for length, width in zip(_LENGTHS, channels, strict=True):
            side = 3 if rows - 2 >= _LEAST else 1
            kernel = (length, side, side)
            layers += [
                nn.Conv3d(before, width, kernel, padding=(length // 2, 0, 0)),
                nn.BatchNorm3d(width),
                nn.SiLU(),
            ]
            rows, before = rows - side + 1, width
        self.layers = nn.Sequential(*layers)
        self.gate = ChannelGate(before)
        #: Rows and columns that are left of a window.
        self.size = rows

    def volume(self, x: Tensor) -> Tensor:
        """Compute what windows have in common: all but the weights of the channels.

        Args:
            x: Windows or images of shape ``(B, depth, H, W)``.

        Returns:
            Means over the spectral axis, shape ``(B, channels, H', W')``.
        """
        features: Tensor = self.layers(self.band_dropout(x)[:, None])
        return features.mean(dim=2)

    def weigh(self, features: Tensor) -> Tensor:
        """Weigh the channels of windows.

        Args:
            features: Features of shape ``(B, channels, size, size)``.

        Returns:
            Features of the same shape.
        """
        weights: Tensor = self.gate(features.mean(dim=(2, 3), keepdim=True))
        return features * weights

    def forward(self, x: Tensor) -> Tensor:
        """Compute features of windows.

        Args:
            x: Windows of shape ``(B, depth, window, window)``.

        Returns:
            Features of shape ``(B, channels, size, size)``.
        """
        return self.weigh(self.volume(x))
