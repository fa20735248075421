# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Small files of the standard benchmarks, with their true names and keys.

Each has its true number of bands and classes, but only a few rows and columns, so use
the class that :func:`small` makes of the true one.

    python tests/data/labelled_scenes/data.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from scipy.io import savemat

#: Rows and columns of all of them.
SIZE = (24, 20)

#: Bands, classes, file and key of the image, file and key of the labels.
FILES = {
    'IndianPines': (
        200,
        16,
        ('Indian_pines_corrected', 'indian_pines_corrected'),
        ('Indian_pines_gt', 'indian_pines_gt'),
    ),
    'Salinas': (
        204,
        16,
        ('Salinas_corrected', 'salinas_corrected'),
        ('Salinas_gt', 'salinas_gt'),
    ),
    'PaviaUniversity': (103, 9, ('PaviaU', 'paviaU'), ('PaviaU_gt', 'paviaU_gt')),
    'KSC': (176, 13, ('KSC', 'KSC'), ('KSC_gt', 'KSC_gt')),
    'Botswana': (145, 14, ('Botswana', 'Botswana'), ('Botswana_gt', 'Botswana_gt')),
    'Houston2013': (144, 15, ('HSI', 'HSI'), ('gt', 'gt')),
    'WHUHiLongKou': (
        270,
        9,
        ('WHU_Hi_LongKou', 'WHU_Hi_LongKou'),
        ('WHU_Hi_LongKou_gt', 'WHU_Hi_LongKou_gt'),
    ),
    'WHUHiHanChuan': (
        274,
        16,
        ('WHU_Hi_HanChuan', 'WHU_Hi_HanChuan'),
        ('WHU_Hi_HanChuan_gt', 'WHU_Hi_HanChuan_gt'),
    ),
    'WHUHiHongHu': (
        270,
        22,
        ('WHU_Hi_HongHu', 'WHU_Hi_HongHu'),
        ('WHU_Hi_HongHu_gt', 'WHU_Hi_HongHu_gt'),
    ),
}

#: Files and keys of official splits.
OFFICIAL = {
    'Houston2013': (('TRLabel', 'TRLabel'), ('TSLabel', 'TSLabel')),
    'WHUHiHongHu': (('Train100', 'HHCYtrain100'), ('Test100', 'HHCYtest100')),
}


def write_benchmark(
    folder: Path, name: str, official: bool = True, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Write the files of a benchmark.

    Args:
        folder: Folder to write into.
        name: Name of the class.
        official: Whether to write the official split, if there is one.
        seed: Seed of the numbers.

    Returns:
        Image of shape ``(H, W, C)``, and codes of shape ``(H, W)``.
    """
    bands, classes, (image_file, image_key), (label_file, label_key) = FILES[name]
    rng = np.random.default_rng(seed)
    # blocks of a class, each with a spectrum of its own, and gaps without labels
    rows, columns = np.indices(SIZE)
    codes = (rows // 4 * 5 + columns // 4) % (classes + 1)
    base = rng.integers(500, 3000, (classes + 1, bands))
    image = (base[codes] + rng.normal(0, 40, (*SIZE, bands))).round().astype(np.int16)
    codes = codes.astype(np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    savemat(folder / f'{image_file}.mat', {image_key: image}, do_compression=True)
    savemat(folder / f'{label_file}.mat', {label_key: codes})
    if official and name in OFFICIAL:
        upper = columns % 4 < 2
        for (file, key), side in zip(OFFICIAL[name], (upper, ~upper), strict=True):
            savemat(folder / f'{file}.mat', {key: np.where(side, codes, 0)})
    return image, codes


def small[T](scene: type[T]) -> type[T]:
    """Make the class of a benchmark take the small files.

    Args:
        scene: The class.

    Returns:
        A class with the same bands and classes, but fewer rows and columns.
    """
    bands = scene.shape[0]  # type: ignore[attr-defined]
    fields = {'shape': (bands, *SIZE), 'check_pixels': False}
    return type(scene.__name__, (scene,), fields)


if __name__ == '__main__':
    for scene_name in FILES:
        write_benchmark(Path(sys.argv[1]) / scene_name, scene_name)
