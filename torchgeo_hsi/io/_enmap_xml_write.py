# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Write the metadata file of an EnMAP L2A product.

Facts: EnMAP HSI Product Specification, EN-PCV-ICD-2009-2 (https://www.enmap.org). Only
what describes the data is written; orbit, processing history and the like are left out.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

# only builds a tree; parsing is done by defusedxml
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np

from .._typing import FloatArray
from ..physics import BandSet

#: Bands of the VNIR detector: B1 to B91.
_VNIR = 91

#: What the product writes as the mean of a band without data.
_NO_MEAN = '-1000000'


@dataclass(frozen=True)
class ProductFacts:
    """What the metadata file says.

    Args:
        name: Name of the scene, the first part of all file names.
        bands: Bands in the order of the image, named ``B1`` to ``B224``.
        height: Rows.
        width: Columns.
        pixel_size: Size of a pixel in metres.
        start: Start of the acquisition, UTC.
        stop: End of the acquisition, UTC.
        sun_zenith: Zenith angle of the sun in degrees.
        sun_azimuth: Azimuth of the sun in degrees, from north to east.
        nodata: Value of pixels without data.
        cloud_cover: Share of the imaged pixels under cloud, 0 to 1.
        mean: Mean reflectance of each band; NaN for a band without data.
        std: Standard deviation of the reflectance of each band.
        files: Names of all other files of the product.
    """

    name: str
    bands: BandSet
    height: int
    width: int
    pixel_size: float
    start: datetime
    stop: datetime
    sun_zenith: float
    sun_azimuth: float
    nodata: int
    cloud_cover: float
    mean: FloatArray
    std: FloatArray
    files: Sequence[str]


def write_metadata(path: str, facts: ProductFacts) -> None:
    """Write the metadata file.

    Args:
        path: File to write.
        facts: What it says.
    """
    root = Element('level_X')
    head = SubElement(root, 'metadata')
    _put(SubElement(head, 'schema'), processingLevel='L2A', versionSchema='00.02.00')
    _put(head, name=f'{facts.name}-METADATA.XML')
    _put(SubElement(root, 'processing'), productFormat='GeoTIFF+Metadata')
    base = SubElement(root, 'base')
    _put(
        SubElement(base, 'temporalCoverage'),
        startTime=_iso(facts.start),
        stopTime=_iso(facts.stop),
    )
    _put(base, format='ENMAP_L2A', level='L2A')
    _specific(SubElement(root, 'specific'), facts)
    _product(SubElement(root, 'product'), facts)
    indent(root)
    ElementTree(root).write(path, encoding='UTF-8', xml_declaration=True)


def _put(parent: Element, **texts: object) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = str(text)


def _iso(time: datetime) -> str:
    return time.strftime('%Y-%m-%dT%H:%M:%S.%fZ')


def _specific(parent: Element, facts: ProductFacts) -> None:
    """Describe the instrument, its bands and the sun."""
    percent = round(100 * facts.cloud_cover)
    _put(SubElement(parent, 'qualityFlag'), cloudCover=percent)
    is_vnir = [int(name.removeprefix('B')) <= _VNIR for name in facts.bands.names]
    for detector, wanted in (('vnir', True), ('swir', False)):
        # numbers in the file, whose bands are in the order of wavelength
        channels = [i + 1 for i, value in enumerate(is_vnir) if value == wanted]
        _put(
            SubElement(parent, f'{detector}ProductQuality'),
            numChannelsExpected=len(channels),
            expectedChannelsList=_list(channels),
            numChannelsMissing=0,
            missingChannelsList='',
        )
    _put(
        parent,
        mission='EnMAP',
        sensor='HSI',
        numberOfSWIRBands=len(is_vnir) - sum(is_vnir),
        numberOfVNIRBands=sum(is_vnir),
        backgroundValue=facts.nodata,
    )
    table = SubElement(parent, 'bandCharacterisation')
    assert facts.bands.fwhm is not None
    for i, (centre, width) in enumerate(
        zip(facts.bands.wavelength * 1e3, facts.bands.fwhm * 1e3, strict=True)
    ):
        _put(
            SubElement(table, 'bandID', number=str(i + 1)),
            wavelengthCenterOfBand=f'{centre:.3f}',
            FWHMOfBand=f'{width:.5f}',
            GainOfBand='0.0001',
            OffsetOfBand='0',
        )
    _put(
        parent,
        pixelSizeOfOrthoScene=f'{facts.pixel_size:g}',
        widthOfOrthoScene=facts.width,
        heightOfOrthoScene=facts.height,
    )
    for tag, degrees in (
        ('sunElevationAngle', 90 - facts.sun_zenith),
        ('sunAzimuthAngle', facts.sun_azimuth),
    ):
        centre_angle = SubElement(SubElement(parent, tag), 'center', unit='DEG')
        centre_angle.text = f'{degrees:.4f}'


def _product(parent: Element, facts: ProductFacts) -> None:
    """Describe the files and the statistics of the bands."""
    merge = SubElement(SubElement(parent, 'image'), 'merge')
    _put(merge, channels=len(facts.bands), name=f'{facts.name}-SPECTRAL_IMAGE.TIF')
    _put(SubElement(merge, 'dimension'), columns=facts.width, rows=facts.height)
    statistics = SubElement(parent, 'bandStatistics')
    for i, centre in enumerate(facts.bands.wavelength * 1e3):
        empty = bool(np.isnan(facts.mean[i]))
        _put(
            SubElement(statistics, 'bandID', number=str(i + 1)),
            waveLength=f'{centre:.3f}',
            mean=_NO_MEAN if empty else f'{facts.mean[i]:.6f}',
            stdDeviation='0' if empty else f'{facts.std[i]:.6f}',
        )
    listing = SubElement(parent, 'productFileInformation')
    for i, name in enumerate(facts.files):
        _put(SubElement(listing, 'file', number=str(i + 1)), name=name)


def _list(numbers: Iterable[int]) -> str:
    return ','.join(str(number) for number in numbers)
