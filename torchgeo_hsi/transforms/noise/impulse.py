# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Salt and pepper in some of the bands."""

from collections.abc import Sequence

from torch import Tensor

from ..._typing import Sample
from ...physics.noise import AMOUNTS, add_impulses, draw_bands
from ...physics.noise.draw import Source, check_share
from ...physics.noise.impulse import check_amounts
from .base import NoiseTransform


class ImpulseNoise(NoiseTransform):
    """Replace random pixels of random bands by 0 or the peak.

    The impulse noise of QRNN3D (https://doi.org/10.1109/TNNLS.2020.2978756), which adds
    it to :class:`BandGaussianNoise`: ``get_noise('impulse')``.

    Example:
        >>> import torch
        >>> seed = torch.Generator().manual_seed(0)
        >>> noise = ImpulseNoise(bands=1.0, amounts=[0.2], generator=seed)
        >>> noisy = noise({'image': torch.full((1, 90, 90), 0.5)})['image']
        >>> [round((noisy == v).float().mean().item(), 2) for v in (0, 0.5, 1)]
        [0.1, 0.8, 0.1]
    """

    def __init__(
        self,
        bands: float = 1 / 3,
        amounts: Sequence[float] = AMOUNTS,
        *,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> None:
        """Initialize a new ImpulseNoise instance.

        Args:
            bands: Share of the bands that lose pixels; their number is rounded down.
            amounts: Shares of the pixels that are lost, of which each such band draws
                one.
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale, and of salt.
            generator: Source of randomness; torch's own by default.

        Raises:
            UnitError: If *bands* or *amounts* are no shares, or *peak* is not positive.
        """
        super().__init__(clip=clip, peak=peak, generator=generator)
        check_share(bands)
        check_amounts(amounts)
        self.bands = bands
        self.amounts = tuple(amounts)

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, None]:
        """See :meth:`NoiseTransform.draw`."""
        bands, *_ = draw_bands(image.shape[:2], self.bands, image, self.generator)
        return (
            add_impulses(image, bands, self.amounts, self.peak, self.generator),
            None,
        )
