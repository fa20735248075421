# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the network of rho-PNN is tuned on, and its losses there."""

from typing import NamedTuple

import torch
from torch import Tensor

from .losses import PanStatistics, SpectralTarget, spatial_losses


class Losses(NamedTuple):
    """Losses of each sample, shape (N,)."""

    spectral: Tensor
    spatial: Tensor


class Samples:
    """Parts of single bands and of the PAN, all of the same size.

    Those of several bands come one band after the other.

    Args:
        up: Interpolated bands of shape ``(N, 1, H, W)``.
        pan: PANs, same shape.
        statistics: Those of the PANs.
        target: The bands of the cube.
        bands: Number of bands.
        least: Spectral losses of *up*, shape ``(N,)``; computed by default.
        sign: Signs that correlations with the PAN have to have, shape ``(N,)``, or None.
    """

    def __init__(
        self,
        up: Tensor,
        pan: Tensor,
        statistics: PanStatistics,
        target: SpectralTarget,
        bands: int = 1,
        least: Tensor | None = None,
        sign: Tensor | None = None,
    ) -> None:
        """Initialize a new Samples instance; see the class for the arguments."""
        self.up, self.pan, self.bands, self.sign = up, pan, bands, sign
        self.statistics, self.target = statistics, target
        with torch.no_grad():
            self.least = target.losses(up) if least is None else least

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.up)

    def losses(self, image: Tensor) -> Losses:
        """Compute both losses of each sample.

        Args:
            image: What came out for the samples, shape ``(N, 1, H, W)``.

        Returns:
            The losses.
        """
        spatial = spatial_losses(image, self.statistics, self.sign)
        return Losses(self.target.losses(image), spatial)

    def share(self, spectral: Tensor) -> Tensor:
        """Divide spectral losses by those of the interpolated bands.

        Args:
            spectral: Losses of shape ``(N,)``.

        Returns:
            Fractions for each band, shape ``(bands,)``.
        """
        found, least = (
            values.detach().reshape(self.bands, -1).mean(1)
            for values in (spectral, self.least)
        )
        return found / least.clamp_min(torch.finfo(least.dtype).tiny)

    def select(self, index: Tensor, bands: int = 1) -> 'Samples':
        """Take some of the samples.

        Args:
            index: Their positions.
            bands: Number of bands of which they are.

        Returns:
            The samples.
        """
        return Samples(
            self.up[index],
            self.pan[index],
            self.statistics.select(index),
            self.target.select(index),
            bands,
            self.least[index],
            None if self.sign is None else self.sign[index],
        )

    def turn(self, step: int) -> 'Samples':
        """Take all samples of a single band, or an equal part of those of several.

        Args:
            step: Number of the step, with which the part changes.

        Returns:
            Samples: as many as there are of one band, or one of each band.
        """
        if self.bands == 1:
            return self
        count = len(self) // self.bands
        taken = max(1, count // self.bands)
        bands = torch.arange(self.bands)[:, None]
        places = (taken * (step + bands) + torch.arange(taken)) % count
        index = (bands * count + places).flatten().to(self.up.device)
        return self.select(index, self.bands)
