# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What a user can get wrong in ``restore denoise``: one line, and nothing is written."""

import io
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
import numpy as np
import pytest
import torch
from torch import nn

from torchgeo_hsi.cli import _denoise
from torchgeo_hsi.cli._arguments import argument_kinds, convert_pairs, read_pairs
from torchgeo_hsi.cli._words import in_options
from torchgeo_hsi.cli.stats import stats
from torchgeo_hsi.errors import OutputError
from torchgeo_hsi.io import write_cog
from torchgeo_hsi.main import main
from torchgeo_hsi.models import api, register_model
from torchgeo_hsi.plugins import get_plugin_manager

if TYPE_CHECKING:
    from nowhere import Unknown

type Rule = Literal['edge', 'mdl']
type Name = str | os.PathLike[str]

#: One word each, so that no test depends on a GPU.
ABSENT = 'meta'


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Register models for the time of a test."""
    monkeypatch.setenv('TORCHGEO_HSI_PLUGINS', '0')
    monkeypatch.setattr(api._MODELS, '_entries', dict(api._MODELS._entries))
    get_plugin_manager.cache_clear()
    register_model(lambda: nn.Conv2d(3, 3, 1), name='of_a_plugin')
    register_model(clumsy)
    register_model(unavailable)
    yield
    get_plugin_manager.cache_clear()


def clumsy(number: Any = 1) -> nn.Module:
    return nn.Conv2d(number, 3, 1)


def unavailable() -> nn.Module:
    raise ImportError('Install the package nowhere for this method.')


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    values = np.random.default_rng(0).integers(0, 5000, (3, 24, 24)).astype('int16')
    return write_cog(tmp_path / 'in.tif', values)


def call(*words: str | Path) -> tuple[int, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as end:
        main(['restore', 'denoise', *(str(word) for word in words)])
    return int(end.value.code or 0), err.getvalue()


@pytest.mark.parametrize(
    ('words', 'reason'),
    [
        (f'--device {ABSENT}', 'meta cannot be used'),
        ('--device toaster', 'toaster cannot be used'),
        ('--device cuda:99', 'cuda:99 cannot be used'),
        ('--method hyres --set rank=1.5', 'a whole number or one of edge, hysime'),
        ('--method hyres --set rank=[1]', "for rank, got '[1]'"),
        ('--method robust_subspace --set rank=foo', 'a whole number or null'),
        ('--method lrtv --set smoothness=x', 'Expected a number for smoothness'),
        ('--method lrtv --set smoothness=NaN', 'Expected a number for smoothness'),
        ('--method lrtv --set rank=8.5', 'Expected a whole number for rank'),
        ('--method lrtv --set rank=true', 'Expected a whole number for rank'),
        ('--method lrtv --set rank=-1', 'lrtv cannot be built: Expected a positive'),
        ('--method hsdt_s --set num_bands=x', 'for num_bands'),
        ('--method hsdt_s --set num_bands=12.5', 'for num_bands'),
        ('--set ensemble=maybe', 'Expected true or false for ensemble'),
        ('--method clumsy --set number=[]', 'clumsy cannot be built'),
        ('--sigma inf', 'Expected a positive number, got inf'),
        ('--sigma nan', 'Expected a positive number, got nan'),
        ('--sigma 0', 'Expected a positive number, got 0'),
        ('--open nodata=foo', 'Expected a number or null for nodata'),
        ('--open scale=foo', 'Expected a number or null for scale'),
        ('--open wavelength=foo', 'Expected a list in brackets for wavelength'),
        ('--open wavelength=["a"]', 'Expected a list in brackets for wavelength'),
        ('--method spec_resnet50', 'spec_resnet50 is no denoiser. Choose one of'),
        ('--method classifier', 'classifier is no denoiser'),
        ('--method spec_resnet18', 'pretrained_subspace, robust_subspace'),
        ('--method hsdt_s', 'random weights unless'),
        ('--method man_s', 'Pass --weights with a checkpoint, or leave'),
        ('--method man_v1', 'pretrained_subspace has its own'),
        (
            '--method subspace --set denoiser=hsdt_s',
            'Pass --weights with a checkpoint or eigen',
        ),
        (
            '--method hsdt_s --weights eigen',
            'Pass --method pretrained_subspace --set network=hsdt_s, which has them',
        ),
        (
            '--method man_s --set noise_map=true --set weights=eigen',
            'or --weights with a checkpoint of man_s that was trained on bands',
        ),
    ],
)
def test_one_line(scene: Path, tmp_path: Path, words: str, reason: str) -> None:
    code, err = call(scene, tmp_path / 'out.tif', *words.split())
    assert code == 2
    assert reason in ' '.join(err.split())
    # two lines of click about usage and help
    assert len(err.strip().splitlines()) <= 4
    assert max(map(len, err.splitlines())) < 400
    assert [path.name for path in tmp_path.iterdir()] == ['in.tif']


@pytest.mark.parametrize(
    ('words', 'reason'),
    [
        ('--method fasthyde --set denoiser=3', "Unknown denoiser '3'"),
        ('--method unavailable', 'Install the package nowhere'),
        ('--method hsdt_s --set num_bands=-1', 'at least one band'),
        ('--method man_s --weights no.pth', 'no.pth'),
    ],
)
def test_errors_of_the_library(
    scene: Path, tmp_path: Path, words: str, reason: str
) -> None:
    code, err = call(scene, tmp_path / 'out.tif', *words.split())
    assert code == 1
    assert reason in err
    assert 'Traceback' not in err


def test_help_shows_what_values_look_like() -> None:
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit):
        main(['restore', 'denoise', '--help'])
    text = ' '.join(out.getvalue().split())
    assert 'e.g. 25.5 for a tenth' in text
    assert 'e.g. ensemble=true' in text


def test_device_is_checked_before_the_scene_is_read(tmp_path: Path) -> None:
    code, err = call(tmp_path / 'no.tif', tmp_path / 'out.tif', '--device', ABSENT)
    assert code == 2
    assert 'no.tif' not in err


def test_message_of_a_device_stays_short(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def zeros(*args: Any, **options: Any) -> None:
        raise NotImplementedError('No backend of this name. ' + 'And so on. ' * 99)

    monkeypatch.setattr(torch, 'zeros', zeros)
    code, err = call(scene, tmp_path / 'out.tif', '--device', 'mps')
    assert code == 2
    assert 'mps cannot be used: No backend of this name. Choose cpu' in err


@pytest.mark.parametrize('words', [('', 'out.tif'), ('in.tif', ''), ('in.tif', ' ')])
def test_empty_names(words: tuple[str, str]) -> None:
    code, err = call(*words)
    assert code == 2
    assert 'Name a file or folder' in err


def test_output_in_the_input(tmp_path: Path) -> None:
    from data.enmap_l2a.data import make_product

    scene = make_product(tmp_path / 'in')
    code, err = call(scene.folder, scene.folder / 'out.tif', '--method', 'hyres')
    assert code == 1
    assert 'which is the scene itself' in err
    assert not (scene.folder / 'out.tif').exists()


def test_network_without_a_word_for_weights(scene: Path, tmp_path: Path) -> None:
    # where it has its weights from is not known, so it is trusted
    code, err = call(scene, tmp_path / 'out.tif', '--method', 'of_a_plugin')
    assert code == 0, err


@pytest.mark.parametrize('word', ['yes', 'true', 'True', 'on'])
def test_truth_in_words(scene: Path, tmp_path: Path, word: str) -> None:
    words = ['--set', f'ensemble={word}', '--set', 'network=man_s', '--sigma=20']
    assert call(scene, tmp_path / 'out.tif', *words)[0] == 0


def function(
    count: int | None,
    rank: int | Rule,
    share: float,
    is_so: bool,
    name: Name | None,
    names: str | list[str] | nn.Module,
    sizes: Sequence[int],
    pairs: Mapping[str, Any] | None,
    module: nn.Module,
    nothing,  # type: ignore[no-untyped-def]  # noqa: ANN001
) -> None:
    pass


@pytest.mark.parametrize(
    ('word', 'value'),
    [
        ('count=3', 3),
        ('count=null', None),
        ('rank=mdl', 'mdl'),
        ('rank=4', 4),
        ('share=2', 2.0),
        ('share=1e-3', 0.001),
        ('is_so=No', False),
        ('name=3', '3'),
        ('name="3"', '3'),
        ('name=null', None),
        ('names=a', 'a'),
        ('names=["a", "b"]', ['a', 'b']),
        ('sizes=[1, 2]', [1, 2]),
        ('pairs={"a": 1}', {'a': 1}),
        ('module=x', 'x'),
        ('nothing=[1, "a"]', [1, 'a']),
        ('unknown=1=2', '1=2'),
    ],
)
def test_values(word: str, value: Any) -> None:
    found = convert_pairs(read_pairs([word], '--x'), argument_kinds(function), '--x')
    assert list(found.values()) == [value]
    assert type(next(iter(found.values()))) is type(value)


@pytest.mark.parametrize(
    'word',
    [
        *('count=1.0', 'rank=foo', 'share=true', 'share=inf', 'share=Infinity'),
        *('is_so=1', 'sizes=[1.5]', 'sizes=3', 'pairs=[1]', 'count={}'),
    ],
)
def test_values_of_another_kind(word: str) -> None:
    pairs = read_pairs([word], '--x')
    with pytest.raises(click.BadParameter, match=f'for {word.partition("=")[0]}, got'):
        convert_pairs(pairs, argument_kinds(function), '--x')


def test_numbers_that_may_be_infinite() -> None:
    found = convert_pairs({'share': 'NaN'}, {'share': float}, '--x', ['share'])
    assert np.isnan(found['share'])


def test_annotations_that_only_a_type_checker_knows() -> None:
    def hidden(a: 'Unknown') -> None:
        pass

    assert argument_kinds(hidden) == {}


SAID = [
    ('Pass overwrite=True.', 'Pass --overwrite.'),
    ('Pass sigma= or tile_size=8.', 'Pass --sigma or --tile-size 8.'),
    ('Pass scaling="min_max".', 'Pass --scaling min_max.'),
    ('Pass key= or nodata=0.', 'Pass --open key= or --open nodata=0.'),
    ('Plume(sigma=3, at=(1, 2)) (sigma=3)', 'Plume(sigma=3, at=(1, 2)) (--sigma 3)'),
    ('rank=3 is too much', '--set rank=3 is too much'),
    ('Say --set rank=3, --open key=a', 'Say --set rank=3, --open key=a'),
    ('data.key=1 my_sigma=2 unknown=3', 'data.key=1 my_sigma=2 unknown=3'),
    ('No sigma=3.tif, sigma=3.', 'No sigma=3.tif, --sigma 3.'),
]


@pytest.mark.parametrize(('text', 'told'), SAID)
def test_errors_speak_of_options(
    text: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the library raises, and whatever the verb."""

    def fail(*_: Any) -> None:
        raise OutputError(text)

    monkeypatch.setattr(_denoise, 'Restoration', fail)
    code, err = call('sigma=3.tif', 'out.tif', '--set', 'rank=3')
    assert code == 1
    assert err == f'Error: {told}\n'


def test_errors_of_datasets_speak_of_their_arguments() -> None:
    with stats.make_context('stats', ['a.mat', '-o', 'x.json']) as context:
        text = 'Expected cubes in paths=. Pass key= or nodata=0, covariance=False.'
        assert in_options(text, context) == (
            'Expected cubes in INPUT. Pass --dataset.key or --nodata 0, --no-covariance.'
        )
