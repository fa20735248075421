# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Stripes in some of the bands."""

from torch import Tensor

from ..._typing import Sample
from ...physics.noise import COLUMNS, add_stripes, draw_bands
from ...physics.noise.columns import check_columns, check_strength
from ...physics.noise.draw import Source, check_share
from .base import NoiseTransform


class StripeNoise(NoiseTransform):
    """Shift random columns of random bands by a random amount each.

    The stripes of QRNN3D (https://doi.org/10.1109/TNNLS.2020.2978756), which adds
    them to :class:`BandGaussianNoise`: ``get_noise('stripe')``.

    Example:
        >>> import torch
        >>> noise = StripeNoise(generator=torch.Generator().manual_seed(0))
        >>> pair = noise({'image': torch.full((6, 40, 40), 0.5)})
        >>> (pair['image'] != 0.5).all(1).sum(1).tolist()  # striped columns of each band
        [0, 0, 4, 0, 2, 0]
    """

    def __init__(
        self,
        bands: float = 1 / 3,
        columns: tuple[float, float] = COLUMNS,
        strength: float = 0.25,
        *,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> None:
        """Initialize a new StripeNoise instance.

        Args:
            bands: Share of the bands that get stripes; their number is rounded down.
            columns: Smallest and largest share of the columns of such a band.
            strength: Largest shift of a column, as a share of *peak*.
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale.
            generator: Source of randomness; torch's own by default.

        Raises:
            UnitError: If *bands* or *columns* are no shares, *strength* is negative, or
                *peak* not positive.
        """
        super().__init__(clip=clip, peak=peak, generator=generator)
        check_share(bands)
        check_columns(columns)
        check_strength(strength)
        self.bands = bands
        self.columns = columns
        self.strength = strength

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, None]:
        """See :meth:`NoiseTransform.draw`."""
        bands, *_ = draw_bands(image.shape[:2], self.bands, image, self.generator)
        strength = self.strength * self.peak
        return (add_stripes(image, bands, self.columns, strength, self.generator), None)
