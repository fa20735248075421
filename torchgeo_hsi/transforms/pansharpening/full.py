# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs as they were taken."""

from torch import nn

from ..._typing import Sample
from ...errors import MetadataError
from .._grids import moved_place
from ._pairs import check_not_reduced, make_pair


class FullResolution(nn.Module):
    """Pairs at full resolution: what a sensor delivers, without a truth.

    Cube and panchromatic image are cut to the same area, so that the latter has
    *ratio* times the rows and columns of the cube exactly; gaps hold the mean of their
    band. ``transform`` and ``bounds`` stay those of the cube.

    Example:
        >>> import torch
        >>> pair = {'image': torch.rand(8, 10, 10), 'pan': torch.rand(1, 61, 60)}
        >>> pair = FullResolution()(pair)
        >>> {key: tuple(value.shape) for key, value in pair.items()}
        {'image': (8, 10, 10), 'pan': (1, 60, 60), 'valid': (10, 10), 'pan_valid': (60, 60)}
    """

    def __init__(self, ratio: int | None = None) -> None:
        """Initialize a new FullResolution instance.

        Args:
            ratio: Ratio of pixel sizes; that of the images by default.
        """
        super().__init__()
        self.ratio = ratio

    def forward(self, sample: Sample) -> Sample:
        """Make a pair.

        Args:
            sample: Sample or batch with ``image`` of shape ``(..., C, h, w)`` and
                ``pan`` of shape ``(..., 1, H, W)``, and maybe ``valid`` and
                ``pan_valid``.

        Returns:
            A new sample with ``image``, ``pan``, ``valid`` and ``pan_valid``.

        Raises:
            MetadataError: If there is no panchromatic image, or a target already.
            BandMismatchError: If the images do not cover the same area.
        """
        if 'pan' not in sample:
            raise MetadataError(
                'A cube alone has no panchromatic image at finer resolution. Add one '
                'as pan, or use ReducedResolution, which simulates one.'
            )
        check_not_reduced(sample, 'FullResolution')
        pair = make_pair(sample, self.ratio)
        height, width = pair.pan.shape[-2:]
        result = {key: value for key, value in sample.items() if key != 'up'}
        if 'up' in sample:
            result['up'] = sample['up'][..., :height, :width]
        return {
            **result,
            'image': pair.image,
            'pan': pair.pan,
            'valid': pair.valid,
            'pan_valid': pair.pan_valid,
            **moved_place(sample, 0, 0, (pair.image.shape[-2], pair.image.shape[-1])),
        }

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'ratio={self.ratio}'
