# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Label maps for scenes."""

import os
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from pyproj import CRS as PROJ_CRS
from torchgeo.datasets import RasterDataset
from torchgeo.datasets.utils import GeoSlice

from .._typing import PathLike, Sample
from ..errors import EmptyDataError


class LabelRaster(RasterDataset):
    """Class codes in GeoTIFFs, of any data type, remapped to ``0 .. K-1``.

    Codes that are not listed, nodata, and everything outside of the files become
    *ignore_index*, so an unlabelled pixel is never taken for a class.

    Sample:

    * ``mask``: class indices, long of shape ``(H, W)``
    * ``bounds``, ``transform``: as in torchgeo

    Example:
        .. code-block:: python

            labels = LabelRaster('data/labels', classes=[1, 2, 3, 4, 5, 6])
            dataset = EnMAPL2A('data/images') & labels
    """

    filename_glob = '*.[tT][iI][fF]*'
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
            ValueError: If *classes* is empty or repeats a code, or *ignore_index* is
                the index of a class.
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
        super().__init__(paths, crs=crs, res=res, cache=cache)
        # applied after the remapping, not by the base class before it
        self.remapped_transforms = transforms

    def __getitem__(self, index: GeoSlice) -> Sample:
        """Retrieve a sample.

        Args:
            index: ``[xmin:xmax:xres, ymin:ymax:yres, tmin:tmax:tres]`` coordinates.

        Returns:
            The sample, see the class.

        Raises:
            IndexError: If *index* is not found in the dataset.
        """
        sample: Sample = super().__getitem__(index)
        codes = sample['mask']
        mask = torch.full_like(codes, self.ignore_index)
        for i, code in enumerate(self.classes):
            mask[codes == code] = i
        sample['mask'] = self._outside(mask, index)
        if self.remapped_transforms is not None:
            sample = self.remapped_transforms(sample)
        return sample

    def _outside(self, mask: torch.Tensor, index: GeoSlice) -> torch.Tensor:
        """Ignore what no file covers; there the base class fills in the code 0."""
        if 0 not in self.classes:
            return mask
        x, y, _ = self._disambiguate_slice(index)
        height, width = mask.shape
        covered = np.zeros(mask.shape, dtype=bool)
        inside = self.index.cx[x.start : x.stop, y.start : y.stop]
        for geometry in inside.geometry:
            left, bottom, right, top = geometry.bounds
            c0, c1 = ((v - x.start) / (x.stop - x.start) * width for v in (left, right))
            r0, r1 = ((y.stop - v) / (y.stop - y.start) * height for v in (top, bottom))
            rows = slice(max(round(r0), 0), max(round(r1), 0))
            columns = slice(max(round(c0), 0), max(round(c1), 0))
            covered[rows, columns] = True
        return mask.masked_fill(~torch.from_numpy(covered), self.ignore_index)

    def check(self) -> dict[int, int]:
        """Count the labelled pixels of each class.

        Returns:
            Number of pixels by class index.

        Raises:
            EmptyDataError: If no pixel has any of the class codes; the message lists
                the codes that there are.
        """
        counts = dict.fromkeys(range(len(self.classes)), 0)
        found: set[int] = set()
        for path in self.index.filepath:
            with self._load_warp_file(path, self.crs) as src:
                codes, numbers = np.unique(src.read(1), return_counts=True)
            for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
                found.add(int(code))
                if code in self.classes:
                    counts[self.classes.index(int(code))] += number
        if not any(counts.values()):
            raise EmptyDataError(
                f'No pixel of the labels has a code of {list(self.classes)}; the files '
                f'hold {sorted(found)[:20]}. Pass the codes of your classes.'
            )
        return counts
