# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Label maps for scenes."""

import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pyproj import CRS as PROJ_CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from torchgeo.datasets import RasterDataset
from torchgeo.datasets.utils import GeoSlice

from .._typing import BoolArray, PathLike, Sample
from ..errors import CorruptFileError, EmptyDataError
from ..io.geotiff import open_raster
from ._grid import Grid
from ._handles import ReaderCache
from ._index import query_scenes
from ._joined import Joinable

#: Largest error in pixels of the approximate transformation. GDAL's own 1/8 pixel would
#: take the neighbour of a pixel.
_TOLERANCE = 0.001


class LabelRaster(Joinable, RasterDataset):
    """Class codes in GeoTIFFs, of any data type, remapped to ``0 .. K-1``.

    Codes that are not listed, nodata, and everything outside of the files become
    *ignore_index*, so an unlabelled pixel is never taken for a class. Where files
    overlap, the first one with a class counts. On another pixel grid, each pixel takes
    the code of the nearest one.

    Sample:

    * ``mask``: class indices, long of shape ``(H, W)``
    * ``bounds``, ``transform``: as in torchgeo

    Example:
        .. code-block:: python

            labels = LabelRaster('data/labels', classes=[1, 2, 3, 4, 5, 6])
            dataset = EnMAPL2A('data/images') & labels
    """

    filename_glob = '*.[tT][iI][fF]*'
    #: All but metadata, overviews and masks, which GDAL leaves beside a raster.
    filename_regex = r'(?i)(?!.*\.(xml|ovr|msk)$).*'
    is_image = False

    def __init__(
        self,
        paths: PathLike | Iterable[PathLike] = 'data',
        classes: Sequence[int] = (1,),
        ignore_index: int = 255,
        crs: PROJ_CRS | None = None,
        res: float | tuple[float, float] | None = None,
        transforms: Callable[[Sample], Sample] | None = None,
        cache: bool = True,
    ) -> None:
        """Initialize a new LabelRaster instance.

        Args:
            paths: Folders to search, or files.
            classes: Code in the files of each class, in the order of the classes.
            ignore_index: Index of everything else.
            crs: CRS to warp to (that of the first file by default).
            res: Pixel size in units of the CRS (that of the first file by default).
            transforms: Function that takes a sample and returns a changed one.
            cache: Whether to keep files open between samples.

        Raises:
            torchgeo.datasets.DatasetNotFoundError: If there are no files.
            CorruptFileError: If a file is empty, truncated or damaged.
            ValueError: If *classes* is empty or repeats a code, *ignore_index* is the
                index of a class, or a file has no georeference.
        """
        if not classes or len(set(classes)) != len(classes):
            raise ValueError(f'Expected different class codes, got {list(classes)}.')
        if 0 <= ignore_index < len(classes):
            raise ValueError(
                f'ignore_index {ignore_index} is the index of class code '
                f'{classes[ignore_index]}. Use {len(classes)} or more, e.g. 255.'
            )
        self.classes = tuple(int(code) for code in classes)
        self.ignore_index = ignore_index
        if not isinstance(paths, str | os.PathLike):
            paths = list(paths)
        self.paths = paths
        for path in self._label_files():
            # the base class would leave out in silence what cannot be opened
            open_raster(path).close()
        super().__init__(paths, crs=crs, res=res, transforms=transforms, cache=cache)
        self._readers = ReaderCache(open_raster, keep=cache)

    def _label_files(self) -> list[str]:
        pattern = re.compile(self.filename_regex)
        files = (os.fspath(path) for path in self.files)
        return [path for path in files if pattern.match(os.path.basename(path))]

    def __getitem__(self, index: GeoSlice) -> Sample:
        """Retrieve a sample.

        Args:
            index: ``[xmin:xmax:xres, ymin:ymax:yres, tmin:tmax:tres]`` coordinates.

        Returns:
            The sample, see the class.

        Raises:
            IndexError: If *index* is not found in the dataset.
            CorruptFileError: If a file is damaged.
        """
        rows, grid = query_scenes(self, index)
        mask = np.full((grid.height, grid.width), self.ignore_index, dtype=np.int64)
        for path in rows.filepath:
            codes, valid = self._read(os.fspath(path), grid)
            valid &= mask == self.ignore_index
            for i, code in enumerate(self.classes):
                mask[valid & (codes == code)] = i
        sample: Sample = {
            'bounds': self._slice_to_tensor(index),
            'transform': torch.tensor(tuple(grid.transform)),
            'mask': torch.from_numpy(mask),
        }
        return sample if self.transforms is None else self.transforms(sample)

    def _read(self, path: str, grid: Grid) -> tuple[NDArray[Any], BoolArray]:
        """Read the nearest code of each pixel, and where the file has any."""
        with self._readers.open(path) as reader:
            src: Any = reader
            options = {
                'crs': grid.crs,
                'transform': grid.transform,
                'width': grid.width,
                'height': grid.height,
                'resampling': Resampling.nearest,
                'tolerance': _TOLERANCE,
                # without a nodata value, only an alpha band tells what is outside
                'add_alpha': src.nodata is None
                and ColorInterp.alpha not in src.colorinterp,
            }
            try:
                with WarpedVRT(src, **options) as vrt:
                    codes = vrt.read(1)
                    if ColorInterp.alpha not in vrt.colorinterp:
                        return codes, vrt.read_masks(1) > 0
                    alpha = vrt.colorinterp.index(ColorInterp.alpha) + 1
                    return codes, vrt.read(alpha) > 0
            except RasterioError as error:
                raise _damaged(path, error) from error

    def check(self) -> dict[int, int]:
        """Count the labelled pixels of each class.

        Returns:
            Number of pixels by class index.

        Raises:
            EmptyDataError: If no pixel has any of the class codes; the message lists
                the codes that there are.
        """
        counts = dict.fromkeys(range(len(self.classes)), 0)
        found: set[float] = set()
        for path in map(os.fspath, self.index.filepath):
            try:
                with open_raster(path) as src:
                    labels = src.read(1, masked=True).compressed()
            except RasterioError as error:
                raise _damaged(path, error) from error
            codes, numbers = np.unique(labels, return_counts=True)
            # NaN is no code, whether or not the file calls it nodata
            present = dict(zip(codes.tolist(), numbers.tolist(), strict=True))
            found |= {code for code in present if not math.isnan(code)}
            for i, code in enumerate(self.classes):
                counts[i] += present.get(code, 0)
        if not any(counts.values()):
            raise EmptyDataError(
                f'No pixel of the labels has a code of {list(self.classes)}; the files '
                f'hold [{_listing(found)}]. Pass the codes of your classes.'
            )
        return counts


def _listing(codes: set[float]) -> str:
    return ', '.join(f'{code:g}' for code in sorted(codes)[:20])


def _damaged(path: str, error: Exception) -> CorruptFileError:
    return CorruptFileError(
        f'{path} is truncated or damaged: its labels cannot be read ({error}). '
        'Download or copy it again.'
    )
