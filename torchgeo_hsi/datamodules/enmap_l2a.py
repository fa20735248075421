# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Own EnMAP scenes with own labels."""

import os
import warnings
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

import torch
from shapely import Polygon
from torchgeo.datasets import DatasetNotFoundError, GeoDataset, IntersectionDataset

from ..datasets import EnMAPL2A, LabelRaster, block_geo_split
from ..datasets.splits import SHARES, GeoSplit
from ..errors import EmptyDataError, MetadataError, NodataWarning
from ..physics import BandSet
from ._enmap_bands import EnMAPBands
from ._inside import InsideRegion


class EnMAPL2ADataModule(EnMAPBands):
    """Train on EnMAP scenes or tiles and label maps of the same places.

    Which file belongs to which split is said by name, or scenes are cut into blocks
    with a guard between them (``split_by='block'``). Windows are never drawn at random
    over all splits: neighbouring pixels are alike, so that would test on what was
    trained on. Tiles that touch still share mixed pixels and weather; say so where you
    quote a score.

    Example:
        .. code-block:: yaml

            data:
              class_path: torchgeo_hsi.datamodules.EnMAPL2ADataModule
              init_args:
                paths: data/images
                mask_paths: data/labels
                classes: [1, 2, 3]
                val: ['*_north']

        For a single scene, replace ``val`` by ``split_by: block``.
    """

    def __init__(
        self,
        paths: str | list[str] = 'data/images',
        mask_paths: str | list[str] | None = None,
        classes: list[int] | None = None,
        val: list[str] | None = None,
        test: list[str] | None = None,
        predict_paths: str | list[str] | None = None,
        bands: list[str | int | float] | None = None,
        quality: list[str] | None = None,
        batch_size: int = 8,
        patch_size: int = 64,
        length: int | None = None,
        overlap: int = 16,
        num_workers: int = 0,
        statistics: str = 'train',
        ignore_index: int = 255,
        class_names: list[str] | None = None,
        class_colors: list[str] | None = None,
        split_by: Literal['name', 'block'] = 'name',
        shares: dict[str, float] | None = None,
        block_size: int | None = None,
        guard: int | None = None,
        seed: int = 0,
        crops_per_pixel: float | None = None,
        min_valid: float = 0.0,
        balanced: bool = False,
    ) -> None:
        """Initialize a new EnMAPL2ADataModule instance.

        Args:
            paths: Folders or files of scenes, see
                :class:`~torchgeo_hsi.datasets.EnMAPL2A`.
            mask_paths: Folders or files of label maps; not needed for prediction.
            classes: Code in the label maps of each class, in the order of the classes;
                every other code is ignored.
            val: Shell-style patterns of the names (without suffix) of the scenes or
                product folders for validation.
            test: The same for the test; those of *val* by default.
            predict_paths: Scenes to predict; all of *paths* by default.
            bands: Names, positions or wavelengths of the bands; the 202 kept ones by
                default.
            quality: Quality layers that make pixels invalid, see
                :class:`~torchgeo_hsi.datasets.EnMAPL2A`.
            batch_size: Windows per batch.
            patch_size: Height and width of the windows in pixels.
            length: Windows per training epoch; by default as many as cover the scenes.
            overlap: Pixels by which neighbouring windows of prediction overlap.
            num_workers: Processes that load data.
            statistics: Normalize by the valid pixels of the training scenes, or by the
                published statistics of SpectralEarth (for its weights).
            ignore_index: Label that counts neither in loss nor in metrics.
            class_names: Name of each class, for figures.
            class_colors: Color of each class, for figures.
            split_by: ``'name'``: by *val* and *test*; ``'block'``: each scene is cut
                into blocks, see :func:`~torchgeo_hsi.datasets.block_geo_split`.
            shares: Share of ``train``, ``val`` and ``test`` of the blocks (0.6, 0.2 and
                0.2 by default). Without ``test``, the test is that of *val*.
            block_size: Side of a block in pixels; chosen by the size of the scenes by
                default.
            guard: Pixels left out on either side of a border between splits; half of
                *patch_size* by default, with which no window of the test touches one
                of training.
            seed: Seed of the blocks.
            crops_per_pixel: Read training scenes in regions of whole blocks and show
                each pixel this often in an epoch, which is many times faster where
                scenes are large and compressed; None reads each window by itself.
            min_valid: Least share of valid pixels of a training window.
            balanced: Draw training windows so that all classes are as frequent; not
                together with *crops_per_pixel*.

        Raises:
            ValueError: If sizes do not fit together, or options of one kind of split
                are given with the other.
        """
        sizes = batch_size, patch_size, length, overlap, num_workers
        labels = ignore_index, class_names, class_colors
        windows = crops_per_pixel, min_valid, balanced
        super().__init__(*sizes, statistics, *labels, *windows)
        self.paths, self.mask_paths, self.classes = paths, mask_paths, classes
        self.val = val or []
        self.test = self.val if test is None else test
        self.predict_paths = paths if predict_paths is None else predict_paths
        self.bands, self.quality = bands, quality
        self.shares = dict(SHARES) if shares is None else shares
        self.split_by, self.seed = split_by, seed
        self.block_size, self.guard = block_size, guard
        self._blocks: GeoSplit | None = None
        self._check_split(val is not None or test is not None, shares is not None)

    def _check_split(self, named: bool, drawn: bool) -> None:
        """Refuse options that belong to another kind of split."""
        if self.split_by not in ('name', 'block'):
            raise ValueError(
                f"Expected split_by 'name' or 'block', got {self.split_by!r}."
            )
        if self.split_by == 'block' and named:
            raise ValueError(
                "split_by='block' cuts all scenes into blocks, so val= and test= name "
                'nothing. Leave them out.'
            )
        if self.split_by == 'name' and (
            drawn or self.block_size is not None or self.guard is not None
        ):
            raise ValueError(
                "shares=, block_size= and guard= belong to split_by='block'; by name, "
                'files are split by val= and test=.'
            )
        if not {'train', 'val'} <= set(self.shares) <= {'train', 'val', 'test'}:
            raise ValueError(
                'Expected shares of train and val, and maybe test, got '
                f'{", ".join(self.shares)}.'
            )

    def blocks(self) -> GeoSplit:
        """Cut the labelled scenes into blocks, the first time that this is called.

        Returns:
            The regions of the splits.

        Raises:
            EmptyDataError: If scenes are too small for that.
        """
        if self._blocks is None:
            both = self._labelled(self._scenes(self.paths))
            names = [name for name in ('train', 'val', 'test') if name in self.shares]
            self._blocks = block_geo_split(
                both,
                self.size,
                {name: self.shares[name] for name in names},
                both.datasets[1],
                self.block_size,
                self.guard,
                generator=torch.Generator().manual_seed(self.seed),
            )
        return self._blocks

    def roi(self, split: Literal['train', 'val', 'test', 'predict']) -> Polygon | None:
        """Return the region of a split, in the CRS of the dataset.

        Args:
            split: The split.

        Returns:
            The blocks, or None for all of the dataset.
        """
        if self.split_by == 'name' or split == 'predict':
            return None
        blocks = self.blocks()
        return blocks.roi(split if split in blocks.names else 'val')

    def _chosen_bands(self) -> BandSet:
        # wavelengths and positions are those of the first scene
        return self._scenes(self.paths).bandset

    def make_dataset(
        self, split: Literal['train', 'val', 'test', 'predict']
    ) -> GeoDataset:
        """Open the scenes of a split and their labels.

        Args:
            split: The split.

        Returns:
            The scenes joined with the labels, or the scenes alone for prediction.

        Raises:
            EmptyDataError: If no scene belongs to the split, a pattern matches none,
                or the labels do not fit.
            MetadataError: If labels are needed and *mask_paths* or *classes* is None.
        """
        if split == 'predict':
            return self._scenes(self.predict_paths)
        region = self.roi(split)
        if region is not None:
            return self._labelled(self._scenes(self.paths, InsideRegion(region)))
        files = self._split_files()[split]
        if not files:
            raise EmptyDataError(
                f'No scene is left for {split}. Name scenes for validation by val=, '
                'and not all of them.'
            )
        return self._labelled(self._scenes(files))

    def _scenes(
        self, paths: str | list[str], transforms: InsideRegion | None = None
    ) -> EnMAPL2A:
        return EnMAPL2A(
            paths, bands=self.bands, quality=self.quality, transforms=transforms
        )

    def _split_files(self) -> dict[str, list[str]]:
        """List the files of each split."""
        files = self._scenes(self.paths).files
        val, test = (_matching(files, patterns) for patterns in (self.val, self.test))
        train = [file for file in files if file not in {*val, *test}]
        return {'train': train, 'val': val, 'test': test}

    def _labelled(self, scenes: EnMAPL2A) -> IntersectionDataset:
        """Join scenes with their labels, and check that they fit."""
        if self.mask_paths is None or self.classes is None:
            raise MetadataError(
                'Training and testing need labels: pass mask_paths= (label maps) and '
                'classes= (their codes in the order of the classes).'
            )
        try:
            labels = LabelRaster(self.mask_paths, self.classes, self.ignore_index)
        except DatasetNotFoundError as error:
            raise EmptyDataError(
                f'No label map (GeoTIFF) in {self.mask_paths}. Check mask_paths=.'
            ) from error
        counts = labels.check()
        if sum(number > 0 for number in counts.values()) < 2:
            raise EmptyDataError(
                f'Expected labels of at least two classes, got pixels per class '
                f'{counts}. A single class cannot be told from anything.'
            )
        labels.crs = scenes.crs
        covered = labels.index.geometry.union_all()
        bare = [
            path
            for path, shape in zip(
                scenes.index.filepath, scenes.index.geometry, strict=True
            )
            if shape.intersection(covered).area == 0
        ]
        if len(bare) == len(scenes):
            raise EmptyDataError(
                f'No label map of {self.mask_paths} lies on the scenes, such as '
                f'{bare[0]}. Check that they show the same place and carry their CRS.'
            )
        if bare:
            warnings.warn(
                f'{len(bare)} scenes have no labels and are left out: {bare[:3]}.',
                NodataWarning,
                stacklevel=2,
            )
        return scenes & labels


def _matching(files: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the files whose name, or product folder, matches a pattern."""
    found: list[str] = []
    for pattern in patterns:
        matches = [
            file
            for file in files
            if fnmatch(Path(file).stem, pattern)
            or fnmatch(os.path.basename(os.path.dirname(file)), pattern)
        ]
        if not matches:
            names = [Path(file).stem for file in files[:5]]
            raise EmptyDataError(
                f'No scene matches {pattern!r}. There are {len(files)}, such as '
                f'{", ".join(names)}.'
            )
        found += [file for file in matches if file not in found]
    return found
