# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Flips and rotations that interpolate nothing."""

import torch
from torch import Tensor, nn

from .._typing import Sample

#: Keys whose last two axes are spatial, even if of another size than the image.
SPATIAL_KEYS = ('image', 'target', 'pan', 'mask', 'valid')


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
        turns = torch.randint(0, 4, (count,), generator=self.generator).tolist()
        flips = torch.randint(0, 2, (count,), generator=self.generator).tolist()
        # half a turn is two flips
        step = 1 if self.rotate and height == width else 2
        keys = [
            key
            for key, value in batch.items()
            if key in SPATIAL_KEYS or _is_raster(value, count, height, width)
        ]
        return {
            **batch,
            **{
                key: torch.stack(
                    [
                        _move(tensor, turn // step * step, bool(flip))
                        for tensor, turn, flip in zip(
                            batch[key], turns, flips, strict=True
                        )
                    ]
                )
                for key in keys
            },
        }


def _is_raster(value: object, count: int, height: int, width: int) -> bool:
    return (
        isinstance(value, Tensor)
        and value.ndim >= 3
        and (len(value), *value.shape[-2:]) == (count, height, width)
    )


def _move(tensor: Tensor, turns: int, flip: bool) -> Tensor:
    turned = torch.rot90(tensor, turns, (-2, -1))
    return turned.flip(-1) if flip else turned
