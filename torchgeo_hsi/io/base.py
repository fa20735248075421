# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What every reader of a hyperspectral file offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray
from rasterio.windows import Window

from .._typing import BoolArray, FloatArray
from ..errors import BandMismatchError, MetadataError
from ._masked_target import MaskedTarget
from ._raster_extras import RasterExtras
from ._scale import uniform
from .cube_info import CubeInfo
from .masked import MaskedCube

__all__ = ('CubeInfo', 'CubeReader', 'data_mask', 'stored_nodata', 'uniform')

#: Data types that float32 and the tensors of every step hold without loss.
_EXACT = ('int16', 'uint8')


class CubeReader(ABC):
    """An open hyperspectral file: metadata at once, pixels window by window.

    Use as a context manager. Readers neither import torch nor cache pixels.

    Subclasses set ``info`` and implement ``_read_raw`` and ``close``. Those of products
    with quality layers also name them in ``quality_layers`` and implement
    ``_read_layer``.

    Units: a file that declares a scale (GDAL scale, gain of EnMAP, reflectance scale
    factor of ENVI, CF ``scale_factor`` without a physical unit) is taken to lead to
    reflectance, so its cubes come as reflectance x 10 000. A file that declares none
    comes with its stored numbers. The option ``scale`` of each reader overrides both.
    """

    info: CubeInfo

    #: Whether all bands of a pixel lie together in the file, so that one band of a
    #: window takes as long to read as all of them.
    pixel_interleaved: bool = False

    @abstractmethod
    def _read_raw(self, indexes: list[int], window: Window) -> NDArray[Any]:
        """Read stored numbers.

        Args:
            indexes: Bands to read, from 0, all existing.
            window: Integer window that lies inside the file.

        Returns:
            Array of shape ``(C, H, W)`` in the data type of the file.
        """

    #: Bands, from 0, that hold no data but say where there are some (alpha).
    mask_bands: tuple[int, ...] = ()

    def _read_mask(self, window: Window) -> BoolArray | None:
        """Read the mask that files keep besides their numbers; there is none by default.

        Args:
            window: Integer window that lies inside the file.

        Returns:
            True where there is data, shape ``(H, W)``; None if there is no mask.
        """
        return None

    def _extras(self) -> RasterExtras | None:
        """Return what the file says besides its numbers; nothing by default."""
        return None

    def read(
        self, indexes: Sequence[int] | None = None, window: Window | None = None
    ) -> tuple[FloatArray, BoolArray]:
        """Read pixels.

        Args:
            indexes: Bands to read, from 0, in any order; all by default.
            window: Rows and columns to read; everything by default. What lies outside
                of the file comes as pixels without data.

        Returns:
            Values, float32 of shape ``(C, H, W)`` with gain and offset applied and 0
            where there is no data; and a boolean mask of the same shape that is True
            where there is data.

        Raises:
            CorruptFileError: If the file is truncated or damaged.
            BandMismatchError: If a band does not exist.
        """
        bands = self._check_indexes(indexes)
        _, height, width = self.info.shape
        if window is None:
            window = Window(0, 0, width, height)
        left, top = round(window.col_off), round(window.row_off)
        columns, rows = round(window.width), round(window.height)
        inner = _clip(left, top, columns, rows, width, height)
        if inner == (left, top, columns, rows):
            return self._read_values(bands, window)
        values = np.zeros((len(bands), rows, columns), dtype=np.float32)
        valid = np.zeros(values.shape, dtype=bool)
        if inner is not None:
            row, column = inner[1] - top, inner[0] - left
            target = np.s_[:, row : row + inner[3], column : column + inner[2]]
            values[target], valid[target] = self._read_values(bands, Window(*inner))
        return values, valid

    def read_masked(
        self,
        indexes: Sequence[int] | None = None,
        window: Window | None = None,
        stored: bool = False,
    ) -> MaskedCube:
        """Read pixels with one mask for all bands, in a third of the memory.

        Args:
            indexes: Bands to read, from 0, in any order; all by default.
            window: Rows and columns to read; everything by default. What lies outside
                of the file comes as pixels without data.
            stored: Whether to keep the data type of the file, if that is int16 or uint8
                and there is no gain or offset, so that nothing is lost.

        Returns:
            The same values as of :meth:`read`, and masks.

        Raises:
            CorruptFileError: If the file is truncated or damaged.
            BandMismatchError: If a band does not exist.
        """
        bands = self._check_indexes(indexes)
        info = self.info
        _, height, width = info.shape
        if window is None:
            window = Window(0, 0, width, height)
        left, top = round(window.col_off), round(window.row_off)
        columns, rows = round(window.width), round(window.height)
        gain, offset = (
            None if factors is None else np.array(factors, np.float32)[bands]
            for factors in (info.gain, info.offset)
        )
        dtype = np.dtype(np.float32)
        if stored and gain is None and offset is None and info.dtype in _EXACT:
            dtype = np.dtype(info.dtype)
        marker = stored_nodata(np.dtype(info.dtype), info.nodata)
        target = MaskedTarget((len(bands), rows, columns), dtype, marker, gain, offset)
        inner = _clip(left, top, columns, rows, width, height)
        if inner is not None and bands:
            row, column = inner[1] - top, inner[0] - left
            mask = self._read_mask(Window(*inner))
            if mask is not None:
                area = np.s_[row : row + inner[3], column : column + inner[2]]
                target.hide(mask, area)

            def put(raw: NDArray[Any], band: int, down: int, right: int) -> None:
                target.put(raw, band, row + down, column + right)

            self._read_parts(bands, Window(*inner), put)
        return target.result()

    def _read_parts(
        self,
        indexes: list[int],
        window: Window,
        put: Callable[[NDArray[Any], int, int, int], None],
    ) -> None:
        """Read stored numbers part by part; all at once unless overridden.

        Args:
            indexes: Bands to read, from 0, all existing.
            window: Integer window that lies inside the file.
            put: Takes a part of shape ``(c, h, w)``, and its first band, row and column
                in the window; may be called from several threads.
        """
        put(self._read_raw(indexes, window), 0, 0, 0)

    @property
    def quality_layers(self) -> tuple[str, ...]:
        """Names of the quality layers that this file has; none by default."""
        return ()

    @property
    def band_layers(self) -> tuple[str, ...]:
        """Names of the quality layers that depend on the bands that are looked at.

        All of them by default: a store of the scene then keeps one flag for each pixel
        and band, else one for each pixel.
        """
        return self.quality_layers

    def read_quality(
        self,
        layers: Iterable[str],
        window: Window | None = None,
        indexes: Sequence[int] | None = None,
    ) -> BoolArray:
        """Read quality layers.

        Args:
            layers: Names of layers, of those in :attr:`quality_layers`.
            window: Rows and columns to read; everything by default. It has to lie
                inside of the image.
            indexes: Bands, from 0, that layers of single bands look at; all by default.

        Returns:
            True where one of the layers flags the pixel, shape ``(H, W)``.

        Raises:
            MetadataError: If a layer is unknown or missing in this product.
            CorruptFileError: If a layer is damaged.
        """
        # a lone string would be taken letter by letter
        names = [layers] if isinstance(layers, str) else list(layers)
        self._check_layers(names)
        _, height, width = self.info.shape
        if window is None:
            window = Window(0, 0, width, height)
        flagged = np.zeros((round(window.height), round(window.width)), dtype=bool)
        bands = self._check_indexes(indexes)
        for name in dict.fromkeys(names):
            flagged |= self._read_layer(name, window, bands)
        return flagged

    def _check_layers(self, names: Sequence[str]) -> None:
        """Refuse quality layers that this file does not have."""
        known = self.quality_layers
        missing = [name for name in names if name not in known]
        if missing:
            raise MetadataError(
                f'{self.info.path} has no quality layers '
                f'{", ".join(map(repr, missing))}. It has: {", ".join(known) or "none"}.'
            )

    def _read_layer(self, name: str, window: Window, indexes: list[int]) -> BoolArray:
        """Read one of the layers in ``quality_layers``.

        Args:
            name: Name of the layer.
            window: Window that lies inside the file.
            indexes: Bands that a layer of single bands looks at.

        Returns:
            True where it flags the pixel, shape ``(H, W)``.
        """
        raise NotImplementedError(f'{type(self).__name__} has no layer {name}.')

    def _read_band_layer(
        self, name: str, window: Window, indexes: list[int]
    ) -> BoolArray:
        """Read one of the layers in ``band_layers``, band by band unless overridden.

        Args:
            name: Name of the layer.
            window: Window that lies inside the file.
            indexes: Bands to look at.

        Returns:
            True where it flags a band of the pixel, shape ``(C, H, W)``.
        """
        return np.stack([self._read_layer(name, window, [band]) for band in indexes])

    def lacks_data(self, indexes: Sequence[int]) -> bool:
        """Tell whether the metadata already say that bands hold no data.

        Args:
            indexes: Bands, from 0.

        Returns:
            True if none of them has data anywhere; False if that is not known without
            reading them.
        """
        return False

    def _check_indexes(self, indexes: Sequence[int] | None) -> list[int]:
        count = self.info.shape[0]
        bands = list(range(count)) if indexes is None else [int(i) for i in indexes]
        if any(not 0 <= band < count for band in bands):
            raise BandMismatchError(
                f'Expected bands 0 to {count - 1} of {self.info.path}, got {bands}.'
            )
        return bands

    def _read_values(
        self, bands: list[int], window: Window, dtype: DTypeLike = np.float32
    ) -> tuple[FloatArray, BoolArray]:
        """Apply gain and offset, and put 0 where there is no data.

        Args:
            bands: Bands to read, from 0, all existing.
            window: Integer window that lies inside the file.
            dtype: Data type of the values; float64 has all digits that a file has.

        Returns:
            Values and mask as of :meth:`read`.
        """
        raw = self._read_raw(bands, window)
        valid = data_mask(raw, self.info.nodata)
        mask = self._read_mask(window)
        if mask is not None:
            valid &= mask
        values: FloatArray = raw.astype(dtype)
        for factors, apply in (
            (self.info.gain, np.multiply),
            (self.info.offset, np.add),
        ):
            if factors is not None:
                column = np.array([factors[b] for b in bands], dtype)
                apply(values, column[:, None, None], out=values, where=valid)
        if not valid.all():
            np.copyto(values, 0, where=~valid)
        return values, valid

    @abstractmethod
    def close(self) -> None:
        """Close the file; further reads fail."""

    def __enter__(self) -> Self:
        """Return the reader itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


def data_mask(raw: NDArray[Any], nodata: float | None) -> BoolArray:
    """Tell data from nodata; NaN and infinity are never data.

    Args:
        raw: Stored numbers.
        nodata: Value of pixels without data, or None.

    Returns:
        True where there is data.
    """
    floating = np.issubdtype(raw.dtype, np.floating)
    marker = stored_nodata(raw.dtype, nodata)
    if marker is not None and not floating:
        return np.asarray(raw != marker)
    valid: BoolArray = np.isfinite(raw) if floating else np.ones(raw.shape, dtype=bool)
    if marker is not None:
        valid &= raw != marker
    return valid


def stored_nodata(dtype: np.dtype[Any], nodata: float | None) -> Any:
    """Return a nodata value as pixels store it.

    Args:
        dtype: Data type of the pixels.
        nodata: Value of pixels without data, or None.

    Returns:
        The value as a scalar of that data type; None if no pixel can be equal to it.
    """
    if nodata is None or not np.isfinite(nodata):
        return None
    if not np.issubdtype(dtype, np.floating):
        limits = np.iinfo(dtype)
        if nodata != int(nodata) or not limits.min <= nodata <= limits.max:
            return None
        return dtype.type(int(nodata))
    # a float64 tag has to be compared in the precision of the file
    with np.errstate(over='ignore'):
        return dtype.type(nodata)


def _clip(
    left: int, top: int, columns: int, rows: int, width: int, height: int
) -> tuple[int, int, int, int] | None:
    """Cut a window to the file; None if nothing is left of it."""
    right, bottom = min(left + columns, width), min(top + rows, height)
    left, top = max(left, 0), max(top, 0)
    if right <= left or bottom <= top:
        return None
    return left, top, right - left, bottom - top
