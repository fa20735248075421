# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Any dataset from the command line: by its class and arguments, or by its files."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal, get_args, get_origin

import click

from ..errors import MetadataError, UnknownNameError
from ..plugins import get_plugin_manager
from ._arguments import with_options
from ._complete import complete_datasets
from ._config_file import read_yaml
from ._guess import guess_class, with_stores
from ._options import config_option

#: Settings of a verb whose arguments go to :func:`split_arguments`.
CONTEXT = {'ignore_unknown_options': True, 'allow_extra_args': True}

_PREFIX = '--dataset.'


#: Options that name a dataset: the verb gets *dataset* and *config*. Its positional
#: arguments have to be unprocessed, for :func:`split_arguments`.
dataset_options = with_options(
    (
        click.option(
            '--dataset',
            metavar='CLASS',
            shell_complete=complete_datasets,
            help='Class of the dataset, e.g. SpectralEarth; its arguments follow as '
            '--dataset.NAME VALUE.',
        ),
        config_option('class_path and init_args of the dataset', ships=False),
        click.option(
            '--splits',
            metavar='NAME,NAME',
            help='Splits of the dataset to take, e.g. train; all of it without.',
        ),
    )
)


def split_arguments(args: Sequence[str]) -> tuple[list[str], list[str]]:
    """Tell paths from arguments of a dataset.

    Args:
        args: All that click did not take for itself.

    Returns:
        The paths, and the arguments as ``--dataset.NAME=VALUE``.

    Raises:
        click.UsageError: If there is another option, or a value is missing.
    """
    paths: list[str] = []
    options: list[str] = []
    words = iter(args)
    for word in words:
        if not word.startswith('-') or word == '-':
            paths.append(word)
            continue
        if not word.startswith(_PREFIX):
            raise click.NoSuchOption(word)
        if '=' not in word:
            value = next(words, None)
            if value is None:
                raise click.UsageError(f'{word} lacks its value.')
            word = f'{word}={value}'
        options.append(word)
    return paths, options


@dataclass(frozen=True)
class DatasetChoice:
    """A dataset that was chosen and not yet opened.

    Args:
        cls: Its class.
        arguments: What it is called with.
    """

    cls: type[Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Dotted path of the class."""
        return f'{self.cls.__module__}.{self.cls.__qualname__}'

    @property
    def splits(self) -> tuple[str, ...]:
        """Values that the argument ``split`` may have; empty if it is not known."""
        parameter = inspect.signature(self.cls).parameters.get('split')
        if parameter is None or get_origin(parameter.annotation) is not Literal:
            return ()
        return tuple(str(value) for value in get_args(parameter.annotation))

    def with_split(self, split: str) -> 'DatasetChoice':
        """Choose a split.

        Args:
            split: Its name.

        Returns:
            A choice like this one.

        Raises:
            MetadataError: If the class has no such split.
        """
        known = self.splits
        if 'split' not in inspect.signature(self.cls).parameters:
            raise MetadataError(f'{self.name} has no splits. Leave --splits out.')
        if known and split not in known:
            raise MetadataError(
                f'{self.name} has no split {split!r}. It has: {", ".join(known)}.'
            )
        return replace(self, arguments={**self.arguments, 'split': split})

    def open(self) -> Any:
        """Make the dataset.

        Returns:
            The dataset.
        """
        return self.cls(**self.arguments)


def choose_dataset(
    name: str | None,
    config: str | None,
    options: Sequence[str] = (),
    paths: Sequence[str] = (),
) -> DatasetChoice:
    """Find out which dataset is meant.

    Args:
        name: Name or dotted path of a class, or None.
        config: YAML file with ``class_path`` and ``init_args``, at the top or below
            ``dataset``, or None.
        options: Arguments of the class, as ``--dataset.NAME=VALUE``; they win over the
            file.
        paths: Where the data are: ``paths`` or ``root`` of the class. With neither
            *name* nor *config*, the class follows from what lies there.

    Returns:
        The class and its arguments.

    Raises:
        MetadataError: If nothing says which dataset is meant, or the file does not.
        UnknownNameError: If there is no such class.
        click.UsageError: If an argument is unknown or of the wrong type.
    """
    if name is None and config is None:
        if not paths:
            raise MetadataError(
                'Expected paths, or a dataset: --dataset CLASS or --config FILE.'
            )
        name = guess_class(paths)
        paths = with_stores(paths)
    content = {} if config is None else _read_config(config)
    if name is None:
        name = str(content['class_path'])
    elif config is not None and 'class_path' in content:
        same = name.rpartition('.')[2] == str(content['class_path']).rpartition('.')[2]
        content = content if same else {}
    cls = find_class(name)
    arguments = _parse(cls, content.get('init_args') or {}, options)
    return DatasetChoice(cls, arguments | _place(cls, paths))


def find_class(name: str) -> type[Any]:
    """Find the class of a dataset.

    Args:
        name: Name of one of ours, of a plugin or of torchgeo, or a dotted path.

    Returns:
        The class.

    Raises:
        UnknownNameError: If there is no such class.
    """
    if '.' in name:
        return _import_class(name)
    ours = get_plugin_manager().registry('datasets')
    if name in ours:
        found_ours: type[Any] = ours.get(name)
        return found_ours
    torchgeo = import_module('torchgeo.datasets')
    if name in torchgeo.__all__ and inspect.isclass(getattr(torchgeo, name)):
        found_theirs: type[Any] = getattr(torchgeo, name)
        return found_theirs
    raise UnknownNameError('dataset', name, {*ours, *torchgeo.__all__})


def _import_class(path: str) -> type[Any]:
    module_name, _, attribute = path.rpartition('.')
    try:
        found = getattr(import_module(module_name), attribute)
    # what is named here may be any file, and fail in any way
    except (ImportError, AttributeError, ValueError) as error:
        raise MetadataError(
            f'There is no class {path}: {error}. Expected a dotted path, such as '
            'my_package.datasets.MyDataset.'
        ) from error
    if not inspect.isclass(found):
        raise MetadataError(f'Expected a class, got {path}, which is {found!r}.')
    return found


def _read_config(config: str) -> dict[str, Any]:
    content = read_yaml(config)
    if isinstance(content, dict):
        content = content.get('dataset', content)
    if not isinstance(content, dict) or 'class_path' not in content:
        raise MetadataError(
            f'Expected the class_path and init_args of a dataset in {config}, at the '
            'top or below "dataset:". Correct it.'
        )
    return content


def _parse(
    cls: type[Any], values: Mapping[str, Any], options: Sequence[str]
) -> dict[str, Any]:
    """Check arguments by the types that the class declares, and convert them."""
    import yaml

    given = dict(values)
    typed: list[str] = []
    for option in options:
        name, _, text = option.removeprefix(_PREFIX).partition('=')
        if name in _BY_HAND:
            given[name] = yaml.safe_load(text)
        else:
            typed.append(option)
            given.pop(name, None)
    by_hand = {name: given.pop(name) for name in _BY_HAND & set(given)}
    unknown = set(by_hand) - set(inspect.signature(cls).parameters)
    if unknown:
        raise click.UsageError(f'{cls.__name__} has no argument {unknown.pop()!r}.')
    arguments = _parse_typed(cls, given, typed)
    for name, value in by_hand.items():
        arguments[name] = _BUILDERS.get(name, _path)(value)
    return arguments


def _parse_typed(
    cls: type[Any], values: Mapping[str, Any], options: Sequence[str]
) -> dict[str, Any]:
    """Parse the arguments whose types can be told to jsonargparse."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    own = set(inspect.signature(cls).parameters)
    parser.add_class_arguments(
        cls, 'dataset', fail_untyped=False, instantiate=False, skip=own & _BY_HAND
    )
    # what has to be given may still come as a path
    for action in parser._actions:
        action.required = False
    try:
        start = parser.parse_object({'dataset': dict(values)}, defaults=False)
        given = parser.parse_args(list(options), namespace=start, defaults=False)
        # jsonargparse 4.49 has given it another name
        make = getattr(parser, 'instantiate', None) or parser.instantiate_classes
        made = make(given).as_dict()
    except ArgumentError as error:
        raise click.UsageError(f'{cls.__name__}: {error}') from error
    arguments: dict[str, Any] = made.get('dataset') or {}
    return arguments


def _path(value: Any) -> Any:
    """Read a path or a list of paths."""
    return [str(item) for item in value] if isinstance(value, list) else str(value)


def _crs(value: Any) -> Any:
    """Read a coordinate reference system, such as EPSG:32633."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        return CRS.from_user_input(value)
    except CRSError as error:
        raise click.UsageError(f'--dataset.crs: {error}') from error


def _transforms(value: Any) -> Any:
    """Build a transform from its dotted path, or class_path and init_args."""
    content = {'class_path': value} if isinstance(value, str) else value
    if not isinstance(content, dict) or 'class_path' not in content:
        raise click.UsageError(
            'Expected a class_path, and maybe init_args, in --dataset.transforms, got '
            f'{value!r}.'
        )
    cls = _import_class(str(content['class_path']))
    return cls(**content.get('init_args') or {})


#: Arguments whose declared types are too wide, or too narrow, for jsonargparse.
_BUILDERS = {'crs': _crs, 'transforms': _transforms}
_BY_HAND = frozenset({*_BUILDERS, 'paths', 'root', 'path'})


def _place(cls: type[Any], paths: Sequence[str]) -> dict[str, Any]:
    """Return the argument of a class that says where its data are."""
    from ..io.store._folder import store_kind

    if not paths:
        return {}
    parameters = inspect.signature(cls).parameters
    if 'paths' in parameters:
        # a store is one of a list, not a folder to look into
        is_place = len(paths) == 1 and store_kind(paths[0]) != 'scene'
        return {'paths': paths[0] if is_place else list(paths)}
    for name in ('root', 'path'):
        if name in parameters:
            if len(paths) > 1:
                raise MetadataError(
                    f'{cls.__name__} reads one folder, got {len(paths)} paths: '
                    f'{", ".join(paths)}.'
                )
            return {name: paths[0]}
    raise MetadataError(
        f'{cls.__name__} takes no paths. Pass its arguments as --dataset.NAME VALUE: '
        f'{", ".join(parameters)}.'
    )
