# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which scenes there are, and where and when they lie."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import geopandas as gpd
import pandas as pd
import rasterio
import shapely
from geopandas import GeoDataFrame
from pyproj import CRS as PROJ_CRS
from rasterio.transform import array_bounds

from .._typing import PathLike
from ..errors import MetadataError
from ..io import CubeInfo
from ..io._enmap_xml import find_product

_TIFF = re.compile(r'\.tiff?$', re.IGNORECASE)
_IMAGE = re.compile(r'SPECTRAL_IMAGE(_COG)?\.tiff?$', re.IGNORECASE)
#: Rasters that belong to a product or a data set and are no spectral image.
_OTHER = re.compile(r'(^|-)QL_|label|mask|thumbnail', re.IGNORECASE)

#: Points on each side of a footprint, so that it stays true when it is warped.
_SIDE = 16


@dataclass(frozen=True)
class Record:
    """One scene of the index.

    Args:
        info: Its metadata.
        stop: End of its acquisition, ISO 8601, or None.
        is_product: Whether its metadata file was found.
    """

    info: CubeInfo
    stop: str | None = None
    is_product: bool = False


def find_scenes(paths: PathLike | Iterable[PathLike]) -> Iterator[tuple[str, bool]]:
    """Find spectral images.

    Args:
        paths: Folders to search, product folders, metadata files or images.

    Yields:
        Each image once, sorted within its folder; and whether it certainly is one: the
        rasters of a folder without products are only candidates.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    seen: set[str] = set()
    for path in paths:
        for image, certain in _images(os.fspath(path)):
            if os.path.realpath(image) not in seen:
                seen.add(os.path.realpath(image))
                yield image, certain


def _images(path: str) -> list[tuple[str, bool]]:
    if os.path.isfile(path):
        return [(find_product(path).image, True)]
    files = sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(path)
        for name in names
        if _TIFF.search(name)
    )
    images = [file for file in files if _IMAGE.search(file)]
    if images:
        return [(file, True) for file in images]
    return [
        (file, False) for file in files if not _OTHER.search(os.path.basename(file))
    ]


def build_index(records: Sequence[Record], crs: PROJ_CRS | None) -> GeoDataFrame:
    """Build the index that torchgeo's samplers work on.

    Args:
        records: The scenes.
        crs: CRS of the index (that of the first scene by default).

    Returns:
        Footprints with columns ``filepath`` and ``geometry`` and an index of times.

    Raises:
        MetadataError: If a scene has no georeference.
    """
    if crs is None:
        crs = _pyproj(records[0].info)
    shapes = [_footprint(record.info, crs) for record in records]
    times = pd.IntervalIndex.from_tuples(
        [_interval(record) for record in records], closed='both', name='datetime'
    )
    data = {'filepath': [record.info.path for record in records]}
    return GeoDataFrame(data, index=times, geometry=shapes, crs=crs)


def _pyproj(info: CubeInfo) -> PROJ_CRS:
    if info.crs is None or info.transform is None:
        raise MetadataError(
            f'{info.path} has no georeference. Open it with HSICube, or copy the '
            'georeference from the product.'
        )
    # https://pyproj4.github.io/pyproj/stable/crs_compatibility.html#rasterio
    with rasterio.Env(OSR_WKT_FORMAT='WKT2_2018'):
        return PROJ_CRS.from_user_input(info.crs)


def _footprint(info: CubeInfo, crs: PROJ_CRS) -> shapely.Polygon:
    own = _pyproj(info)
    assert info.transform is not None
    box = shapely.box(*array_bounds(*info.shape[1:], info.transform))
    if own == crs:
        return box
    outline = shapely.segmentize(box, box.length / (4 * _SIDE))
    return gpd.GeoSeries([outline], crs=own).to_crs(crs).iloc[0]


def _interval(record: Record) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return start and end, in UTC without a zone, as torchgeo keeps them."""
    start, stop = _timestamp(record.info.start), _timestamp(record.stop)
    if start is None:
        return pd.Timestamp.min, pd.Timestamp.max
    # a scene without an end gets the second that its name resolves
    last = start + pd.Timedelta(seconds=1) - pd.Timedelta(microseconds=1)
    return start, stop if stop is not None and stop > start else last


def _timestamp(text: str | None) -> pd.Timestamp | None:
    stamp = pd.to_datetime(text, errors='coerce', utc=True) if text else pd.NaT
    return None if pd.isna(stamp) else stamp.tz_localize(None)
