# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What one process knows about the scene, and how the first one learns of it."""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from rasterio.crs import CRS
from torch import Tensor
from torch.utils.data import Subset

from ..errors import BandMismatchError, MetadataError, OutputError
from ..io._cog_options import work_block
from ..physics import BandSet
from ._grid import Grid
from ._mosaic import PartWriter

logger = logging.getLogger(__name__)

# Largest difference in µm between the band centers of two tiles of one mosaic that is
# not worth a word: scenes of one sensor differ by some tenths of a nanometre.
_WAVELENGTH_TOLERANCE = 5e-4


@dataclass(frozen=True)
class Scene:
    """What is known after the first tile.

    Args:
        grid: Pixel grid of the raster.
        zoom: Number of predicted pixels along each side of a pixel of the dataset.
        num_values: Number of channels of the prediction.
        dtype: Data type in which tiles are kept.
        wavelength: Band centers of the first tile in µm.
        fwhm: Band widths of the first tile in µm.
        lost: Number of valid pixels whose prediction was not finite.
    """

    grid: Grid
    zoom: int
    num_values: int
    dtype: str
    wavelength: list[float] | None
    fwhm: list[float] | None
    lost: int = 0

    @property
    def side(self) -> int:
        """Side of the blocks in which the raster is computed."""
        return work_block(self.num_values)

    def save(self, path: Path) -> None:
        """Write to a file, for another process.

        Args:
            path: File to write.
        """
        path.write_text(json.dumps(asdict(self)), encoding='utf-8')

    @classmethod
    def load(cls, folder: Path) -> 'Scene | None':
        """Read what all processes have found.

        Args:
            folder: Folder with their files.

        Returns:
            The scene, or None if no process has seen a tile.

        Raises:
            BandMismatchError: If they have found different things.
        """
        found = []
        for path in sorted(folder.glob('*.scene')):
            fields = json.loads(path.read_text(encoding='utf-8'))
            found.append(cls(**fields | {'grid': Grid(**fields['grid'])}))
        if not found:
            return None
        for other in found[1:]:
            same = (other.num_values, other.zoom, other.dtype)
            if same != (found[0].num_values, found[0].zoom, found[0].dtype):
                raise BandMismatchError(
                    'Two processes have predicted different numbers of channels, '
                    f'resolutions or data types: {found[0]} and {other}.'
                )
        return replace(found[0], lost=sum(scene.lost for scene in found))

    def bands(self, dataset: Any) -> BandSet | None:
        """Return the spectral axis of the channels, if there is one.

        Args:
            dataset: The predict dataset; its ``bandset`` gives names and good-band
                flags where it describes the same bands.

        Returns:
            The band set, or None if nobody knows the wavelengths of the channels.
        """
        known = getattr(dataset, 'bandset', None)
        if known is None and getattr(dataset, 'datasets', None):
            known = getattr(dataset.datasets[0], 'bandset', None)
        known = known if known is not None and len(known) == self.num_values else None
        if self.wavelength is None or len(self.wavelength) != self.num_values:
            return known if self.wavelength is None else None
        center = np.array(self.wavelength)
        width = None if self.fwhm is None else np.array(self.fwhm)
        if known is None or not np.allclose(known.wavelength, center, atol=1e-3):
            return BandSet(center, width)
        width = known.fwhm if width is None else width
        return BandSet(center, width, known.names, known.good)


class SceneWriter:
    """Take the predictions of one process.

    Args:
        folder: Folder that all processes share.
        rank: Number of this process.
        dataset: The predict dataset.
    """

    def __init__(self, folder: Path, rank: int, dataset: Any) -> None:
        """Initialize a new SceneWriter instance; see the class for the arguments."""
        self.scene: Scene | None = None
        self._folder = folder
        self._rank = rank
        self._dataset = dataset
        self._parts: PartWriter | None = None
        self._lost = 0
        self._deviation = 0.0

    def add(
        self, values: Tensor, transforms: Sequence[Sequence[float]], batch: Any
    ) -> None:
        """Add the tiles of one batch.

        Args:
            values: Predictions of shape ``(B, K, h, w)``.
            transforms: First six numbers of the affine transform of each tile of the
                dataset.
            batch: The batch, with ``image``, ``valid``, ``wavelength`` and ``fwhm``
                where the dataset gives them.

        Raises:
            MetadataError: If a tile does not lie on the grid.
            BandMismatchError: If the number of channels or the resolution changes.
            OSError: If the disk is full.
        """
        zoom = _zoom(values, batch)
        if self.scene is None:
            self._start(values, transforms[0], zoom, batch)
        assert self.scene is not None
        assert self._parts is not None
        scene = self.scene
        if (values.shape[1], zoom) != (scene.num_values, scene.zoom):
            raise BandMismatchError(
                f'Expected {scene.num_values} predicted channels at {scene.zoom} times '
                f'the resolution in every batch, got {values.shape[1]} at {zoom} times.'
            )
        self._compare_wavelengths(batch)
        tiles = values.detach().to('cpu', getattr(torch, scene.dtype)).numpy()
        valid = _valid(batch, zoom, tiles.shape[-2:], len(tiles))
        for tile, ok, transform in zip(tiles, valid, transforms, strict=True):
            finite = np.isfinite(tile).all(axis=0)
            self._lost += int((ok & ~finite).sum())
            if not (ok & finite).all():
                # the tensor may belong to the task, or to predictions that are kept
                tile = np.where(ok & finite, tile, np.nan).astype(scene.dtype)
            row, col = self._coarse.locate(transform)
            self._parts.add(tile, row * zoom, col * zoom)

    def close(self) -> None:
        """Finish the files of this process.

        Raises:
            OSError: If the disk is full.
        """
        if self._parts is not None:
            parts, self._parts = self._parts, None
            parts.close()
        if self.scene is not None:
            replace(self.scene, lost=self._lost).save(
                self._folder / f'{self._rank}.scene'
            )
        if self._deviation > _WAVELENGTH_TOLERANCE:
            logger.warning(
                'The tiles differ by up to %.2f nm in their wavelengths; those of the '
                'first tile are written. Predict scene by scene to keep each.',
                1e3 * self._deviation,
            )

    def abort(self) -> None:
        """Close the files whatever happens; their content is not needed any more."""
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.abort()

    def _start(
        self, values: Tensor, transform: Sequence[float], zoom: int, batch: Any
    ) -> None:
        self._coarse = Grid.of_dataset(self._dataset, transform)
        grid = self._coarse.refine(zoom)
        self.scene = Scene(
            grid=grid,
            zoom=zoom,
            num_values=values.shape[1],
            dtype='float64' if values.dtype == torch.float64 else 'float32',
            wavelength=_first_row(batch, 'wavelength'),
            fwhm=_first_row(batch, 'fwhm'),
        )
        self._parts = PartWriter(
            self._folder, self._rank, (grid.height, grid.width), self.scene.side
        )

    def _compare_wavelengths(self, batch: Any) -> None:
        assert self.scene is not None
        first = self.scene.wavelength
        values = batch.get('wavelength') if isinstance(batch, dict) else None
        if first is not None and isinstance(values, Tensor):
            rows = values.detach().cpu().double().numpy()
            if rows.ndim == 2 and rows.shape[1] == len(first):
                difference = float(np.abs(rows - np.array(first)).max())
                self._deviation = max(self._deviation, difference)


def _first_row(batch: Any, key: str) -> list[float] | None:
    values = batch.get(key) if isinstance(batch, dict) else None
    if not isinstance(values, Tensor) or values.ndim != 2:
        return None
    row: list[float] = values[0].detach().cpu().double().tolist()
    return row


def _zoom(values: Tensor, batch: Any) -> int:
    """Return how many predicted pixels lie along a pixel of the image."""
    image = batch.get('image') if isinstance(batch, dict) else None
    if not isinstance(image, Tensor):
        return 1
    (height, width), (rows, cols) = values.shape[-2:], image.shape[-2:]
    zoom = height // rows
    if zoom < 1 or (height, width) != (rows * zoom, cols * zoom):
        raise MetadataError(
            f'Expected predictions of {rows} x {cols} pixels, as the image, or a whole '
            f'multiple of it, got {height} x {width}. Return one value for each pixel '
            'from predict_step.'
        )
    return zoom


def _valid(
    batch: Any, zoom: int, size: tuple[int, ...], count: int
) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return the valid mask of each tile at the resolution of the prediction."""
    values = batch.get('valid') if isinstance(batch, dict) else None
    if not isinstance(values, Tensor):
        return np.ones((count, *size), dtype=bool)
    mask = values.detach().cpu().numpy().astype(bool)
    mask = mask[:, 0] if mask.ndim == 4 else mask
    return mask.repeat(zoom, axis=1).repeat(zoom, axis=2)


def predict_dataset(trainer: Trainer) -> Any:
    """Return the dataset that is being predicted.

    Args:
        trainer: The trainer, during ``predict``.

    Returns:
        The dataset of its only data loader.

    Raises:
        MetadataError: If there are several data loaders, or one without a dataset.
    """
    loaders: Any = trainer.predict_dataloaders
    if isinstance(loaders, list | tuple) and len(loaders) == 1:
        loaders = loaders[0]
    dataset = getattr(loaders, 'dataset', None)
    while isinstance(dataset, Subset):
        dataset = dataset.dataset
    if dataset is None:
        raise MetadataError(
            'Expected one predict data loader over a torchgeo GeoDataset, got '
            f'{type(loaders).__name__}. Predict on one dataset at a time.'
        )
    return dataset


def check_not_input(path: Path, dataset: Any) -> None:
    """Check that an output would not replace an input.

    Args:
        path: The output.
        dataset: The predict dataset.

    Raises:
        OutputError: If the output is a file of the dataset.
    """
    index: Any = getattr(dataset, 'index', None)
    # the `index` of a list is a method
    files = index['filepath'] if 'filepath' in getattr(index, 'columns', ()) else ()
    if any(os.path.realpath(file) == os.path.realpath(path) for file in files):
        raise OutputError(
            f'{path} is an input of this prediction. Choose another output_path.'
        )


def check_crs(crs: CRS | None, dataset: Any) -> None:
    """Check that a CRS does not contradict that of the predict dataset.

    Args:
        crs: What the user asked for, if anything.
        dataset: The predict dataset.

    Raises:
        MetadataError: If the two differ.
    """
    known = getattr(dataset, 'crs', None)
    if crs is None or known is None or CRS.from_user_input(known) == crs:
        return
    raise MetadataError(
        f'The tiles lie in {CRS.from_user_input(known)}, and crs={crs} would only put '
        'another name on their coordinates. Pass crs= to the predict dataset, which '
        'warps, or warp the map.'
    )
