# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How arguments reach torchgeo; what it makes of them is in tests/plugins."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from torchgeo_hsi.callbacks import ScoreFile
from torchgeo_hsi.cli import lightning
from torchgeo_hsi.cli import run as run_module
from torchgeo_hsi.cli.lightning import COMMANDS, hand_over
from torchgeo_hsi.main import main
from torchgeo_hsi.plugins import PluginHost


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Note what happens instead of importing torchgeo."""
    calls: list[object] = []

    class Host(PluginHost):
        def load_all(self) -> None:
            calls.append('plugins')

    def import_module(name: str) -> SimpleNamespace:
        calls.append(name)
        return SimpleNamespace(main=lambda: calls.append(list(sys.argv)))

    monkeypatch.setattr(lightning, 'get_plugin_manager', Host)
    monkeypatch.setattr(lightning, 'import_module', import_module)
    monkeypatch.setattr(sys, 'argv', ['prog', 'of', 'pytest'])
    return calls


@pytest.mark.parametrize('verb', ['fit', 'validate', 'test', 'predict'])
@pytest.mark.parametrize(
    'words',
    [
        [],
        ['--help'],
        ['--config', 'a.yaml', '--trainer.max_epochs=2', '--debug'],
        ['--', 'x', '--', '-v'],
        ['--data.x', '[1, 2]', '--model', ''],
    ],
)
def test_arguments_are_handed_over_as_they_are(
    calls: list[object], verb: str, words: list[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, *words])
    assert not end.value.code
    assert calls[-1] == ['prog', verb, *words]
    assert sys.argv == ['prog', 'of', 'pytest']


def test_classes_are_imported_first(calls: list[object]) -> None:
    hand_over('fit', [])
    assert calls[:2] == ['plugins', 'torchgeo_hsi.callbacks']


def test_arguments_of_the_process_come_back_after_an_error(
    calls: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise OSError('no data')

    def import_module(name: str) -> SimpleNamespace:
        return SimpleNamespace(main=fail)

    monkeypatch.setattr(lightning, 'import_module', import_module)
    with pytest.raises(OSError, match='no data'):
        hand_over('fit', ['--x'])
    assert sys.argv == ['prog', 'of', 'pytest']


def test_code_of_torchgeo_is_ours(
    calls: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    def module(name: str) -> SimpleNamespace:
        return SimpleNamespace(main=lambda: sys.exit(2))

    monkeypatch.setattr(lightning, 'import_module', module)
    result = CliRunner().invoke(COMMANDS[0], ['--wrong'])
    assert result.exit_code == 2


@pytest.mark.parametrize(('metrics', 'shown'), [({}, False), ({'val_loss': 0.5}, True)])
def test_run_repeats_only_lines_that_say_something(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    metrics: dict[str, float],
    shown: bool,
) -> None:
    (tmp_path / 'c.yaml').write_text('{}')
    score_file = ScoreFile(tmp_path / 'scores.json')
    trainer: Any = SimpleNamespace(
        is_global_zero=True, callback_metrics=metrics, current_epoch=1
    )
    module: Any = None

    def stage(verb: str, args: list[str]) -> None:
        if verb == 'fit':
            score_file.on_fit_end(trainer, module)

    monkeypatch.setattr(run_module, 'hand_over', stage)
    with pytest.raises(SystemExit) as end:
        main(['run', '--config', str(tmp_path / 'c.yaml')])
    assert not end.value.code
    # without validation, there are no scores to show
    assert ('Scores of fit' in capsys.readouterr().out) is shown
    assert (tmp_path / 'scores.json').exists()
