# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make EMIT L2A granules: reflectance, uncertainty and mask, in the exact layout.

Independent of the package: names, types, dimensions, attributes, fill values and
compression are those of the public writers of the product (emit-sds-l2a, emit-utils,
emit-sds-masks). Run as a script: ``python tests/data/emit_l2a/data.py FOLDER``.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from rasterio.crs import CRS

NODATA = -9999.0
PIXEL = 0.000542232520256367
WEST, NORTH = -118.25, 34.5
START, STOP = '2022-09-03T16:31:29+0000', '2022-09-03T16:31:41+0000'
SCENE = '20220903T163129_2224611_012'

#: Names of the layers of the mask, as versions 1 and 2 write them.
MASK_BANDS = (
    'Cloud flag',
    'Cirrus flag',
    'Water flag',
    'Spacecraft Flag',
    'Dilated Cloud Flag',
    'AOD550',
    'H2O (g cm-2)',
    'Aggregate Flag',
)
MASK_BANDS_2 = (
    *MASK_BANDS,
    'SpecTf-Cloud Probability',
    'SpecTf-Cloud Flag',
    'SpecTf-Buffer Distance',
)


@dataclass
class Granule:
    """What was written, for tests.

    Args:
        path: File with the reflectance.
        uncertainty: File with the uncertainty.
        mask: File with the mask.
        swath: Reflectance as stored, shape (downtrack, crosstrack, bands).
        spread: Uncertainty as stored.
        flags: The mask as stored, shape (downtrack, crosstrack, layers).
        interpolated: True where a band was interpolated, shape of the swath.
        row: Row of the swath that each map pixel shows, -1 for none, shape (H, W).
        column: Column of the swath that each map pixel shows.
        wavelength: Centres, nm.
        fwhm: Widths, nm.
        good: Flags of good bands.
    """

    path: Path
    uncertainty: Path
    mask: Path
    swath: np.ndarray
    spread: np.ndarray
    flags: np.ndarray
    interpolated: np.ndarray
    row: np.ndarray
    column: np.ndarray
    wavelength: np.ndarray
    fwhm: np.ndarray
    good: np.ndarray

    def ortho(self, stored: np.ndarray, fill: float) -> np.ndarray:
        """Bring an array of the swath to the map, pixel by pixel."""
        height, width = self.row.shape
        result = np.full((stored.shape[2], height, width), fill, stored.dtype)
        for y in range(height):
            for x in range(width):
                if self.row[y, x] >= 0:
                    result[:, y, x] = stored[self.row[y, x], self.column[y, x]]
        return result


def spectral_table(count: int = 285) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return centres and widths in nm, and the good bands, as the product has them."""
    wavelength = np.linspace(381.0056, 2492.9238, count).astype('f4')
    fwhm = np.linspace(8.415, 8.81, count).astype('f4')
    bad = (wavelength > 1325) & (wavelength < 1435)
    bad |= (wavelength > 1770) & (wavelength < 1962)
    return wavelength, fwhm, (~bad).astype('u1')


def geometry(
    downtrack: int, crosstrack: int, angle: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lay a swath, turned by an angle in degrees, onto a map by nearest neighbours."""
    sine, cosine = np.sin(np.deg2rad(angle)), np.cos(np.deg2rad(angle))
    corners = np.array(
        [(0, 0), (crosstrack, 0), (0, downtrack), (crosstrack, downtrack)]
    )
    x = corners @ [cosine, -sine]
    y = corners @ [sine, cosine]
    height, width = int(np.ceil(np.ptp(y))) + 2, int(np.ceil(np.ptp(x))) + 2
    row = np.empty((height, width), dtype='i4')
    column = np.empty((height, width), dtype='i4')
    across = np.arange(width) + x.min() - 1
    for line in range(height):
        down = line + y.min() - 1
        c = np.floor(across * cosine + down * sine).astype(int)
        r = np.floor(-across * sine + down * cosine).astype(int)
        inside = (c >= 0) & (c < crosstrack) & (r >= 0) & (r < downtrack)
        row[line], column[line] = np.where(inside, r, -1), np.where(inside, c, -1)
    return row, column


def make_granule(
    folder: Path,
    *,
    size: tuple[int, int] = (40, 30),
    bands: int = 285,
    angle: float = 25.0,
    scene: str = SCENE,
    version: str = '001',
    west: float = WEST,
    start: str = START,
    stop: str = STOP,
    seed: int = 0,
) -> Granule:
    """Write the three files of a granule into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    wavelength, fwhm, good = spectral_table(bands)
    swath, spread = make_swath(size, good, rng)
    row, column = geometry(*size, angle)
    names = MASK_BANDS if version == '001' else MASK_BANDS_2
    flags = make_flags(size, len(names), rng)
    interpolated = rng.random((*size, bands)) < 0.01
    granule = Granule(
        path=folder / f'EMIT_L2A_RFL_001_{scene}.nc',
        uncertainty=folder / f'EMIT_L2A_RFLUNCERT_001_{scene}.nc',
        mask=folder / f'EMIT_L2A_MASK_{version}_{scene}.nc',
        swath=swath,
        spread=spread,
        flags=flags,
        interpolated=interpolated,
        row=row,
        column=column,
        wavelength=wavelength,
        fwhm=fwhm,
        good=good,
    )
    write_granule(granule, names, west=west, start=start, stop=stop)
    return granule


def make_swath(
    size: tuple[int, int], good: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw reflectance and uncertainty (downtrack, crosstrack, bands)."""
    swath = rng.uniform(0.01, 0.6, (*size, len(good))).astype('f4')
    swath[..., good == 0] = -0.01
    # a frame that was lost
    swath[5, 7] = NODATA
    spread = (swath * np.float32(0.05)).astype('f4')
    spread[5, 7] = NODATA
    return swath, spread


def make_flags(
    size: tuple[int, int], layers: int, rng: np.random.Generator
) -> np.ndarray:
    """Make a mask with each flag somewhere, and numbers in the layers without flags."""
    flags = np.zeros((*size, layers), dtype='f4')
    flags[2:6, 3:9, 0] = 1
    flags[8:10, 3:12, 1] = 1
    flags[12:15, :, 2] = 1
    flags[:, 0, 3] = 1
    flags[1:8, 2:11, 4] = 1
    flags[..., 5] = rng.uniform(0.05, 0.4, size)
    flags[..., 6] = rng.uniform(0.5, 3.0, size)
    flags[..., 7] = (flags[..., :5] > 0).any(axis=-1)
    if layers > 8:
        flags[..., 8] = rng.uniform(0, 1, size)
        flags[20:24, 5:15, 9] = 1
        flags[..., 10] = np.where(flags[..., 9] > 0, 0, -1)
    flags[5, 7] = NODATA
    return flags


def write_granule(granule: Granule, names: tuple[str, ...], **common: Any) -> None:
    """Write the three files; *names* are those of the layers of the mask."""
    for path, name, array in (
        (granule.path, 'reflectance', granule.swath),
        (granule.uncertainty, 'reflectance_uncertainty', granule.spread),
    ):
        with h5py.File(path, 'w') as file:
            write_common(file, granule, **common)
            write_bands(file, granule)
            write_variable(file, name, array, 'unitless')
    with h5py.File(granule.mask, 'w') as file:
        write_common(file, granule, **common)
        write_mask(file, granule, names)


def write_variable(
    file: h5py.File, name: str, array: np.ndarray, units: str | None, **options: Any
) -> Any:
    """Write an array with its fill value, as netCDF-4 does."""
    fill = np.array(NODATA if array.dtype.kind in 'fi' else 0, array.dtype)
    variable = file.create_dataset(name, data=array, fillvalue=fill, **options)
    variable.attrs['_FillValue'] = fill.reshape(1)
    if units is not None:
        variable.attrs['units'] = np.bytes_(units)
    return variable


def write_common(
    file: h5py.File, granule: Granule, west: float, start: str, stop: str
) -> None:
    """Write attributes, places and the lookup table."""
    transform = (west, PIXEL, -0.0, NORTH, -0.0, -PIXEL)
    height, width = granule.row.shape
    file.attrs['title'] = np.bytes_('EMIT L2A Estimated Surface Reflectance 60 m V001')
    file.attrs['instrument'] = np.bytes_('EMIT')
    file.attrs['platform'] = np.bytes_('ISS')
    file.attrs['time_coverage_start'] = np.bytes_(start)
    file.attrs['time_coverage_end'] = np.bytes_(stop)
    file.attrs['spatialResolution'] = PIXEL
    file.attrs['spatial_ref'] = np.bytes_(CRS.from_epsg(4326).to_wkt())
    file.attrs['geotransform'] = np.array(transform)
    table = {'chunks': (height, width), 'compression': 'gzip', 'compression_opts': 9}
    for name, positions in (('glt_x', granule.column), ('glt_y', granule.row)):
        stored = (positions + 1).astype('i4')
        write_variable(file, f'location/{name}', stored, 'pixel location', **table)
    shape = granule.swath.shape[:2]
    for name in ('lon', 'lat', 'elev'):
        write_variable(file, f'location/{name}', np.zeros(shape), 'degrees east')


def write_bands(file: h5py.File, granule: Granule) -> None:
    """Write what is known about the bands."""
    group = 'sensor_band_parameters'
    write_variable(file, f'{group}/wavelengths', granule.wavelength, 'nm')
    write_variable(file, f'{group}/fwhm', granule.fwhm, 'nm')
    write_variable(file, f'{group}/good_wavelengths', granule.good, 'unitless')


def write_mask(file: h5py.File, granule: Granule, names: tuple[str, ...]) -> None:
    """Write flags, and the bits of the interpolated bands."""
    file.create_dataset(
        'sensor_band_parameters/mask_bands', data=names, dtype=h5py.string_dtype()
    )
    rows, columns = granule.swath.shape[:2]
    block = (-(-rows // 2), -(-columns // 2))
    options = {'compression': 'gzip', 'compression_opts': 9}
    layers = -(-len(names) // 2)
    write_variable(
        file, 'mask', granule.flags, 'unitless', chunks=(*block, layers), **options
    )
    packed = np.packbits(granule.interpolated, axis=-1)
    chunks = (*block, -(-packed.shape[2] // 2))
    write_variable(file, 'band_mask', packed, 'unitless', chunks=chunks, **options)


if __name__ == '__main__':
    make_granule(Path(sys.argv[1]))
