# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make small pretraining trees of SpectralEarth, and larger ones for benchmarks.

Independent of the package: numpy and rasterio only. Run as a script to look at one:
``python tests/data/spectral_earth/data.py FOLDER``; with a number of locations behind,
it makes that many from hard links.
"""

import os
import shutil
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.transform import Affine

BANDS = 202
NODATA = -32768
SIZE = 16
#: Rows and columns without data in the first file of a tree.
HOLE = (slice(0, 2), slice(1, 4))
#: A pixel of that file where a single band has no data.
SPECK = (100, 9, 9)

#: Scenes of each location: five have one date, two have several, one is a gap.
TREE = {
    '0000003': ['00012'],
    '0000007': ['00001', '00005'],
    '0000012': ['11869'],
    '0420708': ['00100', '00200', '11635'],
    '0420709': ['00002'],
}

#: How GeoTIFFs may be laid out; the official ones are believed to be ``'pixel'``.
LAYOUTS: dict[str, dict[str, Any]] = {
    'pixel': {'interleave': 'pixel'},
    'band': {'interleave': 'band'},
    'tiled': {'interleave': 'pixel', 'tiled': True, 'blockxsize': 16, 'blockysize': 16},
    'deflate': {'interleave': 'band', 'compress': 'deflate', 'predictor': 2},
    'zstd': {'interleave': 'pixel', 'compress': 'zstd', 'predictor': 2},
    'bigtiff': {'interleave': 'pixel', 'BIGTIFF': 'YES'},
}


def make_cube(seed: int, size: int = SIZE, bands: int = BANDS) -> np.ndarray:
    """Make numbers that differ in every band and pixel.

    Args:
        seed: Seed.
        size: Rows and columns.
        bands: Bands.

    Returns:
        Array int16 of shape ``(bands, size, size)``.
    """
    rng = np.random.default_rng(seed)
    slope = np.linspace(500, 3000, bands)[:, None, None]
    noisy: np.ndarray = (slope + rng.normal(0, 200, (bands, size, size))).astype('i2')
    return noisy


def write_patch(
    path: Path,
    cube: np.ndarray,
    layout: str = 'pixel',
    nodata: int | None = None,
    place: bool = True,
    column: int = 0,
) -> None:
    """Write one file.

    Args:
        path: The file.
        cube: Numbers of shape ``(C, H, W)``.
        layout: One of ``LAYOUTS``.
        nodata: Tag of the file.
        place: Whether the file has a georeference.
        column: Pixels by which it lies further to the east.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    geo = {
        'crs': 'EPSG:32633',
        'transform': Affine(30, 0, 300000 + 30 * column, 0, -30, 5800000),
    }
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=cube.shape[0],
        height=cube.shape[1],
        width=cube.shape[2],
        dtype=cube.dtype,
        nodata=nodata,
        **(geo if place else {}),
        **LAYOUTS[layout],
    ) as dst:
        dst.write(cube)


def write_tree(
    root: Path,
    *,
    where: str = 'enmap',
    layout: str = 'pixel',
    size: int = SIZE,
    nodata: int | None = NODATA,
    tree: dict[str, list[str]] = TREE,
    stray: bool = False,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Write a tree.

    Args:
        root: Folder to write to.
        where: ``'enmap'``, ``''`` for *root* itself, ``'parts'`` for two folders of
            extracted parts with ``enmap`` in them, or ``'bare parts'`` without. The last
            location but one is spread over both parts.
        layout: One of ``LAYOUTS``, or ``'all'`` to take them in turn.
        size: Rows and columns.
        nodata: Tag of the files; holes are there in any case.
        tree: Scenes of each location.
        stray: Whether to add what is no patch: notes, hidden files, an empty location.
        seed: Seed.

    Returns:
        The numbers of each file, by ``<location>/<scene>.tif``.
    """
    truth = {}
    turn = [layout] if layout != 'all' else list(LAYOUTS)
    names = [(spot, scene) for spot, scenes in tree.items() for scene in scenes]
    for number, (spot, scene) in enumerate(names):
        cube = make_cube(seed + number, size)
        if number == 0:
            cube[:, *HOLE] = NODATA
            if size > SPECK[1]:
                cube[SPECK] = NODATA
        if 'parts' in where:
            part = 1 + (number >= len(names) // 2)
            base = f'spectral_earth_part_{part}' + '/enmap' * (where == 'parts')
        else:
            base = where
        file = f'{spot}/{scene}.tif'
        write_patch(
            root / base / file, cube, turn[number % len(turn)], nodata, column=number
        )
        truth[file] = cube
    if stray:
        _add_stray_files(root / base.replace('part_2', 'part_1'))
    return truth


def _add_stray_files(folder: Path) -> None:
    """Add what downloads and people leave behind."""
    spot = folder / next(iter(TREE))
    (spot / '._00012.tif').write_bytes(b'left by another system')
    (spot / '.00013.tif.part').write_bytes(b'unfinished')
    (spot / 'notes.txt').write_text('not a patch', encoding='utf-8')
    (spot / '00012.tif.aux').write_text('<x/>', encoding='utf-8')
    (folder / '0000009').mkdir()
    (folder / 'readme').mkdir()
    (folder / 'readme' / '00001.tif').write_bytes(b'not in a location')
    (folder / '0000001.tif').write_bytes(b'a file, not a location')


def damage(path: Path, how: str) -> None:
    """Damage a file.

    Args:
        path: The file.
        how: ``'empty'``, ``'truncated'``, ``'garbage'``, ``'bands'`` (other bands),
            ``'size'`` (other rows and columns), ``'gone'``.
    """
    if how == 'gone':
        path.unlink()
    elif how == 'empty':
        path.write_bytes(b'')
    elif how == 'truncated':
        os.truncate(path, path.stat().st_size // 2)
    elif how == 'garbage':
        path.write_bytes(b'<html>Please log in</html>' * 1000)
    elif how == 'bands':
        write_patch(path, make_cube(0, bands=5))
    elif how == 'size':
        write_patch(path, make_cube(0, size=SIZE + 4))


def write_large_tree(
    root: Path,
    locations: int,
    *,
    size: int = SIZE,
    sources: int = 16,
    multi: float = 0.175,
    seed: int = 0,
) -> int:
    """Write a tree with as many files as wanted, of hard links to a few real ones.

    Args:
        root: Folder to write to.
        locations: Number of locations.
        size: Rows and columns.
        sources: Number of different files.
        multi: Share of locations with several dates.
        seed: Seed.

    Returns:
        Number of files.
    """
    rng = np.random.default_rng(seed)
    hidden = root / '.sources'
    for i in range(sources):
        write_patch(hidden / f'{i}.tif', make_cube(i, size), nodata=NODATA)
    files = [[hidden / f'{i}.tif', 1] for i in range(sources)]
    dates = np.where(rng.random(locations) < multi, rng.integers(2, 4, locations), 1)
    count = 0
    for number, several in enumerate(dates.tolist()):
        folder = root / 'enmap' / f'{number:07d}'
        folder.mkdir(parents=True)
        for scene in sorted(rng.choice(11636, several, replace=False).tolist()):
            source = files[count % sources]
            if source[1] >= 30_000:
                # file systems limit the links to one file
                fresh = hidden / f'{count}.tif'
                shutil.copyfile(source[0], fresh)
                source[:] = [fresh, 1]
            os.link(source[0], folder / f'{scene:05d}.tif')
            source[1] += 1
            count += 1
    return count


def write_archive(
    path: Path, folder: Path, prefix: str = '', extra: Sequence[tarfile.TarInfo] = ()
) -> None:
    """Pack a folder as the server does.

    Args:
        path: Archive, ``.tar.gz``.
        folder: What to pack.
        prefix: Folder to put in front of all names.
        extra: Further members without content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, 'w:gz', compresslevel=1) as tar:
        for file in sorted(folder.rglob('*')):
            name = file.relative_to(folder).as_posix()
            tar.add(file, prefix + name, recursive=False)
        for member in extra:
            tar.addfile(member)


if __name__ == '__main__':
    if len(sys.argv) > 2:
        write_large_tree(Path(sys.argv[1]), int(sys.argv[2]))
    else:
        write_tree(Path(sys.argv[1]), layout='all', stray=True)
