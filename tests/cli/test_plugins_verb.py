# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import json
from collections.abc import Callable

import click
import pytest
from click.testing import CliRunner

from torchgeo_hsi.cli import plugins as plugins_module
from torchgeo_hsi.cli.plugins import plugins
from torchgeo_hsi.errors import NameClashError, PluginWarning
from torchgeo_hsi.plugins import PluginHost, hookimpl


class Good:
    @hookimpl
    def register_commands(self, register: Callable[..., None]) -> None:
        register(click.Command('b'))
        register(click.Command('a'))


class Bad:
    @hookimpl
    def register_commands(self, register: Callable[..., None]) -> None:
        raise OSError('no disk')


class Quiet:
    @hookimpl
    def register_metrics(self, register: Callable[..., None]) -> None:
        pass


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> PluginHost:
    """Return a host with one good plugin; the verb shows it."""
    host = PluginHost()
    host.register(Good(), 'good')
    monkeypatch.setattr(plugins_module, 'get_plugin_manager', lambda: host)
    return host


def test_table(host: PluginHost) -> None:
    host.records['good'].version = '2.1'
    result = CliRunner().invoke(plugins)
    header, row = result.output.splitlines()
    assert header.split() == ['plugin', 'version', 'registers']
    assert row.split() == ['good', '2.1', 'commands']


def test_json(host: PluginHost) -> None:
    result = CliRunner().invoke(plugins, ['--json'])
    (row,) = json.loads(result.output)
    assert row['hooks'] == ['register_commands']
    assert row['errors'] == []
    assert 'parts' not in row


def test_parts(host: PluginHost) -> None:
    (row,) = json.loads(CliRunner().invoke(plugins, ['--parts', '--json']).output)
    assert row['parts'] == {'commands': ['a', 'b']}
    text = CliRunner().invoke(plugins, ['--parts']).output
    assert 'good commands (2):\n  a\n  b\n' in text


def test_failures_of_hooks_show_with_parts(host: PluginHost) -> None:
    host.register(Bad(), 'bad')
    assert '!' not in CliRunner().invoke(plugins).output
    with pytest.warns(PluginWarning, match='no disk'):
        text = CliRunner().invoke(plugins, ['--parts']).output
    assert '! bad failed in register_commands: OSError: no disk' in text
    # a newcomer makes the host call every hook again
    host.register(Quiet(), 'quiet')
    with pytest.warns(PluginWarning, match='no disk'):
        output = CliRunner().invoke(plugins, ['--parts', '--json']).output
    rows = {row['name']: row for row in json.loads(output)}
    # noted once, although the hook was called twice
    assert len(rows['bad']['errors']) == 1


def test_clash(host: PluginHost) -> None:
    host.register(Good(), 'copy')
    result = CliRunner().invoke(plugins, ['--parts'])
    assert isinstance(result.exception, NameClashError)
