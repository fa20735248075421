# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Windows around labelled pixels, in whole batches, and tiles of the whole scene."""

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import transform as window_transform
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from .._typing import BoolArray, Sample
from ..datasets._place import place_of
from ..datasets.labelled_scenes.scene import LabelledScene
from ._map_tiles import MapTiles, is_north_up

logger = logging.getLogger(__name__)

#: Rows that are gone through at a time.
_STRIP = 64

#: Ways to flip and turn a square.
SYMMETRIES = 8


class PaddedScene:
    """A scene whose spectra lie together in memory, with a margin for windows.

    Args:
        scene: The scene.
        edge: Rows and columns of the margin, which are not valid.
    """

    def __init__(self, scene: LabelledScene, edge: int) -> None:
        """Initialize a new PaddedScene instance; see the class for the arguments."""
        bands, rows, columns = scene.shape
        self.edge = edge
        inner = slice(edge, edge + rows), slice(edge, edge + columns)
        shape = rows + 2 * edge, columns + 2 * edge
        image = np.zeros((*shape, bands), dtype=_torch_type(scene.image.dtype))
        image[inner] = np.moveaxis(scene.image, 0, -1)
        valid = np.zeros(shape, dtype=bool)
        valid[inner] = scene.valid
        # nodata may be any number, also NaN
        image[~valid] = 0
        self._spectra = torch.from_numpy(image).flatten(0, 1)
        self._valid = torch.from_numpy(valid).flatten()
        self._width = shape[1]
        step = torch.arange(2 * edge + 1)
        square = step[:, None] * self._width + step
        turned = [square.rot90(turns) for turns in range(4)]
        # windows that are flipped and turned take no longer to gather
        self._around = torch.stack(
            [one.flatten() for part in turned for one in (part, part.T)]
        )

    def windows(
        self, rows: Tensor, columns: Tensor, moves: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Gather the windows around pixels.

        Args:
            rows: Row of each pixel in the scene, shape ``(B,)``.
            columns: Column of each pixel, shape ``(B,)``.
            moves: How each window is flipped and turned, from 0 (as it is) to 7, shape
                ``(B,)``.

        Returns:
            Spectra as stored, float32 of shape ``(B, C, w, w)``, and which of them are
            valid, bool of shape ``(B, w, w)``.
        """
        size = 2 * self.edge + 1
        place = (rows * self._width + columns)[:, None] + self._around[moves]
        spectra = self._spectra.index_select(0, place.flatten())
        image = spectra.view(len(rows), size, size, -1).permute(0, 3, 1, 2)
        valid = self._valid[place].view(-1, size, size)
        return image.to(torch.float32, memory_format=torch.contiguous_format), valid


def _torch_type(dtype: np.dtype[Any]) -> Any:
    """Return the smallest type of torch that holds a type of a file."""
    if dtype.kind == 'f':
        return np.float32
    return {('u', 2): np.int32, ('u', 4): np.int64, ('i', 8): np.float32}.get(
        (dtype.kind, dtype.itemsize), dtype if dtype.kind in 'iu' else np.float32
    )


class PixelWindows(Dataset[Sample]):
    """Windows around labelled pixels.

    It is asked for whole batches, by a list of numbers: they are gathered at once, and
    no pixel is touched from Python.

    Args:
        padded: The scene.
        pixels: Rows and columns of the pixels.
        labels: Label map of shape ``(H, W)``.
        bands: What is known about the bands: ``wavelength`` and ``fwhm``.
    """

    def __init__(
        self,
        padded: PaddedScene,
        pixels: tuple[NDArray[np.int64], NDArray[np.int64]],
        labels: NDArray[np.int64],
        bands: Sample,
    ) -> None:
        """Initialize a new PixelWindows instance; see the class for the arguments."""
        self._padded = padded
        self._bands = bands
        self.rows, self.columns = (torch.from_numpy(place) for place in pixels)
        self.labels = torch.from_numpy(labels[pixels])

    def __len__(self) -> int:
        """Return the number of pixels."""
        return len(self.labels)

    def __getitem__(self, index: int | Sequence[int]) -> Sample:
        """Gather one window, or a batch of them.

        Args:
            index: Number of the pixel, or numbers; from the number of pixels on, they
                mean the same ones again, flipped and turned.

        Returns:
            Sample with ``image``, ``valid`` and ``label``, and ``wavelength`` and
            ``fwhm`` if they are known.
        """
        one = isinstance(index, int)
        numbers = torch.as_tensor([index] if one else index)
        count = len(numbers)
        moves = numbers.div(len(self), rounding_mode='floor')
        chosen = numbers % len(self)
        image, valid = self._padded.windows(
            self.rows[chosen], self.columns[chosen], moves
        )
        bands = {k: v.expand(count, -1) for k, v in self._bands.items()}
        batch = {'image': image, 'valid': valid, 'label': self.labels[chosen], **bands}
        return {k: v[0] for k, v in batch.items()} if one else batch


class EvenBatches(Sampler[list[int]]):
    """Batches that hold about as many samples each, whatever their number.

    So none is left with a single sample, of which batch normalization makes nothing,
    and none is left out, which would cost a good part of few labels.

    Args:
        count: Number of samples.
        batch_size: Largest number of samples of a batch.
        length: Samples of an epoch; each once by default. With more, all come again.
        shuffle: Whether to draw them in random order.
        moves: Ways to flip and turn a sample, of which one is drawn: a number that the
            number of samples is added to as often, as :class:`PixelWindows` reads it.
        seed: Seed of order and moves; others are drawn for each epoch.
    """

    def __init__(
        self,
        count: int,
        batch_size: int,
        length: int | None = None,
        shuffle: bool = False,
        moves: int = 1,
        seed: int = 0,
    ) -> None:
        """Initialize a new EvenBatches instance; see the class for the arguments."""
        self._count, self._length = count, length or count
        self._batches = -(-self._length // batch_size)
        self._shuffle, self._moves = shuffle, moves
        self._generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        """Return the number of batches."""
        return self._batches

    def __iter__(self) -> Iterator[list[int]]:
        """Yield the numbers of the samples of each batch."""
        rounds = -(-self._length // self._count)
        order = torch.cat([self._order() for _ in range(rounds)])[: self._length]
        if self._moves > 1:
            drawn = torch.randint(self._moves, order.shape, generator=self._generator)
            order = order + drawn * self._count
        for part in order.tensor_split(self._batches):
            yield part.tolist()

    def _order(self) -> Tensor:
        if not self._shuffle:
            return torch.arange(self._count)
        return torch.randperm(self._count, generator=self._generator)


class SceneMapTiles(MapTiles):
    """The whole scene in overlapping tiles, for maps.

    A scene without a georeference, or one that is not north up, has pixels of size 1.

    Args:
        scene: The scene.
        size: Largest number of rows and columns of a tile.
        overlap: Rows and columns that two tiles share at least.
        bands: What is known about the bands.
    """

    def __init__(
        self, scene: LabelledScene, size: int, overlap: int, bands: Sample
    ) -> None:
        """Initialize a new SceneMapTiles instance; see the class for the arguments."""
        self._scene, self._bands = scene, bands
        _, height, width = scene.shape
        place, crs = scene.transform, scene.crs
        if not is_north_up(place):
            if place is not None:
                logger.warning(
                    '%s has a grid that is not north up, so its map is placed by rows '
                    'and columns. torchgeo-hsi classify keeps the grid.',
                    scene.name,
                )
            place, crs = Affine(1, 0, 0, 0, -1, height), None
        super().__init__((height, width), place, crs, size, overlap)

    def __getitem__(self, index: int) -> Sample:
        """Cut out a tile.

        Args:
            index: Its number, row by row.

        Returns:
            Sample with ``image``, ``valid``, ``bounds`` and ``transform``.
        """
        rows, columns = self.windows[index].toslices()
        image = self._scene.image[:, rows, columns].astype(np.float32)
        valid: BoolArray = self._scene.valid[rows, columns]
        image[:, ~valid] = 0
        return {
            'image': torch.from_numpy(image),
            'valid': torch.from_numpy(valid.copy()),
            **self.place(index),
            **self._bands,
        }

    def place(self, index: int) -> Sample:
        """Return where a tile lies.

        Args:
            index: Its number, row by row.

        Returns:
            ``bounds`` and ``transform``.
        """
        window = self.windows[index]
        transform = window_transform(window, self._transform)
        # in float32, a northing is known to half a metre, and pixels may be smaller
        shape = window.height, window.width
        return dict(place_of(transform, shape, dtype=torch.float64))


def pixel_strips(scene: LabelledScene, use: BoolArray) -> Iterator[Sample]:
    """Go through some pixels of a scene once, strip by strip.

    Args:
        scene: The scene.
        use: The pixels, bool of shape ``(H, W)``.

    Yields:
        Samples with ``image`` as stored, and ``valid``, which is True for these pixels.
    """
    columns = np.flatnonzero(use.any(axis=0))
    wide = slice(int(columns[0]), int(columns[-1]) + 1)
    for top in range(0, len(use), _STRIP):
        tall = slice(top, top + _STRIP)
        valid = use[tall, wide]
        if valid.any():
            image = scene.image[:, tall, wide].astype(np.float32)
            image[:, ~valid] = 0
            yield {
                'image': torch.from_numpy(image),
                'valid': torch.from_numpy(valid.copy()),
            }
