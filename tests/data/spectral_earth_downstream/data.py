# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make small data sets in the layouts of SpectralEarth's downstream sets.

Run as a script to look at them:
``python tests/data/spectral_earth_downstream/data.py FOLDER``.
"""

import csv
import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

ROOT = Path(__file__).parents[3]
TABLES = ROOT / 'torchgeo_hsi' / 'datasets' / 'spectral_earth' / 'classes'

BANDS = {'enmap': 202, 'desis': 235, 'eo1': 198}
#: Class table and data type of the label rasters of each data set.
SETS = {
    'enmap_cdl': ('cdl', 'uint8'),
    'enmap_nlcd': ('nlcd', 'uint8'),
    'enmap_corine': ('corine_43', 'uint16'),
    'enmap_eurocrops': ('eurocrops', 'uint32'),
    'enmap_bdforet': ('bdforet', 'uint8'),
    'enmap_treemap': ('treemap', 'uint16'),
    'enmap_bnetd': ('bnetd', 'uint8'),
    'desis_cdl': ('desis_cdl', 'uint8'),
    'eo1_cdl': ('eo1_cdl', 'uint8'),
}
NODATA = -32768
#: Rows and columns without data in the first patch.
HOLE = (slice(0, 2), slice(1, 4))
#: A code that no data set has as a class.
UNLISTED = 199


def codes_of(table: str) -> list[int]:
    """Read the codes of a class table, in the order of the classes."""
    with (TABLES / f'{table}.csv').open(encoding='utf-8') as file:
        rows = csv.DictReader(line for line in file if not line.startswith('#'))
        return [int(code) for row in rows for code in row['code'].split()]


def full_name(product: str) -> str:
    """Name a data set: ``cdl`` is ``enmap_cdl``."""
    return product if product in (*SETS, 'hyperview') else f'enmap_{product}'


def write_downstream(
    root: Path,
    product: str,
    *,
    size: int = 16,
    sizes: tuple[int, ...] = (8, 4, 4),
    scenes: int = 6,
    dtype: str | None = None,
    nodata: int | None = None,
    layout: str = 'official',
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Write a data set with its splits; dataset classes find it with ``root``.

    Args:
        root: Folder to write to.
        product: Data set, e.g. ``'cdl'``, ``'desis_cdl'``, ``'hyperview'``.
        size: Rows and columns of a patch.
        sizes: Number of patches for training, validation and test.
        scenes: Scenes that the patches come from; the splits share them.
        dtype: Data type of the label rasters.
        nodata: Tag of the images; the first patch has a hole with or without it.
        layout: ``'official'``: ``<root>/<name>/...``; ``'shared'``: several data sets
            side by side in *root*.
        seed: Seed.

    Returns:
        Codes of each patch, by its name.
    """
    name = full_name(product)
    if name == 'hyperview':
        return write_hyperview(root, sizes=sizes[:2], seed=seed)
    sensor, short = name.split('_')
    table, own_dtype = SETS[name]
    folder = Path(root) / name if layout == 'official' else Path(root)
    rng = np.random.default_rng(seed)
    codes = [0, UNLISTED, *codes_of(table)]
    files = [f'{i + 1:07d}/{i % scenes + 1:05d}.tif' for i in range(sum(sizes))]
    truth = {}
    for number, file in enumerate(files):
        # four by four fields, so that there is something to learn
        field = rng.integers(0, len(codes), (4, 4))
        classes = np.kron(field, np.ones((-(-size // 4),) * 2, int))[:size, :size]
        image = cube(classes, BANDS[sensor], rng)
        if number == 0:
            image[:, *HOLE] = NODATA
        truth[file] = np.array(codes, dtype=dtype or own_dtype)[classes]
        write_tiff(folder / sensor / file, image, number, nodata)
        write_tiff(folder / short / file, truth[file][None], number, None)
    listed = rng.permutation(files).tolist()
    key = name if layout == 'official' else short
    write_splits(folder / 'splits' / key, listed, sizes, newline=short != 'nlcd')
    return truth


def cube(classes: np.ndarray, bands: int, rng: np.random.Generator) -> np.ndarray:
    """Make an image in which each class has its own spectrum."""
    x = np.linspace(0, 1, bands)[:, None, None]
    shape = 1500 + 80 * classes + 700 * np.sin(2 * np.pi * x * (1 + classes % 5))
    noisy: np.ndarray = (shape + rng.normal(0, 40, shape.shape)).astype(np.int16)
    return noisy


def write_tiff(path: Path, array: np.ndarray, number: int, nodata: int | None) -> None:
    """Write a pixel-interleaved GeoTIFF without compression."""
    path.parent.mkdir(parents=True, exist_ok=True)
    left = 300000 + 30 * array.shape[2] * number
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=array.shape[0],
        height=array.shape[1],
        width=array.shape[2],
        dtype=array.dtype,
        crs='EPSG:32613',
        transform=Affine(30, 0, left, 0, -30, 4500000),
        nodata=nodata,
        interleave='pixel',
    ) as dst:
        dst.write(array)


def write_splits(
    folder: Path, files: list[str], sizes: tuple[int, ...], newline: bool = True
) -> None:
    """Write the lists of the splits; those of NLCD have no newline at their end."""
    folder.mkdir(parents=True, exist_ok=True)
    start = 0
    for split, count in zip(('train', 'val', 'test'), sizes, strict=True):
        text = '\n'.join(files[start : start + count]) + '\n' * newline
        (folder / f'{split}.txt').write_text(text, encoding='utf-8')
        start += count


#: Columns of the tables of HYPERVIEW.
COLUMNS = [
    'sample_index',
    'company',
    'field',
    'cover',
    'sampling',
    'lab_method',
    'date',
    'year',
    'P',
    'K',
    'Mg',
    'pH',
    'P_class',
    'K_class',
    'Mg_class',
    'pH_class',
    'P2O5',
    'K2O',
    'MgO',
]


def write_hyperview(
    root: Path,
    *,
    sizes: tuple[int, ...] = (8, 4),
    fields: int = 4,
    images: str = 'images',
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Write a data set in the layout of HYPERVIEW.

    Args:
        root: Folder to write to.
        sizes: Number of patches for training and validation.
        fields: Fields that the patches come from; the splits share them.
        images: Folder of the images.
        seed: Seed.

    Returns:
        P, K, Mg and pH of each patch, by its name.
    """
    folder = Path(root) / 'hyperview'
    (folder / images).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    truth, rows = {}, []
    for number in range(sum(sizes)):
        height, width = rng.integers(9, 20, 2).tolist()
        targets = rng.normal(0, 1, 4).round(6)
        data = cube(np.zeros((height, width), int), 150, rng)
        data += (200 * targets[0]).astype(np.int16)
        mask = np.zeros(data.shape, dtype=bool)
        mask[:, :2] = True
        np.savez(folder / images / f'{number}.npz', data=data, mask=mask)
        values = dict.fromkeys(COLUMNS, '')
        values |= {'sample_index': str(number), 'date': '2020-08-01T00:00:00'}
        values |= {'company': 'AB'[number % 2], 'field': str(number % fields)}
        named = zip(('P', 'K', 'Mg', 'pH'), targets.tolist(), strict=True)
        values |= {name: repr(value) for name, value in named}
        truth[f'{number}.npz'] = targets
        rows.append(values)
    order = rng.permutation(len(rows)).tolist()
    splits = folder / 'splits' / 'hyperview'
    splits.mkdir(parents=True, exist_ok=True)
    start = 0
    for split, count in zip(('train', 'val'), sizes, strict=True):
        with (splits / f'{split}.csv').open('w', encoding='utf-8', newline='') as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows[i] for i in order[start : start + count])
        start += count
    return truth


if __name__ == '__main__':
    for known in (*SETS, 'hyperview'):
        write_downstream(Path(sys.argv[1]), known)
