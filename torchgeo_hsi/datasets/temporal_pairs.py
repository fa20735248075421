# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One place at two dates, as one sample."""

from typing import Any

import torch
from torchgeo.datasets import GeoDataset
from torchgeo.datasets.utils import GeoSlice

from .._typing import Sample
from ..errors import BandMismatchError

#: Keys that both dates share.
_SHARED = ('transform',)


class TemporalPairs(GeoDataset):
    """Reads the two dates that a :class:`~torchgeo_hsi.samplers.TemporalPairSampler` draws.

    Sample: ``image`` of shape ``(2 * C, H, W)``, the first date before the second, as
    ``SpectralEarth(timestamps='pair')`` gives it and torchgeo's ``MoCo``, ``SimCLR`` and
    ``BYOL`` take it; every other key of the dataset with a new first axis of length 2,
    e.g. ``valid`` of shape ``(2, H, W)``. ``transform`` is that of both.

    Example:
        .. code-block:: python

            sampler = TemporalPairSampler(scenes, size=128, length=1000, min_gap=10)
            pairs = TemporalPairs(scenes)
            loader = DataLoader(pairs, sampler=sampler, collate_fn=stack_samples)
    """

    def __init__(self, dataset: GeoDataset) -> None:
        """Initialize a new TemporalPairs instance.

        Args:
            dataset: Scenes of several dates, such as
                :class:`~torchgeo_hsi.datasets.EnMAPL2A`.
        """
        self.dataset = dataset
        self.index = dataset.index
        self._res = dataset.res

    def __getitem__(self, index: tuple[GeoSlice, GeoSlice]) -> Sample:  # type: ignore[override]
        """Retrieve both dates.

        Args:
            index: Two ``[xmin:xmax, ymin:ymax, tmin:tmax]`` coordinates.

        Returns:
            The sample, see the class.

        Raises:
            BandMismatchError: If *index* is no pair, or the dates differ in bands.
            IndexError: If a date is not found in the dataset.
        """
        if len(index) != 2 or not all(isinstance(part, tuple) for part in index):
            raise BandMismatchError(
                f'Expected two queries, one for each date, got {index}. Use a '
                'TemporalPairSampler.'
            )
        first, second = (self.dataset[query] for query in index)
        if first['image'].shape != second['image'].shape:
            raise BandMismatchError(
                'Expected the same shape at both dates, got '
                f'{tuple(first["image"].shape)} and {tuple(second["image"].shape)}.'
            )
        sample: Sample = {'image': torch.cat([first['image'], second['image']])}
        for key in first.keys() & second.keys() - {'image'}:
            pair: Any = first[key], second[key]
            sample[key] = first[key] if key in _SHARED else torch.stack(pair)
        return sample
