# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Datasets joined by ``&`` and ``|``, as often as one likes."""

import functools

from torchgeo.datasets import GeoDataset, IntersectionDataset, UnionDataset

from ..errors import BandMismatchError
from ..physics import BandSet
from ._mosaic import join_cubes, merge_cubes


class Joinable(GeoDataset):
    """Operators ``&`` and ``|`` that know about ``valid`` and wavelengths.

    torchgeo's own operators stack ``valid``, ``bounds`` and ``transform`` as if they
    were bands, and take the maximum where scenes overlap, which is the cloud. What
    these return is joinable in the same way.
    """

    def __and__(self, other: GeoDataset) -> IntersectionDataset:
        """Join with a dataset of the same place, such as scenes with labels.

        Args:
            other: The other dataset; it is read on the pixel grid of this one.

        Returns:
            A dataset whose samples have the keys of both. A pixel is valid where both
            say so.
        """
        return JoinedIntersection(self, other, collate_fn=join_cubes)

    def __or__(self, other: GeoDataset) -> UnionDataset:
        """Merge with a dataset of the same kind.

        Args:
            other: The other dataset; it is read on the pixel grid of this one.

        Returns:
            A dataset whose pixels come from the first of the two where they are valid.

        Raises:
            BandMismatchError: If the two have different bands.
        """
        ours, theirs = bandset_of(self), bandset_of(other)
        if ours is not None and theirs is not None and ours.names != theirs.names:
            raise BandMismatchError(
                f'Expected the same bands on both sides of |, got {_words(ours)} and '
                f'{_words(theirs)}. Pass the same bands= to both datasets.'
            )
        ignore = getattr(self, 'ignore_index', None)
        collate = functools.partial(merge_cubes, ignore_index=ignore)
        return JoinedUnion(self, other, collate_fn=collate)


class _Joined(Joinable):
    datasets: list[GeoDataset]

    @property
    def bandset(self) -> BandSet | None:
        """Spectral axis of the samples, if it is that of one dataset."""
        return bandset_of(self.datasets[0])

    @property
    def ignore_index(self) -> int | None:
        """Label that says nothing, if a dataset has labels."""
        found = (getattr(dataset, 'ignore_index', None) for dataset in self.datasets)
        return next((index for index in found if index is not None), None)


class JoinedIntersection(_Joined, IntersectionDataset):
    """What ``dataset1 & dataset2`` returns."""

    @property
    def bandset(self) -> BandSet | None:
        """Spectral axis of the samples; None where the bands of two are stacked."""
        found = [bandset_of(dataset) for dataset in self.datasets]
        known = [bands for bands in found if bands is not None]
        return known[0] if len(known) == 1 else None


class JoinedUnion(_Joined, UnionDataset):
    """What ``dataset1 | dataset2`` returns."""


def bandset_of(dataset: GeoDataset) -> BandSet | None:
    """Return the spectral axis of a dataset, if it has one.

    Args:
        dataset: Any dataset.

    Returns:
        Its ``bandset``, or None.
    """
    bands: BandSet | None = getattr(dataset, 'bandset', None)
    return bands


def _words(bands: BandSet) -> str:
    more = f' and {len(bands) - 3} more' if len(bands) > 3 else ''
    return ', '.join(bands.names[:3]) + more
