# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One noise after the other."""

from torch import Tensor, nn

from ..._typing import Sample
from ...physics.noise.draw import Source
from .base import NoiseTransform, common_peak, share_generator


class NoiseSequence(NoiseTransform):
    """Add several noises, one after the other.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.transforms import BandGaussianNoise, StripeNoise
        >>> noise = NoiseSequence([BandGaussianNoise(), StripeNoise()])
        >>> sorted(noise({'image': torch.rand(31, 64, 64)}))
        ['image', 'sigma', 'target']
    """

    def __init__(
        self,
        noises: list[NoiseTransform],
        *,
        clip: bool = False,
        generator: Source = None,
    ) -> None:
        """Initialize a new NoiseSequence instance.

        Args:
            noises: The noises, all with the same ``peak``.
            clip: Whether to limit the result to 0 ... ``peak``.
            generator: Source of randomness for all of them; each keeps its own by
                default.

        Raises:
            UnitError: If they have different peaks.
            EmptyDataError: If there is no noise.
        """
        super().__init__(clip=clip, peak=common_peak(noises), generator=generator)
        self.noises = nn.ModuleList(noises)
        share_generator(self)

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, Tensor]:
        """See :meth:`NoiseTransform.draw`."""
        power = image.new_zeros(*image.shape[:2], 1, 1)
        for noise in self.noises:
            assert isinstance(noise, NoiseTransform)
            batch = {**batch, 'image': image}
            image, spread = noise.add(image, batch)
            batch['sigma'] = noise.total_sigma(spread, batch)
            if spread is not None:
                square = spread.square()
                power = power + (
                    square if square.ndim == 4 else square[..., None, None]
                )
        return image, power.sqrt().expand_as(image)
