# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Images pixel by pixel and window by window, many at a time."""

from collections.abc import Callable

import torch
from torch import Tensor


def middle(x: Tensor, window: int) -> Tensor:
    """Leave out the pixels of images whose window does not lie inside.

    Args:
        x: Images or windows of shape ``(B, C, H, W)``.
        window: Rows and columns of a window.

    Returns:
        Images of shape ``(B, C, H - window + 1, W - window + 1)``, a view.
    """
    edge = window // 2
    return x[..., edge : x.shape[-2] - edge, edge : x.shape[-1] - edge]


def map_pixels(function: Callable[[Tensor], Tensor], x: Tensor, chunk: int) -> Tensor:
    """Apply a function of spectra to all pixels of images.

    Args:
        function: Turns spectra ``(N, C)`` into scores ``(N, K)``.
        x: Images of shape ``(B, C, H, W)``.
        chunk: Pixels at a time.

    Returns:
        Scores of shape ``(B, K, H, W)``.
    """
    pixels = x.movedim(1, -1).flatten(0, -2)
    scores = torch.cat([function(part) for part in torch.split(pixels, chunk)])
    return scores.view(len(x), *x.shape[2:], -1).movedim(-1, 1)


def map_windows(
    function: Callable[[Tensor], Tensor], x: Tensor, window: int, chunk: int
) -> Tensor:
    """Apply a function of windows to all windows of images.

    Windows are views of the images, gathered *chunk* at a time.

    Args:
        function: Turns windows ``(N, C, window, window)`` into scores ``(N, K)``.
        x: Images of shape ``(B, C, H, W)``.
        window: Rows and columns of a window.
        chunk: Windows at a time.

    Returns:
        Scores of shape ``(B, K, H - window + 1, W - window + 1)``.
    """
    views = x.unfold(2, window, 1).unfold(3, window, 1)
    batch, _, rows, columns = views.shape[:4]
    step = max(1, chunk // columns)
    found = []
    for top in range(0, rows, step):
        part = views[:, :, top : top + step].permute(0, 2, 3, 1, 4, 5)
        flat = part.reshape(-1, *part.shape[3:])
        scores = torch.cat([function(some) for some in torch.split(flat, chunk)])
        found.append(scores.view(batch, -1, columns, scores.shape[1]))
    return torch.cat(found, dim=1).movedim(-1, 1)


def window_means(x: Tensor, window: int) -> Tensor:
    """Average images over the window around each pixel.

    Args:
        x: Images of shape ``(B, C, H, W)``.
        window: Rows and columns of a window.

    Returns:
        Means of shape ``(B, C, H - window + 1, W - window + 1)``.
    """
    # rows, then columns: 2 * window numbers for each pixel instead of window ** 2
    rows = torch.nn.functional.avg_pool2d(x, (window, 1), stride=1)
    return torch.nn.functional.avg_pool2d(rows, (1, window), stride=1)
