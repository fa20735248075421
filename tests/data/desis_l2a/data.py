# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Write a small DESIS L2A product with the layout of DLR's, and known content.

Names of files and of elements follow the DESIS Product Specification of DLR
(PAV-DLR-ICD-003): a pixel-interleaved GeoTIFF of int16, a metadata file with the
spectral bands, a second list of bands under ``interiorOrientation``, and quality layers
with ten bands of which the last two are no flags.

Run it to write a product for a look: ``python tests/data/desis_l2a/data.py FOLDER``.
"""

import csv
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

ROOT = Path(__file__).parents[3]
TABLE = ROOT / 'torchgeo_hsi' / 'physics' / 'sensors' / 'desis.csv'

EPSG = 32632
WEST, NORTH, PIXEL = 412305.0, 5332245.0, 30.0
NODATA = -32768

#: Bands of QL_QUALITY-2, and where each is set: rows and columns.
QUALITY = {
    'shadow': (slice(0, 1), slice(0, 2)),
    'land': (slice(0, 9), slice(0, 12)),
    'snow': (slice(1, 2), slice(0, 2)),
    'haze_land': (slice(2, 3), slice(0, 2)),
    'haze_water': (slice(12, 13), slice(0, 2)),
    'cloud_land': (slice(3, 4), slice(0, 2)),
    'cloud_water': (slice(13, 14), slice(0, 2)),
    'water': (slice(12, 16), slice(0, 12)),
}
#: What has no data in any band.
OUTSIDE = (slice(10, 12), slice(9, 12))


@dataclass
class Scene:
    """What was written, as the truth for tests."""

    folder: Path
    image: Path
    metadata: Path
    quality: Path
    dn: np.ndarray
    data: np.ndarray
    wavelength: np.ndarray
    fwhm: np.ndarray
    flags: dict[str, np.ndarray]


def nominal() -> tuple[np.ndarray, np.ndarray]:
    """Read nominal centres and widths in nm."""
    with open(TABLE, encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith('#')))
    centres, widths = (
        np.array([float(row[name]) for row in rows])
        for name in ('wavelength_nm', 'fwhm_nm')
    )
    return centres, widths


def make_product(
    root: Path,
    *,
    seed: int = 0,
    level: str = 'L2A',
    height: int = 16,
    width: int = 12,
    column: int = 0,
    date: str = '20220404T193259',
    shift: float = 0.12,
    binning: int = 1,
    gain: float = 0.0001,
    offset: float = 0.0,
    nodata: float | None = NODATA,
    quality: bool = True,
    plain_names: bool = False,
) -> Scene:
    """Write a product.

    Args:
        root: Folder in which the product folder is made.
        seed: Seed of the pixels.
        level: Level in names and metadata.
        height: Rows.
        width: Columns.
        column: Pixels by which the scene lies further to the east.
        date: Start of the acquisition.
        shift: Shift of the centres against the nominal ones, nm.
        binning: Number of bands that are binned to one.
        gain: Gain of the first band; that of each further band is 1 % larger if it is
            not that of all L2A products.
        offset: Offset of all bands.
        nodata: Nodata value in the tag of the image.
        quality: Whether to write the quality layers.
        plain_names: Whether names of files lack that of the product.
    """
    name = f'DESIS-HSI-{level}-DT0707652640_011-{date}-V0220'
    folder = root / ('scene' if plain_names else name)
    folder.mkdir(parents=True)
    stem = '' if plain_names else f'{name}-'
    centres, widths = nominal()
    centres, widths = (centres + shift)[::binning], (widths * binning)[::binning]
    dn, data = _make_pixels((len(centres), height, width), seed)
    scene = Scene(
        folder=folder,
        image=folder / f'{stem}SPECTRAL_IMAGE.tif',
        metadata=folder / f'{stem}METADATA.xml',
        quality=folder / f'{stem}QL_QUALITY-2.tif',
        dn=dn,
        data=data,
        wavelength=centres,
        fwhm=widths,
        flags=_make_flags(data.shape),
    )
    place = Affine(PIXEL, 0, WEST + column * PIXEL, 0, -PIXEL, NORTH)
    _raster(scene.image, dn, place, nodata=nodata)
    if quality:
        # aerosol optical thickness x 100 and water vapour x 42
        values = [np.full(data.shape, value, np.uint8) for value in (12, 84)]
        _raster(scene.quality, np.stack([*scene.flags.values(), *values]), place)
    bands = np.zeros(dn.shape, np.uint8)
    _raster(folder / f'{stem}QL_QUALITY.tif', bands, place)
    scene.metadata.write_text(_xml(scene, level, date, gain, offset), encoding='utf-8')
    return scene


def _make_pixels(
    shape: tuple[int, int, int], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw stored numbers (bands, rows, columns), and say which pixels have data."""
    rng = np.random.default_rng(seed)
    dn = rng.integers(-50, 6000, shape).astype(np.int16)
    data = np.ones(shape[1:], dtype=bool)
    data[OUTSIDE] = False
    dn[:, ~data] = NODATA
    return dn, data


def _make_flags(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    flags = {}
    for flag, where in QUALITY.items():
        flags[flag] = np.zeros(shape, dtype=np.uint8)
        flags[flag][where] = 1
    return flags


def _raster(path: Path, cube: np.ndarray, place: Affine, **options: Any) -> None:
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=len(cube),
        height=cube.shape[1],
        width=cube.shape[2],
        dtype=cube.dtype,
        crs=f'EPSG:{EPSG}',
        transform=place,
        interleave='pixel',
        compress='lzw',
        **options,
    ) as dst:
        dst.write(cube)


def _xml(scene: Scene, level: str, date: str, gain: float, offset: float) -> str:
    time = f'{date[:4]}-{date[4:6]}-{date[6:11]}:{date[11:13]}:'
    growth = 0.0 if gain == 0.0001 else 0.01
    bands = '\n'.join(
        f'<band><bandNumber>{i + 1}</bandNumber>'
        f'<wavelengthCenterOfBand>{centre:.4f}</wavelengthCenterOfBand>'
        f'<wavelengthWidthOfBand>{width:.4f}</wavelengthWidthOfBand>'
        f'<response>0.1,0.9,0.1</response><wavelengths>1,2,3</wavelengths>'
        f'<gainOfBand>{gain * (1 + growth * i)!r}</gainOfBand>'
        f'<offsetOfBand>{offset}</offsetOfBand>'
        f'<deadPixels>0</deadPixels><suspiciousPixel>0</suspiciousPixel></band>'
        for i, (centre, width) in enumerate(
            zip(scene.wavelength, scene.fwhm, strict=True)
        )
    )
    geometry = '\n'.join(
        f'<band><bandNumber>{i + 1}</bandNumber><focalLength>320</focalLength></band>'
        for i in range(len(scene.wavelength))
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<hsi_doc xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<metadata><schema><processingLevel>{level}</processingLevel></schema></metadata>
<processing><ozoneValue>330</ozoneValue></processing>
<base>
<temporalCoverage><startTime>{time}{date[13:15]}.100000Z</startTime>
<endTime>{time}{int(date[13:15]):02d}.900000Z</endTime></temporalCoverage>
<altitudeCoverage>420000</altitudeCoverage>
</base>
<specific>
<sunZenithAngle>40.1</sunZenithAngle>
<interiorOrientation>
{geometry}
</interiorOrientation>
<bandCharacterisation>
{bands}
</bandCharacterisation>
</specific>
</hsi_doc>
"""


if __name__ == '__main__':
    make_product(Path(sys.argv[1]))
