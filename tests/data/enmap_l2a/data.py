# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make small EnMAP L2A products, written by hand from the product specification.

Independent of the package: plain text for the XML, rasterio for the rasters. Run as a
script to look at one: ``python tests/data/enmap_l2a/data.py FOLDER``.
"""

import csv
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import Affine

ROOT = Path(__file__).parents[3]
TABLE = ROOT / 'torchgeo_hsi' / 'physics' / 'sensors' / 'enmap.csv'

NODATA = -32768
EPSG = 32633
WEST, NORTH, PIXEL = 365055.0, 5809965.0, 30.0

#: Layers of one band: where they flag pixels, as (rows, columns), and with what value.
FLAGS = {
    'QL_QUALITY_CLOUD': ((slice(0, 3), slice(0, 4)), 1),
    'QL_QUALITY_CLOUDSHADOW': ((slice(3, 5), slice(0, 4)), 1),
    'QL_QUALITY_HAZE': ((slice(0, 2), slice(5, 8)), 1),
    'QL_QUALITY_SNOW': ((slice(6, 8), slice(0, 2)), 1),
    'QL_QUALITY_CIRRUS': ((slice(10, 12), slice(0, 3)), 1),
    'QL_QUALITY_TESTFLAGS': ((slice(12, 13), slice(0, 3)), 0b10),
}
#: Medium cirrus, within the layer of cirrus.
MEDIUM_CIRRUS = (slice(11, 12), slice(0, 3))
#: Defect of one band (position in the file): band, row, column.
DEFECT = (50, 9, 9)
#: Corner without data in all bands.
OUTSIDE = (slice(14, 16), slice(10, 14))


@dataclass
class Scene:
    """What was written, as the truth for tests."""

    folder: Path
    image: Path
    metadata: Path
    dn: np.ndarray
    wavelength: np.ndarray
    fwhm: np.ndarray
    names: list[str]
    data: np.ndarray
    quality: dict[str, Path] = field(default_factory=dict)


def nominal() -> tuple[np.ndarray, np.ndarray]:
    """Read nominal centres and widths in nm, in the order of the detectors."""
    with open(TABLE, encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith('#')))
    centres, widths = (
        np.array([float(row[name]) for row in rows])
        for name in ('wavelength_nm', 'fwhm_nm')
    )
    return centres, widths


def _raster(path: Path, cube: np.ndarray, **options: Any) -> None:
    count, height, width = cube.shape
    profile = {
        'driver': 'GTiff',
        'count': count,
        'height': height,
        'width': width,
        'dtype': cube.dtype,
        'crs': f'EPSG:{EPSG}',
        'transform': Affine(PIXEL, 0, WEST, 0, -PIXEL, NORTH),
    }
    with rasterio.open(path, 'w', **{**profile, **options}) as dst:
        dst.write(cube)


def make_product(
    root: Path,
    *,
    seed: int = 0,
    shift: tuple[float, float] = (-0.25, 0.3),
    date: str = '20220724T104526',
    suffix: str = '.TIF',
    prefix: bool = True,
    gain: float = 0.0001,
    offset: float = 0.0,
    layers: bool = True,
    detector_lists: bool = True,
    empty: tuple[str, ...] = ('B130', 'B131'),
    column: int = 0,
    height: int = 16,
    width: int = 14,
) -> Scene:
    """Write a product.

    Args:
        root: Folder in which the product folder is made.
        seed: Seed of the pixels.
        shift: Shift of the centres of VNIR and SWIR against the nominal ones, nm.
        date: Start of the acquisition.
        suffix: End of the names of rasters, ``'.TIF'`` or ``'_COG.tiff'``.
        prefix: Whether file names start with the name of the scene.
        gain: Gain of all bands.
        offset: Offset of all bands.
        layers: Whether to write the quality layers.
        detector_lists: Whether the metadata say which band is on which detector.
        empty: Bands without any data.
        column: Pixels by which the scene lies further to the east.
        height: Rows.
        width: Columns.
    """
    name = f'ENMAP01-____L2A-DT0000001867_{date}Z_008_V010302_20230628T165614Z'
    folder = root / name
    folder.mkdir(parents=True)
    stem = f'{name}-' if prefix else ''
    centres, widths = nominal()
    centres = centres + np.where(np.arange(224) < 91, shift[0], shift[1])
    order = np.argsort(centres, kind='stable')
    names = [f'B{i + 1}' for i in order]
    without = [names.index(band) for band in empty]
    dn, data = _make_pixels((224, height, width), seed, without)
    scene = Scene(
        folder=folder,
        image=folder / f'{stem}SPECTRAL_IMAGE{suffix}',
        metadata=folder / f'{stem}METADATA.XML',
        dn=dn,
        wavelength=centres[order],
        fwhm=widths[order],
        names=names,
        data=data,
    )
    place = {'transform': Affine(PIXEL, 0, WEST + column * PIXEL, 0, -PIXEL, NORTH)}
    _raster(scene.image, dn, nodata=NODATA, **place)
    scene.metadata.write_text(
        _xml(scene, order, date, gain, offset, detector_lists), encoding='utf-8'
    )
    if layers:
        _write_layers(scene, folder, stem, suffix, place)
    return scene


def _make_pixels(
    shape: tuple[int, int, int], seed: int, without: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw stored numbers (bands, rows, columns), and say which of them are data."""
    rng = np.random.default_rng(seed)
    dn = rng.integers(50, 6000, shape, dtype=np.int16)
    data = np.ones(dn.shape, dtype=bool)
    data[(slice(None), *OUTSIDE)] = False
    data[without] = False
    dn[~data] = NODATA
    return dn, data


def _write_layers(
    scene: Scene, folder: Path, stem: str, suffix: str, place: dict[str, Any]
) -> None:
    shape = scene.dn.shape
    for part, (where, value) in FLAGS.items():
        layer = np.zeros(shape[1:], dtype=np.uint8)
        layer[where] = value
        if part == 'QL_QUALITY_CIRRUS':
            layer[MEDIUM_CIRRUS] = 2
        scene.quality[part] = folder / f'{stem}{part}{suffix}'
        _raster(scene.quality[part], layer[None], **place)
    defects = np.zeros(shape, dtype=np.uint8)
    defects[DEFECT] = 1
    defects[(slice(None), *OUTSIDE)] = 255
    scene.quality['QL_PIXELMASK'] = folder / f'{stem}QL_PIXELMASK{suffix}'
    _raster(scene.quality['QL_PIXELMASK'], defects, **place)
    for part in ('QL_VNIR', 'QL_SWIR'):
        quicklook = np.full((3, *shape[1:]), 100, dtype=np.uint8)
        _raster(folder / f'{stem}{part}{suffix}', quicklook, **place)


def _xml(
    scene: Scene,
    order: np.ndarray,
    date: str,
    gain: float,
    offset: float,
    detector_lists: bool,
) -> str:
    time = f'{date[:4]}-{date[4:6]}-{date[6:11]}:{date[11:13]}:'
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<level_X xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<metadata><schema><processingLevel>L2A</processingLevel></schema></metadata>
<base>
<temporalCoverage><startTime>{time}{date[13:15]}.160668Z</startTime>
<stopTime>{time}{int(date[13:15]) + 4:02d}.500000Z</stopTime></temporalCoverage>
<format>ENMAP_L2A</format><level>L2A</level>
</base>
<specific>
{_xml_detectors(order) if detector_lists else ''}
<backgroundValue>0</backgroundValue>
<bandCharacterisation>
{_xml_bands(scene, gain, offset)}
</bandCharacterisation>
</specific>
<product><bandStatistics>
{_xml_statistics(scene)}
</bandStatistics></product>
</level_X>
"""


def _xml_detectors(order: np.ndarray) -> str:
    """Write which bands, by their numbers in the file, each detector has."""
    position = np.argsort(order)
    lists = {
        'vnir': ','.join(str(i) for i in sorted(position[:91] + 1)),
        'swir': ','.join(str(i) for i in sorted(position[91:] + 1)),
    }
    return '\n'.join(
        f'<{d}ProductQuality><numChannelsExpected>{len(text.split(","))}'
        f'</numChannelsExpected><expectedChannelsList>{text}</expectedChannelsList>'
        f'<numChannelsMissing>0</numChannelsMissing><missingChannelsList />'
        f'</{d}ProductQuality>'
        for d, text in lists.items()
    )


def _xml_bands(scene: Scene, gain: float, offset: float) -> str:
    return '\n'.join(
        f'<bandID number="{i + 1}"><wavelengthCenterOfBand>{centre:.3f}'
        f'</wavelengthCenterOfBand><FWHMOfBand>{width:.4f}</FWHMOfBand>'
        f'<GainOfBand>{gain}</GainOfBand><OffsetOfBand>{offset}</OffsetOfBand></bandID>'
        for i, (centre, width) in enumerate(
            zip(scene.wavelength, scene.fwhm, strict=True)
        )
    )


def _xml_statistics(scene: Scene) -> str:
    return '\n'.join(
        f'<bandID number="{i + 1}"><waveLength>{centre:.3f}</waveLength>'
        + (
            '<mean>0.21</mean><stdDeviation>0.1</stdDeviation></bandID>'
            if scene.data[i].any()
            else '<mean>-1000000</mean><stdDeviation>0</stdDeviation></bandID>'
        )
        for i, centre in enumerate(scene.wavelength)
    )


def make_bare_image(
    path: Path,
    *,
    tags: bool = False,
    unit: str | None = 'Nanometers',
    order: str = 'wavelength',
    bands: int = 224,
    seed: int = 0,
) -> np.ndarray:
    """Write a spectral image without metadata.

    Args:
        path: The file.
        tags: Whether to write band tags.
        unit: Unit in the tags, or None.
        order: ``'wavelength'`` or ``'detector'``.
        bands: Number of bands.
        seed: Seed of the pixels.
    """
    cube = np.random.default_rng(seed).integers(50, 6000, (bands, 12, 10), np.int16)
    _raster(path, cube, nodata=NODATA)
    if tags:
        centres, widths = nominal()
        rank = np.argsort(centres) if order == 'wavelength' else np.arange(224)
        with rasterio.open(path, 'r+') as dst:
            for i, band in enumerate(rank[:bands]):
                found = {'wavelength': f'{centres[band] + 0.1:.4f}', 'bbl': '1'}
                found |= {'fwhm': f'{widths[band]:.4f}'}
                found |= {} if unit is None else {'wavelength_units': unit}
                dst.update_tags(i + 1, **found)
    return cube


if __name__ == '__main__':
    make_product(Path(sys.argv[1]))
