# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The metadata file and the file names of a DESIS L2A product.

Facts: DESIS Product Specification, PAV-DLR-ICD-003 (https://www.dlr.de/eoc/desis), and
the readers hytools (EnSpec/hytools) and EnMAP-Box (EnMAP-Box/enmap-box).
"""

import os
import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element

import numpy as np

from .._typing import FloatArray
from ..errors import MetadataError
from ._files import siblings
from ._product_xml import (
    column,
    find_image,
    missing_text,
    read_root,
    refuse_level,
    root_tag,
    stem_of,
)

_IMAGE = re.compile(r'^(?P<stem>.*?)-?SPECTRAL_IMAGE\.tiff?$', re.IGNORECASE)
_NAME = re.compile(r'^DESIS-HSI-(?P<level>L[0-9][A-Z]?)-', re.IGNORECASE)
_TIME = re.compile(r'-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)-')
_COUNT = re.compile('[0-9]{1,5}')
_ROOT = 'hsi_doc'
_LEVEL = 'L2A'


@dataclass(frozen=True)
class DESISProduct:
    """The files of one DESIS L2A scene.

    Args:
        image: Spectral image, a GeoTIFF.
        metadata: Metadata file.
        quality: Quality layers of the atmospheric correction, ``QL_QUALITY-2``, or
            None.
    """

    image: str
    metadata: str
    quality: str | None = None


@dataclass(frozen=True)
class DESISMetadata:
    """What the metadata file says, in its own units.

    Args:
        wavelength: Band centres in nanometres, in the order of the image.
        fwhm: Band widths in nanometres.
        gain: Factor of each band from stored numbers to reflectance.
        offset: Summand of each band, applied after the gain.
        start: Start of the acquisition, ISO 8601, or None.
        stop: End of the acquisition, ISO 8601, or None.
    """

    wavelength: FloatArray
    fwhm: FloatArray
    gain: FloatArray
    offset: FloatArray
    start: str | None
    stop: str | None


def is_desis(path: str) -> bool:
    """Tell whether a path leads to a product of DESIS.

    Args:
        path: Folder, metadata file or raster.

    Returns:
        True by the name of the product, or by the metadata file.
    """
    if os.path.isdir(path):
        files = siblings(path)
        return any(is_desis(file) for key, file in files.items() if _IMAGE.match(key))
    name = os.path.basename(path)
    if name.lower().endswith('.xml'):
        return root_tag(path) == _ROOT
    match = _IMAGE.match(name)
    if match is None:
        # a quality layer, say, is a raster like any other
        return False
    metadata = _metadata_of(match['stem'], siblings(path))
    return bool(_NAME.match(name)) or (
        metadata is not None and root_tag(metadata) == _ROOT
    )


def is_desis_l2a(path: str) -> bool:
    """Tell whether a file is the spectral image of a DESIS L2A product.

    Args:
        path: Any file.

    Returns:
        True by the names of the file and, where it does not say, by the metadata file.
    """
    name = os.path.basename(path)
    level = _NAME.match(name)
    if _IMAGE.match(name) is None or (level and level['level'].upper() != _LEVEL):
        return False
    return is_desis(path)


def find_desis_product(path: str) -> DESISProduct:
    """Find the files of a product.

    Args:
        path: Product folder, metadata file or spectral image.

    Returns:
        The files.

    Raises:
        FileNotFoundError: If there is nothing at *path*.
        EmptyDataError: If there is no spectral image.
        MetadataError: If a folder holds several scenes, or the metadata file or the
            level is missing or wrong.
    """
    return _product(*find_image(path, _IMAGE, 'DESIS-HSI-L2A-*-SPECTRAL_IMAGE.tif'))


def _metadata_of(stem: str, files: dict[str, str]) -> str | None:
    prefix = f'{stem.lower()}-' if stem else ''
    return files.get(f'{prefix}metadata.xml')


def _product(image: str, files: dict[str, str]) -> DESISProduct:
    """Collect what belongs to a spectral image."""
    stem = stem_of(image, _IMAGE)
    prefix = f'{stem}-' if stem else ''
    metadata = _metadata_of(stem, files)
    if metadata is None:
        raise MetadataError(
            f'There is no {prefix}METADATA.xml beside {image}. It holds the wavelengths '
            'and the scale: copy it there.'
        )
    quality = (files.get(f'{prefix}ql_quality-2.{end}') for end in ('tif', 'tiff'))
    return DESISProduct(image, metadata, next((q for q in quality if q), None))


def read_desis_metadata(path: str) -> DESISMetadata:
    """Read the metadata file of an L2A product.

    Args:
        path: The ``*-METADATA.xml`` file.

    Returns:
        What it says.

    Raises:
        CorruptFileError: If the file is truncated, damaged or declares XML entities.
        MetadataError: If it is not the metadata of an L2A product.
    """
    root = read_root(path, _ROOT, 'DESIS')
    level = _level(root, path)
    if level is not None:
        refuse_level(level, path)
    bands = _bands(root, path)
    times = (root.findtext(f'base/temporalCoverage/{k}Time') for k in ('start', 'end'))
    start, stop = ((text or '').strip() or None for text in times)
    return DESISMetadata(
        wavelength=column(bands, 'wavelengthCenterOfBand', path),
        fwhm=column(bands, 'wavelengthWidthOfBand', path),
        gain=column(bands, 'gainOfBand', path),
        offset=column(bands, 'offsetOfBand', path),
        start=start or _time_of_name(path),
        stop=stop,
    )


def _level(root: Element, path: str) -> str | None:
    """Return the level by the name of the product, else by the metadata."""
    match = _NAME.match(os.path.basename(path))
    if match:
        return match['level'].upper()
    found = root.findtext('base/level') or root.findtext('.//processingLevel')
    return found.strip().upper() if found and found.strip() else None


def _bands(root: Element, path: str) -> list[Element]:
    """Return the descriptions of the bands, in the order of their numbers."""
    # the interior orientation lists bands as well
    table = root.find('.//bandCharacterisation')
    bands = [] if table is None else table.findall('band')
    if not bands:
        raise missing_text('bandCharacterisation', path)
    numbers = [(band.findtext('bandNumber') or '').strip() for band in bands]
    counted = all(_COUNT.fullmatch(number) for number in numbers)
    if counted and len(set(numbers)) == len(bands):
        order = np.argsort([int(number) for number in numbers])
        return [bands[int(i)] for i in order]
    return bands


def _time_of_name(path: str) -> str | None:
    match = _TIME.search(os.path.basename(path))
    return None if match is None else '{}-{}-{}T{}:{}:{}'.format(*match.groups())
