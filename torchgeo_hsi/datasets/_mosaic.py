# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Several scenes in one sample: the first valid pixel wins, with its whole spectrum."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchgeo.datasets.utils import concat_samples, merge_samples

from .._typing import BoolArray, FloatArray, Sample
from ..errors import BandMismatchError
from ._grid import Tile

#: Keys that say where a sample lies; the same in all samples of one query.
_PLACE = ('bounds', 'transform')

#: Keys along the spectral axis.
_SPECTRAL = ('wavelength', 'fwhm')

#: Scenes of one sensor are shifted by less than this, in micrometres.
_SAME_BAND = 0.006


class Mosaic:
    """Pixels of several tiles on one grid.

    A pixel comes from the first tile where it is valid, else from the first where it
    has data at all. Spectra are never mixed, and unlike with a maximum, a cloud cannot
    overwrite clear ground.

    Args:
        shape: Bands, rows and columns.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        """Initialize a new Mosaic instance."""
        self.image: NDArray[Any] = np.zeros(shape, dtype=np.float32)
        self.pan: FloatArray | None = None
        self.valid: BoolArray = np.zeros(shape[1:], dtype=bool)
        self._some: BoolArray = np.zeros(shape[1:], dtype=bool)
        self._filled = False

    @property
    def is_complete(self) -> bool:
        """Whether every pixel is valid, so that further tiles change nothing."""
        return bool(self.valid.all())

    def add(self, tile: Tile) -> int:
        """Fill gaps from a tile.

        Args:
            tile: The tile.

        Returns:
            Number of pixels taken.
        """
        valid = tile.data & tile.clear
        if not self._filled:
            # the usual case of one scene costs no copy
            self.image, self.pan, self._filled = tile.image, tile.pan, True
            self.valid, self._some = valid.copy(), tile.some.copy()
            return int(tile.some.sum())
        take = (valid & ~self.valid) | (tile.some & ~self._some)
        if self.image.dtype != tile.image.dtype:
            self.image = self.image.astype(np.float32)
        np.copyto(self.image, tile.image, where=take)
        if self.pan is not None and tile.pan is not None:
            ratio = tile.pan.shape[-1] // take.shape[-1]
            fine = take.repeat(ratio, axis=0).repeat(ratio, axis=1)
            np.copyto(self.pan, tile.pan, where=fine)
        self.valid |= valid
        self._some |= tile.some
        return int(take.sum())


def merge_cubes(samples: Iterable[Sample], ignore_index: int | None = None) -> Sample:
    """Merge samples of the same place, for ``dataset1 | dataset2``.

    Each pixel comes from the first sample where it is valid, and each label, where
    nothing says what is valid, from the first that has one. torchgeo's own
    ``merge_samples`` takes the maximum, which prefers clouds.

    Args:
        samples: Samples of the same query.
        ignore_index: Label that says nothing.

    Returns:
        One sample. Wavelengths are those of the first one.

    Raises:
        BandMismatchError: If the samples have different bands.
    """
    merged: Sample = {}
    for sample in samples:
        merged = _merge_two(merged, sample, ignore_index) if merged else dict(sample)
    return merged


def _merge_two(first: Sample, second: Sample, ignore_index: int | None) -> Sample:
    if 'valid' not in first or 'valid' not in second:
        kept = {k: first[k] for k in (*_PLACE, *_SPECTRAL) if k in first}
        if ignore_index is not None and 'mask' in first and 'mask' in second:
            blank = first['mask'] == ignore_index
            kept['mask'] = torch.where(blank, second['mask'], first['mask'])
        result: Sample = {**merge_samples([first, second]), **kept}
        return result
    _check_same_bands(first, second)
    empty = (first['image'] == 0).all(dim=0)
    take = ~first['valid'] & (second['valid'] | empty)
    result = {**second, **first}
    for key in first.keys() & second.keys() - {*_PLACE, *_SPECTRAL, 'valid'}:
        chosen = take
        if key == 'pan':
            # it has a whole number of pixels in each pixel of the cube
            ratio = first[key].shape[-1] // take.shape[-1]
            chosen = take.repeat_interleave(ratio, 0).repeat_interleave(ratio, 1)
        if first[key].shape[-2:] == chosen.shape:
            result[key] = torch.where(chosen, second[key], first[key])
    result['valid'] = first['valid'] | second['valid']
    return result


def _check_same_bands(first: Sample, second: Sample) -> None:
    counts = len(first['image']), len(second['image'])
    if counts[0] == counts[1] and 'wavelength' in first and 'wavelength' in second:
        distance = float((first['wavelength'] - second['wavelength']).abs().max())
        if distance <= _SAME_BAND:
            return
        got = f'wavelengths that differ by up to {distance:.3f} um'
    elif counts[0] == counts[1]:
        return
    else:
        got = f'{counts[0]} and {counts[1]} bands'
    raise BandMismatchError(
        f'Expected scenes with the same bands to merge, got {got}. Pass the same bands= '
        'to both datasets.'
    )


def join_cubes(samples: Sequence[Sample]) -> Sample:
    """Join samples of the same place, for ``dataset1 & dataset2``.

    Images are stacked along the bands as in torchgeo. A pixel is valid where all
    samples that know of validity say so, and ``bounds`` and ``transform``, which are
    the same in all, appear once.

    Args:
        samples: Samples of the same query.

    Returns:
        One sample.
    """
    place = {k: s[k] for s in reversed(samples) for k in _PLACE if k in s}
    known = [sample['valid'] for sample in samples if 'valid' in sample]
    rest = [
        {k: v for k, v in sample.items() if k not in (*_PLACE, 'valid')}
        for sample in samples
    ]
    joined: Sample = {**concat_samples(rest), **place}
    if known:
        valid: Tensor = known[0]
        for other in known[1:]:
            valid = valid & other
        joined['valid'] = valid
    return joined
