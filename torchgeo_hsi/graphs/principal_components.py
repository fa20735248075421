# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Principal components of spectra, as features of nodes."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from .._precision import full_precision
from ..errors import BandMismatchError, EmptyDataError

__all__ = ('PrincipalComponents',)

#: Number of spectra that are multiplied at a time.
_CHUNK = 65536


@dataclass(frozen=True)
class PrincipalComponents:
    """A linear map from spectra to their principal components, the largest first.

    All components are divided by the same number, so that the first one has unit
    variance, and angles and ratios of distances are those of the centred spectra.

    Args:
        mean: Mean spectrum, float32 of shape ``(C,)``.
        projection: Map of shape ``(K, C)``.

    Example:
        >>> import torch
        >>> spectra = torch.randn(100, 12, generator=torch.Generator().manual_seed(0))
        >>> basis = PrincipalComponents.fit(spectra, components=3)
        >>> basis(spectra).shape
        torch.Size([100, 3])
    """

    mean: Tensor
    projection: Tensor

    @classmethod
    def fit(cls, spectra: Tensor, components: int) -> Self:
        """Find the principal components of spectra.

        Args:
            spectra: Spectra of shape ``(N, C)``.
            components: Number of components. As many as there are bands, or fewer than
                there are spectra, if those are less.

        Returns:
            The map.

        Raises:
            BandMismatchError: If *spectra* or *components* is out of shape.
            EmptyDataError: If there are less than two spectra, all are equal, or a
                number is not finite.
        """
        if spectra.ndim != 2 or components < 1:
            raise BandMismatchError(
                'Expected spectra of shape (number, bands) and at least one component, '
                f'got {tuple(spectra.shape)} and {components}.'
            )
        count, bands = spectra.shape
        if count < 2:
            raise EmptyDataError(f'{count} spectra have no principal components.')
        mean = spectra.double().mean(0)
        outer = torch.zeros(bands, bands, dtype=torch.float64, device=spectra.device)
        for start in range(0, count, _CHUNK):
            centred = spectra[start : start + _CHUNK].double() - mean
            outer += centred.T @ centred
        if not outer.isfinite().all():
            raise EmptyDataError(
                'A spectrum holds NaN or infinity, so there are no principal '
                'components. Leave such pixels out (valid=).'
            )
        variance, vectors = torch.linalg.eigh(outer / count)
        if not variance[-1] > 0:
            raise EmptyDataError(
                'All spectra are equal, so they have no principal components. Check '
                'nodata.'
            )
        number = min(components, bands, count - 1)
        kept = vectors[:, -number:].flip(1)
        # the largest weight of each component is positive: the sign is arbitrary
        largest = kept.abs().argmax(0, keepdim=True)
        kept = kept * kept.gather(0, largest).sign()
        projection = kept.T / variance[-1].sqrt()
        return cls(mean.float(), projection.float())

    @property
    def components(self) -> int:
        """Number of components."""
        return len(self.projection)

    def __call__(self, spectra: Tensor) -> Tensor:
        """Map spectra.

        Args:
            spectra: Spectra of shape ``(N, C)``.

        Returns:
            Features of shape ``(N, K)``, float32.

        Raises:
            BandMismatchError: If they have another number of bands.
        """
        if spectra.ndim != 2 or spectra.shape[1] != len(self.mean):
            raise BandMismatchError(
                f'Expected spectra of {len(self.mean)} bands, got '
                f'{tuple(spectra.shape)}. A basis fits the bands that it was fitted to.'
            )
        mean, projection = self.mean.to(spectra.device), self.projection
        with full_precision(spectra.device):
            return (spectra.float() - mean) @ projection.to(spectra.device).T
