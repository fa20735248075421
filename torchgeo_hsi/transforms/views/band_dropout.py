# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Leave out random bands."""

import torch
from torch import Tensor

from ..._typing import Sample
from ._common import check_bounds, chosen, uniform
from .band_scaling import BandScaling

#: Shares of bands are rounded down; 10 * 0.3 must not become 2.999.
_ROUNDING = 1e-6


class BandDropout(BandScaling):
    """Replace random bands of each image by their mean.

    The mean is 0 in images that are normalized, which is what this transform takes. So
    a network learns not to rely on single bands, e.g. on those that another scene lacks.

    Example:
        >>> import torch
        >>> drop = BandDropout(share=0.25)
        >>> out = drop({'image': torch.ones(2, 8, 4, 4)})['image']
        >>> (out.amax((2, 3)) == 0).sum(1).tolist()
        [2, 2]
    """

    physical = False

    def __init__(
        self,
        p: float = 1.0,
        share: float | tuple[float, float] = (0.0, 0.2),
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new BandDropout instance.

        Args:
            p: Probability with which an image is changed.
            share: Share of the bands that go, rounded down to whole bands, or bounds of
                which each image draws its own.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            UnitError: If *p* is no probability, or *share* not between 0 and 1.
        """
        super().__init__(p, generator)
        bounds = (share, share) if isinstance(share, int | float) else share
        self.share = check_bounds(bounds, 'share', 0.0, 1.0)

    def draw(self, batch: Sample) -> tuple[Tensor, Tensor | None]:
        """See :meth:`BandScaling.draw`."""
        image = batch['image']
        count, bands = image.shape[:2]
        pick = chosen(self.p, count, self.generator)
        share = uniform((count,), self.share, self.generator)
        number = torch.floor(share * bands + _ROUNDING) * pick
        rank = torch.rand(count, bands, generator=self.generator).argsort(1).argsort(1)
        keep = (rank >= number[:, None]).float().to(image.device)
        return keep, None

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'p={self.p:g}, share={self.share}'
