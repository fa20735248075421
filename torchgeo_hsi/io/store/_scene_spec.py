# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a store of a scene holds: metadata, quality layers, and how it is cut."""

import itertools
import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window

from ...errors import MetadataError
from ...physics import BandSet
from ..base import CubeInfo, CubeReader
from ._layout import CHUNK_BYTES, ArrayLayout
from .field import DTYPES
from .spec import COMPRESSIONS

#: Name of the array of the image.
IMAGE = 'image'

#: Name of the array that is True where there are data.
MASK = 'mask'

#: What the names of the arrays of quality layers begin with.
LAYER = 'quality_'

#: Names of the arrays of coordinates, and their axes.
COORDINATES = {'wavelength': 'band', 'fwhm': 'band', 'y': 'y', 'x': 'x'}

#: Scale and offset as a file declares them, which only some do.
_DECLARED = ('file_scale', 'file_offset')

#: A quality layer is cheap to read in squares so many times as wide as the image.
_LAYER_BLOCKS = 4


@dataclass(frozen=True)
class SceneSpec:
    """What a store of a scene holds.

    Args:
        shape: Bands, rows, columns.
        dtype: Data type of the stored numbers.
        block: Rows and columns of the squares that are compressed together.
        shard: Rows and columns that are in one file.
        compression: Kind of compression.
        layers: Axes of each quality layer by name: 2 for one flag per pixel, 3 for one
            per pixel and band.
        empty: Bands that the metadata of the product call empty.
        info: All other metadata, as :func:`describe` returns them.
        masked: Whether there is a mask besides the numbers.
    """

    shape: tuple[int, int, int]
    dtype: str
    block: int
    shard: int
    compression: str
    layers: dict[str, int]
    empty: list[int]
    info: dict[str, Any]
    masked: bool = False

    @classmethod
    def of(
        cls,
        reader: CubeReader,
        layers: dict[str, int],
        block: int | None,
        shard: int,
        compression: str,
    ) -> Self:
        """Plan the store of a scene.

        Args:
            reader: The open scene.
            layers: Axes of each quality layer.
            block: Rows and columns of a square; by default what suits the number of
                bands.
            shard: About how many rows and columns are in one file.
            compression: Kind of compression.

        Returns:
            The specification.

        Raises:
            MetadataError: If the data type cannot be stored.
        """
        info = reader.info
        dtype = np.dtype(info.dtype).name
        if dtype not in DTYPES:
            raise MetadataError(
                f'Expected a data type of {", ".join(DTYPES)} in {info.path}, got '
                f'{dtype}.'
            )
        side = block or _default_block(info.shape[0], np.dtype(dtype).itemsize)
        unit = side * _LAYER_BLOCKS
        # no larger than the scene
        wanted = min(max(shard, unit), max(info.shape[1:]))
        return cls(
            shape=info.shape,
            dtype=dtype,
            block=side,
            shard=math.ceil(wanted / unit) * unit,
            compression=compression,
            layers=layers,
            empty=[b for b in range(info.shape[0]) if reader.lacks_data([b])],
            info=describe(info),
            masked=reader._read_mask(Window(0, 0, 1, 1)) is not None,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the specification as a dictionary that JSON can hold."""
        content = asdict(self)
        if not self.masked:
            # as it was before there were masks
            del content['masked']
        return content

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        """Build a specification from what :meth:`to_json` returned.

        Args:
            content: The dictionary.
        """
        spec = cls(**{**content, 'shape': tuple(content['shape'])})
        spec._check()
        return spec

    def _check(self) -> None:
        """Refuse what no scene can be, as in metadata that are damaged."""
        sizes = (*self.shape, self.block, self.shard)
        bands = self.info['bands']
        counts = {
            self.shape[0] if values is None else len(values)
            for values in (
                None if bands is None else bands['wavelength'],
                *(self.info.get(key) for key in ('gain', 'offset', *_DECLARED)),
            )
        }
        if (
            len(self.shape) != 3
            or not all(isinstance(size, int) and size > 0 for size in sizes)
            or self.shard % (self.block * _LAYER_BLOCKS)
            or self.shard > max(self.shape[1:]) + self.block * _LAYER_BLOCKS
            or counts != {self.shape[0]}
            or self.dtype not in DTYPES
            or self.compression not in COMPRESSIONS
            or not all(math.isfinite(float(value)) for value in self._factors())
            or not all(name.replace('_', '').isalnum() for name in self.layers)
            or not set(self.layers.values()) <= {2, 3}
        ):
            raise ValueError('impossible sizes, types, factors or layers')

    def _factors(self) -> list[Any]:
        """Return gain and offset of each band, as far as there are any."""
        return [v for key in ('gain', 'offset') for v in self.info.get(key) or ()]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of shards."""
        return (
            math.ceil(self.shape[1] / self.shard),
            math.ceil(self.shape[2] / self.shard),
        )

    def windows(self) -> list[Window]:
        """Return the window of each shard."""
        _, height, width = self.shape
        return [
            Window(
                column * self.shard,
                row * self.shard,
                min(self.shard, width - column * self.shard),
                min(self.shard, height - row * self.shard),
            )
            for row, column in itertools.product(*map(range, self.grid))
        ]

    def image(self) -> ArrayLayout:
        """Return the layout of the image."""
        return self._layout(IMAGE, self.dtype, 3, self.block)

    def layer(self, name: str) -> ArrayLayout:
        """Return the layout of a quality layer.

        Args:
            name: Name of the layer.
        """
        axes = self.layers[name]
        block = self.block if axes == 3 else self.block * _LAYER_BLOCKS
        return self._layout(f'{LAYER}{name}', 'bool', axes, block)

    def mask(self) -> ArrayLayout:
        """Return the layout of the mask."""
        return self._layout(MASK, 'bool', 2, self.block * _LAYER_BLOCKS)

    def coordinates(self) -> dict[str, tuple[ArrayLayout, np.ndarray[Any, Any]]]:
        """Return layout and values of the coordinates, for other readers of Zarr."""
        found: dict[str, Any] = {}
        bands = self.info['bands']
        if bands is not None:
            found |= {'wavelength': bands['wavelength'], 'fwhm': bands['fwhm']}
        if self.info['transform'] is not None:
            transform = Affine(*self.info['transform'])
            if transform.b == 0 == transform.d:
                rows, columns = np.arange(self.shape[1]), np.arange(self.shape[2])
                found['y'] = transform.f + (rows + 0.5) * transform.e
                found['x'] = transform.c + (columns + 0.5) * transform.a
        result = {}
        for name, values in found.items():
            if values is not None:
                array = np.asarray(values, np.float64)
                axes = (COORDINATES[name],)
                shape = array.shape
                layout = ArrayLayout(
                    name, shape, 'float64', shape, shape, axes, self.compression
                )
                result[name] = (layout, array)
        return result

    def arrays(self) -> list[ArrayLayout]:
        """Return the layouts of all arrays."""
        coordinates = [layout for layout, _ in self.coordinates().values()]
        return [*self.rasters(), *coordinates]

    def rasters(self) -> list[ArrayLayout]:
        """Return the layouts of the arrays of pixels."""
        mask = [self.mask()] if self.masked else []
        return [self.image(), *map(self.layer, self.layers), *mask]

    def _layout(self, name: str, dtype: str, axes: int, block: int) -> ArrayLayout:
        bands = (self.shape[0],) if axes == 3 else ()
        return ArrayLayout(
            name=name,
            shape=(*bands, *self.shape[1:]),
            dtype=dtype,
            shard=(*bands, self.shard, self.shard),
            chunk=(*bands, block, block),
            axes=(*(('band',) if bands else ()), 'y', 'x'),
            compression=self.compression,
        )


def _default_block(bands: int, itemsize: int) -> int:
    """Return the largest power of two of which all bands fit into a chunk."""
    side = 16
    while side < 256 and bands * itemsize * (2 * side) ** 2 <= CHUNK_BYTES:
        side *= 2
    return side


def describe(info: CubeInfo) -> dict[str, Any]:
    """Turn the metadata of a cube into what JSON can hold.

    Args:
        info: The metadata.

    Returns:
        All of them but the path, shape and data type.
    """
    bands = info.bands
    declared = {
        key: [_number(v) for v in values]
        for key, values in zip(
            _DECLARED, (info.file_scale, info.file_offset), strict=True
        )
        if values is not None
    }
    return declared | {
        'sensor': info.sensor,
        'source': info.path.replace('\\', '/').rpartition('/')[2],
        'bands': None
        if bands is None
        else {
            'wavelength': bands.wavelength.tolist(),
            'fwhm': None if bands.fwhm is None else bands.fwhm.tolist(),
            'names': list(bands.names),
            'good': bands.good.tolist(),
        },
        'nodata': None if info.nodata is None else _number(info.nodata),
        'gain': None if info.gain is None else [_number(v) for v in info.gain],
        'offset': None if info.offset is None else [_number(v) for v in info.offset],
        'crs': None if info.crs is None else info.crs.to_wkt(),
        'transform': None if info.transform is None else list(info.transform[:6]),
        'start': info.start,
        'stop': info.stop,
        'spectral_source': info.spectral_source,
    }


def restore(spec: SceneSpec, path: str) -> CubeInfo:
    """Build the metadata of a cube from a specification.

    Args:
        spec: The specification.
        path: Where the store is.

    Returns:
        The metadata.
    """
    info, bands = spec.info, spec.info['bands']
    scales = {
        key: None if info[key] is None else tuple(map(float, info[key]))
        for key in ('gain', 'offset')
    } | {
        key: tuple(map(float, info[key])) if key in info else None for key in _DECLARED
    }
    return CubeInfo(
        path=path,
        sensor=info['sensor'],
        shape=spec.shape,
        dtype=spec.dtype,
        bands=None
        if bands is None
        else BandSet(
            np.array(bands['wavelength']),
            None if bands['fwhm'] is None else np.array(bands['fwhm']),
            tuple(bands['names']),
            np.array(bands['good'], bool),
        ),
        nodata=None if info['nodata'] is None else float(info['nodata']),
        gain=scales['gain'],
        offset=scales['offset'],
        crs=None if info['crs'] is None else CRS.from_wkt(info['crs']),
        transform=None if info['transform'] is None else Affine(*info['transform']),
        start=info['start'],
        stop=info['stop'],
        spectral_source=info['spectral_source'],
        file_scale=scales['file_scale'],
        file_offset=scales['file_offset'],
    )


def _number(value: float) -> float | str:
    """Return a number as JSON can hold it, which knows neither NaN nor infinity."""
    return float(value) if math.isfinite(value) else str(float(value))
