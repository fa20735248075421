# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The plugin host: finds plugins, survives broken ones, keeps what they register."""

import functools
import inspect
import logging
import os
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import pluggy

from .. import __version__
from .._registry import Registry
from ..errors import NameClashError, PluginError, PluginWarning, UnknownNameError
from . import builtin, hookspecs
from .kinds import KINDS, Kind

#: Entry-point group in which plugins announce themselves.
GROUP = 'torchgeo.plugins'

#: Environment variable that limits which third-party plugins are loaded.
VARIABLE = 'TORCHGEO_HSI_PLUGINS'

_log = logging.getLogger(__name__)


@dataclass
class PluginRecord:
    """What is known about one plugin.

    Args:
        name: Owner of everything that it registers: ``'distribution:entry point'``.
        distribution: Installed package that it came with; empty if it was
            registered by hand.
        entry_point: Name of the entry point.
        version: Version of the distribution.
        hooks: Hooks that it implements.
        errors: Why it, or one of its hooks, was skipped.
    """

    name: str
    distribution: str = ''
    entry_point: str = ''
    version: str = ''
    hooks: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class PluginHost(pluggy.PluginManager):
    """A pluggy manager that knows our hooks and keeps one registry for each.

    A new host is empty; :func:`get_plugin_manager` returns the one that holds the
    built-in parts and all installed plugins. Hooks are called on first use, kind by
    kind, so asking for the sensors never imports a task.

    Example:
        >>> host = PluginHost()
        >>> host.registry('sensors').list()
        []
    """

    def __init__(self) -> None:
        """Initialize a new PluginHost instance."""
        super().__init__(hookspecs.PROJECT)
        self.add_hookspecs(hookspecs)
        #: One record for each plugin, in the order of loading.
        self.records: dict[str, PluginRecord] = {}
        self._registries: dict[str, Registry[Any]] = {}

    def register(self, plugin: Any, name: str | None = None) -> str | None:
        """Add a plugin that is already imported.

        Args:
            plugin: Module, or object, with functions marked by ``hookimpl``.
            name: Owner of everything that it registers; the name of the module by
                default.

        Returns:
            The name, or None if it is blocked.

        Raises:
            PluginError: If it implements no hook, an unknown one, or one with
                arguments that the host does not pass.
        """
        if inspect.isclass(plugin):
            raise PluginError(
                f'Expected a module or an object, got the class {plugin.__name__!r}: '
                'its methods would miss "self". Create an instance.'
            )
        try:
            known = super().register(plugin, name)
            self.check_pending()
        except pluggy.PluginValidationError as error:
            if self.is_registered(plugin):
                self.unregister(plugin)
            raise PluginError(str(error)) from error
        if known is None:
            return None
        hooks = [caller.name for caller in self.get_hookcallers(plugin) or ()]
        if not hooks:
            self.unregister(plugin)
            raise PluginError(
                'It implements no hook. Mark its functions with '
                'torchgeo_hsi.plugins.hookimpl.'
            )
        record = self.records.setdefault(known, PluginRecord(known))
        record.hooks = sorted(hooks)
        # what was collected so far lacks the newcomer
        self._registries.clear()
        return known

    def unregister(self, plugin: Any = None, name: str | None = None) -> Any:
        """Remove a plugin and what it registered here.

        Args:
            plugin: The plugin.
            name: Its name; one of the two is enough.

        Returns:
            The plugin, or None if there is none.
        """
        owner = name or self.get_name(plugin) or ''
        removed = super().unregister(plugin, name)
        self.records.pop(owner, None)
        self._registries.clear()
        return removed

    def load(self, points: Iterable[EntryPoint]) -> None:
        """Load plugins from their entry points.

        A plugin that cannot be loaded is skipped with a
        :class:`~torchgeo_hsi.errors.PluginWarning`; the others are not affected.

        Args:
            points: Entry points, e.g. those of the group ``torchgeo.plugins``.
        """
        for point in sorted(points, key=_owner):
            if point.value == builtin.__name__:
                # the installed package announces what is registered already
                continue
            record = PluginRecord(
                _owner(point),
                distribution=point.dist.name if point.dist else '',
                entry_point=point.name,
                version=point.dist.version if point.dist else '',
            )
            self.records[record.name] = record
            try:
                self.register(point.load(), record.name)
            # a plugin may fail in any way, a call of sys.exit included
            except (Exception, SystemExit) as error:  # noqa: BLE001
                self._skip(record, 'failed to load', error)

    def registry(self, kind: str) -> Registry[Any]:
        """Return everything of one kind that the plugins register.

        Args:
            kind: ``'datasets'``, ``'datamodules'``, ``'samplers'``, ``'transforms'``,
                ``'models'``, ``'losses'``, ``'metrics'``, ``'tasks'``, ``'sensors'``
                or ``'commands'``.

        Returns:
            The registry, filled on the first call.

        Raises:
            UnknownNameError: If there is no such kind.
            NameClashError: If two plugins register the same name.
        """
        if kind not in KINDS:
            raise UnknownNameError('kind of plugin part', kind, KINDS)
        if kind not in self._registries:
            registry: Registry[Any] = Registry(KINDS[kind].title)
            for owner, plugin in self.list_name_plugin():
                for name, obj in self._collect(KINDS[kind], owner, plugin):
                    registry.add(name, obj, owner=owner)
                    KINDS[kind].forward(obj, name, owner)
            self._registries[kind] = registry
        return self._registries[kind]

    def load_all(self) -> None:
        """Fill all registries, so that every class can be found by its short name.

        Raises:
            NameClashError: If two plugins register the same name.
        """
        for kind in KINDS:
            self.registry(kind)

    def _collect(self, kind: Kind, owner: str, plugin: Any) -> list[tuple[str, Any]]:
        """Call one hook of one plugin; a hook that fails adds nothing at all."""
        found: list[tuple[str, Any]] = []

        def register(obj: Any, name: str | None = None) -> None:
            found.append((kind.check(obj, name, owner), obj))

        others = [other for _, other in self.list_name_plugin() if other is not plugin]
        try:
            self.subset_hook_caller(kind.hook, others)(register=register)
        except NameClashError:
            raise
        except (Exception, SystemExit) as error:
            if plugin is builtin:
                raise
            self._skip(self.records[owner], f'failed in {kind.hook}', error)
            return []
        return found

    def _skip(self, record: PluginRecord, what: str, error: BaseException) -> None:
        """Note and announce a failure."""
        reason = f'{type(error).__name__}: {error}'.rstrip('.')
        note = f'{what}: {reason}'
        if note not in record.errors:
            record.errors.append(note)
        # a plugin that was half registered has just been removed
        self.records[record.name] = record
        _log.debug('Plugin %s %s', record.name, what, exc_info=error)
        source = (
            f' (entry point {record.entry_point!r} of {record.distribution} '
            f'{record.version})'
        )
        warnings.warn(
            f'The plugin {record.name!r}{source if record.distribution else ""} '
            f'{what} and is skipped there: {reason}. Mend or uninstall it, or leave '
            f'it out with the environment variable {VARIABLE}.',
            PluginWarning,
            stacklevel=3,
        )


def _owner(point: EntryPoint) -> str:
    """Name a plugin after where it comes from: unique, and known to ``pip``."""
    return f'{point.dist.name if point.dist else "unknown"}:{point.name}'


def _chosen(points: Iterable[EntryPoint], wanted: str | None) -> list[EntryPoint]:
    """Keep the entry points that the environment variable asks for."""
    if wanted is None:
        return list(points)
    names = {name for name in re.split(r'[,\s]+', wanted) if name not in ('', '0')}
    kept = []
    missing = set(names)
    for point in points:
        own = {_owner(point), point.name, *_owner(point).split(':')[:1]}
        if own & names:
            kept.append(point)
            missing -= own
    if missing:
        warnings.warn(
            f'{VARIABLE} asks for {", ".join(sorted(missing))}, but no such plugin is '
            f'installed in the group {GROUP!r}.',
            PluginWarning,
            stacklevel=3,
        )
    return kept


@functools.cache
def get_plugin_manager() -> PluginHost:
    """Return the host with the built-in parts and all installed plugins.

    It is made on the first call. The environment variable ``TORCHGEO_HSI_PLUGINS``
    limits the third-party plugins to a comma-separated list of distributions or
    entry points; ``0`` loads none.

    Returns:
        The host, always the same one.
    """
    host = PluginHost()
    host.register(builtin, builtin.OWNER)
    record = host.records[builtin.OWNER]
    record.distribution, record.entry_point = builtin.DISTRIBUTION, builtin.ENTRY_POINT
    record.version = __version__
    points = entry_points(group=GROUP)
    host.load(_chosen(points, os.environ.get(VARIABLE)))
    return host
