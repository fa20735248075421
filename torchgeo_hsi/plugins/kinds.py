# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What each hook accepts, and where it goes."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ..errors import NameClashError, PluginError

#: Owner of what the sub-packages learned, by kind and name.
_FORWARDED: dict[tuple[str, str], str] = {}


@dataclass(frozen=True)
class Kind:
    """One kind of contribution: one hook and one registry.

    The base classes belong to heavy packages, so they are known by name and looked
    for in the bases of what is registered: whoever registers a task has imported
    torchgeo, and nobody else has to.

    Args:
        name: Name of the kind, in the plural; the hook is ``register_<name>``.
        title: Name of one thing of this kind, for messages.
        base: Name of the class that it has to derive from; None for any function.
        base_module: Top-level package of *base*.
        instance: Whether objects, and not classes, are registered.
        named: Whether a plugin may choose another name than the object's own.
        upstream: Public modules of torchgeo whose class names may not be reused.
        sink: Function (``'module:name'``) that also learns of each entry.
    """

    name: str
    title: str
    base: str | None
    base_module: str = ''
    instance: bool = False
    named: bool = True
    upstream: tuple[str, ...] = ()
    sink: str | None = None

    @property
    def hook(self) -> str:
        """Name of the hook."""
        return f'register_{self.name}'

    @property
    def expected(self) -> str:
        """What the hook takes, in words."""
        if self.base is None:
            return f'a function that builds a {self.title}'
        relation = 'an instance' if self.instance else 'a subclass'
        return f"{relation} of {self.base_module}'s class {self.base!r}"

    def fits(self, obj: object) -> bool:
        """Whether an object derives from what this kind has to derive from.

        Args:
            obj: A class, a function or an instance.

        Returns:
            True if it may be registered.
        """
        if self.base is None:
            return callable(obj)
        if self.instance == inspect.isclass(obj):
            return False
        bases = inspect.getmro(obj if inspect.isclass(obj) else type(obj))
        return any(
            base.__name__ == self.base
            and base.__module__.partition('.')[0] == self.base_module
            for base in bases
        )

    def check(self, obj: Any, name: str | None, owner: str) -> str:
        """Check one contribution.

        Args:
            obj: What a plugin registers.
            name: Name that the plugin asks for.
            owner: Plugin that registers it.

        Returns:
            The name to register it under.

        Raises:
            PluginError: If it is of another kind, or has no name.
            NameClashError: If torchgeo has a class of the same name.
        """
        if not self.fits(obj):
            raise PluginError(f'{self.hook} takes {self.expected}, got {obj!r}.')
        own = getattr(obj, 'name' if self.instance else '__name__', None)
        chosen = name or own
        if not isinstance(chosen, str) or not chosen:
            raise PluginError(f'{self.hook} got {obj!r}, which has no name: pass one.')
        if not self.named and chosen != own:
            raise PluginError(
                f'{self.hook} finds {own!r} by its own name; {chosen!r} cannot work.'
            )
        for module in self.upstream:
            # not imported means that nothing of ours can stand in its way
            other = getattr(sys.modules.get(module), own or '', None)
            if other is not None and other is not obj:
                raise NameClashError(
                    f'The {self.title} name {own!r} belongs to {module!r} and is '
                    f'registered by {owner!r}: torchgeo would find neither by its '
                    'short name. Ask the plugin to rename its class.'
                )
        return chosen

    def forward(self, obj: Any, name: str, owner: str) -> None:
        """Tell the sub-package that looks up this kind by name.

        It is told once: a second host in the same process, or one that calls its hooks
        again, finds the first object there.

        Args:
            obj: What was registered.
            name: Its name.
            owner: Plugin that registered it.

        Raises:
            NameClashError: If the sub-package knows another object of this name.
        """
        if self.sink is not None and _FORWARDED.get((self.name, name)) != owner:
            module, _, function = self.sink.partition(':')
            add: Callable[..., object] = getattr(import_module(module), function)
            add(obj, name=name, owner=owner)
            _FORWARDED[self.name, name] = owner

    def forwarded_by(self, name: str) -> str | None:
        """Tell which plugin brought a name to the sub-package of this kind.

        Args:
            name: Name of a contribution.

        Returns:
            The plugin, or None if the name did not come from a plugin.
        """
        return _FORWARDED.get((self.name, name))


_KINDS = (
    Kind('datasets', 'dataset', 'Dataset', 'torch', upstream=('torchgeo.datasets',)),
    Kind(
        'datamodules',
        'datamodule',
        'BaseDataModule',
        'torchgeo',
        named=False,
        upstream=('torchgeo.datamodules',),
    ),
    Kind('samplers', 'sampler', 'Sampler', 'torch', upstream=('torchgeo.samplers',)),
    Kind(
        'transforms', 'transform', 'Module', 'torch', upstream=('torchgeo.transforms',)
    ),
    Kind('models', 'model', None, sink='torchgeo_hsi.models:register_model'),
    Kind('losses', 'loss', 'Module', 'torch', upstream=('torchgeo.losses',)),
    Kind('metrics', 'metric', 'Metric', 'torchmetrics'),
    Kind(
        'tasks',
        'task',
        'BaseTask',
        'torchgeo',
        named=False,
        upstream=('torchgeo.tasks', 'torchgeo.trainers'),
    ),
    Kind(
        'sensors',
        'sensor',
        'Sensor',
        'torchgeo_hsi',
        instance=True,
        named=False,
        sink='torchgeo_hsi.physics:register_sensor',
    ),
    Kind('commands', 'command', 'Command', 'click', instance=True),
)

#: All kinds by name, in the order in which they are loaded.
KINDS = {kind.name: kind for kind in _KINDS}
