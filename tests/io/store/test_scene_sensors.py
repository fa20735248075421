# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of stored scenes of all sensors, against the readers of the originals."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from data.desis_l2a.data import make_product as make_desis
from data.emit_l2a.data import make_granule
from data.prisma_l2d.data import make_file
from rasterio.windows import Window

from torchgeo_hsi.io import open_cube
from torchgeo_hsi.io.store import write_stored_scene

MAKERS: dict[str, Callable[[Path], Path]] = {
    'DESIS': lambda folder: make_desis(folder, seed=1).image,
    'EMIT': lambda folder: make_granule(folder, size=(30, 20)).path,
    'PRISMA': lambda folder: make_file(folder, seed=1).path,
}


@pytest.mark.parametrize('sensor', MAKERS)
def test_survives(tmp_path: Path, sensor: str) -> None:
    path = MAKERS[sensor](tmp_path / 'product')
    with open_cube(path) as original:
        write_stored_scene(original, tmp_path / 's', block=8)
        with open_cube(tmp_path / 's') as stored:
            assert stored.info.sensor == original.info.sensor == sensor
            assert stored.info.crs == original.info.crs
            assert stored.info.transform == original.info.transform
            assert (stored.info.start, stored.info.stop) == (
                original.info.start,
                original.info.stop,
            )
            assert stored.info.bands is not None
            assert original.info.bands is not None
            assert stored.info.bands.names == original.info.bands.names
            for window in (None, Window(3, 2, 7, 9)):
                for found, truth in zip(
                    stored.read(window=window),
                    original.read(window=window),
                    strict=True,
                ):
                    assert np.array_equal(found, truth)
            count = stored.info.shape[0]
            some = [count - 1, 0, count // 2]
            assert stored.lacks_data(some) == original.lacks_data(some)
            assert stored.quality_layers == original.quality_layers != ()
            assert set(stored.band_layers) == set(original.band_layers)
            flagged = 0
            for name in original.quality_layers:
                for indexes in (None, some):
                    found = stored.read_quality([name], None, indexes)
                    truth = original.read_quality([name], None, indexes)
                    assert np.array_equal(found, truth), name
                    flagged += int(truth.sum())
            assert flagged
