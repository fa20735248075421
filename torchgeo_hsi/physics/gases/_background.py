# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectra of the ground in groups of pixels, and the filters that follow from them."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ...errors import BandMismatchError, EmptyDataError
from ..pixel_moments import PixelMoments

#: Share of the variance of a band that is added to it: bands that are copies of each
#: other, or were rounded, would leave nothing to divide by.
_JITTER = 1e-10

#: Variance of a band, as a share of its squared mean, that is nothing but rounding.
_FLAT = 1e-13


class GroupMoments:
    """Means and covariances of groups of pixels, from any number of parts of a scene.

    Args:
        groups: Number of groups.
    """

    def __init__(self, groups: int) -> None:
        """Initialize a new GroupMoments instance."""
        self.parts: list[PixelMoments | None] = [None] * groups

    def add(self, spectra: Tensor, groups: Tensor | None) -> None:
        """Take pixels into account.

        Args:
            spectra: Spectra of shape ``(N, K)``.
            groups: Group of each, from 0, shape ``(N,)``; all in the first if None.
        """
        if groups is None:
            self._add(0, spectra)
            return
        sizes = groups.bincount(minlength=len(self.parts)).tolist()
        pieces = torch.split(spectra[groups.argsort(stable=True)], sizes)
        for number, piece in enumerate(pieces):
            self._add(number, piece)

    def _add(self, number: int, spectra: Tensor) -> None:
        if not len(spectra):
            return
        own = PixelMoments.of(spectra.mT[None, :, None])
        known = self.parts[number]
        self.parts[number] = own if known is None else known.merge(own)

    @property
    def count(self) -> list[int]:
        """Pixels of each group."""
        return [0 if part is None else int(part.count) for part in self.parts]


@dataclass(frozen=True)
class GroupFilters:
    """One filter for each group of pixels.

    Args:
        mean: Mean spectra, shape ``(G, K)``; NaN for groups with too few pixels, or
            with a band that is the same in all of them.
        weight: What deviations from the mean are multiplied with, shape ``(G, K)``.
        target: Change of the mean spectrum for one unit of gas, shape ``(G, K)``.
        variance: Variance of the result on the background, shape ``(G,)``.
        light: What the gas absorbs of, over all pixels: the mean of ``k' x``, shape
            ``()``.
    """

    mean: Tensor
    weight: Tensor
    target: Tensor
    variance: Tensor
    light: Tensor

    @classmethod
    def of(
        cls, moments: GroupMoments, absorption: Tensor, shrinkage: float | None
    ) -> Self:
        """Make the filters.

        Args:
            moments: What was measured.
            absorption: Absorption by one unit of gas, shape ``(K,)``.
            shrinkage: Share of the residual variance of each band that is added to the
                covariance; bands / pixels if None.

        Returns:
            The filters.

        Raises:
            EmptyDataError: If no group has enough pixels.
            BandMismatchError: If each group has a band with one and the same number.
        """
        bands, least = len(absorption), 2 * len(absorption)
        kept = [i for i, count in enumerate(moments.count) if count >= least]
        if not kept:
            most = max(moments.count, default=0)
            raise EmptyDataError(
                f'Expected at least {least} pixels with data, twice the number of bands, '
                f'{"in a group " if len(moments.parts) > 1 else ""}to know the background, '
                f'got {most}. Take a larger scene, fewer groups or a narrower window.'
            )
        kept = _that_vary(moments, kept)
        parts = [part for part in (moments.parts[i] for i in kept) if part is not None]
        count = torch.cat([part.count for part in parts])
        mean = torch.cat([part.mean for part in parts])
        covariance = torch.cat([part.covariance for part in parts])
        share = (
            bands / count if shrinkage is None else torch.full_like(count, shrinkage)
        )
        target = -mean * absorption
        weight = _weights(covariance, target, share)
        variance = torch.einsum('gk,gkl,gl->g', weight, covariance, weight)
        # what the covariance has learned from these very pixels
        variance = variance * (count - 1) / (count - bands - 1)
        light = (count * (mean @ absorption)).sum() / count.sum()
        spread = [_spread(v, kept, moments) for v in (mean, weight, target, variance)]
        return cls(spread[0], spread[1], spread[2], spread[3], light)


def _that_vary(moments: GroupMoments, groups: list[int]) -> list[int]:
    """Leave groups out in which a band is the same everywhere, such as clipped water."""
    flat: set[int] = set()
    kept = []
    for group in groups:
        part = moments.parts[group]
        assert part is not None
        power = part.covariance[0].diagonal()
        still = (power <= _FLAT * part.mean[0].square()).nonzero().flatten().tolist()
        flat.update(still)
        if not still:
            kept.append(group)
    if not kept:
        raise BandMismatchError(
            'Expected bands that differ between pixels, but of the bands that are used, '
            f'these hold one and the same number (positions from 0): '
            f'{", ".join(map(str, sorted(flat)))}. Leave them out.'
        )
    return kept


def _spread(values: Tensor, kept: list[int], moments: GroupMoments) -> Tensor:
    """Give the groups without a filter NaN."""
    shape = (len(moments.parts), *values.shape[1:])
    full = values.new_full(shape, torch.nan)
    full[kept] = values
    return full


def _weights(covariance: Tensor, target: Tensor, share: Tensor) -> Tensor:
    """Compute ``C^-1 t / (t' C^-1 t)``, shape ``(G, K)``."""
    power = covariance.diagonal(dim1=-2, dim2=-1)
    solid = covariance + torch.diag_embed(power * _JITTER)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(solid))
    residual = 1 / inverse.diagonal(dim1=-2, dim2=-1)
    solid = solid + torch.diag_embed(share[:, None] * residual)
    solved = torch.cholesky_solve(target[..., None], torch.linalg.cholesky(solid))
    return solved[..., 0] / (solved[..., 0] * target).sum(-1, keepdim=True)
