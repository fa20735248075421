# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Flips and rotations that interpolate nothing."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .._typing import Sample

#: Keys whose last two axes are spatial, even if of another size than the image.
SPATIAL_KEYS = ('image', 'target', 'pan', 'mask', 'valid', 'target_valid', 'up')


class Move(NamedTuple):
    """One of the eight symmetries of the square.

    Args:
        turns: Rotations by 90 degrees, which come first.
        flip: Whether columns are reversed then.
    """

    turns: int = 0
    flip: bool = False


class RandomDihedral(nn.Module):
    """Flip and rotate each image of a batch by a random multiple of 90 degrees.

    The eight symmetries of the square are the augmentation that is always right for
    nadir images: spectra stay as they are, and no pixel without data is interpolated
    into its neighbours. ``image``, ``target``, ``pan``, ``mask``, ``valid`` and whatever
    else has the size of the image move together. Images that are not square are only
    flipped.

    Example:
        >>> import torch
        >>> augment = RandomDihedral(torch.Generator().manual_seed(0))
        >>> batch = {'image': torch.rand(2, 202, 8, 8), 'mask': torch.ones(2, 8, 8)}
        >>> augment(batch)['image'].shape
        torch.Size([2, 202, 8, 8])
    """

    def __init__(
        self, generator: torch.Generator | None = None, rotate: bool = True
    ) -> None:
        """Initialize a new RandomDihedral instance.

        Args:
            generator: Source of randomness, on the CPU; torch's own by default.
            rotate: Whether to rotate by 90 degrees, too, and not only to flip.
        """
        super().__init__()
        self.generator = generator
        self.rotate = rotate

    def forward(self, batch: Sample) -> Sample:
        """Transform a batch.

        Args:
            batch: Batch with ``image`` of shape ``(B, C, H, W)``. ``bounds`` and
                ``transform`` no longer fit afterwards, so use it in training only.

        Returns:
            A new batch.
        """
        count, _, height, width = batch['image'].shape
        moves = self.draw(count, height == width)
        keys = [
            key
            for key, value in batch.items()
            if key in SPATIAL_KEYS or _is_raster(value, count, height, width)
        ]
        return batch | {key: _move_all(batch[key], moves) for key in keys}

    def draw(self, count: int, square: bool = True) -> list[Move]:
        """Draw how images are moved.

        Args:
            count: Number of images.
            square: Whether they have as many rows as columns.

        Returns:
            One symmetry for each image.
        """
        turns = torch.randint(0, 4, (count,), generator=self.generator).tolist()
        flips = torch.randint(0, 2, (count,), generator=self.generator).tolist()
        # half a turn is two flips
        step = 1 if self.rotate and square else 2
        return [
            Move(turn // step * step, bool(flip))
            for turn, flip in zip(turns, flips, strict=True)
        ]

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'rotate={self.rotate}'


def _is_raster(value: object, count: int, height: int, width: int) -> bool:
    return (
        isinstance(value, Tensor)
        and value.ndim >= 3
        and (len(value), *value.shape[-2:]) == (count, height, width)
    )


def _move_all(images: Tensor, moves: list[Move]) -> Tensor:
    parts = zip(images, moves, strict=True)
    return torch.stack([move(image, one) for image, one in parts])


def move(image: Tensor, how: Move) -> Tensor:
    """Rotate and flip one image.

    Args:
        image: Image of shape ``(..., H, W)``.
        how: What to do.

    Returns:
        The image, itself if nothing moves.
    """
    # what takes two copies of the pixels takes one as well, or none
    match how:
        case (0, False):
            return image
        case (1, False):
            return image.mT.flip(-2)
        case (2, False):
            return image.flip(-2, -1)
        case (3, False):
            return image.mT.flip(-1)
        case (0, True):
            return image.flip(-1)
        case (1, True):
            return image.mT.flip(-2, -1)
        case (2, True):
            return image.flip(-2)
    return image.mT
