# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Any cube with any labels, as one scene."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._typing import BoolArray, PathLike
from ...errors import BandMismatchError, EmptyDataError, MetadataError, UnknownNameError
from ...io import CubeInfo, CubeReader, open_cube
from ...io._desis_xml import is_desis
from ...io._enmap_xml import find_product
from ...io.open import known_options
from ...io.store import is_store
from ...physics import BandSet, get_sensor
from .label_map import LabelMap, read_label_map
from .palette import class_palette
from .scene import LabelledScene

__all__ = ('open_labelled_scene', 'select_bands')

_TIFF = ('.tif', '.tiff')


@dataclass(frozen=True)
class _Pixels:
    """What is read of a scene."""

    image: NDArray[Any]
    valid: BoolArray
    bands: BandSet | None
    info: CubeInfo


def open_labelled_scene(
    scene: PathLike | Sequence[PathLike],
    labels: PathLike | Sequence[PathLike],
    *,
    classes: Sequence[int | str] | None = None,
    class_names: Sequence[str] | Mapping[int, str] | None = None,
    class_colors: Sequence[str] | Mapping[int, str] | None = None,
    key: str | None = None,
    label_key: str | None = None,
    column: str | None = None,
    ignore: int | None = 0,
    bands: Sequence[str | int | float] | None = None,
    quality: Sequence[str] = (),
    name: str | None = None,
    **options: Any,
) -> LabelledScene:
    """Read a cube and the classes of its pixels.

    The scene is whatever :func:`~torchgeo_hsi.io.open_cube` opens, or tiles of EnMAP
    (a folder of GeoTIFFs, or a list of them), which are laid out at their places. The
    labels are what :func:`read_label_map` reads: a raster, an array, or polygons.

    Args:
        scene: The cube, or the tiles.
        labels: File of labels, or label rasters of the tiles (folder or list).
        classes: Code, or name in the file, of each class, in the order wanted; all
            that occur on the scene, sorted by code, by default. Everything else is
            unlabelled.
        class_names: Name of each class in the order of *classes*, or by code; those of
            the file by default, else ``'class 3'``.
        class_colors: Color of each class as ``'#rrggbb'``, alike; those of the file by
            default, else a palette.
        key: Name of the cube in ``.mat``, NetCDF and HDF5 files.
        label_key: Name of the label map in such files.
        column: Column of vector files with the class.
        ignore: Code of pixels without a label; None if each code is a class.
        bands: Bands in the order wanted, see ``select_bands``.
        quality: Quality layers of a product whose pixels have no data.
        name: Name of the scene; that of the file by default.
        **options: Further options of the reader, such as ``wavelength_unit``.

    Returns:
        The scene. Its image keeps int16 and uint8 of a file that declares no scale.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If a file is empty, truncated or damaged.
        MetadataError: If an option is missing or not for this kind of file; or polygons
            meet a scene without georeference.
        BandMismatchError: If labels without a place have another size than the scene,
            or names or colors do not fit the classes.
        EmptyDataError: If the labels lie elsewhere, or no pixel has both data and one
            of the classes.

    Example:
        .. code-block:: python

            scene = open_labelled_scene('flight.hdr', 'fields.gpkg', column='crop')
            scene.class_names, scene.shape
    """
    pixels = _read_pixels(scene, key, bands, tuple(quality), options)
    found = read_label_map(
        labels, key=label_key, column=column, ignore=ignore, like=pixels.info
    )
    codes = _choose(found, classes, pixels.valid)
    names = _describe(codes, class_names, found.names, 'name')
    colors = _describe(codes, class_colors, found.colors, 'color')
    return LabelledScene(
        image=pixels.image,
        valid=pixels.valid,
        labels=found.encode(codes),
        class_names=names,
        class_colors=colors,
        bands=pixels.bands,
        crs=pixels.info.crs,
        transform=pixels.info.transform,
        name=_stem(pixels.info.path) if name is None else name,
    )


def select_bands(
    info: CubeInfo, bands: Sequence[str | int | float] | None = None
) -> tuple[list[int], BandSet | None]:
    """Choose the bands of a cube to classify.

    Args:
        info: The cube.
        bands: Names, positions (from 0), or wavelengths in micrometres (the nearest
            band), in the order wanted. By default those that the file does not mark as
            bad; of EnMAP the 202 outside of water vapour, by wavelength.

    Returns:
        Their positions in the file, and their spectral axis if there is one.

    Raises:
        MetadataError: If bands are chosen by name or wavelength, and the file has none.
        BandMismatchError: If a position does not exist.
        UnknownNameError: If a band does not exist.

    Example:
        >>> info = CubeInfo('cube', 'unknown', (4, 9, 9), 'int16', None, None)
        >>> select_bands(info, [0, -1])
        ([0, 3], None)
    """
    axis, count = info.bands, info.shape[0]
    if axis is not None:
        if bands is not None:
            chosen = axis.select(bands)
        elif info.sensor == 'EnMAP':
            usual = get_sensor('enmap').default_bands
            chosen = axis.select(n for n in usual if n in axis.names).by_wavelength()
        else:
            chosen = axis.good_only()
        return axis.indices(chosen.names), chosen
    if bands is None:
        return list(range(count)), None
    if not all(isinstance(band, int | np.integer) for band in bands):
        raise MetadataError(
            f'{info.path} carries no wavelengths, so its bands are chosen by position. '
            'Pass wavelength= and wavelength_unit= to choose by wavelength.'
        )
    indexes = [int(band) for band in bands]
    if any(not -count <= index < count for index in indexes):
        raise BandMismatchError(f'Expected bands 0 to {count - 1} of {info.path}.')
    return [index % count for index in indexes], None


def _read_pixels(
    scene: PathLike | Sequence[PathLike],
    key: str | None,
    bands: Sequence[str | int | float] | None,
    quality: tuple[str, ...],
    options: Mapping[str, Any],
) -> _Pixels:
    """Read the cube, or the tiles."""
    if not isinstance(scene, str | os.PathLike):
        files = [os.fspath(path) for path in scene]
        if len(files) != 1:
            return _read_tiles(files, bands, quality, key, options)
        path = files[0]
    else:
        path = os.fspath(scene)
        if _is_folder_of_tiles(path):
            return _read_tiles(path, bands, quality, key, options)
    given = dict(options)
    if key is not None:
        given['variable' if 'variable' in known_options(path) else 'key'] = key
    with open_cube(path, **given) as reader:
        return _read_cube(reader, bands, quality)


def _is_folder_of_tiles(path: str) -> bool:
    if '://' in path or not os.path.isdir(path) or is_store(path) or is_desis(path):
        return False
    try:
        find_product(path)
    except EmptyDataError:
        return any(entry.lower().endswith(_TIFF) for entry in os.listdir(path))
    return False


def _read_cube(
    reader: CubeReader,
    bands: Sequence[str | int | float] | None,
    quality: tuple[str, ...],
) -> _Pixels:
    indexes, axis = select_bands(reader.info, bands)
    cube = reader.read_masked(indexes, stored=True)
    if not cube.filled.all():
        raise _empty_bands(reader.info, indexes, cube.filled, bands is None)
    valid = cube.every
    if quality:
        valid = valid & ~reader.read_quality(quality, indexes=indexes)
    return _Pixels(cube.values, valid, axis, reader.info)


def _empty_bands(
    info: CubeInfo, indexes: Sequence[int], filled: BoolArray, default: bool
) -> EmptyDataError:
    """Say which bands leave no pixel valid."""
    lost = [i for i, has in zip(indexes, filled.tolist(), strict=True) if not has]
    kept = [i for i, has in zip(indexes, filled.tolist(), strict=True) if has]
    if not kept:
        return EmptyDataError(f'{info.path} holds no data at all. Check its nodata.')
    names = [f'{i}' if info.bands is None else info.bands.names[i] for i in lost]
    which = 'mark them as bad in the file, or leave' if default else 'leave'
    return EmptyDataError(
        f'{len(lost)} of {len(indexes)} bands of {info.path} hold no data anywhere '
        f'({", ".join(names[:8])}{", ..." if len(names) > 8 else ""}), so no pixel is '
        f'valid. Please {which} them out by bands=.'
    )


def _read_tiles(
    tiles: str | Sequence[str],
    bands: Sequence[str | int | float] | None,
    quality: tuple[str, ...],
    key: str | None,
    options: Mapping[str, Any],
) -> _Pixels:
    """Lay out tiles at their places."""
    # torchgeo takes seconds to import, and single cubes do not need it
    from .._grid import Grid
    from .._resolution import to_rasterio
    from ..enmap_l2a import EnMAPL2A

    needless = [*options, *(() if key is None else ('key',))]
    if needless:
        raise MetadataError(
            f'{", ".join(needless)} is no option of tiles, which are those of EnMAP. '
            'Leave it out, or name one file.'
        )
    dataset = EnMAPL2A(tiles, bands=bands, quality=quality)
    x, y, t = dataset.bounds
    grid = Grid.from_slices(x, y, to_rasterio(dataset.crs))
    sample = dataset[x, y, t]
    image = sample['image'].numpy()
    axis = dataset.bandset
    info = CubeInfo(
        path=tiles if isinstance(tiles, str) else os.path.dirname(tiles[0]),
        sensor='EnMAP',
        shape=image.shape,
        dtype=image.dtype.name,
        bands=axis,
        nodata=None,
        crs=grid.crs,
        transform=grid.transform,
    )
    return _Pixels(image, sample['valid'].numpy(), axis, info)


def _choose(
    found: LabelMap, classes: Sequence[int | str] | None, valid: BoolArray
) -> list[int]:
    """Return the code of each class."""
    present = sorted(set(found.codes[found.known & valid].tolist()))
    if not present:
        where = 'no label' if not found.known.any() else 'only labels without data'
        raise EmptyDataError(
            f'The scene has {where} from {found.path}. Check the code of unlabelled '
            'pixels (ignore=), and that both are of the same place.'
        )
    if classes is None:
        return present
    by_name = {name: code for code, name in found.names.items()}
    codes = []
    for entry in classes:
        if isinstance(entry, str) and entry not in by_name:
            if not entry.removeprefix('-').isdecimal():
                raise UnknownNameError('class', entry, by_name)
            codes.append(int(entry))
        else:
            codes.append(by_name[entry] if isinstance(entry, str) else int(entry))
    if not set(codes) & set(present):
        listing = ', '.join(
            f'{code} ({found.names[code]})' if code in found.names else str(code)
            for code in present[:20]
        )
        raise EmptyDataError(
            f'No pixel of {found.path} on the scene has one of the classes '
            f'{list(classes)}. There are: {listing}.'
        )
    return codes


def _describe(
    codes: Sequence[int],
    given: Sequence[str] | Mapping[int, str] | None,
    known: Mapping[int, str],
    kind: str,
) -> tuple[str, ...]:
    """Return the name or the color of each class."""
    if isinstance(given, str):
        raise BandMismatchError(f'Expected a list of class {kind}s, got {given!r}.')
    if given is not None and not isinstance(given, Mapping):
        if len(given) != len(codes):
            raise BandMismatchError(
                f'Expected {len(codes)} class {kind}s, for the codes '
                f'{", ".join(map(str, codes))}, got {len(given)}. Give them by code, '
                'or say which classes (classes=).'
            )
        return tuple(str(text) for text in given)
    known = {**known, **(given or {})}
    spare = class_palette(len(codes)) if kind == 'color' else ()
    return tuple(
        known.get(code) or (spare[k] if spare else f'class {code}')
        for k, code in enumerate(codes)
    )


def _stem(path: str) -> str:
    base = os.path.basename(os.path.normpath(path))
    return base if os.path.isdir(path) else os.path.splitext(base)[0]
