# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the two sensors see of the same ground: response and blur, from the images."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Sensors(NamedTuple):
    """How cube and PAN come from the image that both are of.

    Args:
        response: Share of each band in the PAN, shape ``(B, C)``.
        kernel: Blur of the cube, shape ``(B, K, K)``, sums up to 1. Its element
            ``K // 2`` lies on the sample that stands for a coarse pixel.
    """

    response: Tensor
    kernel: Tensor


def estimate_sensors(
    cube: Tensor,
    pan: Tensor,
    *,
    overlap: Tensor,
    size: int,
    offset: int,
    smooth_response: float = 10.0,
    smooth_kernel: float = 10.0,
    half_window: int = 4,
) -> Sensors:
    """Estimate the response of the PAN and the blur of the cube.

    First the response: both images are blurred so strongly that the blur of the cube does
    not matter any more, and the PAN is fitted by bands, neighbors of which have similar
    shares. Then the blur: the kernel with which the PAN is that sum of bands.

    Args:
        cube: Cubes of shape ``(B, C, h, w)``, with values of about 1.
        pan: PANs of shape ``(B, 1, H, W)``.
        overlap: True for bands that may have a share, shape ``(C,)``.
        size: Rows and columns of the kernel, K.
        offset: Row and column of the sample that stands for the first coarse pixel.
        smooth_response: How smooth the response is.
        smooth_kernel: How smooth the kernel is.
        half_window: Coarse pixels on each side of the strong blur.

    Returns:
        Response and blur.
    """
    ratio = pan.shape[-1] // cube.shape[-1]
    some, chosen = cube.double(), overlap.to(cube.device).nonzero().flatten()
    coarse = _box(some[:, chosen], half_window).flatten(2)
    seen = _box(pan.double(), half_window * ratio)[..., offset::ratio, offset::ratio]
    part = _fit(coarse.mT, seen.flatten(1), smooth_response, _line(len(chosen)))
    response = part.new_zeros(cube.shape[:2]).index_copy_(1, chosen, part)
    wanted = torch.einsum('bchw,bc->bhw', some, response).flatten(1)
    patches = unfold_patches(pan.double(), size, ratio, offset)
    kernel = _fit(patches, wanted, smooth_kernel, _plane(size))
    total = kernel.sum(1, keepdim=True)
    flat = torch.full_like(kernel, 1 / size**2)
    # a PAN without any light says nothing about the blur
    usable = total.abs() > 1e-6
    kernel = torch.where(usable, kernel / total.masked_fill(~usable, 1), flat)
    return Sensors(response, kernel.reshape(-1, size, size))


def unfold_patches(pan: Tensor, size: int, ratio: int, offset: int) -> Tensor:
    """Cut out what a kernel sees around each coarse pixel.

    Args:
        pan: Images of shape ``(B, 1, H, W)``.
        size: Rows and columns of the kernel, K.
        ratio: Ratio of pixel sizes.
        offset: Sample of the first coarse pixel.

    Returns:
        Patches of shape ``(B, h * w, K * K)``, with the outermost pixels again beyond the
        border.
    """
    half = size // 2
    height, width = pan.shape[-2:]
    rows, cols = (
        (
            torch.arange(offset, length, ratio, device=pan.device)[:, None]
            + torch.arange(size, device=pan.device)
            - half
        ).clamp(0, length - 1)
        for length in (height, width)
    )
    found = pan[:, 0, rows[:, None, :, None], cols[None, :, None, :]]
    return found.flatten(3).flatten(1, 2)


def _box(image: Tensor, half: int) -> Tensor:
    """Average over a square; near the border, over what is there."""
    height, width = image.shape[-2:]
    size = (min(2 * half + 1, 2 * height - 1), min(2 * half + 1, 2 * width - 1))
    rows = F.avg_pool2d(
        image, (size[0], 1), 1, (size[0] // 2, 0), count_include_pad=False
    )
    return F.avg_pool2d(
        rows, (1, size[1]), 1, (0, size[1] // 2), count_include_pad=False
    )


def _fit(matrix: Tensor, right: Tensor, weight: float, steps: Tensor) -> Tensor:
    """Solve least squares whose solutions are smooth.

    Args:
        matrix: Matrices of shape ``(B, N, K)``.
        right: Right sides of shape ``(B, N)``.
        weight: Weight of the differences.
        steps: Differences of neighbors, shape ``(M, K)``.

    Returns:
        Solutions of shape ``(B, K)``, the shortest ones.
    """
    steps = steps.to(matrix)
    normal = matrix.mT @ matrix + weight * steps.mT @ steps
    inverse = torch.linalg.pinv(normal, rtol=1e-12, hermitian=True)
    solved: Tensor = inverse @ (matrix.mT @ right[..., None])
    return solved.squeeze(-1)


def _line(count: int) -> Tensor:
    return torch.eye(count, dtype=torch.float64).diff(dim=0)


def _plane(size: int) -> Tensor:
    line, same = _line(size), torch.eye(size, dtype=torch.float64)
    return torch.cat([torch.kron(line, same), torch.kron(same, line)])
