# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A small cube and its panchromatic image, for the tests of two verbs."""

import io
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from torchgeo_hsi.io import write_cog
from torchgeo_hsi.main import main
from torchgeo_hsi.physics import BandSet

RATIO, BANDS, SIZE = 3, 5, 24
PLACE = Affine(30, 0, 500_000, 0, -30, 5_800_000)
CENTERS = [0.45, 0.55, 0.65, 0.85, 1.6]


def call(*words: str | Path) -> tuple[int, str, str]:
    """Run the command, and return its exit status and what it prints."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main([str(word) for word in words])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


def write_pair(folder: Path) -> tuple[Path, Path]:
    """Write pan.tif and cube.tif."""
    random = np.random.default_rng(0)
    rows, cols = np.mgrid[: RATIO * SIZE, : RATIO * SIZE]
    base = 1000 * (((rows // 7) + (cols // 9)) % 3) + 100 * random.random(rows.shape)
    fine = np.stack([1500 + (1 + 0.2 * band) * base for band in range(BANDS)])
    cube = fine.reshape(BANDS, SIZE, RATIO, SIZE, RATIO).mean((2, 4))
    words = {'crs': 'EPSG:32633', 'nodata': -9999}
    bands = BandSet(CENTERS, [0.02] * BANDS)
    write_cog(
        folder / 'cube.tif', cube.astype('int16'), transform=PLACE, bands=bands, **words
    )
    write_cog(
        folder / 'pan.tif',
        fine[:3].mean(0, keepdims=True).astype('float32'),
        transform=PLACE @ Affine.scale(1 / RATIO),
        **words,
    )
    return folder / 'pan.tif', folder / 'cube.tif'
