# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Write a small PRISMA file with the layout of the product, and known content.

Names and shapes of fields and attributes follow the PRISMA Products Specification
Document 2.3 of ASI: two uint16 cubes (rows, bands, columns) in descending order of
wavelength with unused bands of wavelength 0, error matrices of the same shape, a
panchromatic image with six times as many rows and columns, and latitudes and
longitudes; everything else is in attributes of the file.

Run it to write a file for a look: ``python tests/data/prisma_l2d/data.py FOLDER``.
"""

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from rasterio.warp import transform as transform_points

ROOT = Path(__file__).parents[3]
TABLE = ROOT / 'torchgeo_hsi' / 'physics' / 'sensors' / 'prisma.csv'

EPSG = 32633
#: Outer upper left corner.
WEST, NORTH = 352530.0, 5987250.0
PIXEL, RATIO = 30.0, 6
#: Bands of the two cubes, and numbers (from 1) of those without a wavelength.
COUNTS = {'VNIR': 66, 'SWIR': 173}
UNUSED = {'VNIR': (1, 2, 3), 'SWIR': (172, 173)}
#: Ends of the scales.
SCALES = {'Vnir': (0.0, 1.25), 'Swir': (0.125, 1.0), 'Pan': (0.0, 0.5)}

#: Factors of L1, from stored numbers to radiance in W/(m2 sr um), and what is taken off.
FACTORS = {'Vnir': (100.0, 0.0), 'Swir': (200.0, 0.5), 'Pan': (50.0, 0.0)}

#: What lies outside of the swath, as a slice of rows and columns.
OUTSIDE = (slice(0, 3), slice(0, 4))
#: Codes of the error matrices: cube, number of the band, row, column.
ERRORS = {
    ('VNIR', 37, 5, 5): 1,
    ('SWIR', 50, 6, 6): 2,
    ('VNIR', 20, 7, 7): 3,
    ('SWIR', 20, 8, 8): 4,
}
#: A pixel within the swath that is 0 in one band.
ZERO = ('SWIR', 50, 6, 6)

START, STOP = '2020-08-13T10:30:56.123', '2020-08-13T10:31:00.456'


@dataclass
class Scene:
    """What was written, as the truth for tests."""

    path: Path
    stored: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    wavelength: dict[str, np.ndarray]
    fwhm: dict[str, np.ndarray]
    pan: np.ndarray
    inside: np.ndarray
    attributes: dict[str, Any] = field(default_factory=dict)


def nominal() -> dict[str, tuple[float, float]]:
    """Read nominal centre and width in nm of each band."""
    with open(TABLE, encoding='utf-8', newline='') as file:
        rows = csv.DictReader(line for line in file if not line.startswith('#'))
        return {
            row['name']: (float(row['wavelength_nm']), float(row['fwhm_nm']))
            for row in rows
        }


def lists(shift: float) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return centres and widths of both cubes, 0 for unused bands.

    Args:
        shift: Shift of the centres of VNIR in nm.
    """
    table = nominal()
    centres, widths = {}, {}
    for name, count in COUNTS.items():
        found = [table.get(f'{name}{i + 1}', (0.0, 0.0)) for i in range(count)]
        values = np.array(found)
        used = values[:, 0] > 0
        values[used, 0] += shift if name == 'VNIR' else 0.0
        centres[name], widths[name] = values[:, 0], values[:, 1]
    return centres, widths


def make_file(
    folder: Path,
    *,
    seed: int = 0,
    height: int = 16,
    width: int = 14,
    column: int = 0,
    shift: float = -3.4,
    date: str = '20200813',
    corner: str = 'centre',
    pan: bool = True,
    errors: bool = True,
    flags: bool = True,
    outside: bool = True,
    level: str = '2D',
    change: dict[str, Any] | None = None,
    compress: bool = False,
) -> Scene:
    """Write a file.

    Args:
        folder: Where to write it.
        seed: Seed of the pixels.
        height: Rows.
        width: Columns.
        column: Pixels by which the scene lies further to the east.
        shift: Shift of the centres of VNIR against the nominal ones, nm.
        date: Day of the acquisition.
        corner: Which point of the corner pixels the attributes name: ``'centre'``,
            ``'pan'`` (centre of the pixels of the panchromatic image), ``'edge'``, or
            ``'swath'`` (points that do not fit the size of the image).
        pan: Whether there is a panchromatic image.
        errors: Whether there are error matrices.
        flags: Whether there are flags of the bands.
        outside: Whether a corner of the image lies outside of the swath.
        level: Level in the names of groups; '1' has the scales and matrices of L1.
        change: Attributes to change; None removes one.
        compress: Whether to compress the cubes in chunks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f'PRS_L{level}_STD_{date}103056_{date}103100_0001.he5'
    rng = np.random.default_rng(seed)
    centres, widths = lists(shift)
    inside = np.ones((height, width), dtype=bool)
    inside[OUTSIDE] = not outside
    stored = _make_cubes(inside, centres, rng)
    fine = inside.repeat(RATIO, 0).repeat(RATIO, 1)
    scene = Scene(
        path=folder / name,
        stored=stored,
        errors=_make_errors(stored),
        wavelength=centres,
        fwhm=widths,
        pan=rng.integers(1, 65536, fine.shape).astype(np.uint16) * fine,
        inside=inside,
    )
    west = WEST + column * PIXEL
    scene.attributes = _attributes(scene, west, corner, date, level) | (change or {})
    with h5py.File(scene.path, 'w') as file:
        for key, value in scene.attributes.items():
            if value is not None and not (key.endswith('_Flags') and not flags):
                file.attrs[key] = value
        options = {'chunks': (4, 16, width), 'compression': 'gzip'} if compress else {}
        _write(file, scene, level, west, options, pan, errors)
    return scene


def _make_cubes(
    inside: np.ndarray, centres: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw stored numbers (rows, bands, columns), 0 outside and in unused bands."""
    height, width = inside.shape
    stored = {}
    for cube, count in COUNTS.items():
        values = rng.integers(1, 65536, (height, count, width)).astype(np.uint16)
        values[:, centres[cube] == 0] = 0
        values *= inside[:, None]
        stored[cube] = values
    cube, number, row, at = ZERO
    stored[cube][row, number - 1, at] = 0
    return stored


def _make_errors(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    codes = {cube: np.zeros(values.shape, np.uint8) for cube, values in stored.items()}
    for (cube, number, row, at), code in ERRORS.items():
        codes[cube][row, number - 1, at] = code
    return codes


def _write(
    file: h5py.File,
    scene: Scene,
    level: str,
    west: float,
    options: dict[str, Any],
    pan: bool,
    errors: bool,
) -> None:
    swath = f'HDFEOS/SWATHS/PRS_L{level}_HCO'
    word = 'SAT' if level == '1' else 'L2'
    fields = file.create_group(f'{swath}/Data Fields')
    for name, values in scene.stored.items():
        fields.create_dataset(f'{name}_Cube', data=values, **options)
        if errors:
            matrix = scene.errors[name]
            key = f'{name}_PIXEL_{word}_ERR_MATRIX'
            fields.create_dataset(key, data=matrix, **options)
    height, width = scene.inside.shape
    rows, columns = np.mgrid[:height, :width]
    east = west + (columns.ravel() + 0.5) * PIXEL
    north = NORTH - (rows.ravel() + 0.5) * PIXEL
    points = transform_points(f'EPSG:{EPSG}', 'EPSG:4326', east, north)
    place = file.create_group(f'{swath}/Geolocation Fields')
    for name, values in zip(('Longitude', 'Latitude'), points, strict=True):
        shaped = np.reshape(values, (height, width)) * scene.inside
        place.create_dataset(name, data=shaped.astype(np.float64))
    if pan:
        group = file.create_group(f'HDFEOS/SWATHS/PRS_L{level}_PCO/Data Fields')
        group.create_dataset('Cube', data=scene.pan)
        group.create_dataset(
            f'PIXEL_{word}_ERR_MATRIX', data=np.zeros(scene.pan.shape, np.uint8)
        )


def _attributes(
    scene: Scene, west: float, corner: str, date: str, level: str
) -> dict[str, Any]:
    height, width = scene.inside.shape
    inset = {'centre': 15.0, 'pan': 2.5, 'edge': 0.0, 'swath': 101.0}[corner]
    left, right = west + inset, west + width * PIXEL - inset
    top, bottom = NORTH - inset, NORTH - height * PIXEL + inset
    day = f'{date[:4]}-{date[4:6]}-{date[6:]}'
    attributes: dict[str, Any] = {
        'Product_Name': np.bytes_(scene.path.name),
        'Processing_Level': np.bytes_(level),
        'Product_StartTime': np.bytes_(START.replace(START[:10], day)),
        'Product_StopTime': np.bytes_(STOP.replace(STOP[:10], day)),
    }
    if level == '2D':
        attributes |= {
            'Projection_Name': np.bytes_('UTM'),
            'Projection_Id': np.bytes_('33'),
            'Reference_Ellipsoid': np.bytes_('WGS84'),
            'Epsg_Code': np.int32(EPSG),
        }
        for side, east in {'L': left, 'R': right}.items():
            for end, north in {'U': top, 'L': bottom}.items():
                attributes[f'Product_{end}{side}corner_easting'] = np.float32(east)
                attributes[f'Product_{end}{side}corner_northing'] = np.float32(north)
    for word, (low, high) in SCALES.items():
        if level == '1':
            attributes[f'ScaleFactor_{word}'] = np.float32(FACTORS[word][0])
            attributes[f'Offset_{word}'] = np.float32(FACTORS[word][1])
        else:
            attributes[f'L2Scale{word}Min'] = np.float32(low)
            attributes[f'L2Scale{word}Max'] = np.float32(high)
    for name in COUNTS:
        word = name.capitalize()
        used = scene.wavelength[name] > 0
        attributes[f'List_Cw_{word}'] = scene.wavelength[name].astype(np.float32)
        attributes[f'List_Fwhm_{word}'] = scene.fwhm[name].astype(np.float32)
        attributes[f'List_Cw_{word}_Flags'] = used.astype(np.uint8)
    return attributes


if __name__ == '__main__':
    make_file(Path(sys.argv[1]))
