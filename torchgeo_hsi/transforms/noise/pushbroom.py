# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Striping of pushbroom sensors."""

import torch
from torch import Tensor

from ..._typing import Sample
from ...errors import UnitError
from ...physics.noise import SIGMA_SCALE, add_striping, draw_level, fill_dead
from ...physics.noise.draw import Level, Source, check_level
from ...physics.noise.resampling import angle_range, draw_angles
from .base import NoiseTransform


class PushbroomStriping(NoiseTransform):
    """Give each detector element of a pushbroom sensor an error of its own.

    All columns of all bands are a little too bright or too dark over their whole
    length, unlike the few columns of a few bands of :class:`StripeNoise`; see
    :func:`torchgeo_hsi.physics.noise.add_striping`. Dead elements are filled from the
    bands beside them, as in products.

    Example:
        >>> noise = PushbroomStriping(0.01, generator=torch.Generator().manual_seed(0))
        >>> noisy = noise({'image': torch.ones(5, 64, 900)})['image']
        >>> round(noisy[:, 0].std().item(), 3), noisy.std(-2).max().item()
        (0.01, 0.0)
    """

    def __init__(
        self,
        gain: Level = (0.0, 0.01),
        offset: Level = 0.0,
        offset_of_noise: Level = 0.0,
        dead: Level = 0.0,
        angle: float | tuple[float, float] = 0.0,
        common: float = 0.2,
        *,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> None:
        """Initialize a new PushbroomStriping instance.

        Of each level that is a tuple ``(low, high)`` or a list, an image draws its own.

        Args:
            gain: Standard deviation of the factor on each column.
            offset: Standard deviation of what is added to each column, as a share of
                *peak*.
            offset_of_noise: The same, in units of the standard deviation of the noise
                that earlier transforms added to a band (``sigma``): where a sensor is
                noisy, its stripes are strong, too. Both are added as variances.
            dead: Share of dead elements.
            angle: Angle between the columns of the detector and those of the image in
                degrees, or bounds of it; about 13 in orthorectified products of middle
                latitudes.
            common: Share of the variance of the gain that all bands of a column have
                in common, as dust on the slit makes it.
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale.
            generator: Source of randomness; torch's own by default.

        Raises:
            UnitError: If a level is negative, a share is none, an angle not below 90
                degrees, or *peak* not positive.
        """
        super().__init__(clip=clip, peak=peak, generator=generator)
        levels = {
            'gain': gain,
            'offset': offset,
            'offset_of_noise': offset_of_noise,
            'dead': dead,
        }
        for name, level in levels.items():
            check_level(level, name)
        largest = dead if isinstance(dead, float | int) else max(dead)
        if largest > 1 or not 0 <= common <= 1:
            raise UnitError(
                f'Expected dead and common to be shares up to 1, got {dead} and '
                f'{common}.'
            )
        self.gain = gain
        self.offset = offset
        self.offset_of_noise = offset_of_noise
        self.dead = dead
        self.angle = angle_range(angle)
        self.common = common

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, None]:
        """See :meth:`NoiseTransform.draw`."""
        seed, count = self.generator, len(image)
        gain, offset, noise, dead = (
            draw_level(level, (count, 1), image, seed)
            for level in (self.gain, self.offset, self.offset_of_noise, self.dead)
        )
        old = batch.get('sigma', image.new_zeros(count, 1)).to(image)
        offsets = torch.hypot(offset, noise * old / SIGMA_SCALE) * self.peak
        # a loop, as each image has its own columns
        noisy = torch.empty_like(image)
        angles = draw_angles(self.angle, count, image, seed)
        for k, angle in enumerate(angles):
            striped = add_striping(
                image[k],
                gain[k].expand(image.shape[1]),
                offsets[k].expand(image.shape[1]),
                self.common,
                angle,
                seed,
            )
            noisy[k] = fill_dead(striped, float(dead[k]), angle, seed)
        return noisy, None
