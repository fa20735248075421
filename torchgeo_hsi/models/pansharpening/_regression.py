# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Least squares from moments."""

import torch
from torch import Tensor

from ...physics.pixel_moments import PixelMoments
from .base import divide

#: Share of the largest eigenvalue below which a direction is noise of the arithmetic.
_RANK = 1e-13


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
    matrix = moments.covariance if intercept else moments.products
    solved = solve_normal(
        matrix[:, :-targets, :-targets], matrix[:, :-targets, -targets:]
    )
    weights = solved.mT
    mean = moments.mean
    constants = mean[:, -targets:] - (weights @ mean[:, :-targets, None]).squeeze(-1)
    if not intercept:
        constants = torch.zeros_like(constants)
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
    return found * inverse


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
