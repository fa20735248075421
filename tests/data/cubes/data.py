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
    axis = {'wavelength': 0, 'bands': 0, 'y': 1, 'lat': 1, 'x': 2, 'lon': 2}
    sizes = cube.shape
    with h5py.File(path, 'w') as file:
        variable = file.create_dataset(
            'reflectance', data=cube.transpose([axis[dim] for dim in dims])
        )
        variable.attrs.update(attributes or {})
        file['wavelength'] = np.array(CENTRES[: sizes[0]])
        file['fwhm'] = np.array(WIDTHS[: sizes[0]])
        if unit is not None:
            file['wavelength'].attrs['units'] = unit
            file['fwhm'].attrs['units'] = unit
        for position, dim in enumerate(dims):
            if dim in ('wavelength', 'bands') or not named:
                continue
            if coordinates:
                steps = np.arange(sizes[axis[dim]]) + 0.5
                start, step = (365055.0, 30.0) if axis[dim] == 2 else (5809965.0, -30.0)
                file[dim] = start + step * steps
                east = 'degrees_east' if axis[dim] == 2 else 'degrees_north'
                degrees = axis_units == 'degrees'
                file[dim].attrs['units'] = east if degrees else axis_units
            else:
                file[dim] = np.zeros(sizes[axis[dim]])
                note = 'This is a netCDF dimension but not a netCDF variable.'
                file[dim].attrs['NAME'] = note
            file[dim].make_scale(dim)
            variable.dims[position].attach_scale(file[dim])
        if named:
            file['wavelength'].make_scale('wavelength')
            spectral = [axis[dim] for dim in dims].index(0)
            variable.dims[spectral].attach_scale(file['wavelength'])
        if crs_wkt is not None:
            mapping = file.create_dataset('spatial_ref', data=0)
            mapping.attrs['crs_wkt'] = crs_wkt
            mapping.attrs['GeoTransform'] = '365055 30 0 5809965 0 -30'
            variable.attrs['grid_mapping'] = 'spatial_ref'
    return path


if __name__ == '__main__':
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_envi(folder / 'cube.dat', make_cube())
    write_mat(folder / 'cube.mat', cube=make_cube().transpose(1, 2, 0))
    write_mat73(folder / 'cube73.mat', cube=make_cube().transpose(1, 2, 0))
    write_netcdf(folder / 'cube.nc', make_cube())
