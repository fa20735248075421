# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The metadata file and the file names of a DESIS L2A product.

Facts: DESIS Product Specification, PAV-DLR-ICD-003 (https://www.dlr.de/eoc/desis), and
the readers hytools (EnSpec/hytools) and EnMAP-Box (EnMAP-Box/enmap-box).
"""

import os
import re
from dataclasses import dataclass
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree
import numpy as np
from defusedxml import DefusedXmlException

from .._typing import FloatArray
from ..errors import CorruptFileError, EmptyDataError, MetadataError
from ._files import check_file, siblings

_IMAGE = re.compile(r'^(?P<stem>.*?)-?SPECTRAL_IMAGE\.tiff?$', re.IGNORECASE)
_NAME = re.compile(r'^DESIS-HSI-(?P<level>L[0-9][A-Z]?)-', re.IGNORECASE)
_TIME = re.compile(r'-(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)-')
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
        return _root_of(path) == _ROOT
    match = _IMAGE.match(name)
    if match is None:
        # a quality layer, say, is a raster like any other
        return False
    metadata = _metadata_of(match['stem'], siblings(path))
    return bool(_NAME.match(name)) or (
        metadata is not None and _root_of(metadata) == _ROOT
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
    is_folder = os.path.isdir(path)
    if not is_folder:
        check_file(path)
    files = siblings(path)
    name = os.path.basename(path).lower()
    images = [file for key, file in files.items() if _IMAGE.match(key)]
    if not is_folder and name.endswith('.xml'):
        stem = name.removesuffix('metadata.xml').rstrip('-')
        images = [file for file in images if _stem(file) == stem]
    elif not is_folder:
        images = [path] if _IMAGE.match(name) else []
    if not images:
        raise EmptyDataError(
            f'There is no DESIS-HSI-L2A-*-SPECTRAL_IMAGE.tif in {path} or beside it. '
            'Unpack the whole product into one folder.'
        )
    if len(images) > 1:
        raise MetadataError(
            f'{path} holds {len(images)} scenes. Name one of them: '
            + ', '.join(os.path.basename(image) for image in images)
        )
    return _product(images[0], files)


def _stem(image: str) -> str:
    match = _IMAGE.match(os.path.basename(image).lower())
    return match['stem'] if match else ''


def _metadata_of(stem: str, files: dict[str, str]) -> str | None:
    prefix = f'{stem.lower()}-' if stem else ''
    return files.get(f'{prefix}metadata.xml')


def _product(image: str, files: dict[str, str]) -> DESISProduct:
    """Collect what belongs to a spectral image."""
    stem = _stem(image)
    prefix = f'{stem}-' if stem else ''
    metadata = _metadata_of(stem, files)
    if metadata is None:
        raise MetadataError(
            f'There is no {prefix}METADATA.xml beside {image}. It holds the wavelengths '
            'and the scale: copy it there.'
        )
    quality = (files.get(f'{prefix}ql_quality-2.{end}') for end in ('tif', 'tiff'))
    return DESISProduct(image, metadata, next((q for q in quality if q), None))


def _root_of(path: str) -> str | None:
    """Return the tag of the root; None if the file is no XML."""
    try:
        for _, element in defusedxml.ElementTree.iterparse(path, events=('start',)):
            return str(element.tag)
    except (OSError, ParseError, DefusedXmlException):
        # whoever reads the file says what is wrong with it
        return None
    return None


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
    check_file(path)
    try:
        # the parser refuses entities, so a file cannot blow up or reach out
        root = defusedxml.ElementTree.parse(path).getroot()
    except (ParseError, DefusedXmlException) as error:
        raise CorruptFileError(
            f'{path} is truncated, damaged or unsafe XML ({error}). Download or copy '
            'it again.'
        ) from error
    if root is None or root.tag != _ROOT:
        raise MetadataError(f'Expected DESIS metadata (<{_ROOT}>) in {path}.')
    level = _level(root, path)
    if level is not None and level != _LEVEL:
        raise MetadataError(
            f'Expected an L2A product (surface reflectance), got {level} in {path}.'
        )
    bands = _bands(root, path)
    times = (root.findtext(f'base/temporalCoverage/{k}Time') for k in ('start', 'end'))
    start, stop = ((text or '').strip() or None for text in times)
    return DESISMetadata(
        wavelength=_column(bands, 'wavelengthCenterOfBand', path),
        fwhm=_column(bands, 'wavelengthWidthOfBand', path),
        gain=_column(bands, 'gainOfBand', path),
        offset=_column(bands, 'offsetOfBand', path),
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
        raise MetadataError(f'There is no bandCharacterisation in {path}.')
    numbers = [(band.findtext('bandNumber') or '').strip() for band in bands]
    if all(number.isdigit() for number in numbers) and len(set(numbers)) == len(bands):
        order = np.argsort([int(number) for number in numbers])
        return [bands[int(i)] for i in order]
    return bands


def _column(bands: list[Element], tag: str, path: str) -> FloatArray:
    try:
        return np.array([float(band.findtext(tag) or 'nothing') for band in bands])
    except ValueError as error:
        raise MetadataError(
            f'Expected a number as {tag} of every band in {path}: {error}'
        ) from error


def _time_of_name(path: str) -> str | None:
    match = _TIME.search(os.path.basename(path))
    return None if match is None else '{}-{}-{}T{}:{}:{}'.format(*match.groups())
