# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make small cubes in the formats of other sensors.

Independent of the package: plain text and bytes for ENVI, scipy and h5py for the rest.
Run as a script to look at them: ``python tests/data/cubes/data.py FOLDER``.
"""

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

CENTRES = [450.0, 550.0, 650.0, 860.0, 1650.0, 2200.0]
WIDTHS = [20.0, 20.0, 20.0, 30.0, 60.0, 80.0]

_CODES = {'u1': 1, 'i2': 2, 'i4': 3, 'f4': 4, 'f8': 5, 'u2': 12, 'u4': 13, 'i8': 14}
_AXES = {'bsq': (0, 1, 2), 'bil': (1, 0, 2), 'bip': (1, 2, 0)}
#: Axes of a cube behind the names of dimensions.
_DIMS = {'wavelength': 0, 'bands': 0, 'y': 1, 'lat': 1, 'x': 2, 'lon': 2}


def make_cube(dtype: str = 'i2', seed: int = 0) -> np.ndarray:
    """Make pixels of shape (6, 9, 7), no two axes of which are equally long."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 250, (len(CENTRES), 9, 7)).astype(dtype)


def write_envi(
    path: Path,
    cube: np.ndarray,
    interleave: str = 'bsq',
    *,
    order: str = '<',
    skip: int = 0,
    fields: dict[str, Any] | None = None,
) -> Path:
    """Write ``path`` and ``path`` with the suffix ``.hdr``; return the header."""
    stored = np.ascontiguousarray(cube.transpose(_AXES[interleave]))
    kind = stored.dtype.kind + str(stored.dtype.itemsize)
    path.write_bytes(b'\x7f' * skip + stored.astype(order + kind).tobytes())
    lines = {
        'samples': cube.shape[2],
        'lines': cube.shape[1],
        'bands': cube.shape[0],
        'header offset': skip,
        'file type': 'ENVI Standard',
        'data type': _CODES[kind],
        'interleave': interleave,
        'byte order': int(order == '>'),
        **(fields or {}),
    }
    header = path.with_suffix('.hdr')
    text = '\n'.join(f'{key} = {value}' for key, value in lines.items())
    header.write_text(f'ENVI\n{text}\n', encoding='utf-8')
    return header


def write_mat(path: Path, **variables: np.ndarray) -> Path:
    """Write version 5."""
    scipy.io.savemat(path, variables, do_compression=True)
    return path


def write_mat73(path: Path, **variables: np.ndarray) -> Path:
    """Write version 7.3 as MATLAB does: a text header, then HDF5 with axes reversed."""
    with h5py.File(path, 'w', userblock_size=512) as file:
        for name, value in variables.items():
            file[name] = value.T
    with open(path, 'r+b') as stream:
        stream.write(b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(124))
        stream.write(b'\x00\x02IM')
    return path


def write_netcdf(
    path: Path,
    cube: np.ndarray,
    dims: tuple[str, str, str] = ('wavelength', 'y', 'x'),
    *,
    unit: str | None = 'nm',
    attributes: dict[str, Any] | None = None,
    crs_wkt: str | None = None,
    coordinates: bool = True,
    axis_units: str = 'm',
    named: bool = True,
) -> Path:
    """Write a NetCDF-4 file: HDF5 with dimension scales.

    *cube* has shape (bands, rows, columns) and is stored in the order of *dims*.
    """
    with h5py.File(path, 'w') as file:
        variable = file.create_dataset(
            'reflectance', data=cube.transpose([_DIMS[dim] for dim in dims])
        )
        variable.attrs.update(attributes or {})
        _write_bands(file, len(cube), unit)
        if named:
            for position, dim in enumerate(dims):
                if _DIMS[dim] > 0:
                    size = cube.shape[_DIMS[dim]]
                    _write_place(file, dim, size, axis_units if coordinates else None)
                    file[dim].make_scale(dim)
                    variable.dims[position].attach_scale(file[dim])
            file['wavelength'].make_scale('wavelength')
            spectral = [_DIMS[dim] for dim in dims].index(0)
            variable.dims[spectral].attach_scale(file['wavelength'])
        if crs_wkt is not None:
            mapping = file.create_dataset('spatial_ref', data=0)
            mapping.attrs['crs_wkt'] = crs_wkt
            mapping.attrs['GeoTransform'] = '365055 30 0 5809965 0 -30'
            variable.attrs['grid_mapping'] = 'spatial_ref'
    return path


def _write_bands(file: h5py.File, count: int, unit: str | None) -> None:
    file['wavelength'] = np.array(CENTRES[:count])
    file['fwhm'] = np.array(WIDTHS[:count])
    if unit is not None:
        file['wavelength'].attrs['units'] = unit
        file['fwhm'].attrs['units'] = unit


def _write_place(file: h5py.File, dim: str, size: int, units: str | None) -> None:
    """Write the coordinates of rows or columns, or without units the bare dimension."""
    if units is None:
        file[dim] = np.zeros(size)
        note = 'This is a netCDF dimension but not a netCDF variable.'
        file[dim].attrs['NAME'] = note
        return
    to_east = _DIMS[dim] == 2
    start, step = (365055.0, 30.0) if to_east else (5809965.0, -30.0)
    file[dim] = start + step * (np.arange(size) + 0.5)
    degrees = 'degrees_east' if to_east else 'degrees_north'
    file[dim].attrs['units'] = degrees if units == 'degrees' else units


if __name__ == '__main__':
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_envi(folder / 'cube.dat', make_cube())
    write_mat(folder / 'cube.mat', cube=make_cube().transpose(1, 2, 0))
    write_mat73(folder / 'cube73.mat', cube=make_cube().transpose(1, 2, 0))
    write_netcdf(folder / 'cube.nc', make_cube())
