# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from types import SimpleNamespace

import click
import numpy as np
import pytest

from torchgeo_hsi import __version__
from torchgeo_hsi.errors import (
    NameClashError,
    PluginError,
    PluginWarning,
    UnknownNameError,
)
from torchgeo_hsi.physics import BandSet, Sensor, get_sensor
from torchgeo_hsi.plugins import PluginHost, builtin, get_plugin_manager, hookimpl
from torchgeo_hsi.plugins.kinds import KINDS

type Install = Callable[[str, str, str], str]

BUILTIN = 'torchgeo-hsi:hsi'

#: A plugin that adds one verb.
COMMAND = """
    import click
    from torchgeo_hsi.plugins import hookimpl

    @hookimpl
    def register_commands(register):
        register(click.Command({name!r}))
"""


def plugin_with(*commands: click.Command) -> SimpleNamespace:
    """Make a plugin object that registers some verbs."""

    @hookimpl
    def register_commands(register: Callable[..., None]) -> None:
        for command in commands:
            register(command)

    # pluggy needs a hashable plugin
    plugin = type('Plugin', (), {})()
    plugin.register_commands = register_commands
    return plugin


class TestDiscovery:
    def test_builtin_needs_no_installation(self) -> None:
        host = get_plugin_manager()
        record = host.records[BUILTIN]
        assert record.version == __version__
        assert 'register_datasets' in record.hooks
        assert not record.errors

    def test_installed_plugin_is_found(self, install: Install) -> None:
        install('hsi-hello', 'hello', COMMAND.format(name='hello'))
        host = get_plugin_manager()
        record = host.records['hsi-hello:hello']
        assert (record.distribution, record.version) == ('hsi-hello', '1.5')
        assert record.hooks == ['register_commands']
        commands = host.registry('commands')
        assert commands.owner('hello') == 'hsi-hello:hello'
        assert commands.owner('info') == BUILTIN

    def test_manager_is_made_once(self) -> None:
        assert get_plugin_manager() is get_plugin_manager()

    def test_own_entry_point_does_not_register_twice(self) -> None:
        host = PluginHost()
        host.register(builtin, BUILTIN)
        point = EntryPoint('hsi', builtin.__name__, 'torchgeo.plugins')
        host.load([point])
        assert list(host.records) == [BUILTIN]
        assert len(host.get_plugins()) == 1

    def test_same_entry_point_name_in_two_distributions(self, install: Install) -> None:
        install('hsi-one', 'plugin', COMMAND.format(name='one'))
        install('hsi-two', 'plugin', COMMAND.format(name='two'))
        commands = get_plugin_manager().registry('commands')
        assert commands.owner('one') == 'hsi-one:plugin'
        assert commands.owner('two') == 'hsi-two:plugin'

    def test_nothing_is_loaded_at_import(self, install: Install) -> None:
        module = install('hsi-loud', 'loud', 'raise SystemExit("was imported")')
        code = (
            'import sys; import torchgeo_hsi.plugins; '
            f'assert {module!r} not in sys.modules; assert "torch" not in sys.modules'
        )
        run = subprocess.run(
            [sys.executable, '-c', code], capture_output=True, check=False
        )
        assert run.returncode == 0, run.stderr.decode()


class TestChoice:
    @pytest.mark.parametrize('value', ['0', '', ' '])
    def test_none(
        self, install: Install, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        install('hsi-hello', 'hello', COMMAND.format(name='hello'))
        monkeypatch.setenv('TORCHGEO_HSI_PLUGINS', value)
        assert list(get_plugin_manager().records) == [BUILTIN]

    @pytest.mark.parametrize('value', ['hsi-a', 'a', 'hsi-a:a', 'hsi-c:c, a'])
    def test_some(
        self, install: Install, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        for letter in 'abc':
            install(f'hsi-{letter}', letter, COMMAND.format(name=letter))
        monkeypatch.setenv('TORCHGEO_HSI_PLUGINS', value)
        commands = get_plugin_manager().registry('commands')
        assert 'a' in commands
        assert 'b' not in commands
        assert ('c' in commands) == ('c' in value)
        assert 'info' in commands

    def test_missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv('TORCHGEO_HSI_PLUGINS', 'hsi-nowhere')
        with pytest.warns(PluginWarning, match='hsi-nowhere'):
            get_plugin_manager()


class TestBroken:
    @pytest.mark.parametrize(
        ('source', 'reason'),
        [
            ('import no_such_module_hsi', 'ModuleNotFoundError'),
            ('1 / 0', 'ZeroDivisionError'),
            ('import sys; sys.exit(3)', 'SystemExit'),
            ('', 'implements no hook'),
            (
                """
                from torchgeo_hsi.plugins import hookimpl
                @hookimpl
                def register_datasets(register, extra): ...
                """,
                'extra',
            ),
            (
                """
                from torchgeo_hsi.plugins import hookimpl
                @hookimpl
                def register_dataset(register): ...
                """,
                'register_dataset',
            ),
        ],
    )
    def test_skipped_with_a_warning(
        self, install: Install, source: str, reason: str
    ) -> None:
        install('hsi-broken', 'bad', source)
        install('hsi-hello', 'hello', COMMAND.format(name='hello'))
        with pytest.warns(PluginWarning) as caught:
            host = get_plugin_manager()
        text = str(caught[0].message)
        assert len(caught) == 1
        assert "'bad' of hsi-broken 1.5" in text
        assert reason in text
        assert reason in host.records['hsi-broken:bad'].errors[0]
        # all others work
        assert 'hello' in host.registry('commands')
        assert 'info' in host.registry('commands')
        assert not host.has_plugin('hsi-broken:bad')

    def test_entry_point_to_a_class(self, install: Install) -> None:
        module = install('hsi-class', 'x', 'class Plugin: pass')
        point = EntryPoint('x', f'{module}:Plugin', 'torchgeo.plugins')
        host = PluginHost()
        with pytest.warns(PluginWarning, match='Create an instance'):
            host.load([point])

    def test_failing_hook_adds_nothing(self, install: Install) -> None:
        install(
            'hsi-half',
            'half',
            """
            import click
            from torchgeo_hsi.plugins import hookimpl

            @hookimpl
            def register_commands(register):
                register(click.Command('half'))
                raise OSError('no licence server')
            """,
        )
        host = get_plugin_manager()
        with pytest.warns(PluginWarning, match='register_commands') as caught:
            commands = host.registry('commands')
        assert 'no licence server' in str(caught[0].message)
        assert 'half' not in commands
        assert 'info' in commands
        assert host.records['hsi-half:half'].errors == [
            'failed in register_commands: OSError: no licence server'
        ]

    def test_failing_builtin_is_not_hidden(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(name: str) -> None:
            raise ImportError(name)

        monkeypatch.setattr(builtin, 'import_module', fail)
        with pytest.raises(ImportError, match='torchgeo_hsi'):
            get_plugin_manager().registry('commands')


class TestClash:
    def test_two_plugins(self, install: Install) -> None:
        install('hsi-one', 'one', COMMAND.format(name='same'))
        install('hsi-two', 'two', COMMAND.format(name='same'))
        with pytest.raises(NameClashError, match=r'hsi-one:one.*hsi-two:two'):
            get_plugin_manager().registry('commands')

    def test_with_a_builtin(self, install: Install) -> None:
        install('hsi-info', 'info', COMMAND.format(name='info'))
        with pytest.raises(NameClashError, match=r'torchgeo-hsi:hsi.*hsi-info:info'):
            get_plugin_manager().registry('commands')

    def test_error_stays_until_the_clash_is_gone(self) -> None:
        host = PluginHost()
        host.register(plugin_with(click.Command('a')), 'one')
        other = plugin_with(click.Command('a'))
        host.register(other, 'two')
        for _ in range(2):
            with pytest.raises(NameClashError):
                host.registry('commands')
        host.unregister(other)
        assert host.registry('commands').owner('a') == 'one'

    def test_class_name_of_torchgeo(self, monkeypatch: pytest.MonkeyPatch) -> None:
        # stands for the imported package, which takes long to import
        upstream = SimpleNamespace(RandomBox=type('RandomBox', (), {}))
        monkeypatch.setitem(sys.modules, 'torchgeo.samplers', upstream)
        sampler = type('Sampler', (), {'__module__': 'torch.utils.data'})
        mine = type('RandomBox', (sampler,), {})
        with pytest.raises(NameClashError, match=r"'torchgeo\.samplers'.*'me:x'"):
            KINDS['samplers'].check(mine, None, 'me:x')
        # its own class may be registered again, e.g. under another name
        monkeypatch.setattr(upstream, 'RandomBox', mine)
        assert KINDS['samplers'].check(mine, 'box', 'me:x') == 'box'


class TestRegistry:
    def test_unknown_kind(self) -> None:
        with pytest.raises(UnknownNameError, match='Did you mean datasets'):
            PluginHost().registry('dataset')

    def test_late_plugin_is_seen(self) -> None:
        host = PluginHost()
        assert not host.registry('commands')
        host.register(plugin_with(click.Command('a')), 'late')
        assert host.registry('commands').list() == ['a']

    def test_removed_plugin_is_gone(self) -> None:
        host = PluginHost()
        plugin = plugin_with(click.Command('a'))
        host.register(plugin, 'mine')
        assert host.registry('commands').list() == ['a']
        assert host.unregister(plugin) is plugin
        assert not host.registry('commands')
        assert 'mine' not in host.records

    def test_two_hosts_in_one_process(self) -> None:
        # each call of the hook makes another sensor, as the hooks of most plugins do
        @hookimpl
        def register_sensors(register: Callable[..., None]) -> None:
            register(Sensor('two_hosts', 'Two hosts', BandSet(np.array([0.5, 0.6]))))

        for _ in range(2):
            plugin = plugin_with()
            plugin.register_sensors = register_sensors
            host = PluginHost()
            host.register(builtin, BUILTIN)
            host.register(plugin, 'two:hosts')
            sensors = host.registry('sensors')
            assert sensors.owner('two_hosts') == 'two:hosts'
            assert sensors.owner('enmap') == BUILTIN
            assert get_sensor('two_hosts').bands == sensors.get('two_hosts').bands
        # another plugin may not take the name all the same
        other = PluginHost()
        other.register(plugin, 'some:other')
        with pytest.raises(NameClashError, match=r'two:hosts.*some:other'):
            other.registry('sensors')

    def test_name_of_choice(self) -> None:
        host = PluginHost()

        @hookimpl
        def register_commands(register: Callable[..., None]) -> None:
            register(click.Command('a'), name='b')

        plugin = plugin_with()
        plugin.register_commands = register_commands
        host.register(plugin, 'mine')
        assert host.registry('commands').list() == ['b']

    def test_blocked_plugin(self) -> None:
        host = PluginHost()
        host.set_blocked('mine')
        assert host.register(plugin_with(click.Command('a')), 'mine') is None
        assert not host.registry('commands')

    @pytest.mark.parametrize('kind', list(KINDS))
    def test_wrong_object(self, kind: str) -> None:
        with pytest.raises(PluginError, match=KINDS[kind].title):
            KINDS[kind].check(3, None, 'me')

    def test_class_where_an_instance_is_due(self) -> None:
        with pytest.raises(PluginError, match='an instance of click'):
            KINDS['commands'].check(click.Command, None, 'me')

    def test_nameless(self) -> None:
        with pytest.raises(PluginError, match='has no name'):
            KINDS['commands'].check(click.Command(None), None, 'me')

    def test_fixed_name(self) -> None:
        base = type('BaseTask', (), {'__module__': 'torchgeo.tasks.base'})
        task = type('Mine', (base,), {})
        assert KINDS['tasks'].check(task, None, 'me') == 'Mine'
        with pytest.raises(PluginError, match="'Other' cannot work"):
            KINDS['tasks'].check(task, 'Other', 'me')
