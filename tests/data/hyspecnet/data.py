# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make a small HySpecNet-11k.

Run as a script to look at it: ``python tests/data/hyspecnet/data.py FOLDER``.
"""

import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

BANDS = 224
NODATA = -32768
#: Rows and columns without data in a band of the first patch of each split.
HOLE = (slice(1, 3), slice(0, 2))
SIZES = {'train': 6, 'val': 3, 'test': 2}


def write_hyspecnet(
    root: Path, size: int = 8, hole_band: int = 10
) -> dict[str, list[np.ndarray]]:
    """Write patches and the lists of both strategies.

    Band k (from 0) of patch n holds 20 k + n, plus the number of the column.

    Args:
        root: Folder to write to.
        size: Rows and columns of a patch.
        hole_band: Position in the file (from 0) of the band with the hole.

    Returns:
        Patches of each split, in order.
    """
    folder = Path(root) / 'hyspecnet-11k'
    truth: dict[str, list[np.ndarray]] = {split: [] for split in SIZES}
    number = 0
    for position, (split, count) in enumerate(SIZES.items()):
        lines = []
        for place in range(count):
            scene = (
                f'ENMAP01-____L2A-DT000000495{position}_20221103T162438Z_00{place // 2}'
                '_V010110_20221118T145147Z'
            )
            patch = f'{scene}-Y01460273_X0311{number:04d}'
            bands = 20 * np.arange(BANDS)[:, None, None] + number
            image = (bands + np.arange(size) + np.zeros((size, 1))).astype(np.int16)
            if place == 0:
                image[hole_band, *HOLE] = NODATA
            path = folder / 'patches' / scene / patch / f'{patch}-SPECTRAL_IMAGE.TIF'
            _write(path, image, number)
            lines.append(f'{scene}/{patch}/{patch}-DATA.npy')
            truth[split].append(image)
            number += 1
        for strategy in ('easy', 'hard'):
            table = folder / 'splits' / strategy / f'{split}.csv'
            table.parent.mkdir(parents=True, exist_ok=True)
            table.write_text('\n'.join(lines) + '\n', encoding='utf-8')
    return truth


def _write(path: Path, image: np.ndarray, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path,
        'w',
        driver='GTiff',
        count=len(image),
        height=image.shape[1],
        width=image.shape[2],
        dtype=image.dtype,
        crs='EPSG:32618',
        transform=Affine(30, 0, 300000 + 3000 * number, 0, -30, 4500000),
        nodata=NODATA,
    ) as dst:
        dst.write(image)


if __name__ == '__main__':
    write_hyspecnet(Path(sys.argv[1]))
