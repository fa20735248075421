# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Files of splits: label maps, rasters of splits, and lists of patches."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import CorruptFileError, EmptyDataError, MetadataError
from ._output import is_quiet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..datasets.splits import LeakReport, PixelSplit

_TIFF = ('.tif', '.tiff')

#: CRS for patches of several zones: metres, and every place once.
_WORLD = 'EPSG:6933'


def read_labels(path: str, key: str | None) -> 'tuple[NDArray[Any], dict[str, Any]]':
    """Read a label map.

    Args:
        path: GeoTIFF or another raster of one band, ``.npy``, ``.mat`` or HDF5.
        key: Name of the array in ``.mat`` and HDF5 files.

    Returns:
        The map, and the georeference for a copy of it.

    Raises:
        MetadataError: If *key* is missing, or the raster has several bands.
    """
    import numpy as np

    from ..datasets.labelled_scenes import read_label_map
    from ..io.open import has_named_arrays

    if key is None and has_named_arrays(path):
        raise MetadataError(
            f'{path} holds several arrays. Name the label map by --label-key.'
        )
    found = read_label_map(path, key=key, ignore=None)
    place = {'crs': found.crs, 'transform': found.transform}
    codes = np.where(found.known, found.codes.astype(np.float64), np.nan)
    return codes, {name: v for name, v in place.items() if v is not None}


def write_split(path: str, split: 'PixelSplit', place: dict[str, Any]) -> None:
    """Write the splits of pixels as a GeoTIFF: 0 for none, then 1, 2 ...

    Args:
        path: The file.
        split: The splits.
        place: Georeference, if there is one.

    Raises:
        OutputError: If it cannot be written.
    """
    import numpy as np
    import rasterio
    from matplotlib.colors import to_rgb

    from ..datasets.splits._figure import split_colors

    codes = (split.codes + 1).astype(np.uint8)
    colors = {
        k + 1: tuple(round(255 * part) for part in to_rgb(color))
        for k, color in enumerate(split_colors(split.names))
    }

    from ..io._gdal import unplaced
    from ..io._whole import write_whole

    def write(scratch: Path) -> None:
        profile = {
            'driver': 'GTiff',
            'height': codes.shape[0],
            'width': codes.shape[1],
            'count': 1,
            'dtype': 'uint8',
            'nodata': 0,
            'compress': 'deflate',
            **place,
        }
        with unplaced(), rasterio.open(scratch, 'w', **profile) as dst:
            dst.write(codes, 1)
            dst.write_colormap(1, colors)
            dst.update_tags(
                splits=','.join(split.names),
                window=split.window,
                guard=split.guard,
                method=split.method,
            )

    write_whole(path, write)


def read_split(path: str) -> 'tuple[dict[str, NDArray[np.bool_]], int | None]':
    """Read the splits of pixels.

    Args:
        path: What :func:`write_split` wrote, or another raster of codes 1, 2 ...

    Returns:
        Mask of each split, and the window if the file says it.

    Raises:
        CorruptFileError: If it is no such raster.
    """
    import numpy as np
    import rasterio

    from ..io._gdal import unplaced

    codes, _ = read_labels(path, None)
    names: list[str] = []
    window = None
    if path.lower().endswith(_TIFF):
        with unplaced(), rasterio.open(path) as src:
            names = [name for name in src.tags().get('splits', '').split(',') if name]
            window = src.tags().get('window')
    number = 0 if np.isnan(codes).all() else int(np.nanmax(codes))
    names = names or ['train', 'val', 'test'][: max(number, 2)]
    if number == 2 and len(names) == 2 and 'val' in names:
        names = ['train', 'test']
    if not 2 <= number <= len(names):
        raise CorruptFileError(
            f'Expected codes 1, 2 ... for {", ".join(names)} in {path}, got codes up to '
            f'{number}.'
        )
    masks = {name: codes == k + 1 for k, name in enumerate(names)}
    return masks, None if window is None else int(window)


def find_patches(folder: str) -> list[str]:
    """List the patches of a folder.

    Args:
        folder: The folder.

    Returns:
        Names of GeoTIFFs relative to the folder, sorted.

    Raises:
        EmptyDataError: If there are none.
    """
    root = Path(folder)
    found = sorted(
        file.relative_to(root).as_posix()
        for file in root.rglob('*')
        if file.suffix.lower() in _TIFF
    )
    if not found:
        raise EmptyDataError(f'{folder} holds no GeoTIFF, at any depth.')
    return found


def read_boxes(folder: str, names: Sequence[str]) -> 'NDArray[np.float64]':
    """Read where patches lie.

    Args:
        folder: The folder.
        names: Their names in it.

    Returns:
        Boxes in the CRS of the patches, or in EPSG:6933 if they have several.

    Raises:
        MetadataError: If a patch has no georeference.
        CorruptFileError: If a file is damaged.
    """
    import numpy as np
    from rasterio.warp import transform_bounds

    from ..io.geotiff import open_raster

    boxes, systems = [], []
    for name in names:
        with open_raster(os.path.join(folder, name), complete=False) as src:
            if src.crs is None:
                raise MetadataError(
                    f'{name} has no georeference, so its place is not known.'
                )
            boxes.append(tuple(src.bounds))
            systems.append(src.crs)
    if len(set(systems)) > 1:
        boxes = [
            transform_bounds(crs, _WORLD, *box)
            for crs, box in zip(systems, boxes, strict=True)
        ]
        click.echo(
            f'Patches have several CRSs; sizes are in metres of {_WORLD}.', err=True
        )
    return np.array(boxes, dtype=np.float64)


def count_labels(
    folder: str, names: Sequence[str], ignore: int | None
) -> 'tuple[NDArray[np.int64], list[int]]':
    """Count the classes of patches.

    Args:
        folder: Folder of label maps, with the names of the patches.
        names: The names.
        ignore: Code of pixels without a label.

    Returns:
        Pixels of each class in each patch, and the codes of the classes.

    Raises:
        EmptyDataError: If there is no label.
    """
    import numpy as np

    tables = []
    for name in names:
        codes, _ = read_labels(os.path.join(folder, name), None)
        known = codes[~np.isnan(codes)].astype(np.int64)
        tables.append(np.unique(known[known != ignore], return_counts=True))
    every = sorted({int(code) for codes, _ in tables for code in codes})
    if not every:
        raise EmptyDataError(f'No pixel in {folder} has a label other than {ignore}.')
    counts = np.zeros((len(names), len(every)), dtype=np.int64)
    for row, (codes, numbers) in zip(counts, tables, strict=True):
        row[np.searchsorted(every, codes)] = numbers
    return counts, every


def show_report(
    report: 'LeakReport', out: str | None, figure: str | None, as_json: bool
) -> None:
    """Print a report, and write it where asked to.

    Args:
        report: The report.
        out: JSON file.
        figure: Picture.
        as_json: Whether to print JSON.
    """
    from ..io._whole import write_whole

    if out is not None:
        write_whole(out, report.to_json)
    if figure is not None:
        from matplotlib import pyplot as plt

        suffix = Path(figure).suffix.lstrip('.') or 'png'
        drawn = report.plot()
        write_whole(figure, lambda path: drawn.savefig(path, dpi=150, format=suffix))
        plt.close(drawn)
    if as_json or not is_quiet():
        click.echo(report.to_json().rstrip() if as_json else str(report))
