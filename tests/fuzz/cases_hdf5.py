# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""HDF5: NetCDF, PRISMA, EMIT and MATLAB 7.3."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fuzz.case import EITHER, READ, REFUSED, Build, Case
from fuzz.changes import changes, valid_names
from fuzz.hdf5_edits import (
    Edit,
    attribute,
    bomb,
    claim,
    delete,
    edited,
    group,
    link,
    no_attribute,
    outside,
    put,
    waves,
)
from fuzz.reading import cube, cube_in, pan

_LARGE = 10**9
_PRISMA = 'HDFEOS/SWATHS/PRS_L2D_HCO'
_BANDS = 'sensor_band_parameters'

_TEXT = np.array(['450', 'x', '650', '860', '1650', '2200'], dtype='S8')

#: Changes of a NetCDF file, and how that ends.
_NETCDF: dict[str, tuple[Edit, str]] = {
    'sizes of 10**9': (claim('reflectance', (6, _LARGE, _LARGE)), EITHER),
    '10**9 bands': (claim('reflectance', (_LARGE, 9, 7)), EITHER),
    '10**9 bands and wavelengths': (
        lambda f: (
            claim('reflectance', (_LARGE, 9, 7))(f),
            claim('wavelength', (_LARGE,), 'f8')(f),
        ),
        REFUSED,
    ),
    'no band': (put('reflectance', np.zeros((0, 9, 7), 'i2')), REFUSED),
    'no row': (put('reflectance', np.zeros((6, 0, 7), 'i2')), REFUSED),
    'one number': (put('reflectance', np.int16(4)), REFUSED),
    'two axes': (put('reflectance', np.zeros((9, 7), 'i2')), REFUSED),
    'four axes': (put('reflectance', np.zeros((1, 6, 9, 7), 'i2')), REFUSED),
    'texts for pixels': (put('reflectance', np.zeros((6, 9, 7), 'S3')), REFUSED),
    'complex numbers': (put('reflectance', np.zeros((6, 9, 7), 'c8')), REFUSED),
    'no pixels': (delete('reflectance'), REFUSED),
    'group for pixels': (group('reflectance'), REFUSED),
    'two cubes': (put('other', np.zeros((6, 9, 7))), REFUSED),
    'soft link to nothing': (link('reflectance', None, '/nothing'), REFUSED),
    'soft link to itself': (link('reflectance', None, '/reflectance'), REFUSED),
    'link to a missing file': (link('reflectance', 'gone.nc', '/a'), REFUSED),
    'link to a file elsewhere': (link('reflectance', '/etc/passwd', '/a'), REFUSED),
    'link that leads to itself': (link('loop', 'cube.nc', '/loop'), EITHER),
    'group in itself': (lambda f: f.__setitem__('g/back', f['/']), EITHER),
    'bytes in another file': (outside('reflectance', (6, 9, 7)), EITHER),
    'pixels NaN': (put('reflectance', np.full((6, 9, 7), np.nan)), EITHER),
    'pixels infinite': (put('reflectance', np.full((6, 9, 7), np.inf)), EITHER),
    'wavelength NaN': (waves(np.nan), REFUSED),
    'wavelength infinite': (waves(np.inf), REFUSED),
    'wavelength negative': (waves(-450.0), REFUSED),
    'wavelengths 0': (waves([0.0] * 6), REFUSED),
    'wavelengths twice the same': (waves([450.0, 450.0]), EITHER),
    'wavelengths too few': (put('wavelength', np.array([450.0, 550.0])), EITHER),
    'wavelengths are texts': (put('wavelength', _TEXT), EITHER),
    'wavelengths are a group': (group('wavelength'), EITHER),
    'wavelengths in two axes': (put('wavelength', np.ones((6, 1))), EITHER),
    'unit missing': (no_attribute('wavelength', 'units'), REFUSED),
    'unit unknown': (attribute('wavelength', 'units', 'parsec'), REFUSED),
    'unit is a number': (attribute('wavelength', 'units', 7), REFUSED),
    'unit is an array': (attribute('wavelength', 'units', np.arange(3)), REFUSED),
    'unit is not UTF-8': (attribute('wavelength', 'units', b'\xff\xfe'), REFUSED),
    'nm said to be um': (attribute('wavelength', 'units', 'um'), REFUSED),
    'fwhm NaN': (waves(np.nan, 'fwhm'), EITHER),
    'fwhm infinite': (waves(np.inf, 'fwhm'), EITHER),
    'fwhm negative': (waves(-1.0, 'fwhm'), EITHER),
    'scale is a word': (attribute('reflectance', 'scale_factor', 'half'), REFUSED),
    'scale is empty': (attribute('reflectance', 'scale_factor', np.ones(0)), EITHER),
    'scale NaN': (attribute('reflectance', 'scale_factor', np.nan), EITHER),
    'scale 0': (attribute('reflectance', 'scale_factor', 0.0), EITHER),
    'fill value is a word': (attribute('reflectance', '_FillValue', 'none'), REFUSED),
    'fill value beyond the type': (attribute('reflectance', '_FillValue', 1e300), READ),
    'grid mapping is a number': (attribute('reflectance', 'grid_mapping', 3), EITHER),
    'grid mapping leads up': (
        attribute('reflectance', 'grid_mapping', '../../x'),
        EITHER,
    ),
    'CRS is no WKT': (attribute('spatial_ref', 'crs_wkt', 'PROJCS["'), EITHER),
    'CRS names a file': (attribute('spatial_ref', 'crs_wkt', '/etc/passwd'), EITHER),
    'transform is words': (attribute('spatial_ref', 'GeoTransform', 'a b c'), EITHER),
    'transform of 10**6 numbers': (
        attribute('spatial_ref', 'GeoTransform', '1 ' * 30000),
        EITHER,
    ),
    'coordinates NaN': (waves(np.nan, 'x'), EITHER),
    'coordinates are texts': (put('x', np.array(['a'] * 7, 'S1')), EITHER),
    'coordinates gone': (delete('x'), EITHER),
    'not compressed as it says': (
        lambda f: (
            put('reflectance', np.zeros((6, 9, 7), 'i2'), compression='gzip')(f),
            f['reflectance'].id.write_direct_chunk((0, 0, 0), b'\x78noise'),
        ),
        REFUSED,
    ),
    'chunk that unpacks to 200 MB': (
        lambda f: (
            put(
                'reflectance',
                np.zeros((6, 9, 7), 'i2'),
                compression='gzip',
                chunks=(6, 9, 7),
            )(f),
            f['reflectance'].id.write_direct_chunk((0, 0, 0), bomb()),
        ),
        EITHER,
    ),
}


_PRISMA_CASES: dict[str, tuple[Edit, str]] = {
    'no SWIR': (delete(f'{_PRISMA}/Data Fields/SWIR_Cube'), REFUSED),
    'no data fields': (delete(f'{_PRISMA}/Data Fields'), REFUSED),
    'swaths are an array': (
        lambda f: (delete('HDFEOS/SWATHS')(f), put('HDFEOS/SWATHS', 1)(f)),
        EITHER,
    ),
    'cube is a group': (group(f'{_PRISMA}/Data Fields/VNIR_Cube'), REFUSED),
    'cube of two axes': (
        put(f'{_PRISMA}/Data Fields/VNIR_Cube', np.zeros((6, 5), 'u2')),
        REFUSED,
    ),
    'sizes of 10**9': (
        lambda f: [
            claim(f'{_PRISMA}/Data Fields/{name}', (_LARGE, count, _LARGE), 'u2')(f)
            for name, count in (
                ('VNIR_Cube', 66),
                ('SWIR_Cube', 173),
                ('VNIR_PIXEL_L2_ERR_MATRIX', 66),
                ('SWIR_PIXEL_L2_ERR_MATRIX', 173),
            )
        ],
        REFUSED,
    ),
    'rows differ': (
        put(f'{_PRISMA}/Data Fields/SWIR_Cube', np.zeros((7, 173, 5), 'u2')),
        REFUSED,
    ),
    'cube of texts': (
        put(f'{_PRISMA}/Data Fields/SWIR_Cube', np.zeros((6, 173, 5), 'S2')),
        REFUSED,
    ),
    'errors of another size': (
        put(f'{_PRISMA}/Data Fields/SWIR_PIXEL_L2_ERR_MATRIX', np.zeros((1, 1, 1))),
        REFUSED,
    ),
    'errors are a group': (
        group(f'{_PRISMA}/Data Fields/SWIR_PIXEL_L2_ERR_MATRIX'),
        REFUSED,
    ),
    'wavelengths missing': (no_attribute(None, 'List_Cw_Vnir'), REFUSED),
    'wavelengths too few': (attribute(None, 'List_Cw_Vnir', np.ones(3)), REFUSED),
    'wavelengths NaN': (attribute(None, 'List_Cw_Vnir', np.full(66, np.nan)), REFUSED),
    'wavelengths infinite': (
        attribute(None, 'List_Cw_Vnir', np.full(66, np.inf)),
        REFUSED,
    ),
    'wavelengths all 0': (
        lambda f: [
            attribute(None, f'List_Cw_{name}', np.zeros(count))(f)
            for name, count in (('Vnir', 66), ('Swir', 173))
        ],
        REFUSED,
    ),
    'wavelengths in um': (
        attribute(None, 'List_Cw_Vnir', np.linspace(0.4, 1, 66)),
        REFUSED,
    ),
    'wavelengths are words': (attribute(None, 'List_Cw_Vnir', 'blue'), REFUSED),
    'widths NaN': (attribute(None, 'List_Fwhm_Swir', np.full(173, np.nan)), EITHER),
    'flags are words': (attribute(None, 'List_Cw_Vnir_Flags', 'yes'), REFUSED),
    'scale missing': (no_attribute(None, 'L2ScaleVnirMax'), REFUSED),
    'scale NaN': (attribute(None, 'L2ScaleVnirMax', np.nan), REFUSED),
    'scale upside down': (attribute(None, 'L2ScaleVnirMax', -9.0), REFUSED),
    'EPSG code 99': (attribute(None, 'Epsg_Code', 99), REFUSED),
    'EPSG code is a word': (attribute(None, 'Epsg_Code', 'UTM'), REFUSED),
    'EPSG code 1e300': (attribute(None, 'Epsg_Code', 1e300), REFUSED),
    'EPSG code is an array': (attribute(None, 'Epsg_Code', np.ones((2, 2))), EITHER),
    'corners NaN': (
        attribute(None, 'Product_ULcorner_easting', np.float32(np.nan)),
        EITHER,
    ),
    'other level': (lambda f: f.move(_PRISMA, 'HDFEOS/SWATHS/PRS_L2B_HCO'), REFUSED),
}

_EMIT_CASES: dict[str, tuple[Edit, str]] = {
    'no wavelengths': (delete(f'{_BANDS}/wavelengths'), REFUSED),
    'no bands': (delete(_BANDS), REFUSED),
    'bands are an array': (lambda f: (delete(_BANDS)(f), put(_BANDS, 1)(f)), REFUSED),
    'wavelengths are a group': (group(f'{_BANDS}/wavelengths'), REFUSED),
    'wavelengths are texts': (
        put(f'{_BANDS}/wavelengths', np.array(['x'] * 285, 'S1')),
        REFUSED,
    ),
    'wavelengths NaN': (waves(np.nan, f'{_BANDS}/wavelengths'), REFUSED),
    'wavelengths too few': (put(f'{_BANDS}/wavelengths', np.ones(9)), REFUSED),
    'unit unknown': (attribute(f'{_BANDS}/wavelengths', 'units', 'cubits'), REFUSED),
    'good bands too few': (put(f'{_BANDS}/good_wavelengths', np.ones(9)), REFUSED),
    'table points outside': (waves([500], 'location/glt_x'), REFUSED),
    'table far outside': (waves([-(2**31)], 'location/glt_x'), REFUSED),
    'table of 10**9': (
        lambda f: [
            claim(f'location/glt_{axis}', (_LARGE, _LARGE), 'i4')(f) for axis in 'xy'
        ],
        REFUSED,
    ),
    'table of one axis': (put('location/glt_x', np.zeros(9, 'i4')), REFUSED),
    'table of texts': (
        lambda f: put('location/glt_x', np.zeros(f['location/glt_x'].shape, 'S1'))(f),
        REFUSED,
    ),
    'table of NaN': (
        lambda f: put('location/glt_x', np.full(f['location/glt_x'].shape, np.nan))(f),
        REFUSED,
    ),
    'one table missing': (delete('location/glt_y'), EITHER),
    'cube is a group': (group('reflectance'), REFUSED),
    'cube of two axes': (put('reflectance', np.zeros((26, 16), 'f4')), REFUSED),
    'cube of texts': (put('reflectance', np.zeros((26, 16, 285), 'S1')), REFUSED),
    'cube of 10**9': (claim('reflectance', (_LARGE, _LARGE, 285), 'f4'), EITHER),
    'place missing': (no_attribute(None, 'geotransform'), REFUSED),
    'place is words': (attribute(None, 'geotransform', 'here'), REFUSED),
    'place is NaN': (attribute(None, 'geotransform', np.full(6, np.nan)), EITHER),
    'CRS is no WKT': (attribute(None, 'spatial_ref', 'GEOGCS['), REFUSED),
    'fill value is a word': (attribute('reflectance', '_FillValue', 'none'), REFUSED),
}
_MASK_CASES: dict[str, tuple[Edit, str]] = {
    'no mask': (delete('mask'), REFUSED),
    'mask of another size': (put('mask', np.zeros((3, 3, 8), 'f4')), REFUSED),
    'mask with fewer layers': (put('mask', np.zeros((26, 16, 2), 'f4')), REFUSED),
    'mask of texts': (put('mask', np.zeros((26, 16, 8), 'S1')), REFUSED),
    'no names': (delete(f'{_BANDS}/mask_bands'), REFUSED),
    'names are numbers': (put(f'{_BANDS}/mask_bands', np.arange(8)), EITHER),
    'bits too few': (put('band_mask', np.zeros((26, 16, 2), 'u1')), REFUSED),
    'bits of another size': (put('band_mask', np.zeros((3, 3, 36), 'u1')), REFUSED),
    'bits are a group': (group('band_mask'), REFUSED),
}


def hdf5_cases() -> Iterator[Case]:
    """List the hostile inputs."""
    yield from valid_names('NetCDF', 'netcdf', 'cube.nc', cube)
    yield from changes('NetCDF', 'netcdf', 'cube.nc', cube)
    for name, (edit, outcome) in _NETCDF.items():
        build = edited('cube.nc', edit)
        yield Case('NetCDF', name, 'netcdf', build, cube, outcome)
    yield from _prisma_cases()
    yield from _emit_cases()
    yield from _matlab_cases()


def _prisma_cases() -> Iterator[Case]:
    yield from valid_names('PRISMA', 'prisma', '*.he5', cube)
    yield from changes('PRISMA', 'prisma', '*.he5', cube)
    for name, (edit, outcome) in _PRISMA_CASES.items():
        build = edited('*.he5', edit)
        yield Case('PRISMA', name, 'prisma', build, cube, outcome)
    for name, values in (
        ('missing', None),
        ('of another size', np.zeros((7, 7), 'u2')),
        ('of three axes', np.zeros((36, 30, 1), 'u2')),
        ('of texts', np.zeros((36, 30), 'S1')),
    ):
        field = 'HDFEOS/SWATHS/PRS_L2D_PCO/Data Fields/Cube'
        edit = delete(field) if values is None else put(field, values)
        build = edited('*.he5', edit)
        yield Case('PRISMA', f'panchromatic image {name}', 'prisma', build, pan)


def _emit_cases() -> Iterator[Case]:
    yield from valid_names('EMIT', 'emit', '*RFL*', cube)
    yield from changes('EMIT', 'emit', '*RFL*', cube)
    for name, (edit, outcome) in _EMIT_CASES.items():
        build = edited('*RFL*', edit)
        yield Case('EMIT', name, 'emit', build, cube, outcome)
    for case in changes('EMIT mask', 'emit', '*MASK*', cube, opened='*RFL*'):
        if case.name not in ('a folder', 'link to nothing', 'links in a circle'):
            yield case
    for name, (edit, outcome) in _MASK_CASES.items():
        masked = edited('*MASK*', edit)

        def build(folder: Path, valid: Path, masked: Build = masked) -> Path:
            path = masked(folder, valid)
            return next(path.parent.glob('*RFL*'))

        yield Case('EMIT mask', name, 'emit', build, cube, outcome)


def _matlab_cases() -> Iterator[Case]:
    read = cube_in('nm')
    yield from valid_names('MATLAB 7.3', 'mat73', 'cube.mat', read)
    # without its head, it is plain HDF5
    magic = ('wrong magic',)
    yield from changes('MATLAB 7.3', 'mat73', 'cube.mat', read, fine=magic)
    for name, edit, outcome in (
        ('sizes of 10**9', claim('cube', (6, _LARGE, _LARGE)), EITHER),
        ('no band', put('cube', np.zeros((0, 7, 9))), REFUSED),
        ('no cube', delete('cube'), REFUSED),
        ('cube is a group', group('cube'), REFUSED),
        ('soft link to itself', link('cube', None, '/cube'), REFUSED),
        ('link to a missing file', link('cube', 'gone.mat', '/a'), REFUSED),
        ('wavelength NaN', waves(np.nan), REFUSED),
        ('wavelengths of 10**9', claim('wavelength', (_LARGE,), 'f8'), EITHER),
    ):
        build = edited('cube.mat', edit)
        yield Case('MATLAB 7.3', name, 'mat73', build, read, outcome)
    yield Case(
        'MATLAB 7.3', 'unit missing', 'mat73', edited('cube.mat', lambda f: None), cube
    )
