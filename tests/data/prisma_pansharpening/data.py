# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Write small pairs with the layout of the HS-pansharpening toolbox.

Files of MATLAB version 5, channel-last uint16 ``I_MS_LR``, ``I_MS``, ``I_PAN`` and, at
reduced resolution, ``I_GT``; ``wavelengths`` in nanometres of shape ``(1, C)``, which
fall once where the detectors meet; and ``overlap``.

Run it to write files for a look: ``python tests/data/prisma_pansharpening/data.py DIR``.
"""

import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io

RATIO = 6
BANDS = 12
SPLITS = ('Training', 'Validation', 'Test')
RESOLUTIONS = ('Full_Resolution', 'Reduced_Resolution')


def wavelengths(count: int = BANDS) -> np.ndarray:
    """Return centers in nanometres; the second half starts below the end of the first."""
    half = count // 2
    parts = (np.linspace(466, 982, half), np.linspace(966, 2293, count - half))
    return np.concatenate(parts).astype(np.float32)[None]


def make_arrays(
    seed: int = 0,
    height: int = 8,
    width: int = 10,
    reduced: bool = True,
    bands: int = BANDS,
) -> dict[str, Any]:
    """Make the arrays of a file."""
    rng = np.random.default_rng(seed)
    rows, columns = RATIO * height, RATIO * width

    def draw(*shape: int) -> np.ndarray:
        return rng.integers(500, 20000, shape).astype(np.uint16)

    arrays: dict[str, Any] = {
        'I_MS_LR': draw(height, width, bands),
        'I_MS': draw(rows, columns, bands),
        'I_PAN': draw(rows, columns),
        'wavelengths': wavelengths(bands),
        'overlap': 3,
    }
    if reduced:
        arrays['I_GT'] = draw(rows, columns, bands)
    return arrays


def write_73(path: Path, arrays: dict[str, Any]) -> None:
    """Write a file of MATLAB version 7.3, whose axes are the other way round."""
    with h5py.File(path, 'w', userblock_size=512) as file:
        for key, values in arrays.items():
            file[key] = np.asarray(values).T
    with path.open('r+b') as stream:
        stream.write(b'MATLAB 7.3 MAT-file')


def make_root(root: Path, count: int = 2, **options: Any) -> dict[Path, dict[str, Any]]:
    """Write all folders of the toolbox.

    Args:
        root: Where to write them.
        count: Files in each folder.
        **options: Options of :func:`make_arrays`.

    Returns:
        The arrays of each file.
    """
    written = {}
    for number, split in enumerate(SPLITS):
        for resolution in RESOLUTIONS:
            folder = root / split / resolution
            folder.mkdir(parents=True)
            reduced = resolution == 'Reduced_Resolution'
            for k in range(count):
                arrays = make_arrays(10 * number + k, reduced=reduced, **options)
                path = folder / f'PRS_{k}_{"RR" if reduced else "FR"}.mat'
                scipy.io.savemat(path, arrays)
                written[path] = arrays
    return written


if __name__ == '__main__':
    make_root(Path(sys.argv[1]))
