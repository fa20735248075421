# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Weights that integrate a response over a spectrum known at a few wavelengths.

Between the nodes (the source's band centres, strictly increasing) the spectrum is taken
to be linear. It is then a sum of hat functions, and the weight of a node is the integral
of the response times its hat: never negative, exact for spectra that are linear, and a
plain linear interpolation where the response is narrow. Beyond the first and last node
the spectrum is taken to be constant.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import BandMismatchError, EmptyDataError
from .bands import BandSet

#: Variance of a Gaussian whose full width at half maximum is 1.
UNIT_VARIANCE = 1 / (8 * math.log(2))

#: Neighbouring bands whose centres are more FWHMs apart than this leave a gap; the
#: centres of complete sensors are at most 1.1 apart.
_GAP = 1.5

#: Weights below this are dropped: less than float32 can tell, and a band that is dropped
#: may hold no data.
_SMALLEST = 1e-7

#: Halvings of the interval in which :func:`narrow` looks for the variance.
_STEPS = 26


def normal_cdf(x: Tensor) -> Tensor:
    """Return the cumulative distribution of the standard normal."""
    return 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def locate(nodes: Tensor, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Find the nodes on both sides of wavelengths.

    Args:
        nodes: Strictly increasing wavelengths of shape ``(K,)``.
        x: Wavelengths of shape ``(M,)``.

    Returns:
        Positions of the left and of the right node, and the weight of the right one
        (0 to 1, exact at the nodes), each of shape ``(M,)``.
    """
    right = torch.searchsorted(nodes, x).clamp(1, max(len(nodes) - 1, 1))
    left = right - 1
    right = right.clamp(max=len(nodes) - 1)
    low, step = nodes[left], nodes[right] - nodes[left]
    share = ((x - low) / step.masked_fill(left == right, 1)).clamp(0, 1)
    return left, right, share


def interpolate(nodes: Tensor, x: Tensor) -> Tensor:
    """Return the weights of linear interpolation.

    Args:
        nodes: Strictly increasing wavelengths of shape ``(K,)``.
        x: Wavelengths of shape ``(M,)``.

    Returns:
        Weights of shape ``(M, K)``; exactly one 1 where *x* is a node.
    """
    left, right, share = locate(nodes, x)
    weights = torch.zeros(len(x), len(nodes), dtype=nodes.dtype)
    row = torch.arange(len(x))
    weights[row, left] += 1 - share
    weights[row, right] += share
    return weights


def gaussian_weights(nodes: Tensor, centre: Tensor, variance: Tensor) -> Tensor:
    """Integrate Gaussian responses.

    Args:
        nodes: Strictly increasing wavelengths of shape ``(K,)``.
        centre: Centres of the Gaussians, shape ``(M,)``.
        variance: Their variances, shape ``(M,)``; 0 means interpolation at the centre.

    Returns:
        Weights of shape ``(M, K)``; rows sum to 1.
    """
    sharp = variance <= 0
    sigma = variance.clamp(min=0).sqrt().masked_fill(sharp, 1)[:, None]
    offset = nodes - centre[:, None]
    z = offset / sigma
    cdf = normal_cdf(z)
    pdf = torch.exp(-(z**2) / 2) / (sigma * math.sqrt(2 * math.pi))
    # mass and first moment about the centre of what lies between two nodes
    mass = cdf.diff(dim=1)
    moment = -(sigma**2) * pdf.diff(dim=1)
    step = nodes.diff()
    weights = torch.zeros_like(cdf)
    weights[:, :-1] += (offset[:, 1:] * mass - moment) / step
    weights[:, 1:] += (moment - offset[:, :-1] * mass) / step
    weights[:, 0] += cdf[:, 0]
    weights[:, -1] += 1 - cdf[:, -1]
    return torch.where(sharp[:, None], interpolate(nodes, centre), weights)


def table_weights(nodes: Tensor, grid: Tensor, response: Tensor) -> Tensor:
    """Integrate one response that is given at a few wavelengths and linear between.

    Args:
        nodes: Strictly increasing wavelengths of shape ``(K,)``.
        grid: Strictly increasing wavelengths of shape ``(N,)``.
        response: Response at *grid*, shape ``(N,)``.

    Returns:
        Weights of shape ``(K,)`` that sum to 1.
    """
    inside = nodes[(nodes > grid[0]) & (nodes < grid[-1])]
    x = torch.cat([grid, inside]).sort().values
    left, right, share = locate(grid, x)
    y = torch.lerp(response[left], response[right], share)
    low, high = x[:-1], x[1:]
    # on each piece the response is linear: integrals of r and of x * r
    mass = (high - low) * (y[:-1] + y[1:]) / 2
    moment = (y[:-1] * (2 * low + high) + y[1:] * (low + 2 * high)) * (high - low) / 6
    centroid = torch.where(mass > 0, moment / mass.clamp(min=1e-300), low)
    # a hat is linear too, so its integral is its value at the centroid times the mass
    left, right, share = locate(nodes, centroid)
    weights = torch.zeros_like(nodes)
    weights.index_add_(0, left, mass * (1 - share)).index_add_(0, right, mass * share)
    return weights / weights.sum()


def table_moments(grid: Tensor, response: Tensor) -> tuple[Tensor, Tensor]:
    """Return where a tabulated response lies and how wide it is.

    Args:
        grid: Strictly increasing wavelengths of shape ``(N,)``.
        response: Response at *grid*, shape ``(N,)``, linear between.

    Returns:
        Its centroid and its variance, both of shape ``(1,)``.
    """
    a, b = grid[:-1], grid[1:]
    p, q = response[:-1], response[1:]
    step = b - a
    mass = (step * (p + q) / 2).sum()
    first = (step * (p * (2 * a + b) + q * (a + 2 * b)) / 6).sum()
    centre = first / mass
    # about the centroid, because the difference of two large numbers is inexact
    a, b = a - centre, b - centre
    second = p * (3 * a**2 + 2 * a * b + b**2) + q * (a**2 + 2 * a * b + 3 * b**2)
    return centre[None], ((step * second).sum() / 12 / mass)[None]


def table_integral(grid: Tensor, response: Tensor, end: Tensor) -> Tensor:
    """Integrate tabulated responses from their start.

    Args:
        grid: Strictly increasing wavelengths of shape ``(N,)``.
        response: Responses at *grid*, shape ``(M, N)``, linear between, 0 outside.
        end: Wavelengths to integrate to, shape ``(S,)``.

    Returns:
        Integrals of shape ``(M, S)``.
    """
    pieces = (response[:, 1:] + response[:, :-1]) / 2 * grid.diff()
    total = torch.cat([torch.zeros_like(pieces[:, :1]), pieces.cumsum(dim=1)], dim=1)
    left, right, share = locate(grid, end)
    before = response[:, left]
    here = torch.lerp(before, response[:, right], share)
    return total[:, left] + (before + here) / 2 * share * (grid[right] - grid[left])


def narrow(
    build: Callable[[Tensor], Tensor], nodes: Tensor, centre: Tensor, variance: Tensor
) -> Tensor:
    """Narrow responses until their weights have the wanted variance.

    Interpolation between the nodes widens what is integrated. The response is narrowed
    by as much, so that quadratic spectra come out exactly as well, unless the nodes are
    so far apart that interpolation alone is already too wide.

    Args:
        build: Makes weights of shape ``(M, K)`` from variances of shape ``(M,)``.
        nodes: Strictly increasing wavelengths of shape ``(K,)``.
        centre: Centres of the responses, shape ``(M,)``.
        variance: Wanted variances, shape ``(M,)``.

    Returns:
        Weights of shape ``(M, K)``.
    """
    square = (nodes - centre[:, None]) ** 2

    def too_wide(kernel: Tensor) -> Tensor:
        return (build(kernel) * square).sum(dim=1) > variance

    low, high = torch.zeros_like(variance), variance.clone()
    hopeless = too_wide(low)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        wide = too_wide(middle)
        low, high = torch.where(wide, low, middle), torch.where(wide, middle, high)
    return build(torch.where(hopeless, torch.zeros_like(high), high))


def usable_bands(bands: BandSet, use_good_only: bool) -> NDArray[np.intp]:
    """Return the positions of the bands that may get weight.

    Args:
        bands: Bands of the source.
        use_good_only: Whether bands that are marked as bad may not.

    Returns:
        The positions.

    Raises:
        EmptyDataError: If there are none.
    """
    good = bands.good if use_good_only else np.ones(len(bands), dtype=bool)
    if not good.any():
        raise EmptyDataError(
            'All bands of the source are marked as bad; pass use_good_only=False to '
            'use them.'
        )
    return np.flatnonzero(good)


@dataclass(frozen=True)
class SourceGrid:
    """The usable bands of a source, by wavelength.

    Args:
        nodes: Distinct centres, increasing, shape ``(K,)``.
        spread: Shape ``(K, C)``; shares a weight among bands with the same centre.
        variance: Variance of the response at each node; 0 where widths are unknown.
        low: Start of each stretch without gaps.
        high: End of each stretch.
    """

    nodes: Tensor
    spread: Tensor
    variance: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def of(cls, bands: BandSet, usable: NDArray[np.intp]) -> Self:
        """Sort the usable bands and find the gaps between them."""
        nodes, group = np.unique(bands.wavelength[usable], return_inverse=True)
        spread = np.zeros((len(nodes), len(bands)))
        spread[group, usable] = 1
        spread /= spread.sum(axis=1, keepdims=True)
        steps = np.diff(nodes)
        if bands.fwhm is not None:
            width = spread @ bands.fwhm
            variance = width**2 * UNIT_VARIANCE
        else:
            width = np.full(len(nodes), np.median(steps) if len(steps) else 0.0)
            variance = np.zeros(len(nodes))
        gap = steps > _GAP * np.maximum(width[:-1], width[1:])
        first = np.concatenate([[True], gap])
        last = np.concatenate([gap, [True]])
        low, high = (nodes - width / 2)[first], (nodes + width / 2)[last]
        return cls(*map(torch.tensor, (nodes, spread, variance, low, high)))

    def check_coverage(
        self, coverage: Tensor, least: float, names: Sequence[str]
    ) -> None:
        """Refuse responses that the source does not see.

        Args:
            coverage: Share of each response that it does see, shape ``(M,)``.
            least: Smallest share that is enough.
            names: Names of the responses.

        Raises:
            BandMismatchError: If a share is smaller.
        """
        missing = [
            f'{name}: {share:.0%}'
            for name, share in zip(names, coverage.tolist(), strict=True)
            if share < least
        ]
        if missing:
            spans = zip(self.low.tolist(), self.high.tolist(), strict=True)
            seen = ', '.join(f'{low:.4g}-{high:.4g}' for low, high in spans)
            raise BandMismatchError(
                f'Expected target bands with at least {least:.0%} of their response '
                f'where the source has usable bands ({seen} µm). Not covered: '
                f'{", ".join(missing)}. Leave these out of the target.'
            )

    def to_bands(self, weights: Tensor) -> Tensor:
        """Go from nodes to bands, without negligible weights.

        Args:
            weights: Weights of the nodes, shape ``(M, K)``.

        Returns:
            Weights of the bands, shape ``(M, C)``; rows sum to 1.
        """
        matrix = weights @ self.spread
        matrix = torch.where(matrix > _SMALLEST, matrix, 0)
        return matrix / matrix.sum(dim=1, keepdim=True)
