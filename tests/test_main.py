# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from torchgeo_hsi import __version__
from torchgeo_hsi.errors import NodataWarning, UnitError
from torchgeo_hsi.io import open_cube
from torchgeo_hsi.main import main
from torchgeo_hsi.physics.simulation import SceneConfig
from torchgeo_hsi.plugins import PluginHost, builtin, get_plugin_manager, hookimpl

ROOT = Path(__file__).parents[1]

type Verb = Callable[[Callable[[], None]], None]


class Verbs:
    """A plugin with one verb."""

    def __init__(self, action: Callable[[], None], name: str) -> None:
        self.action = action
        self.name = name

    @hookimpl
    def register_commands(self, register: Callable[..., None]) -> None:
        register(click.Command(self.name, callback=self.action))


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginHost]:
    """Return a host with the built-in verbs only, which tests may add to."""
    monkeypatch.setenv('TORCHGEO_HSI_PLUGINS', '0')
    monkeypatch.delenv('TORCHGEO_HSI_DEBUG', raising=False)
    get_plugin_manager.cache_clear()
    yield get_plugin_manager()
    get_plugin_manager.cache_clear()
    # --debug sets it for the worker processes
    os.environ.pop('TORCHGEO_HSI_DEBUG', None)


def exit_code(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(list(words))
    return int(end.value.code or 0)


def nanometres() -> None:
    raise UnitError('Expected micrometres.')


def test_version(host: PluginHost, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code('--version') == 0
    assert __version__ in capsys.readouterr().out


def test_help_lists_all_verbs(
    host: PluginHost, capsys: pytest.CaptureFixture[str]
) -> None:
    host.register(Verbs(nanometres, 'mine'), 'me')
    assert exit_code('--help') == 0
    out = capsys.readouterr().out
    listed = out.split('Commands:')[1].split('Exit codes:')[0]
    verbs = {line.split()[0] for line in listed.strip().splitlines()}
    expected = {'fit', 'info', 'mine', 'models', 'plugins', 'predict', 'simulate'}
    assert expected | {'test', 'validate'} <= verbs


def test_our_error_is_one_line(
    host: PluginHost, capsys: pytest.CaptureFixture[str]
) -> None:
    host.register(Verbs(nanometres, 'mine'), 'me')
    assert exit_code('mine') == 1
    assert capsys.readouterr().err == 'Error: Expected micrometres.\n'


def test_debug_shows_the_traceback(host: PluginHost) -> None:
    host.register(Verbs(nanometres, 'mine'), 'me')
    with pytest.raises(UnitError):
        main(['--debug', 'mine'])


@pytest.mark.parametrize(('value', 'shown'), [('1', True), ('0', False), ('', False)])
def test_debug_variable(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch, value: str, shown: bool
) -> None:
    monkeypatch.setenv('TORCHGEO_HSI_DEBUG', value)
    host.register(Verbs(nanometres, 'mine'), 'me')
    with pytest.raises(UnitError if shown else SystemExit):
        main(['mine'])


def test_traceback_of_a_bug_is_kept(
    host: PluginHost,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bug() -> None:
        raise ZeroDivisionError('a long\nstory')

    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    host.register(Verbs(bug, 'mine'), 'me')
    assert exit_code('mine') == 70
    err = capsys.readouterr().err
    (log,) = tmp_path.iterdir()
    assert err.startswith('Bug: ZeroDivisionError: a long\nThis should not happen.')
    assert str(log) in err
    assert 'Traceback' not in err
    told = log.read_text()
    assert told.startswith(f'torchgeo-hsi {__version__}: mine\n')
    assert 'in bug' in told
    with pytest.raises(ZeroDivisionError):
        main(['--debug', 'mine'])


def test_traceback_that_cannot_be_kept(
    host: PluginHost,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def bug() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'nowhere'))
    host.register(Verbs(bug, 'mine'), 'me')
    assert exit_code('mine') == 70
    assert 'in bug' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('error', 'told'),
    [
        (PermissionError(13, 'Permission denied', 'map.tif'), 'map.tif: Permission'),
        (ModuleNotFoundError("No module named 'pyogrio'", name='pyogrio'), 'pyogrio,'),
        # of standard output
        (OSError(28, 'No space left on device'), 'could not be written: No space'),
        (MemoryError('Unable to allocate 3 TiB'), 'Unable to allocate 3 TiB'),
    ],
)
def test_what_is_no_bug(
    host: PluginHost, capsys: pytest.CaptureFixture[str], error: Exception, told: str
) -> None:
    def fail() -> None:
        raise error

    host.register(Verbs(fail, 'mine'), 'me')
    assert exit_code('mine') == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line


def test_interrupted(host: PluginHost, capsys: pytest.CaptureFixture[str]) -> None:
    def wait() -> None:
        raise KeyboardInterrupt

    host.register(Verbs(wait, 'mine'), 'me')
    assert exit_code('mine') == 130
    assert capsys.readouterr().err.strip() == 'Interrupted.'


def test_output_that_nobody_reads(
    host: PluginHost, capsys: pytest.CaptureFixture[str]
) -> None:
    def talk() -> None:
        raise BrokenPipeError(32, 'Broken pipe')

    host.register(Verbs(talk, 'mine'), 'me')
    assert exit_code('mine') == 141
    assert capsys.readouterr().err == ''


def test_output_that_is_closed(
    host: PluginHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python has no standard output where a shell closes it, as ``>&-`` does."""
    host.register(Verbs(lambda: None, 'mine'), 'me')
    monkeypatch.setattr(sys, 'stdout', None)
    assert exit_code('mine') == 0


def test_exit_code_of_a_verb(host: PluginHost) -> None:
    def end() -> None:
        click.get_current_context().exit(3)

    host.register(Verbs(end, 'mine'), 'me')
    host.register(Verbs(lambda: 5, 'number'), 'you')  # type: ignore[arg-type, return-value]
    assert exit_code('mine') == 3
    # a function may return whatever it likes
    assert exit_code('number') == 0


def test_value_that_our_code_refuses(
    host: PluginHost, capsys: pytest.CaptureFixture[str]
) -> None:
    def simulate() -> None:
        SceneConfig(height=5)

    host.register(Verbs(simulate, 'mine'), 'me')
    assert exit_code('mine') == 1
    err = capsys.readouterr().err
    assert err == 'Error: Expected a size of at least 16 pixels, got 5 x 256.\n'
    with pytest.raises(ValueError, match='at least 16'):
        main(['--debug', 'mine'])


def test_missing_file(host: PluginHost, capsys: pytest.CaptureFixture[str]) -> None:
    def look() -> None:
        open_cube('nowhere.mat')

    host.register(Verbs(look, 'mine'), 'me')
    assert exit_code('mine') == 1
    err = capsys.readouterr().err
    assert err == 'Error: There is no file nowhere.mat. Check the path.\n'


def test_value_that_other_code_refuses_is_a_bug(
    host: PluginHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug() -> None:
        SceneConfig(height=json.loads('nothing'))

    monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
    host.register(Verbs(bug, 'mine'), 'me')
    assert exit_code('mine') == 70


def test_data_that_torchgeo_does_not_find(
    host: PluginHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from torchgeo.datasets import EuroSAT

    def look() -> None:
        EuroSAT(tmp_path)

    host.register(Verbs(look, 'mine'), 'me')
    assert exit_code('mine') == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('Error: Dataset not found in `root=')


def test_fit_without_data(
    host: PluginHost, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a user sees who mistyped the path of the scenes."""
    before = dict(os.environ)
    words = ['fit', '--model', 'HSISegmentation', '--model.num_classes', '2']
    words += ['--data', 'EnMAPL2ADataModule', '--data.paths', str(tmp_path / 'typo')]
    words += ['--trainer.logger', 'false', '--trainer.accelerator', 'cpu']
    words += ['--trainer.default_root_dir', str(tmp_path / 'out')]
    try:
        assert exit_code(*words) == 1
    finally:
        os.environ.clear()
        os.environ.update(before)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('Error: Found no EnMAP scene in paths=: ')
    assert f'{tmp_path / "typo"} does not exist' in last
    assert 'SPECTRAL_IMAGE.TIF' in last


@pytest.mark.filterwarnings('default::torchgeo_hsi.errors.NodataWarning')
def test_our_warning_is_one_line(
    host: PluginHost, capsys: pytest.CaptureFixture[str]
) -> None:
    def warn() -> None:
        warnings.warn('A tile is empty.', NodataWarning, stacklevel=1)

    show = warnings.showwarning
    host.register(Verbs(warn, 'mine'), 'me')
    assert exit_code('mine') == 0
    assert capsys.readouterr().err == 'Warning: A tile is empty.\n'
    assert warnings.showwarning is show


def test_foreign_warning_is_left_alone(host: PluginHost) -> None:
    def warn() -> None:
        warnings.warn('old', FutureWarning, stacklevel=1)

    host.register(Verbs(warn, 'mine'), 'me')
    with pytest.warns(FutureWarning, match='old'):
        assert exit_code('mine') == 0


def test_clash_of_verbs(host: PluginHost, capsys: pytest.CaptureFixture[str]) -> None:
    host.register(Verbs(nanometres, 'info'), 'me')
    assert exit_code('info') == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 1
    assert "'torchgeo-hsi:hsi'" in err
    assert "'me'" in err


def test_unknown_verb(host: PluginHost, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code('infos') == 2
    assert "Unknown verb 'infos'. Did you mean info?" in capsys.readouterr().err


def test_runs_as_a_module(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, '-m', 'torchgeo_hsi', '--version'],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == f'torchgeo-hsi, version {__version__}\n'


def test_every_file_of_a_verb_is_registered(host: PluginHost) -> None:
    files = {path.stem for path in (ROOT / 'torchgeo_hsi' / 'cli').glob('[!_]*.py')}
    commands = host.registry('commands')
    homes = {commands.get(name).callback.__module__ for name in commands}
    # the four verbs of torchgeo share one callback, wrapped by click
    expected = {f'torchgeo_hsi.cli.{file}' for file in files}
    assert expected <= homes
    assert {commands.owner(name) for name in commands} == {'torchgeo-hsi:hsi'}
    assert builtin in host.get_plugins()
