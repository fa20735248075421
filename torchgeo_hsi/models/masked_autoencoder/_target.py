# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a masked autoencoder has to predict, and how far it is from it."""

from typing import NamedTuple

import torch
from torch import Tensor

from ._token_mask import TokenMask, pixel_index

#: Summand of the variance of a patch.
_EPS = 1e-6


class Patches(NamedTuple):
    """Patches of images, and what they were normalized by.

    Args:
        values: Pixels of shape ``(B, M, P * P, C)``.
        valid: True for pixels that count, shape ``(B, M, P * P, 1)``, or None.
        mean: Mean of each patch, shape ``(B, M, 1, 1)``, or None.
        std: Standard deviation of each patch, shape ``(B, M, 1, 1)``, or None.
    """

    values: Tensor
    valid: Tensor | None
    mean: Tensor | None = None
    std: Tensor | None = None


def cut_patches(
    image: Tensor,
    valid: Tensor | None,
    tokens: Tensor,
    size: tuple[int, int],
    normalize: bool,
) -> Patches:
    """Cut the patches of tokens out of images.

    Args:
        image: Images of shape ``(B, C, H, W)``.
        valid: True for pixels that count, shape ``(B, H, W)``, or None.
        tokens: Numbers of the tokens, shape ``(B, M)``.
        size: Height and width of a patch.
        normalize: Whether to take the mean of each patch off and to divide by its
            standard deviation, both over all bands of its valid pixels.

    Returns:
        The patches.
    """
    index = pixel_index(tokens, size, image.shape[-1] // size[1]).flatten(2)
    start = torch.arange(len(image), device=image.device) * image[0, 0].numel()
    index = index + start[:, None, None]
    rows = image.movedim(1, -1).reshape(-1, image.shape[1])
    values = rows.index_select(0, index.flatten()).float()
    values = values.view(*index.shape, -1)
    seen = None if valid is None else valid.flatten()[index].unsqueeze(-1)
    if seen is not None:
        # even what counts 0 times would be NaN if it is
        values = values.masked_fill(~seen, 0)
    if not normalize:
        return Patches(values, seen)
    if seen is None:
        var, mean = torch.var_mean(values, dim=(2, 3), keepdim=True)
    else:
        count = seen.sum(dim=(2, 3), keepdim=True) * values.shape[-1]
        mean = values.sum(dim=(2, 3), keepdim=True) / count.clamp_min(1)
        square = torch.where(seen, values - mean, 0).square()
        var = square.sum(dim=(2, 3), keepdim=True) / (count - 1).clamp_min(1)
    std = (var + _EPS).sqrt()
    return Patches((values - mean) / std, seen, mean, std)


def hidden_values(values: Tensor, mask: TokenMask) -> Tensor:
    """Tell which values of tokens are hidden.

    Args:
        values: Values of tokens, shape ``(B, M, P * P, C)``.
        mask: What is hidden.

    Returns:
        True for hidden ones, of a shape that broadcasts against them.
    """
    if mask.bands is None:
        return torch.ones_like(values[:1, :1, :1, :1], dtype=torch.bool)
    token = torch.arange(values.shape[1], device=values.device)
    token = token >= mask.keep.shape[1]
    return token[:, None, None] | mask.bands[:, None, None]


def mean_square(found: Tensor, target: Patches, mask: TokenMask) -> Tensor:
    """Average the squared error over what is hidden and valid.

    Args:
        found: Predictions of shape ``(B, M, P * P, C)``.
        target: What they should be.
        mask: What is hidden.

    Returns:
        The mean; 0, and still part of the graph, if nothing counts.
    """
    error = (found.float() - target.values).square()
    if mask.bands is not None:
        counts = hidden_values(error, mask)
        if target.valid is not None:
            counts = counts & target.valid
        counts = counts.expand_as(error)
        return torch.where(counts, error, 0).sum() / counts.sum().clamp_min(1)
    if target.valid is None:
        return error.mean()
    # pixels are fewer than values
    pixels = error.mean(dim=-1, keepdim=True)
    return (pixels * target.valid).sum() / target.valid.sum().clamp_min(1)
