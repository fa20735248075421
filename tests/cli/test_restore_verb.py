# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import io
import json
import warnings
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import rasterio
import scipy.io
from rasterio.errors import NotGeoreferencedWarning
from torch import Tensor, nn

from torchgeo_hsi.io import write_cog
from torchgeo_hsi.main import main
from torchgeo_hsi.models import api, register_model
from torchgeo_hsi.plugins import get_plugin_manager


class Brighter(nn.Module):
    """Adds a part of the range of the numbers."""

    def __init__(self, share: float, by_noise: bool) -> None:
        super().__init__()
        self.share = share
        self.by_noise = by_noise

    def forward(self, image: Tensor, sigma: Tensor | None = None) -> Tensor:
        if sigma is not None:
            assert self.by_noise
            return image + sigma[..., None, None] / 255
        return image + self.share


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register denoisers for the time of a test."""
    monkeypatch.setenv('TORCHGEO_HSI_PLUGINS', '0')
    monkeypatch.setattr(api._MODELS, '_entries', dict(api._MODELS._entries))
    get_plugin_manager.cache_clear()
    register_model(brighter)
    register_model(lambda: nn.Identity(), name='bare')
    register_model(lambda: nn.Conv2d(3, 2, 1), name='classes')
    yield
    get_plugin_manager.cache_clear()


def brighter(
    share: float = 0.1, by_noise: bool = False, weights: str | None = None
) -> nn.Module:
    return Brighter(float(weights) if weights else share, by_noise)


def call(*words: str | Path) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(['restore', 'denoise', *(str(word) for word in words)])
    return int(end.value.code or 0), out.getvalue(), err.getvalue()


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 5000, (3, 40, 30)).astype('int16')
    return write_cog(tmp_path / 'in.tif', values)


def difference(scene: Path, out: Path) -> set[int]:
    with rasterio.open(scene) as old, rasterio.open(out) as new:
        return set(np.unique(new.read().astype(int) - old.read()).tolist())


def test_scene_is_restored(scene: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out.tif'
    words = ['--method', 'brighter', '--scaling', '1000']
    code, text, err = call(scene, out, *words)
    assert code == 0, err
    # no progress where nobody looks, and the last line says where the result is
    assert err == ''
    last = text.splitlines()[-1]
    assert last.startswith(f'Denoised with brighter: {out} (')
    assert last.endswith(' s)')
    assert difference(scene, out) == {100}
    with rasterio.open(out) as src:
        assert 'method=brighter' in src.tags()['restoration']


@pytest.mark.parametrize(
    ('words', 'added'),
    [
        (['--set', 'share=0.25'], 250),
        (['--weights', '0.5'], 500),
        (['--set', 'by_noise=true', '--sigma', '51'], 200),
    ],
)
def test_options_of_the_method(
    scene: Path, tmp_path: Path, words: list[str], added: int
) -> None:
    out = tmp_path / 'out.tif'
    code, _, err = call(scene, out, '--method', 'brighter', '--scaling', '1000', *words)
    assert code == 0, err
    assert difference(scene, out) == {added}


class Terminal(io.StringIO):
    """Somebody who looks at it."""

    def isatty(self) -> bool:
        return True


def test_progress_ends_with_all_stages_done(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(io, 'StringIO', Terminal)
    words = ['--method', 'brighter', '--tile-size', '16', '--overlap', '8']
    _, _, err = call(scene, tmp_path / 'out.tif', *words)
    shown = [text for text in err.split('\r\x1b[K') if text]
    assert [text for text in shown if text.endswith(' 100%')] == [
        'Reading 100%',
        'Restoring 100%',
        'Writing 100%',
    ]
    # the line is empty at the end
    assert err.endswith('\r\x1b[K')
    assert call(scene, tmp_path / 'quiet.tif', *words, '--quiet')[1:] == ('', '')


def test_json(scene: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out.tif'
    code, text, _ = call(scene, out, '--method', 'brighter', '--json')
    assert code == 0
    content = json.loads(text)
    assert content['output'] == str(out)
    assert content['method'] == 'brighter'
    assert content['seconds'] > 0


def test_reader_options(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 5000, (40, 30, 3)).astype('int16')
    scipy.io.savemat(tmp_path / 'in.mat', {'a': values, 'b': values + 7})
    words = ['--method', 'brighter', '--scaling', '1000', '--open', 'key=b']
    code, _, err = call(tmp_path / 'in.mat', tmp_path / 'out.tif', *words)
    assert code == 0, err
    with rasterio.open(tmp_path / 'out.tif') as src:
        found = src.read().transpose(1, 2, 0)
    np.testing.assert_array_equal(found, values + 107)


def test_scene_without_a_place(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 5000, (40, 30, 3)).astype('int16')
    scipy.io.savemat(tmp_path / 'in.mat', {'a': values})
    scenes = [tmp_path / name for name in ('in.mat', 'out.tif', 'again.tif')]
    with warnings.catch_warnings():
        warnings.simplefilter('error', NotGeoreferencedWarning)
        for source, out in pairwise(scenes):
            code, _, err = call(source, out, '--method', 'brighter')
            assert code == 0, err


def test_overwrite(scene: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out.tif'
    words = [scene, out, '--method', 'brighter']
    assert call(*words)[0] == 0
    code, _, err = call(*words)
    assert code == 1
    assert '--overwrite' in err
    assert call(*words, '--overwrite')[0] == 0


@pytest.mark.parametrize(
    ('words', 'code', 'reason'),
    [
        (['--method', 'brigther'], 1, 'Did you mean brighter'),
        (['--method', 'brighter', '--set', 'size=3'], 2, 'no argument size'),
        (['--method', 'brighter', '--set', 'share'], 2, 'KEY=VALUE'),
        (['--method', 'brighter', '--open', 'layer=3'], 1, 'no option'),
        (['--method', 'brighter', '--scaling', 'loud'], 1, 'percentile'),
        (['--method', 'brighter', '--tile-size', '100'], 1, 'multiples of 8'),
        (['--method', 'brighter', '--sigma', '-1'], 2, 'sigma'),
        (['--method', 'brighter', '--device', 'toaster'], 2, 'toaster'),
    ],
)
def test_mistakes(
    scene: Path, tmp_path: Path, words: list[str], code: int, reason: str
) -> None:
    found, _, err = call(scene, tmp_path / 'out.tif', *words)
    assert found == code
    assert reason in err
    assert 'Traceback' not in err
    assert not (tmp_path / 'out.tif').exists()


def test_missing_scene(tmp_path: Path) -> None:
    code, _, err = call(tmp_path / 'no.tif', tmp_path / 'out.tif', '--method=brighter')
    assert code == 1
    assert 'no.tif' in err


def test_weights_of_a_method_without_any(scene: Path, tmp_path: Path) -> None:
    words = ['--method', 'bare', '--weights', 'x']
    code, _, err = call(scene, tmp_path / 'out.tif', *words)
    assert code == 2
    assert 'no argument weights' in err


def test_a_network_that_is_no_denoiser(scene: Path, tmp_path: Path) -> None:
    code, _, err = call(scene, tmp_path / 'out.tif', '--method', 'classes')
    assert code == 1
    assert 'Use a denoiser' in err
