# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A simulated scene, cut into regions for training, validation and test."""

from typing import Any, Literal

import shapely
from shapely import Polygon

from ..datasets import SimulatedEnMAP
from ..errors import EmptyDataError
from ..physics import BandSet
from ._enmap_bands import EnMAPBands
from ._inside import InsideRegion

#: Pixels between the regions of a scene that is wide enough.
_GAP = 8

#: Shares of the width of the scene, from west to east.
_SHARES = {'train': (0.0, 0.6), 'val': (0.6, 0.75), 'test': (0.75, 1.0)}


class SimulatedEnMAPDataModule(EnMAPBands):
    """Train, validate, test and map on one :class:`~torchgeo_hsi.datasets.SimulatedEnMAP`.

    The scene is cut from west to east: 60 % for training, 15 % for validation, 25 % for
    the test, with a gap between them, because neighbouring pixels are alike and a
    random split would test on what was trained on. Prediction covers all of it.
    """

    def __init__(
        self,
        root: str = 'data/simulated_enmap',
        size: int | None = None,
        seed: int | None = None,
        cloud_cover: float | None = None,
        gap: int | None = None,
        bands: list[str | int | float] | None = None,
        quality: list[str] | None = None,
        batch_size: int = 8,
        patch_size: int = 32,
        length: int | None = None,
        overlap: int = 8,
        num_workers: int = 0,
        statistics: str = 'train',
        crops_per_pixel: float | None = None,
        min_valid: float = 0.0,
        balanced: bool = False,
        plume: dict[str, Any] | None = None,
    ) -> None:
        """Initialize a new SimulatedEnMAPDataModule instance.

        Of the scene, None means what *root* holds already, or the default.

        Args:
            root: Folder of the scene; it is simulated there on first use.
            size: Rows and columns of the scene (256 by default).
            seed: Seed of the scene (0 by default).
            cloud_cover: Share of the imaged pixels under cloud (0.05 by default).
            gap: Pixels between the regions; by default 8, or as many as leave room for
                validation in a scene of less than 107 columns.
            bands: Names, positions or wavelengths of the bands; the 202 kept ones by
                default.
            quality: Quality layers that make pixels invalid, see
                :class:`~torchgeo_hsi.datasets.EnMAPL2A`.
            batch_size: Windows per batch.
            patch_size: Height and width of the windows in pixels.
            length: Windows per training epoch; by default as many as cover the region,
                and a batch at least.
            overlap: Pixels by which neighbouring windows of prediction overlap.
            num_workers: Processes that load data.
            statistics: Normalize by the valid pixels of the training region, or by the
                published statistics of SpectralEarth (for its weights).
            crops_per_pixel: Read the scene in regions of whole blocks and show each
                pixel this often in an epoch; None reads each window by itself.
            min_valid: Least share of valid pixels of a training window.
            balanced: Draw training windows so that all classes are as frequent; not
                together with *crops_per_pixel*.
            plume: A plume of gas over the scene (none by default): arguments of
                :class:`~torchgeo_hsi.physics.simulation.PlumeSource` by name, such as
                ``{'gas': 'methane', 'rate': 5000.0}``.

        Raises:
            ValueError: If sizes do not fit together.
        """
        super().__init__(
            batch_size,
            patch_size,
            length,
            overlap,
            num_workers,
            statistics,
            SimulatedEnMAP.ignore_index,
            SimulatedEnMAP.classes,
            SimulatedEnMAP.class_colors,
            crops_per_pixel,
            min_valid,
            balanced,
        )
        if gap is not None and gap < 0:
            raise ValueError(f'Expected a gap of 0 or more pixels, got {gap}.')
        self.root = root
        self.scene_size = size
        self.scene_seed = seed
        self.cloud_cover = cloud_cover
        self.gap = gap
        self.bands = bands
        self.quality = quality
        self.plume = plume
        self._extent: tuple[float, float, float, float, float] | None = None

    def prepare_data(self) -> None:
        """Simulate the scene, if it is not there yet; in one process only."""
        self._open()

    def _chosen_bands(self) -> BandSet:
        return self._open().bandset

    def _open(self) -> SimulatedEnMAP:
        return SimulatedEnMAP(
            self.root,
            self.scene_size,
            self.scene_seed,
            self.cloud_cover,
            bands=self.bands,
            quality=self.quality,
            plume=self.plume,
        )

    def roi(self, split: Literal['train', 'val', 'test', 'predict']) -> Polygon | None:
        """Return the region of a split, in the CRS of the scene.

        Args:
            split: The split.

        Returns:
            The region, or None for all of the scene.

        Raises:
            EmptyDataError: If the scene is too narrow for the gaps.
        """
        if split == 'predict':
            return None
        if self._extent is None:
            x, y, _ = self._open().bounds
            columns = round((x.stop - x.start) / x.step)
            if self.gap is None:
                # half of validation is left
                self.gap = min(_GAP, int(0.15 * columns / 2))
            if 0.15 * columns < 2 * self.gap:
                raise EmptyDataError(
                    f'A scene of {columns} columns leaves no room for validation '
                    f'between gaps of {self.gap} pixels. Raise size, or lower gap.'
                )
            self._extent = (x.start, y.start, x.stop, y.stop, x.step)
        left, bottom, right, top, res = self._extent
        gap = self.gap or 0
        columns = round((right - left) / res)
        first, last = (round(share * columns) for share in _SHARES[split])
        # half of the gap on either side of an inner border
        first += (gap + 1) // 2 if first else 0
        last -= gap // 2 if last < columns else 0
        return shapely.box(left + first * res, bottom, left + last * res, top)

    def make_dataset(
        self, split: Literal['train', 'val', 'test', 'predict']
    ) -> SimulatedEnMAP:
        """Open the scene.

        Args:
            split: The split; outside of its region, pixels are not valid.

        Returns:
            The scene with its classes.
        """
        dataset = self._open()
        region = self.roi(split)
        if region is not None:
            dataset.transforms = InsideRegion(region)
        return dataset
