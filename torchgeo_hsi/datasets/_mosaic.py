# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Several scenes in one sample: the first valid pixel wins, with its whole spectrum."""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor
from torchgeo.datasets.utils import concat_samples, merge_samples

from .._typing import BoolArray, FloatArray, Sample
from ._grid import Tile

#: Keys that say where a sample lies; the same in all samples of one query.
_PLACE = ('bounds', 'transform')

#: Keys along the spectral axis.
_SPECTRAL = ('wavelength', 'fwhm')


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
        self.image: FloatArray = np.zeros(shape, dtype=np.float32)
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
            self.image, self._filled = tile.image, True
            self.valid, self._some = valid.copy(), tile.some.copy()
            return int(tile.some.sum())
        take = (valid & ~self.valid) | (tile.some & ~self._some)
        np.copyto(self.image, tile.image, where=take)
        self.valid |= valid
        self._some |= tile.some
        return int(take.sum())


def merge_cubes(samples: Iterable[Sample]) -> Sample:
    """Merge samples of the same place, for ``dataset1 | dataset2``.

    Each pixel comes from the first sample where it is valid. torchgeo's own
    ``merge_samples`` takes the maximum, which prefers clouds.

    Args:
        samples: Samples of the same query.

    Returns:
        One sample. Wavelengths are those of the first one.
    """
    merged: Sample = {}
    for sample in samples:
        merged = _merge_two(merged, sample) if merged else dict(sample)
    return merged


def _merge_two(first: Sample, second: Sample) -> Sample:
    if 'valid' not in first or 'valid' not in second:
        kept = {k: first[k] for k in (*_PLACE, *_SPECTRAL) if k in first}
        result: Sample = {**merge_samples([first, second]), **kept}
        return result
    empty = (first['image'] == 0).all(dim=0)
    take = ~first['valid'] & (second['valid'] | empty)
    result = {**second, **first}
    for key in first.keys() & second.keys() - {*_PLACE, *_SPECTRAL, 'valid'}:
        if first[key].shape[-2:] == take.shape:
            result[key] = torch.where(take, second[key], first[key])
    result['valid'] = first['valid'] | second['valid']
    return result


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
