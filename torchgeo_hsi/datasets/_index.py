# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which scenes there are, and where and when they lie."""

import os
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import geopandas as gpd
import pandas as pd
import rasterio
import shapely
from geopandas import GeoDataFrame
from pyproj import CRS as PROJ_CRS
from rasterio.transform import array_bounds
from torchgeo.datasets import DatasetNotFoundError, GeoDataset
from torchgeo.datasets.utils import GeoSlice

from .._typing import PathLike
from ..errors import EmptyDataError, MetadataError
from ..io import CubeInfo
from ..io._enmap_xml import find_product
from ..io.enmap import count_bands
from ..io.store import is_store
from ._grid import Grid
from ._resolution import to_rasterio

_TIFF = re.compile(r'\.tiff?$', re.IGNORECASE)
_IMAGE = re.compile(r'SPECTRAL_IMAGE(_COG)?\.tiff?$', re.IGNORECASE)
#: Rasters that belong to a product or a data set and are no spectral image.
_OTHER = re.compile(r'(^|-)QL_|label|mask|thumbnail', re.IGNORECASE)

#: Rasters of a folder with fewer bands are no EnMAP image, but a label map or another
#: raster beside it.
_FEWEST_BANDS = 200

#: Points on each side of a footprint, so that it stays true when it is warped.
_SIDE = 16


class DataNotFoundError(EmptyDataError, DatasetNotFoundError):
    """Paths lead to no data; ours and torchgeo's error at once."""

    def __new__(cls, *args: Any) -> Self:
        """Make an error of the system, as its other base does not know how to."""
        # e.g. a worker of Dask sends it back so
        return FileNotFoundError.__new__(cls, *args)

    def __init__(self, message: str) -> None:
        """Initialize a new DataNotFoundError instance.

        Args:
            message: Which paths, and what was looked for.
        """
        # torchgeo's own constructor takes the dataset and makes up a message
        FileNotFoundError.__init__(self, message)


def find_scenes(
    paths: PathLike | Iterable[PathLike],
    search: Callable[[str], tuple[list[str], str]],
    sensor: str,
    expected: str,
) -> list[str]:
    """Find scenes.

    Args:
        paths: Folders to search, products, files or stored scenes.
        search: Finds the scenes behind one path, and says why there are none.
        sensor: Name of the sensor, for messages.
        expected: What paths may be, for messages.

    Returns:
        Each scene once, in the order of *paths*; in a folder, stored ones first.

    Raises:
        DataNotFoundError: If one of *paths* does not exist or leads to no scene.
    """
    if isinstance(paths, str | os.PathLike):
        paths = [paths]
    entries = [os.fspath(path) for path in paths]
    seen: dict[str, str] = {}
    problems = [] if entries else ['it is empty']
    for entry in entries:
        found, problem = _stores(entry), f'{entry} does not exist'
        if os.path.exists(entry) and entry not in found:
            products, problem = search(entry)
            found += products
        for scene in found:
            seen.setdefault(os.path.realpath(scene), scene)
        if not found:
            problems.append(problem)
    if problems:
        more = f' (and {len(problems) - 3} more)' if len(problems) > 3 else ''
        raise DataNotFoundError(
            f'Found no {sensor} scene in paths=: {"; ".join(problems[:3])}{more}. '
            f'Expected {expected}.'
        )
    return list(seen.values())


def _stores(path: str) -> list[str]:
    """Find stored scenes: the path itself, or folders below it."""
    if is_store(path):
        return [path]
    found = []
    for folder, names, _ in os.walk(path):
        stores = [
            name for name in sorted(names) if is_store(os.path.join(folder, name))
        ]
        found += [os.path.join(folder, name) for name in stores]
        # a store has many folders, and no scenes below it
        names[:] = [name for name in sorted(names) if name not in stores]
    return found


def find_enmap(paths: PathLike | Iterable[PathLike]) -> list[str]:
    """Find spectral images of EnMAP.

    Args:
        paths: Folders to search, product folders, metadata files or images.

    Returns:
        Each image once, sorted within its folder.

    Raises:
        DataNotFoundError: If one of *paths* does not exist or leads to no image.
        CorruptFileError: If a raster is empty, truncated or damaged.
    """
    return find_scenes(
        paths,
        _images,
        'EnMAP',
        'product folders, their *-METADATA.XML or *-SPECTRAL_IMAGE.TIF, GeoTIFFs with '
        'the bands of EnMAP, or folders of these',
    )


def files_below(path: str, is_wanted: Callable[[str], object]) -> list[str]:
    """Find the files of a folder and of all folders in it.

    Args:
        path: The folder.
        is_wanted: Takes the name of a file.

    Returns:
        The files, in order.
    """
    return sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(path)
        for name in names
        if is_wanted(name)
    )


def _images(path: str) -> tuple[list[str], str]:
    """Find the images of EnMAP behind one path; say why there are none."""
    if os.path.isfile(path):
        return [find_product(path).image], ''
    files = files_below(path, _TIFF.search)
    images = [file for file in files if _IMAGE.search(file)]
    if images:
        return images, ''
    counts = {
        file: count_bands(file)
        for file in files
        if not _OTHER.search(os.path.basename(file))
    }
    images = [file for file, count in counts.items() if count >= _FEWEST_BANDS]
    return images, _describe(path, counts)


def _describe(path: str, counts: dict[str, int]) -> str:
    """Say why a folder has no image."""
    if not counts:
        return f'{path} holds no spectral image'
    shown = [
        f'{os.path.relpath(file, path)} has {count}'
        for file, count in list(counts.items())[:3]
    ]
    more = f' and {len(counts) - 3} more' if len(counts) > 3 else ''
    return (
        f'{path} holds only rasters of fewer than {_FEWEST_BANDS} bands, which are '
        f'taken for other maps ({", ".join(shown)}{more}; open such cubes with HSICube)'
    )


def build_index(infos: Sequence[CubeInfo], crs: PROJ_CRS | None) -> GeoDataFrame:
    """Build the index that torchgeo's samplers work on.

    Args:
        infos: The scenes.
        crs: CRS of the index (that of the first scene by default).

    Returns:
        Footprints with columns ``filepath`` and ``geometry`` and an index of times.

    Raises:
        MetadataError: If a scene has no georeference.
    """
    if crs is None:
        crs = _pyproj(infos[0])
    shapes = [_footprint(info, crs) for info in infos]
    times = pd.IntervalIndex.from_tuples(
        [_interval(info) for info in infos], closed='both', name='datetime'
    )
    data = {'filepath': [info.path for info in infos]}
    return GeoDataFrame(data, index=times, geometry=shapes, crs=crs)


def query_scenes(dataset: GeoDataset, index: GeoSlice) -> tuple[GeoDataFrame, Grid]:
    """Find the scenes that a query of torchgeo asks for.

    Args:
        dataset: The dataset.
        index: ``[xmin:xmax:xres, ymin:ymax:yres, tmin:tmax:tres]`` coordinates.

    Returns:
        Rows of the index, and the pixels that are wanted.

    Raises:
        IndexError: If no scene lies there.
    """
    x, y, t = dataset._disambiguate_slice(index)
    times = dataset.index.index.overlaps(pd.Interval(t.start, t.stop))
    rows = dataset.index.iloc[times].iloc[:: t.step]
    rows = rows.cx[x.start : x.stop, y.start : y.stop]
    if rows.empty:
        raise IndexError(
            f'index: {index} not found in dataset with bounds: {dataset.bounds}'
        )
    return rows, Grid.from_slices(x, y, to_rasterio(dataset.crs))


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


def _interval(info: CubeInfo) -> tuple[pd.Timestamp, pd.Timestamp]:
    """Return start and end, in UTC without a zone, as torchgeo keeps them."""
    start, stop = _timestamp(info.start), _timestamp(info.stop)
    if start is None:
        return pd.Timestamp.min, pd.Timestamp.max
    # a scene without an end gets the second that its name resolves
    last = start + pd.Timedelta(seconds=1) - pd.Timedelta(microseconds=1)
    return start, stop if stop is not None and stop > start else last


def _timestamp(text: str | None) -> pd.Timestamp | None:
    stamp = pd.to_datetime(text, errors='coerce', utc=True) if text else pd.NaT
    return None if pd.isna(stamp) else stamp.tz_localize(None)
