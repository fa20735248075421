# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Gaussian noise that is strongest in the middle of the spectrum."""

from torch import Tensor

from ..._typing import Sample
from ...physics.noise import add_gaussian, correlated_sigma
from ...physics.noise.draw import Source
from .base import NoiseTransform


class CorrelatedNoise(NoiseTransform):
    """Add Gaussian noise whose level is a bell curve over the bands.

    The "correlated" noise of T3SC (https://arxiv.org/abs/2111.09708): levels of
    neighboring bands are alike, the noise itself is independent. See
    :func:`torchgeo_hsi.physics.noise.correlated_sigma`.

    Example:
        >>> import torch
        >>> CorrelatedNoise()({'image': torch.zeros(4, 8, 8)})['sigma']
        tensor([ 1.8283, 12.2444, 23.0800, 12.2444])
    """

    def __init__(
        self,
        beta: float = 23.08,
        eta: float = 0.157,
        *,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> None:
        """Initialize a new CorrelatedNoise instance.

        Args:
            beta: Highest level, on a scale from 0 to 255.
            eta: Width of the curve, as a share of the bands.
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale.
            generator: Source of randomness; torch's own by default.

        Raises:
            UnitError: If *beta* is negative, *eta* or *peak* not positive, or one of
                them not finite.
        """
        super().__init__(clip=clip, peak=peak, generator=generator)
        # fails now and not in the first batch
        correlated_sigma(1, beta, eta)
        self.beta = beta
        self.eta = eta

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, Tensor]:
        """See :meth:`NoiseTransform.draw`."""
        sigma = correlated_sigma(image.shape[1], self.beta, self.eta).to(image)
        bands = sigma.expand(image.shape[:2])
        noisy = add_gaussian(image, bands, self.peak, self.generator)
        return noisy, bands
