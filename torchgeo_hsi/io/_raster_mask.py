# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Masks of rasters: inside of the file, in a file beside it, or as an alpha band."""

from functools import cached_property

from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from .._typing import BoolArray
from ._gdal import gdal_errors


class RasterMask:
    """The mask of a raster that holds for all of its bands, if there is one.

    Nodata values are something else: they are seen in the numbers themselves.

    Args:
        src: The open file.
        alpha: Whether a band may be the mask. GDAL calls the last of four bands of
            uint8 an alpha band unless it is told what it is; one that has a wavelength
            is none.
    """

    def __init__(self, src: DatasetReader, alpha: bool) -> None:
        """Initialize a new RasterMask instance."""
        self._src = src
        self._may_be_alpha = alpha

    @cached_property
    def bands(self) -> tuple[int, ...]:
        """Alpha bands, from 0: none, or the last one.

        As in GDAL, a nodata value goes before it. Some writers call the second of many
        bands an alpha band, because it is the first that is not gray.
        """
        src = self._src
        if not self._may_be_alpha or src.nodata is not None:
            return ()
        return (src.count - 1,) if src.colorinterp[-1] == ColorInterp.alpha else ()

    @cached_property
    def _is_apart(self) -> bool:
        """Whether there is a mask that is no band."""
        # asked for only when pixels are read: it takes as long as opening the file
        flags = self._src.mask_flag_enums[0]
        return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags

    def read(self, window: Window) -> BoolArray | None:
        """Read the mask.

        Args:
            window: Integer window inside of the file.

        Returns:
            True where there is data, shape ``(H, W)``; None if there is no mask.

        Raises:
            CorruptFileError: If the mask cannot be decoded.
        """
        src = self._src
        found: BoolArray | None = None
        with gdal_errors(str(src.name), f'its mask in {window}'):
            if self._is_apart:
                found = src.read_masks(1, window=window) != 0
            for band in self.bands:
                opaque = src.read(band + 1, window=window) != 0
                found = opaque if found is None else found & opaque
        return found
