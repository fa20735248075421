# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Convolutions of 3 x 3 with fewer products, for images whose channels come last.

Winograd's minimal filtering computes 2 x 2 pixels with 16 products instead of 36, see
https://doi.org/10.48550/arXiv.1509.09308. On a CPU, where convolutions of many channels
are bound by products, it is worth the sums around them.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

#: Channels from which fewer products are worth more sums.
_CHANNELS = 192
#: Numbers of an image that are transformed at a time, so that they stay in the caches.
_CHUNK = 2**18


def pays(weight: Tensor, like: Tensor) -> bool:
    """Whether this way is the faster one.

    Args:
        weight: Weight of shape ``(O, C, 3, 3)``.
        like: Images.
    """
    return (
        like.device.type == 'cpu'
        and like.dtype in (torch.float32, torch.float64)
        and min(weight.shape[:2]) >= _CHANNELS
    )


def transform_weight(weight: Tensor) -> Tensor:
    """Bring a kernel into the form that products are made in.

    Args:
        weight: Weight of shape ``(O, C, 3, 3)``.

    Returns:
        Matrices of shape ``(16, C, O)``.
    """
    rows = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]]
    matrix = weight.new_tensor(rows)
    kernel = weight.permute(2, 3, 1, 0)
    kernel = torch.einsum('ai,bj,ijco->abco', matrix, matrix, kernel)
    return kernel.flatten(0, 1).contiguous()


def convolve(window: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve rows; columns are padded with zeros, rows not.

    Args:
        window: Rows of shape ``(R + 2, W, C)``.
        kernel: What :func:`transform_weight` returns.
        bias: Bias of shape ``(O,)``.

    Returns:
        Rows of shape ``(R, W, O)``.
    """
    height, width = window.shape[0] - 2, window.shape[1]
    out = window.new_empty(height, width, kernel.shape[2])
    rows = 2 * max(1, _CHUNK // (2 * window[0].numel()))
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        part = window[start : stop + 2]
        odd = (stop - start) % 2
        part = F.pad(part, (0, 0, 1, 1 + width % 2, 0, odd))
        y = _untransform(torch.bmm(_transform(part), kernel), part.shape, bias)
        out[start:stop] = y[: stop - start, :width]
    return out


def _transform(image: Tensor) -> Tensor:
    """Return what is multiplied, shape (16, T, C), of an image with even sides."""
    height, width, channels = image.shape
    high, wide = height // 2 - 1, width // 2 - 1
    rows = image.new_empty(4, high, width, channels)
    _combine(rows, [image[i : i + 2 * high : 2] for i in range(4)])
    found = image.new_empty(4, 4, high, wide, channels)
    parts = [rows[:, :, j : j + 2 * wide : 2] for j in range(4)]
    _combine(found.transpose(0, 1), parts)
    return found.view(16, high * wide, channels)


def _combine(out: Tensor, parts: list[Tensor]) -> None:
    torch.sub(parts[0], parts[2], out=out[0])
    torch.add(parts[1], parts[2], out=out[1])
    torch.sub(parts[2], parts[1], out=out[2])
    torch.sub(parts[1], parts[3], out=out[3])


def _untransform(products: Tensor, shape: torch.Size, bias: Tensor | None) -> Tensor:
    """Return images of shape (R, W, O) from products of shape (16, T, O)."""
    high, wide = shape[0] // 2 - 1, shape[1] // 2 - 1
    size = products.shape[2]
    m = products.view(4, 4, high, wide, size)
    rows = torch.stack((m[0] + m[1] + m[2], m[1] - m[2] - m[3])).transpose(0, 1)
    out = products.new_empty(high, 2, wide, 2, size)
    view = out.permute(3, 1, 0, 2, 4)
    torch.add(rows[0], rows[1], out=view[0]).add_(rows[2])
    torch.sub(rows[1], rows[2], out=view[1]).sub_(rows[3])
    if bias is not None:
        out += bias
    return out.view(2 * high, 2 * wide, size)
