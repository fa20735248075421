# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Training batches of several kinds, each of one kind only."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch.utils.data import Dataset, default_collate

from .._typing import Sample
from ..samplers._epochs import EpochSampler, process_rank
from ..transforms import Downscale, RGBToBands, SpectralMixup, SyntheticRGB
from ._crops import Crop, CropSampler, CubeCrops, StreamedCrops
from ._cube_windows import CubeWindows

#: Kinds of batches, and how many of each there are in a cycle by default.
CYCLE = {'spectral': 1, 'mixup': 1, 'rgb': 3, 'coarse': 3}


class DrawnBatch(NamedTuple):
    """What was drawn for a training batch.

    Args:
        kind: Its kind.
        crops: Its crops.
    """

    kind: str
    crops: tuple[Crop, ...]


def check_cycle(cycle: Mapping[str, int] | None) -> dict[str, int]:
    """Complete the numbers of batches in a cycle.

    Args:
        cycle: Numbers of some kinds.

    Returns:
        Numbers of all kinds.

    Raises:
        ValueError: If there is no such kind, or a number is negative or no whole one.
    """
    chosen = dict(cycle or {})
    unknown = sorted(set(chosen) - set(CYCLE))
    if unknown:
        raise ValueError(
            f'Expected a cycle of {", ".join(CYCLE)}, got {", ".join(unknown)}.'
        )
    if any(count != int(count) or count < 0 for count in chosen.values()):
        raise ValueError(
            f'Expected whole numbers of 0 or more in the cycle, got {chosen}.'
        )
    return {**CYCLE, **chosen}


def spread(counts: Mapping[str, int]) -> list[str]:
    """Put batches of several kinds in an order in which each kind comes evenly.

    Args:
        counts: Batches of each kind in a cycle.

    Returns:
        The kinds of the batches of a cycle.
    """
    total = sum(counts.values())
    credit = dict.fromkeys(counts, 0)
    order = []
    for _ in range(total):
        for kind, count in counts.items():
            credit[kind] += count
        chosen = max(credit, key=credit.__getitem__)
        credit[chosen] -= total
        order.append(chosen)
    return order


class MixedCrops(Dataset[Sample]):
    """Batches of crops, indexed by :class:`DrawnBatch`.

    Args:
        crops: The crops of each kind.
    """

    def __init__(self, crops: Mapping[str, CubeCrops | StreamedCrops]) -> None:
        """Initialize a new MixedCrops instance; see the class for the arguments."""
        self.crops = dict(crops)

    def __getitem__(self, batch: DrawnBatch) -> Sample:
        """Cut out the crops of a batch.

        Args:
            batch: What was drawn.

        Returns:
            The batch, whose ``kind`` is a word.
        """
        source = self.crops[batch.kind]
        found: Sample = default_collate([source[crop] for crop in batch.crops])
        return {**found, 'kind': batch.kind}  # type: ignore[dict-item]


class MixedSampler(EpochSampler[DrawnBatch]):
    """Draws batches, each kind in its turn.

    All processes get a batch of the same kind at the same time. The turns go on from
    epoch to epoch.

    Args:
        crops: The crops of each kind.
        order: The kinds of a cycle.
        length: Batches per epoch.
        batch_size: Crops per batch.
        dihedral: Whether to flip and turn.
    """

    def __init__(
        self,
        crops: Mapping[str, CubeCrops | StreamedCrops],
        order: Sequence[str],
        length: int,
        batch_size: int,
        dihedral: bool,
    ) -> None:
        """Initialize a new MixedSampler instance; see the class for the arguments."""
        super().__init__(length)
        self._samplers = {
            kind: CropSampler(own, batch_size, dihedral, 0.0)
            for kind, own in crops.items()
        }
        self._order = list(order)
        self._batch_size = batch_size

    def draw(self, count: int, generator: torch.Generator) -> Sequence[DrawnBatch]:
        """Draw the batches of one epoch.

        Args:
            count: Number of batches.
            generator: Source of randomness.

        Returns:
            The batches.
        """
        processes = process_rank()[1]
        steps = count // processes
        # the epoch has been counted already
        start = (self.epoch - 1) * steps
        turns = [self._order[(start + n) % len(self._order)] for n in range(steps)]
        kinds = [kind for kind in turns for _ in range(processes)]
        drawn = {
            kind: iter(
                sampler.draw(kinds.count(kind) * self._batch_size, generator)
                if kind in kinds
                else ()
            )
            for kind, sampler in self._samplers.items()
        }
        return [
            DrawnBatch(kind, tuple(next(drawn[kind]) for _ in range(self._batch_size)))
            for kind in kinds
        ]


class BatchMaker:
    """Makes pairs of a training batch, on the device.

    Args:
        downscale: Makes coarse images.
        mixup: Mixes the bands of pairs.
        channels: Channels of color images.
        camera: Makes color images of cubes, if those of the batch are cubes.
    """

    def __init__(
        self,
        downscale: Downscale,
        mixup: SpectralMixup,
        channels: int,
        camera: SyntheticRGB | None,
    ) -> None:
        """Initialize a new BatchMaker instance; see the class for the arguments."""
        self.downscale = downscale
        self.mixup = mixup
        self.camera = camera
        self._to_bands = RGBToBands(channels, peak=1.0)
        self._downscale_color = _of_one_width(downscale)

    def __call__(self, batch: Sample) -> Sample:
        """Make pairs.

        Args:
            batch: Batch of :class:`MixedCrops`.

        Returns:
            A new batch with ``modality`` instead of ``kind``.
        """
        result = dict(batch)
        kind = str(result.pop('kind'))
        if kind == 'rgb':
            if self.camera is not None:
                result = self.camera(result)
            result = self._downscale_color(self._to_bands(result))
        elif kind != 'coarse':
            result = self.downscale(result)
            if kind == 'mixup':
                result = self.mixup(result)
        modality = 'spectral' if kind == 'mixup' else kind
        return {**result, 'modality': modality}  # type: ignore[dict-item]


def _of_one_width(downscale: Downscale) -> Downscale:
    """Return the same for other bands, and without the noise of a sensor."""
    sigma = None if downscale.sigma is None else statistics.fmean(downscale.sigma)
    gain = statistics.fmean(downscale.gain)
    return Downscale(downscale.scale, downscale.kernel, sigma, gain)


class DegradedWindows(Dataset[Sample]):
    """Windows of cubes as pairs, the same every time.

    Args:
        windows: The windows.
        downscale: Makes coarse images.
        seed: Seed of the noise of the first window; that of the next is 1 more.
    """

    def __init__(self, windows: CubeWindows, downscale: Downscale, seed: int) -> None:
        """Initialize a new DegradedWindows instance; see the class for the arguments."""
        self.windows = windows
        self.downscale = downscale
        self.seed = seed

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self.windows)

    def __getitem__(self, index: int) -> Sample:
        """Cut out a window and make it a pair.

        Args:
            index: Number of the window.

        Returns:
            The sample.
        """
        self.downscale.reseed(self.seed + index)
        pair: Sample = self.downscale(self.windows[index])
        return pair
