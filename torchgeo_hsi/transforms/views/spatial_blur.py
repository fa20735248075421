# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Gaussian blur of space, which keeps spectra and nodata apart."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ..._precision import full_precision
from ..._typing import Sample
from ...errors import UnitError
from ..crop import has_holes
from ._common import (
    Source,
    check_batch,
    check_bounds,
    check_probability,
    chosen,
    uniform,
)

#: Pixels of a block: fewer are more products, more are more weights that are 0.
_BLOCK = 32

#: Bands that are blurred together on a CPU.
_BANDS = 32


class SpatialBlur(nn.Module):
    """Blur images along rows and columns with a Gaussian of random width.

    Each image is blurred with probability *p* and draws its own width. It is a
    normalized convolution: the weights of pixels that are valid and inside the image sum
    to 1, so neither nodata nor the edge darkens what is beside it. Pixels that are not
    ``valid`` are 0 afterwards and stay invalid. (Normalized convolution: Knutsson and
    Westin, CVPR 1993.)

    Example:
        >>> import torch
        >>> blur = SpatialBlur(p=1.0)
        >>> flat = {'image': torch.full((2, 202, 16, 16), 3.0)}
        >>> torch.testing.assert_close(blur(flat)['image'], flat['image'])
    """

    physical = False

    def __init__(
        self,
        p: float = 0.5,
        sigma: tuple[float, float] = (0.1, 2.0),
        kernel: int = 13,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new SpatialBlur instance.

        Args:
            p: Probability with which an image is blurred.
            sigma: Smallest and largest standard deviation in pixels.
            kernel: Rows and columns that a pixel sees, odd.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            UnitError: If *p* is no probability, *sigma* not positive and in order, or
                *kernel* even.
        """
        super().__init__()
        self.p = check_probability(p)
        self.sigma = check_bounds(sigma, 'sigma', 0.0)
        if self.sigma[0] <= 0 or kernel < 1 or kernel % 2 == 0:
            raise UnitError(
                'Expected a positive sigma and an odd kernel of at least 1, got '
                f'{sigma} and {kernel}.'
            )
        self.kernel = kernel
        self.generator: Source = generator

    def forward(self, batch: Sample) -> Sample:
        """Blur a batch.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)`` and maybe ``valid``.

        Returns:
            A new batch.
        """
        result = {**batch, 'image': check_batch(batch).clone()}
        self.change_(result)
        return result

    def change_(self, batch: Sample) -> None:
        """Blur the images of a batch in place.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)`` and maybe ``valid``.
        """
        image, valid = batch['image'], batch.get('valid')
        pick = chosen(self.p, len(image), self.generator)
        sigma = uniform((len(image),), self.sigma, self.generator).tolist()
        for k in pick.nonzero().flatten().tolist():
            here = None if valid is None else valid[k]
            _blur_(image[k], sigma[k], self.kernel // 2, here)

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'p={self.p:g}, sigma={self.sigma}, kernel={self.kernel}'


def _blur_(image: Tensor, sigma: float, reach: int, valid: Tensor | None) -> None:
    """Blur one image of shape ``(C, H, W)`` in place."""
    on_cpu = image.device.type == 'cpu'
    kind = torch.float64 if image.dtype == torch.float64 else torch.float32
    rows, columns = (
        _weights(n, sigma, reach).to(image.device, kind) for n in image.shape[-2:]
    )
    if valid is None or not has_holes(valid):
        # of each pixel, the weights of those inside the image sum to 1
        rows, columns = (m / m.sum(1, keepdim=True) for m in (rows, columns))
        factor = lost = None
    else:
        weight = _apply(valid.to(kind)[None], rows, columns, reach)
        # a pixel that is valid sees at least itself
        factor, lost = 1 / weight.clamp(min=1e-6), ~valid
    # few bands at a time stay in the cache of a CPU
    for bands in torch.split(image, _BANDS if on_cpu else len(image)):
        real = bands.to(kind) if lost is None else bands.to(kind).masked_fill(lost, 0)
        found = _apply(real, rows, columns, reach)
        if factor is not None and lost is not None:
            found.mul_(factor).masked_fill_(lost, 0)
        bands.copy_(found)


def _weights(size: int, sigma: float, reach: int) -> Tensor:
    """Return the weights with which each of *size* pixels sees the others."""
    place = torch.arange(size, dtype=torch.float64)
    distance = place[:, None] - place
    weight = torch.exp(-(distance**2) / (2 * sigma**2))
    return weight * (distance.abs() <= reach)


def _apply(image: Tensor, rows: Tensor, columns: Tensor, reach: int) -> Tensor:
    """Multiply by weights of rows and columns, which are 0 farther than *reach*."""
    height, width = image.shape[-2:]
    rows, columns = rows.to(image), columns.mT.to(image)
    flat, middle = image.reshape(-1, width), image.new_empty(image.shape)
    out = image.new_empty(image.shape)
    with full_precision(image.device):
        for here, seen in _blocks(width, reach, image.device):
            middle.view(-1, width)[:, here] = flat[:, seen] @ columns[seen, here]
        for here, seen in _blocks(height, reach, image.device):
            out[:, here] = rows[here, seen] @ middle[:, seen]
    return out


def _blocks(
    size: int, reach: int, device: torch.device
) -> Iterator[tuple[slice, slice]]:
    """Yield blocks of pixels, and what they see.

    Most weights are 0, and a CPU is faster if it multiplies by fewer of them. For a GPU,
    one large product is faster.
    """
    block = _BLOCK if device.type == 'cpu' else size
    for start in range(0, size, block):
        stop = min(start + block, size)
        yield slice(start, stop), slice(max(start - reach, 0), min(stop + reach, size))
