# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of ``torchgeo-hsi restore pansharpen``."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from cli.sharpening import CENTERS, RATIO, SIZE, call, write_pair

from torchgeo_hsi.io import open_cube
from torchgeo_hsi.models import GSA


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write_pair(tmp_path)


def pansharpen(*words: str | Path) -> tuple[int, str, str]:
    return call('restore', 'pansharpen', *words)


def test_cube_is_sharpened(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / 'sharp.tif'
    code, text, err = pansharpen(*files, out, '--method', 'gsa', '--tile-size', '10')
    assert code == 0, err
    assert 'Sharpened with gsa' in text
    assert '%' not in err
    tensors = []
    for path in files:
        with rasterio.open(path) as src:
            tensors.append(torch.from_numpy(src.read()).float()[None])
    expected = GSA()(tensors[1], tensors[0])[0].numpy()
    with open_cube(out) as reader:
        found, valid = reader.read()
        assert reader.info.shape == (5, RATIO * SIZE, RATIO * SIZE)
        assert reader.info.bands is not None
        np.testing.assert_allclose(reader.info.bands.wavelength, CENTERS)
    assert valid.all()
    np.testing.assert_allclose(found, expected, atol=1.5)


def test_json_and_overwrite(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / 'sharp.tif'
    words = [*files, out, '--json', '--shift', '0,3']
    code, text, err = pansharpen(*words)
    assert code == 0, err
    report = json.loads(text)
    assert report['method'] == 'mtf_glp_fs'
    assert report['shift'] == [0.0, 3.0]
    code, _, err = pansharpen(*words)
    assert code != 0
    assert '--overwrite' in err
    code, _, err = pansharpen(*words, '--overwrite')
    assert code == 0, err


def test_shift_is_undone(files: tuple[Path, Path], tmp_path: Path) -> None:
    pan, cube = files
    with rasterio.open(pan) as src:
        values, profile = src.read(), src.profile
    # the image of the PAN lies two pixels further down and one to the right
    moved = np.roll(values, (2, 1), (1, 2))
    with rasterio.open(tmp_path / 'moved.tif', 'w', **profile) as dst:
        dst.write(moved)
    results = []
    for number, (name, words) in enumerate(
        ((pan, []), (tmp_path / 'moved.tif', ['--shift', '2,1']))
    ):
        out = tmp_path / f'{number}.tif'
        code, _, err = pansharpen(name, cube, out, *words)
        assert code == 0, err
        with rasterio.open(out) as src:
            results.append(src.read()[:, 6:-9, 6:-9].astype(float))
    assert np.abs(results[0] - results[1]).mean() < 25
    code, text, err = pansharpen(
        tmp_path / 'moved.tif', cube, tmp_path / 'est.tif', '--shift', 'estimate'
    )
    assert code == 0, err
    assert 'The PAN lies' in text
    numbers = [float(word) for word in text.split() if _is_number(word)]
    assert numbers[:2] == pytest.approx([2, 1], abs=0.35)


def _is_number(word: str) -> bool:
    return word.replace('.', '', 1).replace('-', '', 1).isdigit()


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        (['--method', 'fasthyde'], 'no pansharpener. Choose one of'),
        (['--method', 'gsaa'], 'Did you mean gsa'),
        (['--method', 'hyperpnn', '--set', 'in_channels=5'], 'random weights'),
        (['--set', 'gian=0.2'], 'has no argument gian'),
        (['--set', 'gain=2'], 'between 0 and 1'),
        (['--ratio', '6'], 'ratio of 6'),
        (['--shift', 'left'], 'like 1.5,-2'),
        (['--open', 'nonsense=1'], 'nonsense'),
        (['--device', 'abacus'], 'cannot be used'),
    ],
)
def test_what_cannot_be(
    files: tuple[Path, Path], tmp_path: Path, words: list[str], expected: str
) -> None:
    out = tmp_path / 'sharp.tif'
    code, _, err = pansharpen(*files, out, *words)
    assert code != 0
    assert expected in ' '.join(err.split())
    assert not out.exists()


def test_own_pan_of_files_without_one(files: tuple[Path, Path], tmp_path: Path) -> None:
    code, _, err = pansharpen('-', files[1], tmp_path / 'sharp.tif')
    assert code != 0
    assert 'brings no panchromatic image' in err


def test_empty_names_are_refused(files: tuple[Path, Path], tmp_path: Path) -> None:
    code, _, err = pansharpen('', files[1], tmp_path / 'sharp.tif')
    assert code != 0
    assert 'Name a file or folder' in err
