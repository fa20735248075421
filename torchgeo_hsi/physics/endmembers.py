# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Endmembers: the spectra of which all others are mixed."""

import math

import torch
from torch import Tensor

from ..errors import EmptyDataError


def vertex_component_analysis(
    spectra: Tensor,
    count: int,
    generator: torch.Generator | None = None,
    restarts: int = 1,
) -> tuple[Tensor, Tensor]:
    """Find the most extreme of mixed spectra (vertex component analysis, VCA).

    Mixtures of *count* materials with shares that sum up to 1 lie in a simplex whose
    corners are the materials. The spectra are projected on random directions, each
    orthogonal to the corners found so far; the farthest one is the next corner. If there
    are pure pixels, they are found. https://doi.org/10.1109/TGRS.2005.844293

    Args:
        spectra: Spectra of shape ``(C, N)``.
        count: Number of materials, P, at most C and N.
        generator: Random numbers, on the CPU; a new one with seed 0 by default.
        restarts: How often to try; the corners with the largest volume are taken.

    Returns:
        Corners as columns, projected on the subspace of the spectra, shape ``(C, P)``,
        of the type of *spectra*; and which pixels they are, shape ``(P,)``.

    Raises:
        EmptyDataError: If there are fewer than *count* spectra, or some are not finite.
        ValueError: If *count* or *restarts* is out of its range.

    Example:
        >>> pure = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
        >>> shares = torch.tensor([[0.5, 1.0, 0.2, 0.0], [0.5, 0.0, 0.8, 1.0]])
        >>> corners, pixels = vertex_component_analysis(pure @ shares, 2)
        >>> pixels.sort().values
        tensor([1, 3])
    """
    bands, pixels = spectra.shape
    if not 1 <= count <= bands or restarts < 1:
        raise ValueError(
            f'Expected 1 to {bands} materials, as there are bands, and at least one try, '
            f'got {count} and {restarts}.'
        )
    if pixels < count or not bool(spectra.isfinite().all()):
        raise EmptyDataError(
            f'Expected at least {count} spectra without gaps, got {pixels}. Fill or leave '
            'out pixels without data, or ask for fewer materials.'
        )
    generator = generator or torch.Generator().manual_seed(0)
    data = spectra.detach().double()
    lifted, basis, center = _lift(data, count)
    draws = torch.rand(
        restarts, count, count, generator=generator, dtype=torch.float64
    ).to(data.device)
    index = _corners(lifted, draws)
    found = basis @ (basis.mT @ (data[:, index.mT] - center[:, :, None]).flatten(1))
    found = found.reshape(bands, count, restarts) + center[:, :, None]
    # of spectra, not of what was scaled to find them
    volume = torch.linalg.slogdet(torch.einsum('cpr,cqr->rpq', found, found))[1]
    best = int(volume.nan_to_num(-math.inf).argmax())
    return found[:, :, best].to(spectra), index[best]


def _lift(data: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Project spectra to *count* numbers whose simplex has the origin outside.

    Returns:
        Numbers of shape ``(P, N)``; the basis of the subspace, shape ``(C, D)``; and its
        origin, shape ``(C, 1)``.
    """
    mean = data.mean(1, keepdim=True)
    if _ratio_of_signal(data, mean, count) < 15 + 10 * math.log10(count) and count > 1:
        # noise is less of a danger in one dimension less
        basis = _basis(data - mean, count - 1)
        flat = basis.mT @ (data - mean)
        height = flat.square().sum(0).max().sqrt().expand(1, flat.shape[1])
        return torch.cat([flat, height]), basis, mean
    basis = _basis(data, count)
    flat = basis.mT @ data
    scale = (flat * flat.mean(1, keepdim=True)).sum(0)
    # a pixel without any light cannot be scaled
    tiny = scale.abs().max() * 1e-9
    safe = torch.where(scale.abs() > tiny, scale, math.inf)
    return flat / safe, basis, torch.zeros_like(mean)


def _ratio_of_signal(data: Tensor, mean: Tensor, count: int) -> float:
    """Estimate how much more of the spectra is signal than noise, in dB."""
    bands, pixels = data.shape
    basis = _basis(data - mean, count)
    total = float(data.square().sum() / pixels)
    inside = float((basis.mT @ (data - mean)).square().sum() / pixels)
    inside += float(mean.square().sum())
    noise = total - inside
    if noise <= 1e-12 * total:
        return math.inf
    return 10 * math.log10(max(inside - count / bands * total, 1e-30) / noise)


def _basis(data: Tensor, count: int) -> Tensor:
    """Return the strongest directions, shape ``(C, count)``."""
    axes = torch.linalg.eigh(data @ data.mT)[1].flip(1)[:, :count]
    # their signs are by chance, and random directions would meet other corners
    largest = axes.gather(0, axes.abs().argmax(0, keepdim=True))
    return torch.where(largest < 0, -axes, axes)


def _corners(lifted: Tensor, draws: Tensor) -> Tensor:
    """Find pixels, shape ``(restarts, P)``."""
    restarts, count, _ = draws.shape
    corners = lifted.new_zeros(restarts, count, count)
    corners[:, -1, 0] = 1
    index = torch.zeros(restarts, count, dtype=torch.long, device=lifted.device)
    for number in range(count):
        draw = draws[:, number, :, None]
        outside = draw - corners @ (torch.linalg.pinv(corners, rtol=1e-10) @ draw)
        outside = outside / torch.linalg.vector_norm(outside, dim=1, keepdim=True)
        index[:, number] = (outside.mT @ lifted).squeeze(1).abs().argmax(1)
        corners[:, :, number] = lifted[:, index[:, number]].mT
    return index
