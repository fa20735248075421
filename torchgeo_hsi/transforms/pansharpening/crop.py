# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Crops of pairs that stay aligned."""

import torch
from torch import nn

from ..._typing import Sample
from ...errors import BandMismatchError
from ._pairs import FINE, cut_pair, part

#: Places that are tried for one with enough valid pixels.
_TRIES = 10


class RandomPairCrop(nn.Module):
    """Cut the same random part out of a cube and what lies on the finer grid.

    Crops start at whole pixels of the cube, so a pixel of it lies on the same sample of
    the panchromatic image as before. In a batch, each pair has its own crop.

    Example:
        >>> import torch
        >>> crop = RandomPairCrop(4, generator=torch.Generator().manual_seed(0))
        >>> pair = {'image': torch.rand(8, 10, 10), 'pan': torch.rand(1, 60, 60)}
        >>> {key: tuple(value.shape) for key, value in crop(pair).items()}
        {'image': (8, 4, 4), 'pan': (1, 24, 24)}
    """

    def __init__(
        self,
        size: int,
        min_valid: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new RandomPairCrop instance.

        Args:
            size: Rows and columns of the crop, in pixels of the cube.
            min_valid: Least share of valid pixels, of the cube and of the panchromatic
                image. Where ten places have less, the best of them is taken.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            ValueError: If *size* is not positive, or *min_valid* no share.
        """
        super().__init__()
        if size < 1 or not 0 <= min_valid <= 1:
            raise ValueError(
                'Expected a positive size and a share from 0 to 1 in min_valid=, got '
                f'{size} and {min_valid}.'
            )
        self.size = size
        self.min_valid = min_valid
        self.generator = generator

    def forward(self, sample: Sample) -> Sample:
        """Cut out a part.

        Args:
            sample: Sample or batch with ``image`` of shape ``(C, h, w)`` or
                ``(B, C, h, w)``, and ``pan``, maybe ``target``, ``up``, ``valid`` and
                ``pan_valid``, with *ratio* times its rows and columns.

        Returns:
            A new sample; ``transform`` and ``bounds``, which are those of the cube,
            move along.

        Raises:
            BandMismatchError: If the cube is smaller than the crop, or the ratio no
                whole number.
        """
        image = sample['image']
        ratio = self._check(sample)
        if image.ndim == 3:
            return self._cut(sample, ratio)
        parts = [
            self._cut({key: value[k] for key, value in sample.items()}, ratio)
            for k in range(len(image))
        ]
        return {key: torch.stack([part[key] for part in parts]) for key in parts[0]}

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'size={self.size}, min_valid={self.min_valid}'

    def _check(self, sample: Sample) -> int:
        """Return the ratio of a sample."""
        height, width = sample['image'].shape[-2:]
        if min(height, width) < self.size:
            raise BandMismatchError(
                f'Expected cubes of at least {self.size} x {self.size} pixels, got '
                f'{height} x {width}. Lower size.'
            )
        ratio = sample['pan'].shape[-1] // width
        for key in FINE:
            wanted = (ratio * height, ratio * width)
            if key in sample and tuple(sample[key].shape[-2:]) != wanted:
                raise BandMismatchError(
                    f'Expected {key} of {wanted[0]} x {wanted[1]} pixels beside a cube '
                    f'of {height} x {width}, got '
                    f'{" x ".join(map(str, sample[key].shape[-2:]))}. '
                    'Use FullResolution first, which cuts it.'
                )
        return ratio

    def _cut(self, sample: Sample, ratio: int) -> Sample:
        """Cut one pair."""
        size = self.size, self.size
        return cut_pair(sample, ratio, *self._draw(sample, ratio), size)

    def _draw(self, sample: Sample, ratio: int) -> tuple[int, int]:
        """Draw the first row and column."""
        ranges = [length - self.size + 1 for length in sample['image'].shape[-2:]]
        best = (-1.0, 0, 0)
        for _ in range(_TRIES):
            row, column = (
                int(torch.randint(count, (), generator=self.generator))
                for count in ranges
            )
            share = self._share(sample, row, column, ratio)
            best = max(best, (share, row, column), key=lambda one: one[0])
            if share >= self.min_valid:
                break
        return best[1], best[2]

    def _share(self, sample: Sample, row: int, column: int, ratio: int) -> float:
        """Return the share of valid pixels, of the grid that has less."""
        if not self.min_valid:
            return 1.0
        shares = []
        for key, scale in (('valid', 1), ('pan_valid', ratio)):
            if key in sample:
                start, size = (scale * row, scale * column), scale * self.size
                inside = part(sample[key], start, (size, size))
                shares.append(float(inside.float().mean()))
        return min(shares, default=1.0)
