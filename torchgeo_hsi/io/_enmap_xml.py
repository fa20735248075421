# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The metadata file and the file names of an EnMAP L2A product.

Facts: EnMAP HSI Product Specification, EN-PCV-ICD-2009-2 (https://www.enmap.org), and
the importers of SNAP (senbox-org/optical-toolbox) and EnMAP-Box.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

import numpy as np

from .._typing import BoolArray, FloatArray
from ._files import check_file
from ._product_xml import (
    column,
    find_image,
    missing_text,
    read_root,
    real,
    refuse_level,
    stem_of,
)

_IMAGE = re.compile(r'^(?P<stem>.*?)-?SPECTRAL_IMAGE(_COG)?\.tiff?$', re.IGNORECASE)
_SCENE_TIME = re.compile(r'_(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z_')
_COUNT = re.compile('[0-9]{1,5}')
_ROOT = 'level_X'
_DETECTORS = ('vnir', 'swir')
#: Channels of each detector in a complete product.
_CHANNELS = (91, 133)

#: Parts of a product that say something about the quality of pixels.
QUALITY_PARTS = (
    'QL_QUALITY_CLASSES',
    'QL_QUALITY_CLOUD',
    'QL_QUALITY_CLOUDSHADOW',
    'QL_QUALITY_HAZE',
    'QL_QUALITY_CIRRUS',
    'QL_QUALITY_SNOW',
    'QL_QUALITY_TESTFLAGS',
    'QL_PIXELMASK',
)


@dataclass(frozen=True)
class EnMAPProduct:
    """The files of one EnMAP L2A scene.

    Args:
        image: Spectral image, a GeoTIFF or COG.
        metadata: Metadata file; None for a bare image.
        quality: Quality layers by their part of the file name
            (``'QL_QUALITY_CLOUD'``, ...), as far as they exist.
    """

    image: str
    metadata: str | None = None
    quality: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EnMAPMetadata:
    """What the metadata file says, in its own units.

    Args:
        wavelength: Band centres in nanometres, in the order of the image.
        fwhm: Band widths in nanometres.
        gain: Factor of each band from stored numbers to reflectance.
        offset: Summand of each band, applied after the gain.
        good: False for bands that are missing or hold no data.
        empty: True for bands whose statistics say that they hold no data.
        names: ``B1`` to ``B224``, the numbers on the detectors, as far as the file
            tells which band belongs to which detector; else empty.
        background: Value of pixels outside of the swath, if it is given.
        start: Start of the acquisition, ISO 8601.
        stop: End of the acquisition, ISO 8601, or None.
    """

    wavelength: FloatArray
    fwhm: FloatArray
    gain: FloatArray
    offset: FloatArray
    good: BoolArray
    empty: BoolArray
    names: tuple[str, ...]
    background: float | None
    start: str
    stop: str | None


def find_product(path: str) -> EnMAPProduct:
    """Find the files of a product.

    Args:
        path: Product folder, metadata file or spectral image. Any other raster is
            taken as a bare image.

    Returns:
        The files.

    Raises:
        FileNotFoundError: If there is nothing at *path*.
        EmptyDataError: If there is no spectral image.
        MetadataError: If a folder holds several scenes.
    """
    is_folder = os.path.isdir(path)
    name = os.path.basename(path)
    if not is_folder and not name.lower().endswith('.xml') and not _IMAGE.match(name):
        check_file(path)
        return EnMAPProduct(path)
    return _product(*find_image(path, _IMAGE, '*SPECTRAL_IMAGE.TIF'))


def _product(image: str, files: dict[str, str]) -> EnMAPProduct:
    """Collect what belongs to a spectral image."""
    stem = stem_of(image, _IMAGE)
    prefix = f'{stem}-' if stem else ''
    quality: dict[str, str] = {}
    for part in QUALITY_PARTS:
        for ending in ('.tif', '.tiff', '_cog.tif', '_cog.tiff'):
            found = files.get(f'{prefix}{part.lower()}{ending}')
            if found:
                quality.setdefault(part, found)
    metadata = files.get(f'{prefix}metadata.xml')
    return EnMAPProduct(image, metadata, quality)


def time_of_name(path: str) -> str | None:
    """Read the start of the acquisition from the name of an EnMAP file.

    Args:
        path: A file whose name follows the product specification.

    Returns:
        ISO 8601 text, or None.
    """
    match = _SCENE_TIME.search(os.path.basename(path))
    return None if match is None else '{}-{}-{}T{}:{}:{}'.format(*match.groups())


def read_metadata(path: str) -> EnMAPMetadata:
    """Read the metadata file of an L2A product.

    Args:
        path: The ``*-METADATA.XML`` file.

    Returns:
        What it says.

    Raises:
        CorruptFileError: If the file is truncated, damaged or declares XML entities.
        MetadataError: If it is not the metadata of an L2A product.
    """
    root = read_root(path, _ROOT, 'EnMAP')
    refuse_level(_text(root, 'base/level', path), path)
    bands = root.findall('specific/bandCharacterisation/bandID')
    if not bands:
        raise missing_text('bandCharacterisation', path)
    empty = _empty_bands(root, len(bands))
    return EnMAPMetadata(
        wavelength=column(bands, 'wavelengthCenterOfBand', path),
        fwhm=column(bands, 'FWHMOfBand', path),
        gain=column(bands, 'GainOfBand', path),
        offset=column(bands, 'OffsetOfBand', path),
        good=_expected_bands(root, len(bands)) & ~empty,
        empty=empty,
        names=_detector_names(root, len(bands)),
        background=real(root.findtext('specific/backgroundValue')),
        start=_text(root, 'base/temporalCoverage/startTime', path),
        stop=root.findtext('base/temporalCoverage/stopTime'),
    )


def _text(root: Element, where: str, path: str) -> str:
    text = root.findtext(where)
    if text is None or not text.strip():
        raise missing_text(where, path)
    return text.strip()


def _channels(root: Element, detector: str, kind: str, count: int) -> list[int]:
    """Return the positions in the image, from 0, of the channels of a detector."""
    where = f'specific/{detector}ProductQuality/{kind}ChannelsList'
    words = (root.findtext(where) or '').split(',')
    # no image has more bands than five digits can count
    listed = [int(word) - 1 for word in words if _COUNT.fullmatch(word.strip())]
    return [i for i in listed if 0 <= i < count]


def _expected_bands(root: Element, count: int) -> BoolArray:
    """Find the bands that are expected and not missing."""
    good = np.zeros(count, dtype=bool)
    for detector in _DETECTORS:
        good[_channels(root, detector, 'expected', count)] = True
    if not good.any():
        # the lists are missing, so nothing is known against any band
        good[:] = True
    for detector in _DETECTORS:
        good[_channels(root, detector, 'missing', count)] = False
    return good


def _detector_names(root: Element, count: int) -> tuple[str, ...]:
    """Number the bands along the detectors, VNIR first.

    In the overlap the centres of the two detectors lie closer together than scenes are
    shifted, so the order of wavelengths alone does not tell which band is which.
    """
    found = [_channels(root, detector, 'expected', count) for detector in _DETECTORS]
    if tuple(map(len, found)) != _CHANNELS or len({*found[0], *found[1]}) != count:
        return ()
    names = [''] * count
    for number, position in enumerate((*sorted(found[0]), *sorted(found[1]))):
        names[position] = f'B{number + 1}'
    return tuple(names)


def _empty_bands(root: Element, count: int) -> BoolArray:
    """Find bands without data; their statistics are the fill values below."""
    statistics = root.findall('product/bandStatistics/bandID')
    if len(statistics) != count:
        return np.zeros(count, dtype=bool)
    return np.array(
        [
            real(band.findtext('mean')) == -1_000_000
            and not real(band.findtext('stdDeviation'))
            for band in statistics
        ]
    )
