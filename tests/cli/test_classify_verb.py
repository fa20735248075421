# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of ``torchgeo-hsi classify``."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from cli.sharpening import call
from scipy.io import savemat
from workflows.scenes import make_scene, write_scene

FAST = ('--method', 'random_forest', '--set', 'trees=10', '--folds', '2')


def classify(*words: str | Path) -> tuple[int, str, str]:
    return call('classify', *words)


def test_map_with_report_and_figure(tmp_path: Path) -> None:
    scene, labels = write_scene(tmp_path)
    out = tmp_path / 'map.tif'
    words = ['--report', tmp_path / 'scores.json', '--figure', tmp_path / 'map.png']
    code, text, err = classify(scene, labels, out, *FAST, *words)
    assert code == 0, err
    assert 'random_forest: block split, guard of 4 px, 0% of the 5-pixel test' in text
    assert 'OA 0.9' in text or 'OA 1.0' in text
    assert 'Map written: ' in text
    assert '%' not in err
    with rasterio.open(out) as src:
        assert set(np.unique(src.read(1))) == {0, 2, 5, 9}
    with rasterio.open(tmp_path / 'map_probabilities.tif') as src:
        assert src.count == 3
    report = json.loads((tmp_path / 'scores.json').read_text())
    assert report['split'] == 'block'
    assert report['mean']['OA'] > 0.9
    assert report['output'] == str(out)
    assert (tmp_path / 'map.png').stat().st_size > 10_000
    code, _, err = classify(scene, labels, out, *FAST)
    assert code == 1
    assert '--overwrite' in err


def test_json_names_and_bands(tmp_path: Path) -> None:
    scene, labels = write_scene(tmp_path)
    out = tmp_path / 'map.tif'
    words = ['--json', '--no-probabilities', '--classes', '9,2', '--split', 'random']
    words += ['--class-names', '2=water,9=wood', '--bands', '0-6,8,2.2']
    words += ['--bad-bands', '3,5-6', '--window', '3', '--seed', '4']
    code, text, err = classify(scene, labels, out, *FAST, *words)
    assert code == 0, err
    report = json.loads(text)
    assert report['classes'] == ['wood', 'water']
    assert report['window'] == 3
    assert min(report['touching']) > 0.9
    with rasterio.open(out) as src:
        assert json.loads(src.tags(1)['class_names']) == {'9': 'wood', '2': 'water'}
    assert not (tmp_path / 'map_probabilities.tif').exists()


def test_arrays_of_a_mat_file(tmp_path: Path) -> None:
    own = make_scene()
    image = np.moveaxis(np.maximum(own.image, 0), 0, -1)
    savemat(
        tmp_path / 'both.mat', {'cube': image, 'gt': own.labels + 1, 'other': image}
    )
    words = [tmp_path / 'both.mat', tmp_path / 'both.mat', tmp_path / 'map.tif']
    keys = ['--open', 'key=cube', '--label-key', 'gt', '--ignore', '0']
    code, text, err = classify(*words, *FAST, *keys, '--bad-bands', '0')
    assert code == 0, err
    assert 'class 1' in text


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ('--method svn', "'svn' is not one of"),
        ('--set trees=ten', 'Expected a whole number for trees'),
        ('--set branches=3', 'random_forest has no argument branches. It knows'),
        ('--set window=3', 'has no argument window'),
        ('--window 4', 'odd window'),
        ('--ignore some', 'Expected a whole number or none'),
        ('--classes 2,,5', 'words between commas'),
        ('--classes 2,77', "and none 'class 77', so there is nothing to tell"),
        ('--class-names 2=a,b', 'CODE=NAME'),
        ('--class-names a,b', '3 class names'),
        ('--bands 5-2', 'no range'),
        ('--bands 40', '40'),
        ('--bad-bands 0.4', 'positions from 0'),
        ('--bad-bands 77', 'positions from 0 to 11'),
        ('--bad-bands 0-11', 'No band is left'),
        ('--column crop', '--column'),
        ('--label-key gt', 'label'),
        ('--split nowhere.tif', 'no file'),
        ('--folds 1', 'range'),
        ('--open nonsense=1', 'nonsense'),
        ('--device abacus', 'cannot be used'),
        ('--figure map.tiffany', 'suffixes'),
    ],
)
def test_what_cannot_be(tmp_path: Path, words: str, expected: str) -> None:
    scene, labels = write_scene(tmp_path)
    out = tmp_path / 'map.tif'
    before = {path.name for path in tmp_path.iterdir()}
    given = ['--method', 'random_forest', *words.split()]
    code, _, err = classify(scene, labels, out, *given)
    assert code != 0
    assert expected in ' '.join(err.split())
    assert 'Traceback' not in err
    assert {path.name for path in tmp_path.iterdir()} == before


def test_files_do_not_replace_each_other(tmp_path: Path) -> None:
    scene, labels = write_scene(tmp_path)
    for words in (
        [scene, labels, scene],
        [scene, labels, labels],
        [scene, labels, tmp_path / 'a.tif', '--report', tmp_path / 'a.tif'],
        [scene, labels, tmp_path / 'a.tif', '--figure', scene],
        [scene, labels, tmp_path / 'a.tif', '--report', 'b.png', '--figure', 'b.png'],
    ):
        code, _, err = classify(*words, '--overwrite')
        assert code == 1
        assert 'Choose another name' in err
