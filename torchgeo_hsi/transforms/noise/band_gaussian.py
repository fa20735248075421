# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Gaussian noise of a level of its own in each band."""

from torch import Tensor

from ..._typing import Sample
from ...physics.noise import add_gaussian, draw_level
from ...physics.noise.draw import Level, Source, check_level
from .base import NoiseTransform

#: Levels of the complex noise of QRNN3D and its successors.
LEVELS = (10.0, 30.0, 50.0, 70.0)


class BandGaussianNoise(NoiseTransform):
    """Add Gaussian noise whose level each band draws for itself ("non-i.i.d.").

    The base of the complex noises of QRNN3D
    (https://doi.org/10.1109/TNNLS.2020.2978756), with the levels 10, 30, 50 and 70. T3SC
    (https://arxiv.org/abs/2111.09708) draws from a range that starts at 0.

    Example:
        >>> import torch
        >>> noise = BandGaussianNoise(generator=torch.Generator().manual_seed(0))
        >>> noise({'image': torch.zeros(5, 64, 64)})['sigma']
        tensor([10., 70., 30., 10., 70.])
    """

    def __init__(
        self,
        sigma: Level = list(LEVELS),  # noqa: B006
        *,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> None:
        """Initialize a new BandGaussianNoise instance.

        Args:
            sigma: Standard deviation on a scale from 0 to 255: a list of levels to
                choose from, a tuple ``(low, high)``, or a number. (In a YAML file, two
                numbers are a range.)
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale.
            generator: Source of randomness; torch's own by default.

        Raises:
            UnitError: If a level is negative, the bounds are not in order, or *peak* is
                not positive.
        """
        super().__init__(clip=clip, peak=peak, generator=generator)
        check_level(sigma, 'sigma')
        self.sigma = sigma

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, Tensor]:
        """See :meth:`NoiseTransform.draw`."""
        sigma = draw_level(self.sigma, image.shape[:2], image, self.generator)
        noisy = add_gaussian(image, sigma, self.peak, self.generator)
        return noisy, sigma
