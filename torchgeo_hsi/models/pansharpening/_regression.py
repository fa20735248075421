# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Least squares from moments."""

import torch
from scipy.optimize import nnls
from torch import Tensor

from ...physics.pixel_moments import PixelMoments
from .base import divide

#: Share of the largest eigenvalue below which a direction is noise of the arithmetic.
_RANK = 1e-13

#: Share of its mean below which the standard deviation of an image is rounding.
_FLAT = 1e-6


def regress(
    moments: PixelMoments, targets: int = 1, intercept: bool = True
) -> tuple[Tensor, Tensor]:
    """Fit the last images by a combination of the others.

    Args:
        moments: Moments with all products.
        targets: How many images are fitted, T.
        intercept: Whether a constant is fitted, too.

    Returns:
        Weights of shape ``(B, K - T)`` for one target, or ``(B, T, K - T)``, and constants
        of shape ``(B, 1)`` or ``(B, T)``. Of images that are combinations of each other,
        the shortest solution.
    """
    covariance, mean = moments.covariance, moments.mean
    known, wanted = (
        covariance[:, :-targets, :-targets],
        covariance[:, :-targets, -targets:],
    )
    if intercept:
        weights = solve_normal(known, wanted).mT
        fitted = (weights @ mean[:, :-targets, None]).squeeze(-1)
        constants = mean[:, -targets:] - fitted
    else:
        equations = fewest_equations(
            known, wanted, mean[:, :-targets], mean[:, -targets:]
        )
        weights = solve(*equations).mT
        constants = torch.zeros_like(mean[:, -targets:])
    return (weights.squeeze(1) if targets == 1 else weights), constants


def solve_normal(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve normal equations, whose matrix may be singular.

    Args:
        matrix: Positive semidefinite matrices of shape ``(B, K, K)``.
        right: Right sides of shape ``(B, K, T)``.

    Returns:
        Solutions of shape ``(B, K, T)``.
    """
    # images of very different strength would look dependent without this
    scale = matrix.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    inverse = divide(torch.ones_like(scale), scale)[..., None]
    scaled = matrix * inverse * inverse.mT
    found = torch.linalg.pinv(scaled, rtol=_RANK, hermitian=True) @ (right * inverse)
    solution: Tensor = found * inverse
    return solution


def fewest_equations(
    known: Tensor, wanted: Tensor, mean: Tensor, wanted_mean: Tensor
) -> tuple[Tensor, Tensor]:
    """Find few equations with the least squares solutions of one for each pixel.

    For fits without a constant. Means are kept apart, as they are much larger than
    what images differ in, and products with them would not hold that.

    Args:
        known: Covariances of images that are combined, shape ``(B, K, K)``.
        wanted: Their covariances with the images that are fitted, shape ``(B, K, T)``.
        mean: Means of those that are combined, shape ``(B, K)``.
        wanted_mean: Means of those that are fitted, shape ``(B, T)``.

    Returns:
        Matrices of shape ``(B, K + 1, K)`` and right sides of shape ``(B, K + 1, T)``.
    """
    scale = known.diagonal(dim1=-2, dim2=-1).clamp_min(0).sqrt()
    inverse = divide(torch.ones_like(scale), scale)[..., None]
    values, vectors = torch.linalg.eigh(known * inverse * inverse.mT)
    usable = values > _RANK * values.amax(-1, keepdim=True).clamp_min(0)
    roots = values.where(usable, 0.0).sqrt()[..., None]
    # any factor of a matrix of normal equations has the residuals of the original ones
    factor = roots * (vectors.mT * scale[:, None])
    right = divide(vectors.mT @ (wanted * inverse), roots.expand_as(wanted))
    return (
        torch.cat([factor, mean[:, None]], 1),
        torch.cat([right, wanted_mean[:, None]], 1),
    )


def solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve equations by least squares.

    Args:
        matrix: Matrices of shape ``(B, N, K)``.
        right: Right sides of shape ``(B, N, T)``.

    Returns:
        Solutions of shape ``(B, K, T)``, the shortest of several.
    """
    size = matrix.square().sum(1, keepdim=True).sqrt()
    inverse = divide(torch.ones_like(size), size)
    found: Tensor = torch.linalg.pinv(matrix * inverse, rtol=_RANK**0.5 / 100) @ right
    return found * inverse.mT


def solve_nonnegative(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve equations by least squares, with solutions that are not negative.

    Args:
        matrix: Matrices of shape ``(B, N, K)``.
        right: Right sides of shape ``(B, N, T)``.

    Returns:
        Solutions of shape ``(B, K, T)``.
    """
    size = matrix.square().sum(1, keepdim=True).sqrt()
    inverse = divide(torch.ones_like(size), size)
    found = right.new_empty(len(right), matrix.shape[2], right.shape[2])
    for number, (left, columns) in enumerate(
        zip((matrix * inverse).cpu().numpy(), right.cpu().numpy(), strict=True)
    ):
        for place, column in enumerate(columns.T):
            solved = torch.from_numpy(nnls(left, column)[0])
            found[number, :, place] = solved.to(found)
    return found * inverse.mT


def spread(moments: PixelMoments) -> Tensor:
    """Return standard deviations, without those that are rounding only.

    Args:
        moments: Moments.

    Returns:
        Standard deviations of shape ``(B, K)``; exactly 0 for images of a single value.
    """
    std = moments.std
    return std.masked_fill(std <= _FLAT * moments.mean.abs(), 0.0)


def combine(images: Tensor, weights: Tensor) -> Tensor:
    """Sum up images with weights.

    Args:
        images: Images of shape ``(B, C, H, W)``.
        weights: Weights of shape ``(B, C)``, or ``(1, C)`` for all images.

    Returns:
        Images of shape ``(B, 1, H, W)``.
    """
    weights = weights.to(images).expand(len(images), -1)
    return torch.einsum('bchw,bc->bhw', images, weights).unsqueeze(1)
