# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs of a cube and a panchromatic image that cover the same area."""

from typing import NamedTuple

from torch import Tensor

from ..._typing import Sample
from ...errors import BandMismatchError, EmptyDataError, MetadataError
from .._grids import filled, mask_of, moved_place

#: Entries on the grid of the cube, and on that of the panchromatic image.
COARSE = ('image', 'valid')
FINE = ('pan', 'pan_valid', 'target', 'up')


class Pair(NamedTuple):
    """A cube and a panchromatic image, without gaps.

    Args:
        image: Cube of shape ``(..., C, h, w)``.
        pan: Panchromatic image of shape ``(..., 1, H, W)``.
        valid: Where the cube has data, shape ``(..., h, w)``.
        pan_valid: Where the panchromatic image has data, shape ``(..., H, W)``.
        ratio: Ratio of pixel sizes.
    """

    image: Tensor
    pan: Tensor
    valid: Tensor
    pan_valid: Tensor
    ratio: int


def check_ratio_of(image: Tensor, pan: Tensor, ratio: int | None) -> int:
    """Return the ratio of the pixel sizes of two images of the same area.

    Args:
        image: Cube of shape ``(..., C, h, w)``.
        pan: Panchromatic image of shape ``(..., 1, H, W)``.
        ratio: What it ought to be, or None.

    Returns:
        The ratio.

    Raises:
        BandMismatchError: If there is none, or another one; what is over or missing may
            be less than a pixel of the cube.
    """
    if pan.ndim != image.ndim or pan.shape[-3] != 1:
        raise BandMismatchError(
            f'Expected a panchromatic image of one band beside a cube of shape '
            f'{tuple(image.shape)}, got shape {tuple(pan.shape)}.'
        )
    sizes = [
        (coarse, fine)
        for coarse, fine in zip(image.shape[-2:], pan.shape[-2:], strict=True)
    ]
    found = ratio if ratio is not None else round(sizes[0][1] / sizes[0][0])
    fits = all(abs(fine - found * coarse) < max(found, 1) for coarse, fine in sizes)
    if found < 2 or not fits:
        words = 'a ratio of at least 2' if ratio is None else f'a ratio of {ratio}'
        raise BandMismatchError(
            f'Expected pixels in {words}, got a cube of {sizes[0][0]} x {sizes[1][0]} '
            f'and a panchromatic image of {sizes[0][1]} x {sizes[1][1]} pixels. Cut or '
            'resample both to the same area.'
        )
    return found


def make_pair(sample: Sample, ratio: int | None) -> Pair:
    """Cut cube and panchromatic image to the same area, and fill their gaps.

    Args:
        sample: Sample or batch with ``image`` and ``pan``, and maybe ``valid`` and
            ``pan_valid``.
        ratio: Ratio of pixel sizes, or None for that of the images.

    Returns:
        The pair. Rows and columns that only one of them has are cut off below and on
        the right.

    Raises:
        BandMismatchError: If they do not cover the same area, or a mask does not fit.
        EmptyDataError: If less than a pixel is left.
    """
    image, pan = sample['image'], sample['pan']
    ratio = check_ratio_of(image, pan, ratio)
    height, width = (
        min(coarse, fine // ratio)
        for coarse, fine in zip(image.shape[-2:], pan.shape[-2:], strict=True)
    )
    if min(height, width) < 1:
        raise EmptyDataError(
            f'Cube and panchromatic image of {tuple(pan.shape[-2:])} pixels have no '
            f'pixel in common at a ratio of {ratio}.'
        )
    valid = mask_of(image, sample.get('valid'), 'valid')
    pan_valid = mask_of(pan, sample.get('pan_valid'), 'pan_valid')
    rows, columns = slice(ratio * height), slice(ratio * width)
    image, valid = image[..., :height, :width], valid[..., :height, :width]
    pan, pan_valid = pan[..., rows, columns], pan_valid[..., rows, columns]
    return Pair(filled(image, valid), filled(pan, pan_valid), valid, pan_valid, ratio)


def cut_pair(
    sample: Sample, ratio: int, row: int, column: int, size: tuple[int, int]
) -> Sample:
    """Cut the same part out of everything in a sample.

    Args:
        sample: Sample whose panchromatic image covers the area of the cube exactly.
        ratio: Ratio of pixel sizes.
        row: First row, in pixels of the cube.
        column: First column.
        size: Rows and columns, in pixels of the cube.

    Returns:
        A new sample.
    """
    fine = (ratio * row, ratio * column), (ratio * size[0], ratio * size[1])
    result = dict(sample)
    for keys, place in ((COARSE, ((row, column), size)), (FINE, fine)):
        result |= {key: part(sample[key], *place) for key in keys if key in sample}
    return result | moved_place(sample, row, column, size)


def part(values: Tensor, start: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Copy a part of an image, so that the rest of it can be freed.

    Args:
        values: Image of shape ``(..., H, W)``.
        start: First row and column.
        size: Rows and columns.
    """
    rows, columns = (
        slice(first, first + length) for first, length in zip(start, size, strict=True)
    )
    return values[..., rows, columns].clone()


def check_not_reduced(sample: Sample, name: str) -> None:
    """Refuse a sample that is a pair at reduced resolution already.

    Args:
        sample: The sample.
        name: Name of the transform.

    Raises:
        MetadataError: If it has a target.
    """
    if 'target' in sample:
        raise MetadataError(
            f'{name} makes pairs from full resolution, but this sample has a target '
            'already. Leave the transform out, or drop the target.'
        )
