# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from torchgeo_hsi.cli.simulate import simulate
from torchgeo_hsi.io import open_cube


def run(root: Path, *words: str) -> None:
    result = CliRunner().invoke(simulate, [str(root), *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert str(root) in result.output


def test_product_can_be_read(tmp_path: Path) -> None:
    run(tmp_path / 'a', '--size', '64', '--seed', '3', '--cloud-cover', '0')
    run(tmp_path / 'b', '--size', '64', '--seed', '3', '--cloud-cover', '0')
    run(tmp_path / 'c', '--size', '64', '--seed', '4', '--cloud-cover', '0')
    cubes = []
    for name in 'abc':
        with open_cube(tmp_path / name) as reader:
            assert reader.info.sensor == 'EnMAP'
            assert reader.info.shape == (224, 64, 64)
            cubes.append(reader.read([10, 60, 180])[0])
    np.testing.assert_array_equal(cubes[0], cubes[1])
    assert not np.array_equal(cubes[0], cubes[2])


@pytest.mark.parametrize(
    ('words', 'reason'),
    [
        (['--cloud-cover', '2'], 'cloud-cover'),
        (['--size', '0'], 'size'),
        (['--seed', '-1'], 'seed'),
    ],
)
def test_bad_options(tmp_path: Path, words: list[str], reason: str) -> None:
    result = CliRunner().invoke(simulate, [str(tmp_path / 'x'), *words])
    assert result.exit_code == 2
    assert reason in result.output
    assert not (tmp_path / 'x').exists()
