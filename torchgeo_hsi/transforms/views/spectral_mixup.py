# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random mixtures of bands."""

from typing import Literal

import torch
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import UnitError
from ._common import Source, check_batch, check_probability, chosen, has_bands, map_some

#: Keys of images that are mixed alike.
_IMAGES = ('image', 'target', 'up')


class SpectralMixup(nn.Module):
    """Add to each band a random mixture of all bands.

    A matrix *C* of numbers from 0 to 1, divided by the mean of the sums of its columns,
    is drawn for a batch, and the spectra *x* become ``(x + x C) / 2``, which keeps their
    brightness on average. ``image`` and, if they have the same bands, ``target`` and
    ``up`` are mixed by the same matrix. Images are in physical units, see
    :class:`~torchgeo_hsi.transforms.PhysicalUnits`.

    The defaults are those of the paper; the other options show what each part of it is
    good for.

    * https://arxiv.org/abs/2101.07589

    Example:
        >>> import torch
        >>> pair = {'image': torch.rand(2, 8, 4, 4), 'target': torch.rand(2, 8, 16, 16)}
        >>> {key: tuple(value.shape) for key, value in SpectralMixup()(pair).items()}
        {'image': (2, 8, 4, 4), 'target': (2, 8, 16, 16)}
    """

    physical = True

    def __init__(
        self,
        p: float = 1.0,
        generator: torch.Generator | None = None,
        per: Literal['batch', 'sample'] = 'batch',
        keep: float = 0.5,
        normalize: Literal['mean', 'column'] | None = 'mean',
    ) -> None:
        """Initialize a new SpectralMixup instance.

        Args:
            p: Probability with which an image is changed.
            generator: Source of randomness, on the CPU; torch's own by default.
            per: Whether a matrix is drawn for a batch, or for each image.
            keep: Weight of the spectrum as it was; 0 leaves only the mixture.
            normalize: What makes the columns of the matrix sum to 1: the mean of all sums
                (``'mean'``, so they do on average), the sum of each (``'column'``), or
                nothing; then spectra become brighter by half the number of bands.

        Raises:
            UnitError: If *p* is no probability, or *keep* no weight.
            ValueError: If there is no such option.
        """
        super().__init__()
        if per not in ('batch', 'sample'):
            raise ValueError(f'Expected per= batch or sample, got {per!r}.')
        if normalize not in ('mean', 'column', None):
            raise ValueError(
                f'Expected normalize= mean, column or None, got {normalize!r}.'
            )
        if not 0 <= keep <= 1:
            raise UnitError(f'Expected a weight keep from 0 to 1, got {keep}.')
        self.p = check_probability(p)
        self.per = per
        self.keep = float(keep)
        self.normalize = normalize
        self.generator: Source = generator

    def forward(self, batch: Sample) -> Sample:
        """Mix the bands.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)`` in physical units, and
                maybe ``target`` and ``up`` of shape ``(B, C, H', W')``.

        Returns:
            A new batch.

        Raises:
            BandMismatchError: If the images have another shape.
        """
        image = check_batch(batch)
        pick = chosen(self.p, len(image), self.generator).nonzero().flatten().tolist()
        each = (len(pick),) if self.per == 'sample' else ()
        matrix = self._matrix(image.shape[1], each).to(image.device)
        keys = [key for key in _IMAGES if has_bands(batch, key)]
        return batch | {key: map_some(batch[key], matrix, pick) for key in keys}

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return (
            f'p={self.p:g}, per={self.per!r}, keep={self.keep:g}, '
            f'normalize={self.normalize!r}'
        )

    def _matrix(self, bands: int, each: tuple[int, ...]) -> Tensor:
        """Draw maps of shape ``(..., C, C)`` for columns of spectra."""
        mixing = torch.rand(*each, bands, bands, generator=self.generator)
        if self.normalize:
            sums = mixing.sum(-2, keepdim=True)
            mixing /= sums.mean(-1, keepdim=True) if self.normalize == 'mean' else sums
        return (self.keep * torch.eye(bands) + (1 - self.keep) * mixing).mT
