# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Samples of pansharpening: crops, batches, and a scene in tiles."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd
import torch
from affine import Affine
from matplotlib.figure import Figure
from rasterio.windows import transform as window_transform
from torch.utils.data import Dataset, default_collate
from torchgeo.datasets import GeoDataset, NonGeoDataset

from .._typing import Sample
from ..datasets._pair_figure import plot_pair
from ..datasets.pan_pairs import PanPairs
from ..errors import BandMismatchError
from ..samplers._epochs import EpochSampler
from ..samplers._grid import PixelGrid
from ..transforms.pansharpening import RandomPairCrop
from ._map_tiles import MapTiles, is_north_up

#: Entries of a batch. All of its samples have the first two.
KEYS = (
    'image',
    'pan',
    'target',
    'up',
    'valid',
    'pan_valid',
    'wavelength',
    'fwhm',
    'bounds',
    'transform',
)


class DrawnPair(NamedTuple):
    """What was drawn for a training sample.

    Args:
        number: Number of the pair.
        seed: Seed of its crop.
    """

    number: int
    seed: int


class PairSampler(EpochSampler[DrawnPair]):
    """Draws pairs: each about as often, in a new order every epoch.

    Args:
        count: Number of pairs.
        length: Samples per epoch.
    """

    def __init__(self, count: int, length: int) -> None:
        """Initialize a new PairSampler instance; see the class for the arguments."""
        super().__init__(length)
        self._count = count

    def draw(self, count: int, generator: torch.Generator) -> Sequence[DrawnPair]:
        """Draw the samples of one epoch.

        Args:
            count: Number of samples.
            generator: Source of randomness.

        Returns:
            The samples.
        """
        rounds = -(-count // self._count)
        order = [
            index
            for _ in range(rounds)
            for index in torch.randperm(self._count, generator=generator).tolist()
        ]
        seeds = torch.randint(2**62, (count,), generator=generator).tolist()
        return [DrawnPair(*one) for one in zip(order[:count], seeds, strict=True)]


class SceneCubes(NonGeoDataset):
    """Whole scenes of a dataset on a grid, one by one.

    Args:
        dataset: The dataset.
    """

    def __init__(self, dataset: GeoDataset) -> None:
        """Initialize a new SceneCubes instance; see the class for the arguments."""
        self.dataset = dataset
        self.bandset = getattr(dataset, 'bandset', None)
        grid = PixelGrid(dataset)
        self._queries = [grid.query(*s[:5]) for s in grid.scenes(dataset, None)]

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self._queries)

    def __getitem__(self, index: int) -> Sample:
        """Read a scene.

        Args:
            index: Its number.

        Returns:
            The sample. A target of the dataset is no sharper one and is left out.
        """
        sample: Sample = self.dataset[self._queries[index]]
        return {key: sample[key] for key in KEYS if key in sample and key != 'target'}


class PairSamples(Dataset[Sample]):
    """Pairs of a dataset, maybe cut at random and kept in memory.

    Args:
        pairs: Dataset of pairs.
        crop_size: Rows and columns of a crop, in pixels of the cube; whole pairs by
            default.
        min_valid: Least share of valid pixels of a crop.
        keep: Whether to read each pair once.
    """

    def __init__(
        self,
        pairs: Dataset[Sample],
        crop_size: int | None = None,
        min_valid: float = 0.0,
        keep: bool = False,
    ) -> None:
        """Initialize a new PairSamples instance; see the class for the arguments."""
        self.pairs: Any = pairs
        self.crop = None if crop_size is None else RandomPairCrop(crop_size, min_valid)
        self.keep = keep
        self._kept: dict[int, Sample] = {}

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    def __getitem__(self, drawn: int | DrawnPair) -> Sample:
        """Return a pair or a crop of it.

        Args:
            drawn: Number of the pair, and maybe the seed of the crop.

        Returns:
            The sample.
        """
        index = drawn if isinstance(drawn, int) else drawn.number
        sample = self._kept.get(index)
        if sample is None:
            sample = self.pairs[index]
            sample = {key: sample[key] for key in KEYS if key in sample}
            if self.keep:
                self._kept[index] = sample
        if self.crop is None or isinstance(drawn, int):
            return dict(sample)
        # crops do not depend on which worker cuts them
        self.crop.generator = torch.Generator().manual_seed(drawn.seed)
        return self.crop(sample)  # type: ignore[no-any-return]

    def plot(self, sample: Sample, **options: Any) -> Figure:
        """Plot a pair.

        Args:
            sample: Sample.
            **options: ``show_titles`` and ``suptitle``.

        Returns:
            The figure.
        """
        return plot_pair(sample, **options)


def collate_pairs(samples: Sequence[Sample]) -> Sample:
    """Stack pairs; entries that some of them lack are left out.

    Args:
        samples: Pairs.

    Returns:
        The batch.

    Raises:
        BandMismatchError: If pairs differ in shape.
    """
    common = set.intersection(*(set(sample) for sample in samples))
    for key in ('image', 'pan'):
        shapes = {tuple(sample[key].shape) for sample in samples}
        if len(shapes) > 1:
            words = ', '.join(' x '.join(map(str, s)) for s in sorted(shapes))
            raise BandMismatchError(
                f'Expected pairs of one shape in a batch, got {key} of {words}. Pass '
                'crop_size= for training or patch_size= for all, or a batch size of 1.'
            )
    chosen = [{key: s[key] for key in KEYS if key in common} for s in samples]
    batch: Sample = default_collate(chosen)
    return batch


class PanTiles(MapTiles):
    """Overlapping tiles of one pair.

    It has the ``bounds``, ``res`` and ``crs`` of the cube that writers of maps look for;
    they find the grid of the panchromatic image from the size of the result. A cube
    without a georeference, or with a grid that is not north up, has panchromatic pixels
    of size 1.

    Args:
        pairs: Pair of files, at full resolution.
        size: Largest number of rows and columns of a tile, in pixels of the cube; the
            whole scene if None.
        overlap: Rows and columns that two tiles share at least.
    """

    def __init__(self, pairs: PanPairs, size: int | None, overlap: int) -> None:
        """Initialize a new PanTiles instance; see the class for the arguments."""
        self.pairs = pairs
        info = pairs.infos[0]
        _, height, width = info.shape
        ratio = pairs.ratio
        assert ratio is not None
        grid = Affine(ratio, 0, 0, 0, -ratio, ratio * height)
        self._own_place = is_north_up(info.transform) and info.crs is not None
        if self._own_place:
            assert info.transform is not None
            grid = info.transform
        crs = info.crs if self._own_place else None
        super().__init__((height, width), grid, crs, size, overlap)
        #: The files, so that they are not overwritten by the result.
        self.index = pd.DataFrame({'filepath': [*pairs.files, *pairs.pan_files]})
        self.bandset = pairs.bandset

    def __getitem__(self, index: int) -> Sample:
        """Read a tile.

        Args:
            index: Its number, row by row.

        Returns:
            The sample, without a target.
        """
        window = self.windows[index]
        sample = self.pairs.read_window(0, window)
        sample = {key: sample[key] for key in KEYS if key in sample}
        if not self._own_place:
            sample.pop('bounds', None)
            place = window_transform(window, self._transform)
            sample['transform'] = torch.tensor(tuple(place), dtype=torch.float32)
        return sample
