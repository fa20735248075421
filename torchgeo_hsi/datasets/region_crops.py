# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random crops of which each compressed block is decoded once."""

import math
import os
from collections.abc import Iterator
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from shapely import Polygon
from torch.utils.data import IterableDataset, get_worker_info
from torchgeo.datasets import GeoDataset

from .._typing import Sample
from ..errors import EmptyDataError, HSIError
from ..io._buffers import BufferPool, pooled
from ..io._threads import decoding_threads
from ._crop import Crop, batch_memory, stack_crops
from ._region_grid import Region, Scene
from ._region_open import OpenRegion, open_region
from ._region_plan import Reader, Share, cut_scenes, share_crops
from ._region_queue import RegionQueue
from ._region_source import CubeSource, GeoSource, Source
from .hsi_cube import HSICube

#: Regions are this many times as wide as a crop, unless the user says otherwise.
_WIDE = 4
#: Small regions are opened until they have the area of large ones, but no more.
_MOST_OPEN = 512
#: Workers of a data loader whose epochs are counted.
_MOST_WORKERS = 64
#: More threads than this wait for each other.
_MOST_THREADS = 8


class RegionCrops(IterableDataset[Sample]):
    """Random crops from large compressed scenes, as fast as the scenes are decoded.

    A sampler that asks for one crop after the other makes GDAL decode every block that
    a crop touches, for each crop again. Here the scenes are cut into regions of whole
    blocks. A thread decodes the next one while crops are drawn, in random order, from
    the *regions_open* before; each is decoded once in an epoch. Where the borders of the
    regions lie changes from epoch to epoch, so that crops cross the borders of blocks.

    Works with the datasets of scenes of this package, with their intersections and
    unions (``scenes & labels``), with :class:`HSICube`, and with any torchgeo
    GeoDataset. The crops have the same keys as the samples of the dataset, with
    ``bounds`` and ``transform`` of their own. ``transforms`` of the dataset are applied
    to each crop; those of the parts of an intersection, to regions.

    Crops are spread over regions by their area, and every position in a region is
    equally likely. Workers of a data loader and processes of a distributed training
    never share a region in an epoch, and all processes draw the same number of crops.
    The same generator, number of workers and of processes give the same crops; epochs
    differ.

    **Memory.** Each worker holds *regions_open* regions and the one that is being read,
    of ``(region_size + size) ** 2`` pixels at most where blocks are smaller than that,
    in the smallest type that holds them: 2 bytes for each band and pixel of EnMAP.
    Blocks larger than that make larger regions: of 512 x 512 pixels and 202 bands, two
    are 0.2 GB, so that a worker takes about 1 GB. It does not grow with the scenes or
    the epochs.

    Example:
        .. code-block:: python

            crops = RegionCrops(EnMAPL2A('scenes') & labels, size=128, batch_size=8)
            loader = DataLoader(crops, batch_size=None, num_workers=2)
    """

    def __init__(
        self,
        dataset: GeoDataset | HSICube,
        size: int,
        crops_per_pixel: float = 1.0,
        length: int | None = None,
        batch_size: int | None = None,
        roi: Polygon | None = None,
        generator: torch.Generator | None = None,
        min_valid: float = 0.0,
        region_size: int | None = None,
        regions_open: int = 4,
        threads: int | None = None,
    ) -> None:
        """Initialize a new RegionCrops instance.

        Args:
            dataset: Dataset to draw from.
            size: Height and width of the crops in pixels.
            crops_per_pixel: How often an epoch shows each pixel on average; 1 for as
                many crops as cover the scenes once. More crops cost little.
            length: Crops per epoch over all processes, instead of *crops_per_pixel*.
            batch_size: Return batches of this many crops, stacked, for a data loader
                with ``batch_size=None``: crops are copied once instead of three times.
                Single crops by default.
            roi: Region in which crops have to lie as a whole, in the CRS of the
                dataset.
            generator: Source of randomness; torch's own by default. Processes of a
                distributed training agree on one seed.
            min_valid: Least share of valid pixels of a crop, from 0 to 1. A region
                without such a crop is replaced by the one before.
            region_size: Least height and width of a region in pixels; 4 times *size* by
                default. Rounded up to whole blocks.
            regions_open: Regions of this size that crops are drawn from at a time; more
                mix better and take more memory.
            threads: Threads that decode; by default as many as there are cores for each
                worker.

        Raises:
            EmptyDataError: If there is no scene, or no whole batch in an epoch.
            TypeError: If the dataset is neither a GeoDataset nor HSICube, or a number
                is not whole.
            ValueError: If a number makes no sense.
        """
        _check(
            crops_per_pixel,
            min_valid,
            region_size,
            size=size,
            length=length,
            batch_size=batch_size,
            regions_open=regions_open,
            threads=threads,
        )
        self._source = _source(dataset)
        self.size = size
        self.batch_size = batch_size
        self.min_valid = min_valid
        self.region_size = _WIDE * size if region_size is None else region_size
        self.regions_open = regions_open
        self.threads = threads
        self._scenes: list[Scene] = self._source.scenes(roi, size)
        pixels = sum(_pixels(scene, size) for scene in self._scenes)
        self._length = length or round(crops_per_pixel * pixels / size**2)
        self._seed = int(torch.randint(2**62, (), generator=generator))
        # workers are forked or started again for each epoch, and only memory that they
        # share with this process remembers how many there were
        count = _MOST_WORKERS * (_MOST_WORKERS + 1) // 2 + 1
        self._epochs = torch.zeros(count, dtype=torch.int64)
        self._epochs.share_memory_()  # type: ignore[no-untyped-call]
        self._ranks = (0, 1)
        self._is_agreed = False
        self._agree()
        if len(self) == 0:
            raise EmptyDataError(
                f'An epoch of {self._length} crops makes no batch of {batch_size or 1} '
                f'for each of {self._ranks[1]} processes. Raise crops_per_pixel or '
                'length, or lower batch_size.'
            )

    def _agree(self) -> None:
        """Note which process this is, and take over the seed of the first one."""
        if not (dist.is_available() and dist.is_initialized()):
            return
        self._ranks = dist.get_rank(), dist.get_world_size()
        if get_worker_info() is None and not self._is_agreed:
            seed: list[Any] = [self._seed]
            dist.broadcast_object_list(seed, src=0)
            self._seed, self._is_agreed = seed[0], True

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for a started worker, which knows of no other process."""
        if get_worker_info() is None:
            self._agree()
        return self.__dict__.copy()

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that is drawn next; without it, epochs count themselves.

        Args:
            epoch: Number of the epoch, from 0.
        """
        self._epochs.fill_(epoch)

    def __len__(self) -> int:
        """Return the number of crops, or batches, per epoch for this process."""
        self._agree()
        return self._length // self._ranks[1] // (self.batch_size or 1)

    def __iter__(self) -> Iterator[Sample]:
        """Draw the crops of this worker in the next epoch.

        Yields:
            Samples as of the dataset, or batches of them.

        Raises:
            EmptyDataError: If there are fewer regions than processes, or no region has
                a crop with enough valid pixels.
            CorruptFileError: If a file is damaged.
        """
        reader, epoch = self._reader(), self._next_epoch()
        rng = np.random.default_rng([self._seed, epoch])
        parts = reader.ranks * reader.workers
        regions = cut_scenes(self._scenes, self.size, self.region_size, parts, rng)
        opened = self._opened(regions)
        batch = self.batch_size or 1
        share = share_crops(regions, len(self) * batch, batch, opened, reader, rng)
        places = np.random.default_rng([self._seed, epoch, reader.rank, reader.worker])
        crops = self._draw(share, opened, places, self._threads(reader))
        transforms = self._source.transforms
        if self.batch_size is None:
            for crop in crops:
                sample = crop.sample()
                yield sample if transforms is None else transforms(sample)
            return
        memory = batch_memory()
        while chunk := list(islice(crops, self.batch_size)):
            if transforms is not None:
                chunk = [Crop(transforms(crop.sample())) for crop in chunk]
            yield stack_crops(chunk, memory)

    def _draw(
        self, share: Share, opened: int, rng: np.random.Generator, threads: int
    ) -> Iterator[Crop]:
        left = np.bincount(share.order, minlength=len(share.regions))
        read = partial(self._read, threads=threads, pool=BufferPool())
        with RegionQueue(share.regions, read, opened + 1) as queue:
            for number in share.order.tolist():
                region = queue.get(number)
                if region is None:
                    raise EmptyDataError(
                        f'No crop of {self.size} x {self.size} pixels lies in the '
                        f'region of interest and has {self.min_valid:.0%} valid pixels. '
                        'Use smaller crops, a lower min_valid, or fewer quality layers.'
                    )
                yield region.draw(rng)
                left[number] -= 1
                if left[number] == 0:
                    del region
                    queue.close(number)

    def _read(
        self, region: Region, threads: int, pool: BufferPool
    ) -> OpenRegion | None:
        with decoding_threads(threads), pooled(pool):
            return open_region(self._source, region, self.size, self.min_valid)

    def _reader(self) -> Reader:
        """Return which process and worker this is."""
        self._agree()
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        rank, ranks = self._ranks
        if info is not None and ranks > 1 and not self._is_agreed:
            raise HSIError(
                'The processes of the training do not know of a common seed. Make '
                'RegionCrops, or ask for its len(), after init_process_group.'
            )
        return Reader(rank, ranks, worker, workers)

    def _next_epoch(self) -> int:
        """Return the epoch, and count it."""
        info = get_worker_info()
        spot = 0
        if info is not None:
            # each number of workers has its own counters, so that they never differ
            if info.num_workers > _MOST_WORKERS:
                raise ValueError(
                    f'Expected at most {_MOST_WORKERS} workers, got {info.num_workers}.'
                )
            spot = 1 + info.num_workers * (info.num_workers - 1) // 2 + info.id
        epoch = int(self._epochs[spot])
        self._epochs[spot] += 1
        return epoch

    def _opened(self, regions: list[Region]) -> int:
        """Return how many regions are open at a time."""
        largest = max(region.area for region in regions)
        more = max(1, self.region_size**2 // largest)
        return min(self.regions_open * more, max(_MOST_OPEN, self.regions_open))

    def _threads(self, reader: Reader) -> int:
        if self.threads is not None:
            return self.threads
        local = int(os.environ.get('LOCAL_WORLD_SIZE', reader.ranks))
        cores = (
            len(os.sched_getaffinity(0))
            if hasattr(os, 'sched_getaffinity')
            else (os.cpu_count() or 1)
        )
        share = math.ceil(cores / (reader.workers * max(1, local)))
        return min(share, _MOST_THREADS)


def _source(dataset: GeoDataset | HSICube) -> Source:
    if isinstance(dataset, HSICube):
        return CubeSource(dataset)
    if isinstance(dataset, GeoDataset):
        return GeoSource(dataset)
    raise TypeError(
        f'Expected a GeoDataset or HSICube, got {type(dataset).__name__}. Patches are '
        'small files that need no regions: give them to a DataLoader as they are.'
    )


def _pixels(scene: Scene, size: int) -> int:
    """Return the number of pixels that crops of a scene cover."""
    height, width = max(scene.height, size), max(scene.width, size)
    return Region(scene, scene.top, scene.left, height, width).inside()


def _check(
    crops_per_pixel: float,
    min_valid: float,
    region_size: int | None,
    **numbers: int | None,
) -> None:
    """Refuse numbers that make no sense."""
    if not 0 <= min_valid <= 1:
        raise ValueError(f'Expected min_valid from 0 to 1, got {min_valid}.')
    size = numbers['size']
    if region_size is not None and isinstance(size, int) and region_size < size:
        raise ValueError(
            f'Expected region_size of at least {size=} pixels, got {region_size}.'
        )
    for name, number in numbers.items():
        if number is not None and not isinstance(number, int | np.integer):
            raise TypeError(f'Expected a whole number as {name}, got {number!r}.')
        if number is not None and number < 1:
            raise ValueError(f'Expected {name} of at least 1, got {number}.')
    if not (math.isfinite(crops_per_pixel) and crops_per_pixel > 0):
        raise ValueError(f'Expected a positive crops_per_pixel, got {crops_per_pixel}.')
