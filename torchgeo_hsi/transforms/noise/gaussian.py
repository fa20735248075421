# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Gaussian noise of one level in all bands."""

import torch
from torch import Tensor

from ..._typing import Sample
from ...errors import UnitError
from ...physics.noise import add_gaussian, draw_level
from ...physics.noise.draw import Level, Source, check_level
from .base import NoiseTransform


class GaussianNoise(NoiseTransform):
    """Add Gaussian noise of one level to all bands of an image.

    A fixed level, a uniform range ("blind") and a list of levels are the three forms of
    the literature on denoising; QRNN3D (https://doi.org/10.1109/TNNLS.2020.2978756) and
    its successors train with the levels 10, 30, 50 and 70 in turn.

    Example:
        >>> noise = GaussianNoise((10.0, 70.0), generator=torch.Generator().manual_seed(0))
        >>> pair = noise({'image': torch.zeros(31, 64, 64)})
        >>> f'{pair["sigma"][0]:.1f}', f'{255 * pair["image"].std():.1f}'
        ('39.8', '39.8')
    """

    def __init__(
        self,
        sigma: Level = 30.0,
        cyclic: bool = False,
        *,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> None:
        """Initialize a new GaussianNoise instance.

        Args:
            sigma: Standard deviation on a scale from 0 to 255: a number, a tuple
                ``(low, high)`` of which each image draws its own, or a list of levels
                to choose from. (In a YAML file, two numbers are a range.)
            cyclic: Whether images take the levels of a list in turn, and not at random.
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale.
            generator: Source of randomness; torch's own by default.

        Raises:
            UnitError: If a level is negative, the bounds are not in order, or *peak* is
                not positive.
        """
        super().__init__(clip=clip, peak=peak, generator=generator)
        check_level(sigma, 'sigma')
        if cyclic and not isinstance(sigma, list):
            raise UnitError(f'Expected a list of levels to go through, got {sigma!r}.')
        self.sigma = sigma
        self.cyclic = cyclic

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, Tensor]:
        """See :meth:`NoiseTransform.draw`."""
        count = len(image)
        if self.cyclic and isinstance(self.sigma, list):
            levels = torch.tensor(self.sigma, device=image.device)
            turn = self.take_turns(count).to(image.device) % len(levels)
            sigma = levels[turn].to(image.dtype)
        else:
            sigma = draw_level(self.sigma, (count,), image, self.generator)
        bands = sigma[:, None].expand(-1, image.shape[1])
        noisy = add_gaussian(image, bands, self.peak, self.generator)
        return noisy, bands
