# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Shot noise of the photons that a pixel counts."""

import math

from torch import Tensor

from ..._typing import Sample
from ...errors import UnitError
from ...physics.noise import SIGMA_SCALE, add_shot, draw_level
from ...physics.noise.draw import Level, Source, check_level
from .base import NoiseTransform


class PoissonNoise(NoiseTransform):
    """Add the noise of counting photons, and that of the read-out.

    Example:
        >>> import torch
        >>> noise = PoissonNoise(400.0, generator=torch.Generator().manual_seed(0))
        >>> pair = noise({'image': torch.full((1, 90, 90), 0.25)})
        >>> f'{pair["sigma"].item() / 255:.3f}'  # 10 of 100 photons, of 400
        '0.025'
    """

    def __init__(
        self,
        photons: Level,
        read_noise: float = 0.0,
        *,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> None:
        """Initialize a new PoissonNoise instance.

        Args:
            photons: Photons that a pixel of full scale counts: a number, a tuple
                ``(low, high)`` of which each image draws its own, or a list to choose
                from.
            read_noise: Standard deviation of the read-out in photons (electrons).
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale.
            generator: Source of randomness; torch's own by default.

        Raises:
            UnitError: If a number of photons or *peak* is not positive, or *read_noise*
                negative or not finite.
        """
        super().__init__(clip=clip, peak=peak, generator=generator)
        check_level(photons, 'photons')
        least = photons if isinstance(photons, float | int) else min(photons)
        if least <= 0 or not 0 <= read_noise < math.inf:
            raise UnitError(
                'Expected a positive number of photons and a finite read-out noise of '
                f'at least 0, got {photons} and {read_noise}.'
            )
        self.photons = photons
        self.read_noise = read_noise

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, Tensor]:
        """See :meth:`NoiseTransform.draw`."""
        photons = draw_level(self.photons, (len(image), 1), image, self.generator)
        noisy = add_shot(image, photons, self.read_noise, self.peak, self.generator)
        scale = photons[..., None, None] / self.peak
        variance = image.clamp(min=0) * scale + self.read_noise**2
        return noisy, variance.sqrt() / photons[..., None, None] * SIGMA_SCALE
