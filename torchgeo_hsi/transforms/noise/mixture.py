# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The mixture of all kinds of noise on which denoisers are tested."""

from collections.abc import Sequence

from torch import Tensor

from ..._typing import Sample
from ...physics.noise import (
    AMOUNTS,
    COLUMNS,
    add_deadlines,
    add_gaussian,
    add_impulses,
    add_stripes,
    draw_bands,
    draw_level,
)
from ...physics.noise.columns import check_columns, check_strength
from ...physics.noise.draw import Level, Source, check_level, check_share
from ...physics.noise.impulse import check_amounts
from .band_gaussian import LEVELS
from .base import NoiseTransform


class MixtureNoise(NoiseTransform):
    """Add Gaussian noise to each band, and stripes, dead lines and impulses to a third.

    The mixture of QRNN3D (https://doi.org/10.1109/TNNLS.2020.2978756): three sets of
    bands that share none, of a third each, get stripes, dead columns, or salt and
    pepper. Networks are tested on it without having been trained with it: their
    training takes ``get_noise('complex')``.

    Example:
        >>> import torch
        >>> noise = MixtureNoise(generator=torch.Generator().manual_seed(0))
        >>> pair = noise({'image': torch.rand(4, 31, 64, 64)})
        >>> pair['image'].shape, pair['sigma'].shape
        (torch.Size([4, 31, 64, 64]), torch.Size([4, 31]))
    """

    def __init__(
        self,
        sigma: Level = list(LEVELS),  # noqa: B006
        bands: float = 1 / 3,
        columns: tuple[float, float] = COLUMNS,
        strength: float = 0.25,
        amounts: Sequence[float] = AMOUNTS,
        *,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> None:
        """Initialize a new MixtureNoise instance.

        Args:
            sigma: Level of the Gaussian noise of each band, as in
                :class:`BandGaussianNoise`.
            bands: Share of the bands in each of the three sets, at most a third.
            columns: Smallest and largest share of columns with stripes, and of dead
                columns.
            strength: Largest shift of a column with a stripe, as a share of *peak*.
            amounts: Shares of the pixels that salt and pepper replace, of which each
                band draws one.
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale.
            generator: Source of randomness; torch's own by default.

        Raises:
            UnitError: If a level or *strength* is negative, a share is none, or *peak*
                is not positive.
        """
        super().__init__(clip=clip, peak=peak, generator=generator)
        check_level(sigma, 'sigma')
        self.sigma = sigma
        check_share(bands, parts=3)
        check_columns(columns)
        check_strength(strength)
        check_amounts(amounts)
        self.bands = bands
        self.columns = columns
        self.strength = strength
        self.amounts = tuple(amounts)

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, Tensor]:
        """See :meth:`NoiseTransform.draw`."""
        seed, shape = self.generator, image.shape[:2]
        sigma = draw_level(self.sigma, shape, image, seed)
        noisy = add_gaussian(image, sigma, self.peak, seed)
        striped, dead, lossy = draw_bands(shape, self.bands, image, seed, parts=3)
        strength = self.strength * self.peak
        noisy = add_stripes(noisy, striped, self.columns, strength, seed)
        noisy = add_deadlines(noisy, dead, self.columns, 0.0, seed)
        noisy = add_impulses(noisy, lossy, self.amounts, self.peak, seed)
        return noisy, sigma
