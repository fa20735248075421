# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random choices of bands."""

import torch
from torch import nn

from ..._typing import Sample
from ...errors import BandMismatchError
from ._common import IMAGES, Source, check_batch, has_bands

#: Keys with one number for each band, last.
_BANDS = ('wavelength', 'fwhm', 'mean', 'std')


class RandomBandSubset(nn.Module):
    """Keep a random choice of bands, the same for a whole batch.

    ``image``, ``target`` (if it has the same bands), ``wavelength``, ``fwhm``, ``mean``
    and ``std`` change together, and bands stay in their order. For networks that are
    told the wavelengths, so that they learn to take any of them; others need a fixed
    number of bands and have :class:`~torchgeo_hsi.transforms.BandDropout`.

    Example:
        >>> import torch
        >>> batch = {'image': torch.rand(2, 202, 4, 4), 'wavelength': torch.rand(2, 202)}
        >>> out = RandomBandSubset(32, 32)(batch)
        >>> {key: tuple(value.shape) for key, value in out.items()}
        {'image': (2, 32, 4, 4), 'wavelength': (2, 32)}
    """

    physical = False

    def __init__(
        self,
        least: int = 32,
        most: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new RandomBandSubset instance.

        Args:
            least: Smallest number of bands to keep.
            most: Largest number of bands to keep; all by default, and where there are
                fewer.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            BandMismatchError: If the numbers are not positive and in order.
        """
        super().__init__()
        if least < 1 or (most is not None and most < least):
            raise BandMismatchError(
                f'Expected 1 <= least <= most bands, got {least} and {most}.'
            )
        self.least = least
        self.most = most
        self.generator: Source = generator

    def forward(self, batch: Sample) -> Sample:
        """Choose bands.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)``, and maybe
                ``wavelength``, ``fwhm``, ``mean`` and ``std`` of shape ``(B, C)`` or
                ``(C,)``.

        Returns:
            A new batch of fewer bands.

        Raises:
            BandMismatchError: If the images have fewer than *least* bands.
        """
        image = check_batch(batch)
        bands = image.shape[1]
        most = bands if self.most is None else min(self.most, bands)
        if bands < self.least:
            raise BandMismatchError(
                f'Expected images of at least {self.least} bands, got {bands}. Lower '
                'least= of RandomBandSubset.'
            )
        number = int(torch.randint(self.least, most + 1, (), generator=self.generator))
        order = torch.randperm(bands, generator=self.generator)
        index = order[:number].sort().values.to(image.device)
        cubes = [key for key in IMAGES if has_bands(batch, key)]
        numbers = [key for key in _BANDS if key in batch]
        return (
            batch
            | {key: batch[key].index_select(1, index) for key in cubes}
            | {key: batch[key][..., index.to(batch[key].device)] for key in numbers}
        )

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'least={self.least}, most={self.most}'
