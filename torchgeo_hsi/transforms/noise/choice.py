# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One of several noises for each image."""

import torch
from torch import Tensor, nn

from ..._typing import Sample
from ...physics.noise.draw import Source, integers
from ...physics.noise.levels import band_power
from .base import NoiseTransform, common_peak, share_generator


class NoiseChoice(NoiseTransform):
    """Add one of several noises to each image: in turn, or at random.

    Example:
        >>> from torchgeo_hsi.transforms import GaussianNoise
        >>> noise = NoiseChoice([GaussianNoise(10), GaussianNoise(50)], cyclic=True)
        >>> noise({'image': torch.rand(4, 31, 64, 64)})['sigma'][:, 0]
        tensor([10., 50., 10., 50.])
    """

    def __init__(
        self,
        noises: list[NoiseTransform],
        cyclic: bool = False,
        *,
        clip: bool = False,
        generator: Source = None,
    ) -> None:
        """Initialize a new NoiseChoice instance.

        Args:
            noises: The noises, all with the same ``peak``.
            cyclic: Whether images take them in turn, and not at random. Each worker of
                a data loader has its own turn.
            clip: Whether to limit the result to 0 ... ``peak``.
            generator: Source of randomness for all of them; each keeps its own by
                default.

        Raises:
            UnitError: If they have different peaks.
            EmptyDataError: If there is no noise.
        """
        super().__init__(clip=clip, peak=common_peak(noises), generator=generator)
        self.noises = nn.ModuleList(noises)
        self.cyclic = cyclic
        share_generator(self)

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, Tensor]:
        """See :meth:`NoiseTransform.draw`."""
        count, number = len(image), len(self.noises)
        if self.cyclic:
            chosen = self.take_turns(count) % number
        else:
            host = torch.empty(0)
            chosen = integers(0, number, (count,), host, self.generator)
        noisy = torch.empty_like(image)
        sigma = image.new_zeros(image.shape[:2])
        for k, noise in enumerate(self.noises):
            assert isinstance(noise, NoiseTransform)
            mine = (chosen == k).nonzero().flatten().to(image.device)
            if not len(mine):
                continue
            part = {key: value[mine] for key, value in batch.items()}
            noisy[mine], spread = noise.add(image[mine], part)
            if spread is not None:
                power = band_power(spread, part.get('valid'))
                sigma[mine] = power.sqrt().to(sigma.dtype)
        return noisy, sigma
