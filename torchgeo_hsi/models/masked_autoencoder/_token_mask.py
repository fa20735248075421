# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a masked autoencoder hides: tokens of an image, and ranges of bands."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class TokenMask(NamedTuple):
    """What is hidden of a batch of images.

    Args:
        keep: Numbers of the tokens that are seen, shape ``(B, K)``, row by row from 0.
        hidden: Numbers of the tokens that are not, shape ``(B, N - K)``.
        bands: True for bands that are hidden in all tokens, shape ``(B, C)``, or None.
    """

    keep: Tensor
    hidden: Tensor
    bands: Tensor | None = None

    @property
    def order(self) -> Tensor:
        """Numbers of all tokens: those that are seen, then the others."""
        return torch.cat((self.keep, self.hidden), dim=1)

    @property
    def asked(self) -> Tensor:
        """Numbers of the tokens that something is hidden of, shape ``(B, M)``."""
        return self.hidden if self.bands is None else self.order


def num_visible(tokens: int, ratio: float) -> int:
    """Return how many tokens are seen.

    Args:
        tokens: Number of tokens of an image.
        ratio: Share that is hidden.

    Returns:
        The rest, to the nearest number, and at least 1.
    """
    # (1 - ratio) * tokens cut off loses a token to rounding: int(10 * (1 - 0.9)) is 0
    return max(tokens - round(tokens * ratio), 1)


def draw_tokens(
    batch: int,
    tokens: int,
    ratio: float,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> tuple[Tensor, Tensor]:
    """Draw which tokens of each image are seen.

    Args:
        batch: Number of images.
        tokens: Number of tokens of an image.
        ratio: Share that is hidden.
        generator: Where random numbers come from; torch's own by default.
        device: Where the result is needed.

    Returns:
        Numbers of the tokens that are seen and that are hidden, each in ascending
        order, shapes ``(B, K)`` and ``(B, N - K)``.
    """
    noise = _rand(batch, tokens, generator, device)
    order = noise.argsort(dim=1)
    count = num_visible(tokens, ratio)
    # in ascending order, memory is read from front to back
    keep, hidden = (
        part.sort(dim=1).values
        for part in order.split_with_sizes([count, tokens - count], dim=1)
    )
    return keep, hidden


def draw_ranges(
    batch: int,
    bands: int,
    ratio: float,
    ranges: int,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Draw contiguous ranges of bands, of random lengths, at random places.

    All ways to place the ranges are equally likely; two of them may touch.

    Args:
        batch: Number of images.
        bands: Number of bands.
        ratio: Share of the bands that is hidden, in each image to the nearest number.
        ranges: Number of ranges.
        generator: Where random numbers come from; torch's own by default.
        device: Where the result is needed.

    Returns:
        True for hidden bands, shape ``(B, C)``.
    """
    count = min(max(round(bands * ratio), 1), bands - 1)
    ranges = min(ranges, count)
    # lengths: where to cut the row of hidden bands, after none or some of its inner ones
    cuts = _rand(batch, count - 1, generator, device).argsort(dim=1)[:, : ranges - 1]
    starts = torch.zeros(batch, count, dtype=torch.bool, device=device)
    starts[:, 0] = True
    starts.scatter_(1, cuts + 1, value=True)
    number = starts.long().cumsum(dim=1) - 1
    # places: ranges among the bands that are seen, as if each range were a single one
    rest = bands - count
    places = _rand(batch, rest + ranges, generator, device).argsort(dim=1)
    places = places[:, :ranges].sort(dim=1).values
    before = places - torch.arange(ranges, device=device)
    index = torch.arange(count, device=device) + before.gather(1, number)
    hidden = torch.zeros(batch, bands, dtype=torch.bool, device=device)
    return hidden.scatter_(1, index, value=True)


def _rand(
    batch: int,
    count: int,
    generator: torch.Generator | None,
    device: torch.device | str | None,
) -> Tensor:
    # a generator may live on the CPU while the images do not
    place = device if generator is None else generator.device
    return torch.rand(batch, count, generator=generator, device=place).to(device)


def pixel_index(tokens: Tensor, size: tuple[int, int], columns: int) -> Tensor:
    """Number the pixels of tokens.

    Args:
        tokens: Numbers of tokens, shape ``(B, M)``.
        size: Height and width of a patch.
        columns: Number of tokens in a row.

    Returns:
        Numbers of pixels, row by row from 0, shape ``(B, M, P, P)``.
    """
    height, width = size
    line = columns * width
    first = (tokens // columns) * (height * line) + (tokens % columns) * width
    down = torch.arange(height, device=tokens.device)[:, None] * line
    right = torch.arange(width, device=tokens.device)
    return first[..., None, None] + down + right


def sine_cosine_grid(height: int, width: int, dim: int) -> Tensor:
    """Compute the fixed position embeddings of a grid of tokens.

    * https://arxiv.org/abs/2111.06377

    Args:
        height: Rows of tokens.
        width: Columns of tokens.
        dim: Width of the embedding, a multiple of 4.

    Returns:
        Embeddings of shape ``(height * width, dim)``: columns in the first half, rows
        in the second, in each sines and then cosines.

    Raises:
        ValueError: If *dim* is not a multiple of 4.
    """
    if dim % 4:
        raise ValueError(f'Expected a width that is a multiple of 4, got {dim}.')
    rows = torch.arange(height, dtype=torch.float64).repeat_interleave(width)
    columns = torch.arange(width, dtype=torch.float64).repeat(height)
    steps = torch.arange(dim // 4, dtype=torch.float64) / (dim // 4)
    angles = [place[:, None] / 10000**steps for place in (columns, rows)]
    parts = [f(angle) for angle in angles for f in (torch.sin, torch.cos)]
    return torch.cat(parts, dim=1).float()


def band_waves(position: Tensor, waves: int) -> Tensor:
    """Describe the place of bands in the spectrum by waves of many lengths.

    Args:
        position: Places of bands, about 0 to 1, any shape.
        waves: Number of lengths, from twice the spectrum to a 64th of it.

    Returns:
        Sines and cosines, with one more dimension of ``2 * waves``.
    """
    exponent = torch.linspace(-1, 6, waves, device=position.device)
    angle = 2 * math.pi * position.float()[..., None] * 2**exponent
    return torch.cat((angle.sin(), angle.cos()), dim=-1)


def as_places(wavelength: Tensor) -> Tensor:
    """Turn wavelengths into places in the spectrum.

    Args:
        wavelength: Centers in micrometres, any shape.

    Returns:
        0 at 0.4 and 1 at 2.5 micrometres.
    """
    return (wavelength - 0.4) / 2.1
