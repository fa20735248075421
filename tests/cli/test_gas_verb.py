# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of ``torchgeo-hsi gas``."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from cli.sharpening import call
from workflows.gas_scenes import CENTERS, SUN, write_plume

LIGHT = ('--sun-zenith', str(SUN), '--clusters', '2')


def test_map_with_figure(tmp_path: Path) -> None:
    scene, out = write_plume(tmp_path), tmp_path / 'gas.tif'
    code, text, err = call('gas', scene, out, *LIGHT, '--figure', tmp_path / 'gas.png')
    assert code == 0, err
    assert 'sun zenith      40.0 degrees' in text
    assert 'pixels above' in text
    assert f'Map written: {out} (' in text
    assert '%' not in err
    with rasterio.open(out) as src:
        assert src.count == 2
        assert 'trimmed' in src.tags()['method']
    assert (tmp_path / 'gas.png').stat().st_size > 10_000
    code, _, err = call('gas', scene, out, *LIGHT)
    assert code == 1
    assert '--overwrite' in err
    code, text, err = call('gas', scene, out, *LIGHT, '--overwrite', '--json')
    assert code == 0, err
    assert json.loads(text)['above']['5'] > 20


def test_options_reach_the_filter(tmp_path: Path) -> None:
    scene, out = write_plume(tmp_path, 'carbon_dioxide'), tmp_path / 'gas.tif'
    words = [
        '--gas',
        'carbon_dioxide',
        '--background',
        'plain',
        '--wavelengths',
        '1.6-1.7',
    ]
    words += [
        '--wavelengths',
        '2.0-2.2',
        '--quality',
        'none',
        '--columns',
        '30',
        '--json',
    ]
    words += ['--threshold', '4', '--darkest', '0']
    words += ['--no-albedo', '--shrinkage', '0.1', '--passes', '1', '--seed', '2']
    code, text, err = call('gas', scene, out, *LIGHT[:2], *words)
    assert code == 0, err
    report = json.loads(text)
    assert report['windows'] == [[1.6, 1.7], [2.0, 2.2]]
    assert report['background'] == 'plain'
    assert report['gas'] == 'carbon_dioxide'
    with rasterio.open(out) as src:
        assert 'plain' in src.tags()['method']


def test_wavelengths_of_the_user(tmp_path: Path) -> None:
    scene, out = write_plume(tmp_path, bands=None), tmp_path / 'gas.tif'
    code, _, err = call('gas', scene, out, *LIGHT)
    assert code == 1
    assert 'no wavelengths' in err
    words = {'wavelength': 1000 * CENTERS, 'fwhm': np.full(len(CENTERS), 10.0)}
    options = [f'--open={k}={json.dumps(v.tolist())}' for k, v in words.items()]
    code, _, err = call(
        'gas', scene, out, *LIGHT, *options, '--open', 'wavelength_unit=nm'
    )
    assert code == 0, err


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ('--gas methan', 'Did you mean methane?'),
        ('--background best', "'best' is not one of"),
        ('--wavelengths 2.1', 'such as 2.1-2.45'),
        ('--wavelengths 2100-2450', 'Divide nanometres'),
        ('--sun-zenith 80', '80'),
        ('--quality fog', 'fog'),
        ('--columns 5', 'got both'),
        ('--passes 3 --background plain', 'needs one pass'),
        ('--figure gas.doc', 'suffixes'),
        ('--device abacus', 'cannot be used'),
        ('--open nonsense=1', 'nonsense'),
        ('--compress rar', 'rar'),
    ],
)
def test_what_cannot_be(tmp_path: Path, words: str, expected: str) -> None:
    scene = write_plume(tmp_path)
    code, _, err = call('gas', scene, tmp_path / 'gas.tif', *LIGHT, *words.split())
    assert code != 0
    assert expected in ' '.join(err.split())
    assert 'Traceback' not in err
    assert {path.name for path in tmp_path.iterdir()} == {'scene.tif'}


def test_sun_has_to_be_known(tmp_path: Path) -> None:
    scene = write_plume(tmp_path)
    code, _, err = call('gas', scene, tmp_path / 'gas.tif')
    assert code == 1
    assert 'Pass --sun-zenith in degrees' in ' '.join(err.split())


def test_files_do_not_replace_each_other(tmp_path: Path) -> None:
    scene = write_plume(tmp_path)
    for words in ([scene, scene], [scene, tmp_path / 'a.tif', '--figure', scene]):
        code, _, err = call('gas', *words, *LIGHT, '--overwrite')
        assert code == 1
        assert 'Choose another name' in err
