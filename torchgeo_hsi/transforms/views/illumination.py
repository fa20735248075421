# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Other light on the same ground."""

import math

import torch
from torch import Tensor

from ..._typing import Sample
from ...errors import UnitError
from ._common import check_bounds, chosen, spectral_axis, uniform
from .band_scaling import BandScaling


class Illumination(BandScaling):
    """Change the light on each image: a gain, a tilt of the spectrum, an offset.

    Slopes, the angle of the sun and what a correction of the atmosphere leaves behind
    change reflectance by factors that vary slowly with wavelength. Each band becomes
    ``gain * exp(tilt * u) * x + offset``, where *u* grows from -1 at the shortest
    wavelength to 1 at the longest one (by index where a batch has no ``wavelength``).
    The logarithm of the gain, the tilt and the offset are uniform. Images are in
    physical units, see :class:`~torchgeo_hsi.transforms.PhysicalUnits`.

    Example:
        >>> import torch
        >>> light = Illumination(gain=(2.0, 2.0), tilt=0.0)
        >>> light({'image': torch.full((1, 2, 1, 1), 300.0)})['image'].flatten().tolist()
        [600.0, 600.0]
    """

    physical = True

    def __init__(
        self,
        gain: tuple[float, float] = (0.8, 1.25),
        tilt: float = 0.1,
        offset: float = 0.0,
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new Illumination instance.

        Args:
            gain: Smallest and largest factor on all bands.
            tilt: Largest natural logarithm of the factor by which the ends of the
                spectrum change against its middle.
            offset: Largest number that is added or subtracted, in the unit of the
                images: 100 is a reflectance of 0.01 in reflectance x 10 000.
            p: Probability with which an image is changed.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            UnitError: If the gain is not positive and in order, *tilt* or *offset*
                negative, or *p* no probability.
        """
        super().__init__(p, generator)
        self.gain = check_bounds(gain, 'gain', 0.0)
        if self.gain[0] <= 0 or not 0 <= tilt < math.inf or not 0 <= offset < math.inf:
            raise UnitError(
                'Expected a positive gain, and a tilt and an offset of 0 or more, got '
                f'{gain}, {tilt} and {offset}.'
            )
        self.tilt = float(tilt)
        self.offset = float(offset)

    def draw(self, batch: Sample) -> tuple[Tensor, Tensor | None]:
        """See :meth:`BandScaling.draw`."""
        image = batch['image']
        shape, source = (len(image), 1), self.generator
        pick = chosen(self.p, len(image), source)[:, None]
        low, high = map(math.log, self.gain)
        gain = uniform(shape, (low, high), source).mul(pick).double().exp().float()
        tilt = uniform(shape, (-self.tilt, self.tilt), source) * pick
        offset = uniform(shape, (-self.offset, self.offset), source) * pick
        gain, tilt, offset = (v.to(image.device) for v in (gain, tilt, offset))
        return gain * torch.exp(tilt * spectral_axis(batch)), offset

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'gain={self.gain}, tilt={self.tilt:g}, offset={self.offset:g}, p={self.p:g}'
