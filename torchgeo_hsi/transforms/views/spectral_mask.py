# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Leave out ranges of wavelengths."""

import torch
from torch import Tensor

from ..._typing import Sample
from ...errors import UnitError
from ._common import check_bounds, chosen, uniform, wavelengths
from .band_scaling import BandScaling

#: Widest range in micrometres; what is wider is in nanometres.
_WIDEST = 2.5

#: First and last wavelength of bands that nobody knows, in micrometres.
_SPAN = (0.4, 2.5)


class SpectralMask(BandScaling):
    """Replace the bands in random ranges of wavelengths by their mean.

    The mean is 0 in images that are normalized, which is what this transform takes.
    Neighboring bands say nearly the same, so a network guesses a single one that is
    missing; a range of them it has to understand. The middle of a range is drawn from
    all wavelengths between the first and the last band. An image that would lose all
    its bands keeps them.

    Where a batch has no ``wavelength``, bands count as if they were evenly spread over
    0.4 to 2.5 micrometres.

    Example:
        >>> import torch
        >>> mask = SpectralMask(width_um=(0.25, 0.25))
        >>> batch = {'image': torch.ones(1, 4, 1, 1),
        ...          'wavelength': torch.tensor([0.5, 0.6, 1.5, 1.6])}
        >>> lost = mask(batch)['image'].flatten() == 0
        >>> int(lost.sum()) <= 2
        True
    """

    physical = False

    def __init__(
        self,
        p: float = 1.0,
        width_um: tuple[float, float] = (0.05, 0.3),
        count: int = 1,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new SpectralMask instance.

        Args:
            p: Probability with which an image is changed.
            width_um: Smallest and largest width of a range in micrometres.
            count: Number of ranges; they may overlap.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            UnitError: If *p* is no probability, the widths are negative, not in order
                or look like nanometres, or *count* is not positive.
        """
        super().__init__(p, generator)
        self.width_um = check_bounds(width_um, 'width_um', 0.0, _WIDEST)
        if count < 1:
            raise UnitError(f'Expected a count of at least 1 range, got {count}.')
        self.count = count

    def draw(self, batch: Sample) -> tuple[Tensor, Tensor | None]:
        """See :meth:`BandScaling.draw`."""
        image = batch['image']
        shape = (len(image), self.count)
        pick = chosen(self.p, len(image), self.generator)
        width = uniform(shape, self.width_um, self.generator)
        place = uniform(shape, (0.0, 1.0), self.generator)
        where = wavelengths(batch)
        if where is None:
            where = torch.linspace(*_SPAN, image.shape[1], device=image.device)
            where = where.expand(image.shape[:2])
        lost = _inside(where, place.to(image.device), width.to(image.device))
        lost &= pick.to(image.device)[:, None]
        keep = ~lost | lost.all(1, keepdim=True)
        return keep.float(), None

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'p={self.p:g}, width_um={self.width_um}, count={self.count}'


def _inside(where: Tensor, place: Tensor, width: Tensor) -> Tensor:
    """Find the bands in any of the ranges.

    Args:
        where: Centres of shape ``(B, C)``.
        place: Middles of shape ``(B, N)``, from 0 (first band) to 1 (last one).
        width: Widths of shape ``(B, N)``.

    Returns:
        True for bands in a range, shape ``(B, C)``.
    """
    low, high = where.amin(1, keepdim=True), where.amax(1, keepdim=True)
    middle = low + (high - low) * place
    distance = (where[:, None] - middle[..., None]).abs()
    return (distance <= width[..., None] / 2).any(1)
