# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Polygons, lines and points with a class, on the pixels of a scene."""

import math
import os
import warnings
from typing import Any

import geopandas
import numpy as np
import pandas
import shapely
from geopandas import GeoDataFrame
from pyproj import CRS, Transformer
from rasterio.features import rasterize

from ..._typing import BoolArray
from ...errors import CorruptFileError, EmptyDataError, MetadataError, NodataWarning
from ...io import CubeInfo
from ...io._files import check_file
from ._placing import apply_transform, elsewhere, to_pyproj
from .label_map import LabelMap

#: Classes that a message lists.
_LISTED = 10

#: What of shapes is kept around a scene, and points along an edge as long as the scene.
_MARGIN, _POINTS = 0.1, 64


def read_features(
    path: str, column: str | None, ignore: int | None, info: CubeInfo
) -> LabelMap:
    """Burn features into the pixels of a scene.

    Args:
        path: GeoPackage, GeoJSON, Shapefile, or another file that geopandas reads.
        column: Column with whole numbers or names.
        ignore: Code that takes labels away; None if each code is a class.
        info: The scene.

    Returns:
        The labels.

    Raises:
        CorruptFileError: If the file cannot be read.
        MetadataError: If the column or a georeference is missing, or numbers in it are
            not whole.
        EmptyDataError: If no feature lies on the scene, or none has a class.
    """
    if info.transform is None or info.crs is None:
        raise MetadataError(
            f'{info.path} has no georeference, so the features of {path} cannot be '
            'put on its pixels. Use a label raster of its rows and columns, or a copy '
            'of the scene with a georeference (ENVI map info, GeoTIFF).'
        )
    frame = open_features(path, column)
    codes, names = _codes(frame, column, path)
    shapeless = (frame.geometry.isna() | frame.is_empty).to_numpy()
    used = np.array([code is not None for code in codes]) & ~shapeless
    if not used.any():
        raise EmptyDataError(
            f'No feature of {path} has both a shape and a class in its column '
            f'{column or "of classes"}. Check the file, or choose another column.'
        )
    values = np.array([code for code, use in zip(codes, used, strict=True) if use])
    shapes, nearby = _on_scene(frame[used], info, path)
    values = values[nearby]
    order = sorted(set(values.tolist()))
    burnt = rasterize(
        zip(shapes, np.searchsorted(order, values) + 1, strict=True),
        out_shape=info.shape[1:],
        transform=info.transform,
        fill=0,
        all_touched=False,
        dtype='int32',
    )
    table = np.array([0, *order], dtype=np.int64)
    labels = table[burnt]
    known = (burnt > 0) & (ignore is None or labels != ignore)
    lost = set(values.tolist()) - set(labels[burnt > 0].tolist()) - {ignore}
    if lost:
        _warn_of_lost([names.get(c, str(c)) for c in sorted(lost)], path, info)
    return LabelMap(
        np.where(known, labels, 0),
        known,
        names,
        crs=info.crs,
        transform=info.transform,
        path=path,
    )


def open_features(path: str, column: str | None) -> GeoDataFrame:
    """Open the features of a vector file.

    Args:
        path: GeoPackage, GeoJSON, Shapefile, or another file that geopandas reads.
        column: Column that the layer has to have, if there are several layers.

    Returns:
        At least one feature, with a CRS.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If the file cannot be read.
        MetadataError: If it has no CRS or no shapes, or several layers.
        EmptyDataError: If it holds no feature.
    """
    if not os.path.isdir(path):
        check_file(path)
    try:
        if path.lower().endswith('.parquet'):
            layers: list[str | int] = ['']
            frame = geopandas.read_parquet(path)
        else:
            layers = _layers(path, column)
            frame = geopandas.read_file(path, layer=layers[0])
    # whatever the library behind it raises
    except ImportError:
        raise
    except Exception as error:
        raise CorruptFileError(
            f'{path} cannot be read as a vector file ({error}). Copy it again; a '
            'Shapefile needs its .shx and .dbf files beside it.'
        ) from error
    if len(layers) > 1:
        listed = ', '.join(map(str, layers))
        raise MetadataError(
            f'{path} holds several layers of features ({listed}), and any of '
            'them may be the labels. Export the one that you mean to a file of its own, '
            'or name a column that only this one has (column=).'
        )
    if not isinstance(frame, GeoDataFrame):
        raise MetadataError(f'{path} holds a table without shapes. Check the file.')
    if not len(frame):
        raise EmptyDataError(f'{path} holds no feature. Check the file.')
    if frame.crs is None:
        raise MetadataError(
            f'{path} does not say its CRS, so nobody knows where it lies. Add the '
            '.prj file of the Shapefile, or set the CRS in a GIS.'
        )
    return frame


def _layers(path: str, column: str | None) -> list[str | int]:
    """Name the layers with shapes; those with the column if there is one."""
    table = geopandas.list_layers(path)
    # a QGIS style is a layer without any
    found = table['name'][table['geometry_type'].notna()].tolist()
    if len(found) > 1 and column is not None:
        having = [
            name
            for name in found
            if column in geopandas.read_file(path, layer=name, rows=1).columns
        ]
        found = having or found
    return found or [0]


def _codes(
    frame: GeoDataFrame, column: str | None, path: str
) -> tuple[list[int | None], dict[int, str]]:
    """Return the code of each feature, None without a class; and names of codes."""
    columns = [str(name) for name in frame.columns if name != frame.geometry.name]
    if column is None and len(columns) == 1:
        column = columns[0]
    if column is None or column not in columns:
        asked = 'Say in which column' if column is None else f'There is no {column!r}:'
        raise MetadataError(
            f'{asked} the classes of {path} are (column=). Columns: '
            f'{", ".join(columns) or "none"}.'
        )
    entries = [_entry(value) for value in frame[column]]
    texts = [entry for entry in entries if isinstance(entry, str)]
    if all(_is_integer(text) for text in texts):
        return [None if e is None else _whole(e, column, path) for e in entries], {}
    names = sorted({str(entry) for entry in entries if entry is not None})
    code = {name: k + 1 for k, name in enumerate(names)}
    found = [None if entry is None else code[str(entry)] for entry in entries]
    return found, {k: name for name, k in code.items()}


def _entry(value: Any) -> str | float | int | None:
    """Reduce what a table holds to text, a number or nothing."""
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else float(value)
    # None, NA and NaT of pandas, and whatever else a format knows
    return None if value is None or pandas.isna(value) else str(value)


def _is_integer(text: str) -> bool:
    return text.removeprefix('-').isdecimal()


def _whole(entry: str | float, column: str, path: str) -> int:
    number = float(entry) if not isinstance(entry, str) else int(entry)
    if not math.isfinite(number) or number != int(number):
        raise MetadataError(
            f'Expected whole numbers or names in column {column} of {path}, got '
            f'{entry}. Choose the column of the classes (column=).'
        )
    if abs(int(entry)) > np.iinfo(np.int64).max:
        raise MetadataError(
            f'The class code {entry} in column {column} of {path} does not fit into '
            'int64. Is it a number of the feature? Choose the column of the classes '
            '(column=).'
        )
    # not by way of a float, which mixes up large codes
    return int(entry)


def _on_scene(
    frame: GeoDataFrame, info: CubeInfo, path: str
) -> tuple[list[Any], BoolArray]:
    """Return the shapes that touch a scene, in its CRS; and which ones they are."""
    crs = to_pyproj(info.crs)
    assert info.transform is not None
    height, width = info.shape[1:]
    x, y = np.array([0, width, width, 0]), np.array([0, 0, height, height])
    scene = shapely.Polygon(np.stack(apply_transform(info.transform, x, y), axis=1))
    shapes = frame.geometry
    if crs != shapes.crs:
        shapes = _cut_out(shapes, scene.bounds, crs).to_crs(crs)
    nearby = shapes.intersects(scene).to_numpy()
    if not nearby.any():
        bounds, known = frame.to_crs(crs).total_bounds, info.crs
        if not np.isfinite(bounds).all():
            # too far for the projection of the scene
            bounds, known = frame.total_bounds, frame.crs
        raise EmptyDataError(elsewhere(path, bounds, known, info))
    return list(shapes[nearby]), nearby


def _cut_out(
    shapes: geopandas.GeoSeries, bounds: tuple[float, float, float, float], crs: CRS
) -> geopandas.GeoSeries:
    """Keep of shapes what is near a scene, with points along their edges.

    A projection is made for a part of the world: a shape that reaches far beyond would
    end anywhere, also on the scene. And what is straight in one CRS is a curve in
    another one, which takes more points than the corners.

    Args:
        shapes: Shapes in a CRS of their own.
        bounds: West, south, east and north of the scene.
        crs: CRS of the scene.

    Returns:
        Shapes in their own CRS; empty ones are not near.
    """
    convert = Transformer.from_crs(crs, shapes.crs, always_xy=True)
    west, south, east, north = convert.transform_bounds(*bounds)
    if not np.isfinite([west, south, east, north]).all():
        return shapes
    # the scene may lie across the antimeridian
    parts = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    long = max(north - south, *(right - left for left, right in parts))
    around = shapely.union_all(
        [
            shapely.box(left, south, right, north).buffer(_MARGIN * long)
            for left, right in parts
        ]
    )
    values = shapes.to_numpy().copy()
    across = ~shapely.covered_by(values, around)
    # a cut through a shape that crosses itself is not defined
    values[across] = shapely.intersection(shapely.make_valid(values[across]), around)
    fine = shapely.segmentize(values, long / _POINTS)
    return geopandas.GeoSeries(fine, index=shapes.index, crs=shapes.crs)


def _warn_of_lost(lost: list[str], path: str, info: CubeInfo) -> None:
    """Warn of classes on the scene that no pixel got."""
    more = f' and {len(lost) - _LISTED} more' if len(lost) > _LISTED else ''
    warnings.warn(
        f'No pixel of {info.path} gets one of the classes '
        f'{", ".join(lost[:_LISTED])}{more} of {path}: their shapes hold the centre of '
        'no pixel, or lie below later ones. They are left out.',
        NodataWarning,
        stacklevel=5,
    )
