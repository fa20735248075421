# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What data modules share that make pairs of cubes of any kind."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

from torch.utils.data import Dataset
from torchgeo.datasets import GeoDataset, NonGeoDataset

from .._typing import Sample
from ..errors import EmptyDataError, MetadataError
from ..scenes._numbers import Scaling, check_scaling
from ._cube_sources import (
    ChosenCubes,
    LazyCubes,
    StreamedCubes,
    as_list,
    find_cubes,
    load_cubes,
)
from ._cube_windows import CubeWindows
from ._cubes import Cube
from ._named_sources import NamedSources
from ._scene_tiles import DatasetTiles, SceneTiles

# command lines are made from these, which know no `type` statements of other modules
Cubes = str | NonGeoDataset | GeoDataset | list[str | NonGeoDataset | GeoDataset] | None
Scene = str | NonGeoDataset | GeoDataset | None


class Reading(NamedTuple):
    """How cubes are read.

    Args:
        scaling: What 0 and 1 are to be.
        in_memory: Whether all cubes are read once.
        exclude: Patterns of the names of files that are not for training.
        options: Options of the readers of files.
        bands: Bands of each cube: positions from 0, or wavelengths in micrometres, or
            None for all.
    """

    scaling: Scaling
    in_memory: bool
    exclude: tuple[str, ...]
    options: dict[str, Any]
    bands: tuple[int | float, ...] | None

    @classmethod
    def of(
        cls,
        scaling: str | float,
        in_memory: bool,
        exclude: Sequence[str],
        options: dict[str, Any] | None,
        bands: Sequence[int | float] | None = None,
    ) -> 'Reading':
        """Check what was asked for.

        Args:
            scaling: What 0 and 1 are to be.
            in_memory: Whether all cubes are read once.
            exclude: Patterns of the names of files that are not for training.
            options: Options of the readers of files.
            bands: Bands of each cube.

        Returns:
            It.

        Raises:
            ValueError: If the scaling is not understood.
        """
        chosen = None if bands is None else tuple(bands)
        found = check_scaling(scaling)  # type: ignore[arg-type]
        return cls(found, in_memory, tuple(exclude), options or {}, chosen)


class CubeDataModule(NamedSources):
    """A data module whose stages name cubes.

    Subclasses set up the training, and the windows of validation and test.

    Args:
        sources: Cubes of the splits ``train``, ``val`` and ``test``.
        predict: The scene to predict.
        reading: How cubes are read.
        tiling: Size and overlap of the tiles of prediction.
        batch_size: Crops per training batch.
        eval_batch_size: Samples per batch of validation and test.
        num_workers: Processes that load data.
    """

    #: Samples per training epoch, if that was chosen.
    length: int | None
    #: Rows and columns of a training crop, its bands, and its least valid share.
    _crops: tuple[int, int | None, float]
    #: Rows and columns of a sample of validation and test, and its bands.
    _parts: tuple[int | None, int | None]

    def __init__(
        self,
        sources: dict[str, Cubes],
        predict: Scene,
        reading: Reading,
        tiling: tuple[int, int],
        batch_size: int,
        eval_batch_size: int,
        num_workers: int,
    ) -> None:
        """Initialize a new CubeDataModule instance; see the class for the arguments."""
        super().__init__(NonGeoDataset, batch_size, num_workers)
        self.sources = sources
        self.predict_source = predict
        self.reading = reading
        self._tiling = tiling
        self.eval_batch_size = eval_batch_size

    def _is_named(self, split: str) -> bool:
        return bool(as_list(self.sources[split]))

    def _cubes(self, split: str, clean: bool) -> Sequence[Cube]:
        """Read the cubes of a split."""
        sources, reading = self.sources[split], self.reading
        if not self._is_named(split):
            raise MetadataError(
                f'Expected cubes in {split}=, got none. Name files, folders, patterns '
                'or datasets.'
            )
        cubes: Sequence[Cube]
        if not reading.in_memory:
            cubes = StreamedCubes(sources, reading.scaling, clean)
        else:
            exclude = () if split in ('val', 'test') else reading.exclude
            cubes = load_cubes(
                sources, reading.scaling, reading.options, exclude, clean
            )
        if reading.bands is None:
            return cubes
        if isinstance(cubes, LazyCubes):
            return ChosenCubes(cubes, reading.bands)
        return [cube.select(reading.bands) for cube in cubes]

    def _tiles(self) -> Dataset[Sample]:
        """Return the tiles of the scene to predict."""
        source, reading = self.predict_source, self.reading
        if isinstance(source, GeoDataset):
            return DatasetTiles(source, *self._tiling, reading.scaling, reading.bands)
        if isinstance(source, NonGeoDataset):
            streamed = StreamedCubes(source, reading.scaling, clean=False)
            if reading.bands is None:
                return CubeWindows(streamed)
            return CubeWindows(ChosenCubes(streamed, reading.bands))
        files = [] if source is None else find_cubes(os.fspath(source))
        if len(files) != 1:
            raise MetadataError(
                f'Expected one scene in predict=, got {len(files)}. Predict scene by '
                'scene; for a mosaic of EnMAP name the dataset: '
                'torchgeo_hsi.datasets.EnMAPL2A.'
            )
        scaling, options, bands = reading.scaling, reading.options, reading.bands
        return SceneTiles(files[0], *self._tiling, scaling, options, bands)

    def _check_numbers(self) -> None:
        """Refuse numbers that are out of their range.

        Raises:
            ValueError: If there is one.
        """
        patch_size, num_bands, _ = self._crops
        eval_patch_size, eval_num_bands = self._parts
        check_counts(
            batch_size=self.batch_size,
            patch_size=patch_size,
            eval_batch_size=self.eval_batch_size,
        )
        check_counts(
            ' or None',
            num_bands=num_bands,
            length=self.length,
            eval_patch_size=eval_patch_size,
            eval_num_bands=eval_num_bands,
        )
        check_tiles(*self._tiling)


def check_counts(other: str = '', **counts: int | None) -> None:
    """Refuse numbers of things that are not positive.

    Args:
        other: What they may be otherwise.
        **counts: The numbers, or None.

    Raises:
        ValueError: If there is one.
    """
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f'Expected a positive {name}{other}, got {count}.')


def check_length(length: int, batch_size: int) -> None:
    """Refuse epochs without a batch.

    Args:
        length: Crops per epoch.
        batch_size: Crops per batch.

    Raises:
        EmptyDataError: If there are fewer crops.
    """
    if length < batch_size:
        raise EmptyDataError(
            f'{length} training crops make no batch of {batch_size}. Raise length or '
            'lower batch_size.'
        )


def check_tiles(tile_size: int, overlap: int) -> None:
    """Refuse tiles that do not cover a scene.

    Args:
        tile_size: Rows and columns of a tile.
        overlap: Rows and columns that two tiles share at least.

    Raises:
        ValueError: If they do not go together.
    """
    if tile_size < 8 or not 0 <= 2 * overlap <= tile_size or (tile_size | overlap) % 8:
        raise ValueError(
            'Expected a tile_size and an overlap that are multiples of 8, and an overlap '
            f'from 0 to half of it, got {tile_size} and {overlap}.'
        )
