# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Means and covariances of the pixels of images, which parts of an image add up to."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..errors import BandMismatchError

#: Numbers in double precision that are held at once.
_CHUNK = 1 << 23


@dataclass(frozen=True)
class PixelMoments:
    """Mean, covariance and minimum of the pixels of images.

    The moments of an image are those of its tiles together, see :meth:`merge`, to the
    last digits: so methods for whole scenes never need to hold one.

    Args:
        count: Pixels, shape ``(B,)``.
        mean: Means of shape ``(B, K)``.
        scatter: Sums of products of deviations from the means, shape ``(B, K, L)``: of
            all images with all, or with the last *L* of them.
        squares: Sums of squared deviations, shape ``(B, K)``.
        minimum: Minima of shape ``(B, K)``.

    Example:
        >>> import torch
        >>> image = torch.tensor([[[[1.0, 3.0]], [[2.0, 6.0]]]])
        >>> moments = PixelMoments.of(image)
        >>> moments.mean, moments.covariance
        (tensor([[2., 4.]], dtype=torch.float64), tensor([[[2., 4.],
                 [4., 8.]]], dtype=torch.float64))
    """

    count: Tensor
    mean: Tensor
    scatter: Tensor
    squares: Tensor
    minimum: Tensor

    @classmethod
    def of(
        cls,
        stack: Tensor,
        other: Tensor | None = None,
        counting: Tensor | None = None,
        *,
        full: bool = False,
    ) -> Self:
        """Measure images.

        Args:
            stack: Images of shape ``(B, K, H, W)``.
            other: Images of shape ``(B, L, H, W)`` that are appended to *stack*; then
                only the products with these are summed, which is much less work if
                they are few.
            counting: True for pixels that count, shape ``(B, H, W)``; all by default.
            full: Whether to sum all products, also with *other*.

        Returns:
            Their moments, of ``K + L`` images.

        Raises:
            BandMismatchError: If the shapes do not fit.
        """
        images = [stack] if other is None else [stack, other]
        for image in images:
            _check(image, stack, counting)
        parts = []
        rows = max(1, _CHUNK // (stack.shape[3] * sum(x.shape[1] for x in images)))
        for number in range(len(stack)):
            total: Self | None = None
            for row in range(0, stack.shape[2], rows):
                window = [x[number, :, row : row + rows] for x in images]
                where = None if counting is None else counting[number, row : row + rows]
                part = cls._of_chunk(window, where, len(images) > 1 and not full)
                total = part if total is None else total.merge(part)
            assert total is not None
            parts.append(total)
        return cls(
            *(
                torch.cat([getattr(part, name) for part in parts])
                for name in ('count', 'mean', 'scatter', 'squares', 'minimum')
            )
        )

    @classmethod
    def _of_chunk(
        cls, images: list[Tensor], counting: Tensor | None, partly: bool
    ) -> Self:
        flat = torch.cat(
            [x.flatten(1) if counting is None else x[:, counting] for x in images]
        ).double()
        rows, count = flat.shape
        last = len(images[-1])
        if not count:
            width = last if partly else rows
            zeros = flat.new_zeros(1, rows)
            return cls(
                zeros[:, 0],
                zeros,
                flat.new_zeros(1, rows, width),
                zeros,
                torch.full_like(zeros, torch.inf),
            )
        mean, minimum = flat.mean(1), flat.amin(1)
        flat -= mean[:, None]
        scatter = flat @ (flat[-last:] if partly else flat).mT
        squares = flat.square().sum(1) if partly else scatter.diagonal()
        total = flat.new_full((1,), count)
        return cls(total, mean[None], scatter[None], squares[None], minimum[None])

    def merge(self, other: Self) -> Self:
        """Put the moments of two sets of pixels together.

        Args:
            other: Moments of the same images elsewhere.

        Returns:
            Moments of all pixels.

        Raises:
            BandMismatchError: If they are of other images.
        """
        if self.scatter.shape != other.scatter.shape:
            raise BandMismatchError(
                f'Expected moments of {self.mean.shape[1]} images, got '
                f'{other.mean.shape[1]}.'
            )
        count = self.count + other.count
        share = (other.count / count.clamp_min(1))[:, None]
        step = other.mean - self.mean
        weight = (self.count[:, None] * share)[..., None]
        last = step[:, -self.scatter.shape[2] :]
        return type(self)(
            count,
            self.mean + step * share,
            self.scatter + other.scatter + weight * step[..., None] * last[:, None],
            self.squares + other.squares + weight[..., 0] * step.square(),
            torch.minimum(self.minimum, other.minimum),
        )

    def pooled(self) -> Self:
        """Take a batch of tiles for one image.

        Returns:
            Moments with ``B = 1``.
        """
        names = ('count', 'mean', 'scatter', 'squares', 'minimum')
        total: Self | None = None
        for number in range(len(self.count)):
            own = (getattr(self, name)[number : number + 1] for name in names)
            part = type(self)(*own)
            total = part if total is None else total.merge(part)
        assert total is not None
        return total

    @property
    def covariance(self) -> Tensor:
        """Covariances of shape ``(B, K, L)``, divided by the number of pixels - 1."""
        return self.scatter / (self.count - 1).clamp_min(1)[:, None, None]

    @property
    def variance(self) -> Tensor:
        """Variances of shape ``(B, K)``, divided by the number of pixels - 1."""
        return self.squares / (self.count - 1).clamp_min(1)[:, None]

    @property
    def std(self) -> Tensor:
        """Standard deviations of shape ``(B, K)``."""
        return self.variance.sqrt()

    @property
    def products(self) -> Tensor:
        """Means of products, shape ``(B, K, L)``; without subtracting the means."""
        last = self.mean[:, -self.scatter.shape[2] :]
        count = self.count.clamp_min(1)[:, None, None]
        return self.scatter / count + self.mean[..., None] * last[:, None]


def _check(image: Tensor, stack: Tensor, counting: Tensor | None) -> None:
    fits = image.ndim == 4 and image.shape[0] == stack.shape[0]
    if not fits or image.shape[2:] != stack.shape[2:]:
        raise BandMismatchError(
            'Expected images of shapes (B, K, H, W) and (B, L, H, W), got '
            f'{tuple(stack.shape)} and {tuple(image.shape)}.'
        )
    if counting is not None and counting.shape != (len(stack), *stack.shape[2:]):
        raise BandMismatchError(
            f'Expected counting of shape {(len(stack), *stack.shape[2:])}, got '
            f'{tuple(counting.shape)}.'
        )
