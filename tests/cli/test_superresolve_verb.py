# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tests of ``torchgeo-hsi restore superresolve``."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from cli.sharpening import CENTERS, PLACE, SIZE, call, write_pair
from torch import nn

from torchgeo_hsi.io import open_cube
from torchgeo_hsi.models import Bicubic, api, get_model, register_model
from torchgeo_hsi.physics.resampling import imresize_up
from torchgeo_hsi.plugins import get_plugin_manager


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register methods for the time of a test."""
    monkeypatch.setenv('TORCHGEO_HSI_PLUGINS', '0')
    monkeypatch.setattr(api._MODELS, '_entries', dict(api._MODELS._entries))
    get_plugin_manager.cache_clear()
    register_model(threefold)
    register_model(lambda: nn.Identity(), name='bare')
    yield
    get_plugin_manager.cache_clear()


def threefold() -> Bicubic:
    return Bicubic(3)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return write_pair(tmp_path)[1]


def superresolve(*words: str | Path) -> tuple[int, str, str]:
    return call('restore', 'superresolve', *words)


@pytest.mark.parametrize('scale', [2, 4])
def test_scene_on_a_finer_grid(scene: Path, tmp_path: Path, scale: int) -> None:
    out = tmp_path / 'fine.tif'
    words = ['--method', 'bicubic', '--tile-size', '12', '--overlap', '4']
    code, text, err = superresolve(scene, out, '--scale', str(scale), *words)
    assert code == 0, err
    assert f'Pixels made {scale} times smaller with bicubic' in text
    assert '%' not in err
    with rasterio.open(scene) as src:
        coarse = torch.from_numpy(src.read()).double()[None]
    with open_cube(out) as reader:
        found, valid = reader.read()
        assert reader.info.shape == (5, scale * SIZE, scale * SIZE)
        assert reader.info.transform == PLACE @ Affine.scale(1 / scale)
        assert reader.info.bands is not None
        np.testing.assert_allclose(reader.info.bands.wavelength, CENTERS)
    assert valid.all()
    expected = imresize_up(coarse, scale)[0].numpy()
    # rounded to whole numbers
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.51)
    with rasterio.open(out) as src:
        assert src.tags()['restoration'].startswith('method=bicubic, source=cube.tif')


def test_json_and_overwrite(scene: Path, tmp_path: Path) -> None:
    out = tmp_path / 'fine.tif'
    words = [scene, out, '--json', '--method', 'threefold', '--scale', '3']
    code, text, err = superresolve(*words)
    assert code == 0, err
    report = json.loads(text)
    assert report['seconds'] > 0
    assert (report['output'], report['method'], report['scale']) == (
        str(out),
        'threefold',
        3,
    )
    code, _, err = superresolve(*words)
    assert code == 1
    assert '--overwrite' in err
    code, _, err = superresolve(*words, '--overwrite')
    assert code == 0, err


def test_network_with_weights(scene: Path, tmp_path: Path) -> None:
    """A network of two bands, in a subspace of a scene of five."""
    torch.manual_seed(0)
    network = get_model('essaformer', in_channels=2, dim=8, scale=2, residual=True)
    torch.save(network.state_dict(), tmp_path / 'essa.pth')
    words = ['--method', 'subspace_superresolution', '--set', 'rank=2']
    words += ['--set', 'dim=8', '--weights', str(tmp_path / 'essa.pth')]
    code, _, err = superresolve(scene, tmp_path / 'fine.tif', *words)
    assert code == 0, err
    assert '%' not in err
    model = get_model('subspace_superresolution', network=network, rank=2).eval()
    with rasterio.open(scene) as src:
        values = src.read().astype('float64')
    low, high = np.quantile(values, (0.001, 0.999))
    image = torch.from_numpy((values - low) / (high - low)).float()[None]
    with torch.no_grad():
        expected = model(image)[0].numpy() * (high - low) + low
    with rasterio.open(tmp_path / 'fine.tif') as src:
        np.testing.assert_allclose(src.read(), expected, rtol=0, atol=5)
        assert 'essa.pth' in src.tags()['restoration']


@pytest.mark.parametrize(
    ('words', 'expected'),
    [
        ('--method gsa', 'is no superresolver. Choose one of'),
        ('--method bare', 'bare is no superresolver. Choose one of'),
        ('--method bicubik', 'Did you mean bicubic'),
        ('--method essaformer --set in_channels=5', 'has random weights'),
        ('--method subspace_superresolution', 'has random weights'),
        ('--method essaformer --scale 2', 'would spoil the scene. Pass --weights'),
        ('--method threefold --scale 2', 'Pass --scale 3'),
        ('--method bicubic --set scale=4', 'Say --scale 4 instead'),
        ('--method bicubic --set kernel=2', 'has no argument kernel'),
        ('--method bicubic --weights x.pth', 'has no argument weights'),
        ('--scale 1', '1 is not in the range'),
        ('--method bicubic --tile-size 8 --overlap 5', 'half'),
        ('--method bicubic --scaling loud', 'percentile'),
        ('--open nonsense=1', 'nonsense'),
        ('--device abacus', 'cannot be used'),
    ],
)
def test_what_cannot_be(scene: Path, tmp_path: Path, words: str, expected: str) -> None:
    out = tmp_path / 'fine.tif'
    code, _, err = superresolve(scene, out, *words.split())
    assert code != 0
    assert expected in ' '.join(err.split())
    assert 'Traceback' not in err
    assert not out.exists()


def test_other_outputs_and_inputs(scene: Path, tmp_path: Path) -> None:
    code, _, err = superresolve(scene, tmp_path / 'folder')
    assert code == 1
    assert 'Name a .tif file' in err
    code, _, err = superresolve('', tmp_path / 'fine.tif')
    assert code == 2
    assert 'Name a file or folder' in err
    code, _, err = superresolve(tmp_path / 'no.tif', tmp_path / 'fine.tif')
    assert code == 1
    assert 'no.tif' in err


def test_methods_are_listed() -> None:
    code, text, err = call('models', '*superresolution', '--json')
    assert code == 0, err
    rows = {row['name']: row for row in json.loads(text)}
    for name in ('subspace_superresolution', 'band_window_superresolution'):
        assert rows[name]['kind'] == 'superresolver'
        # whatever the network inside takes
        assert rows[name]['bands'] is None
        assert rows[name]['parameters'] > 1000
