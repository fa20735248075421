# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How arguments reach torchgeo; what it makes of them is in tests/plugins."""

import sys
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from torchgeo_hsi.cli import lightning
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
