# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Our own parts, registered through our own hooks.

Each hook imports its sub-package when it is called and not before, and hands over the
public names, so a new class needs no line here.
"""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from .hookspecs import Register, hookimpl
from .kinds import KINDS

#: Distribution and entry point, as pyproject.toml has them.
DISTRIBUTION = 'torchgeo-hsi'
ENTRY_POINT = 'hsi'
OWNER = f'{DISTRIBUTION}:{ENTRY_POINT}'


def _public_classes(kind: str) -> Iterator[type[Any]]:
    """Yield the classes of a kind among the public names of its sub-package."""
    module = import_module(f'torchgeo_hsi.{kind}')
    for name in module.__all__:
        obj = getattr(module, name)
        # a sub-package also has loaders, reports and the like
        if inspect.isclass(obj) and KINDS[kind].fits(obj):
            yield obj


def _own(kind: str, names: list[str]) -> Iterator[str]:
    """Leave out what other plugins brought to a sub-package that keeps a registry."""
    for name in names:
        if KINDS[kind].forwarded_by(name) in (None, OWNER):
            yield name


@hookimpl
def register_datasets(register: Register) -> None:
    """Register our datasets."""
    for cls in _public_classes('datasets'):
        register(cls)


@hookimpl
def register_datamodules(register: Register) -> None:
    """Register our datamodules."""
    for cls in _public_classes('datamodules'):
        register(cls)


@hookimpl
def register_transforms(register: Register) -> None:
    """Register our transforms."""
    for cls in _public_classes('transforms'):
        register(cls)


@hookimpl
def register_models(register: Register) -> None:
    """Register our models under the names that ``get_model`` takes."""
    models = import_module('torchgeo_hsi.models')
    for name in _own('models', models.list_models()):
        register(models.get_builder(name), name)


@hookimpl
def register_samplers(register: Register) -> None:
    """Register our samplers."""
    for cls in _public_classes('samplers'):
        register(cls)


@hookimpl
def register_losses(register: Register) -> None:
    """Register our losses."""
    for cls in _public_classes('losses'):
        register(cls)


@hookimpl
def register_metrics(register: Register) -> None:
    """Register our metrics."""
    for cls in _public_classes('metrics'):
        register(cls)


@hookimpl
def register_tasks(register: Register) -> None:
    """Register our tasks."""
    for cls in _public_classes('tasks'):
        register(cls)


@hookimpl
def register_sensors(register: Register) -> None:
    """Register our sensors."""
    physics = import_module('torchgeo_hsi.physics')
    for name in _own('sensors', physics.list_sensors()):
        register(physics.get_sensor(name))


@hookimpl
def register_commands(register: Register) -> None:
    """Register our verbs; each imports what it needs when it runs."""
    package = import_module('torchgeo_hsi.cli')
    for module in iter_modules(package.__path__):
        if not module.name.startswith('_'):
            file = import_module(f'torchgeo_hsi.cli.{module.name}')
            for command in file.COMMANDS:
                register(command)
