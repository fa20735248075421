# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise that a sensor makes, from its signal-to-noise ratios."""

import math

import torch
from torch import Tensor

from ..._typing import Sample
from ...errors import UnitError
from ...physics.noise import SIGMA_SCALE, NoiseCurve, add_sensor_noise, draw_level
from ...physics.noise.draw import Level, Source, check_level, integers
from ...physics.noise.resampling import angle_range, draw_angles
from .base import NoiseTransform


class SensorNoise(NoiseTransform):
    """Add the noise of a sensor, which grows with the light in each band.

    The noise of a reflectance is known, so it has to be known which number of the image
    is a reflectance of 1: *reflectance*, for the numbers as they were before a data
    module scaled them by ``scale`` and ``offset``, if the sample has these.

    Bands are matched by ``wavelength``. Where a sample has none, neighboring bands of
    the sensor are drawn at random, or all of them are spread over an image that has
    more.

    Products on a map have been interpolated, which makes neighboring pixels share their
    noise: give an *angle* for these, see
    :func:`torchgeo_hsi.physics.noise.draw_resampled`.

    Example:
        >>> noise = SensorNoise('enmap', generator=torch.Generator().manual_seed(0))
        >>> sample = {'image': torch.full((2, 64, 64), 0.3),
        ...           'wavelength': torch.tensor([0.66, 2.2])}
        >>> (0.3 * 255 / noise(sample)['sigma']).round()
        tensor([545., 149.])
    """

    def __init__(
        self,
        curve: NoiseCurve | str = 'enmap',
        level: Level = 1.0,
        reflectance: float | None = None,
        angle: float | tuple[float, float] | None = None,
        *,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> None:
        """Initialize a new SensorNoise instance.

        Args:
            curve: Noise at each wavelength, or the name of a sensor.
            level: Factor on the standard deviation: a number, a tuple ``(low, high)`` of
                which each image draws its own, or a list to choose from.
            reflectance: Physical value of a reflectance of 1. By default 10 000, which
                is that of our datasets, for samples that have ``scale``, and *peak* for
                others.
            angle: Angle between the columns of the detector and those of the image in
                degrees, or bounds of it, if the image has been brought onto a map; by
                default, the noise of each pixel is independent.
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale.
            generator: Source of randomness; torch's own by default.

        Raises:
            UnitError: If a level is negative, *reflectance* or *peak* not positive, or
                an angle not below 90 degrees.
            UnknownNameError: If the noise of the sensor is not known.
        """
        super().__init__(clip=clip, peak=peak, generator=generator)
        check_level(level, 'level')
        if reflectance is not None and not 0 < reflectance < math.inf:
            raise UnitError(
                f'Expected a positive value of a reflectance of 1, got {reflectance}.'
            )
        known = NoiseCurve.of_sensor(curve) if isinstance(curve, str) else curve
        self.curve = known
        self.level = level
        self.reflectance = reflectance
        self.angle = None if angle is None else angle_range(angle)

    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, Tensor]:
        """See :meth:`NoiseTransform.draw`."""
        if not len(image):
            return image.clone(), image.clone()
        unit, offset = self._unit(batch)
        unit, offset = (v.to(image).view(-1, 1, 1, 1) for v in (unit, offset))
        curves = [
            self.curve.at(wavelength)
            for wavelength in self._wavelengths(image, batch).cpu().numpy()
        ]
        slope, fixed, floor = (
            torch.stack([torch.from_numpy(part) for part in parts]).to(image)
            for parts in zip(*curves, strict=True)
        )
        level = draw_level(self.level, (len(image),), image, self.generator)
        clean = (image + offset) * unit
        variance = slope, fixed, floor
        noisy, sigma = self._add(clean, variance, level)
        # the difference alone, so that no digits of the image are lost
        sigma *= SIGMA_SCALE / (unit * self.peak)
        return image + (noisy - clean) / unit, sigma

    def _add(
        self, clean: Tensor, variance: tuple[Tensor, Tensor, Tensor], level: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Add the noise; each image on a map has an angle of its own."""
        seed = self.generator
        if self.angle is None:
            return add_sensor_noise(clean, variance, level, None, seed)
        angles = draw_angles(self.angle, len(clean), clean, seed)
        parts = []
        for k, angle in enumerate(angles):
            mine = variance[0][k], variance[1][k], variance[2][k]
            parts.append(add_sensor_noise(clean[k], mine, level[k], angle, seed))
        noisy, sigma = zip(*parts, strict=True)
        return torch.stack(noisy), torch.stack(sigma)

    def _unit(self, batch: Sample) -> tuple[Tensor, Tensor]:
        """Return reflectance per unit of the image, and what to add before."""
        if 'scale' not in batch:
            unit = torch.tensor(1 / (self.reflectance or self.peak))
            return unit, torch.zeros(())
        scale = batch['scale'].double()
        offset = batch.get('offset', torch.zeros_like(scale)).double()
        return scale / (self.reflectance or 10_000.0), offset / scale

    def _wavelengths(self, image: Tensor, batch: Sample) -> Tensor:
        """Return the wavelengths of the bands of each image."""
        if 'wavelength' in batch:
            return batch['wavelength']
        known = torch.from_numpy(self.curve.wavelength)
        count, bands = image.shape[:2]
        if bands <= len(known):
            places = len(known) - bands + 1
            start = integers(0, places, (count, 1), known, self.generator)
            return known[start + torch.arange(bands)]
        spread = torch.linspace(float(known[0]), float(known[-1]), bands)
        return spread.expand(count, -1)
