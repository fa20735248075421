# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Public names are unique, sorted and documented."""

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'torchgeo_hsi'

PARTS = sorted(
    f'torchgeo_hsi.{path.parent.name}'
    for path in PACKAGE.glob('*/__init__.py')
    if path.parent.name != 'cli'
)
UPSTREAM = (
    'datasets',
    'datamodules',
    'models',
    'tasks',
    'samplers',
    'transforms',
    'losses',
    'trainers',
)

_DIRECTIVE = re.compile(
    r'^\.\. (currentmodule|module|automodule|autoclass|autofunction|autoexception'
    r'|autodata|autodecorator|autoprotocol|data|function|class)::\s+([\w.]+)',
    re.MULTILINE,
)


def public(module_name: str) -> dict[str, Any]:
    module = import_module(module_name)
    return {name: getattr(module, name) for name in module.__all__}


def defined_in(module_name: str) -> set[str]:
    """Name what ``automodule`` with ``:members:`` shows."""
    return {
        f'{module_name}.{name}'
        for name, obj in vars(import_module(module_name)).items()
        if not name.startswith('_') and getattr(obj, '__module__', '') == module_name
    }


def documented() -> set[str]:
    """Collect the full names that the reference describes."""
    found = set()
    for page in sorted((ROOT / 'docs' / 'api').glob('*.rst')):
        module = ''
        for directive, target in _DIRECTIVE.findall(page.read_text('utf-8')):
            if directive in ('currentmodule', 'module', 'automodule'):
                module = target
                if directive == 'automodule':
                    found |= defined_in(target)
            else:
                full = target.startswith('torchgeo_hsi')
                found.add(target if full else f'{module}.{target}')
    return found


def class_names(module_name: str) -> set[str]:
    """Collect the names of the classes that a module shows."""
    return {
        name
        for name, obj in vars(import_module(module_name)).items()
        if inspect.isclass(obj) and not name.startswith('_')
    }


@pytest.mark.parametrize('part', PARTS)
def test_all_names_exist(part: str) -> None:
    module = import_module(part)
    assert isinstance(module.__all__, tuple)
    missing = [name for name in module.__all__ if not hasattr(module, name)]
    assert not missing


@pytest.mark.slow
def test_no_class_is_named_like_one_of_torchgeo() -> None:
    # in one test, because importing torchgeo takes long
    taken: dict[str, str] = {}
    for part in UPSTREAM:
        taken |= dict.fromkeys(class_names(f'torchgeo.{part}'), f'torchgeo.{part}')
    assert {'BaseTask', 'EnMAP', 'ResNet50_Weights', 'GeoSampler'} <= set(taken)
    for part in PARTS:
        ours = {n for n, o in public(part).items() if inspect.isclass(o)}
        clash = {name: taken[name] for name in ours & set(taken)}
        assert not clash, f'{part}: {clash}'


@pytest.mark.parametrize('part', PARTS)
def test_classes_live_in_public_modules(part: str) -> None:
    # the command line skips private modules when it looks up short names
    hidden = [
        name
        for name, obj in public(part).items()
        if inspect.isclass(obj) and '._' in obj.__module__
    ]
    assert not hidden


@pytest.mark.parametrize('part', PARTS)
def test_every_name_is_in_the_reference(part: str) -> None:
    missing = {f'{part}.{name}' for name in public(part)} - documented()
    assert not missing


def test_every_error_is_in_the_reference() -> None:
    names = defined_in('torchgeo_hsi.errors')
    assert 'torchgeo_hsi.errors.UnitError' in names
    assert not names - documented()


def test_the_reference_names_nothing_that_is_gone() -> None:
    for full in documented():
        module, _, name = full.rpartition('.')
        assert hasattr(import_module(module), name), full


def parameters(obj: Any) -> list[str]:
    """Return the parameters that a caller has to know."""
    try:
        signature = inspect.signature(obj)
    except (TypeError, ValueError):
        return []
    return [name for name in signature.parameters if name not in ('self', 'cls')]


def docs_of(obj: Any) -> str:
    texts = [inspect.getdoc(obj) or '']
    if inspect.isclass(obj):
        # torchgeo documents arguments in __init__, others in the class
        texts.append(inspect.getdoc(obj.__init__) or '')
    return '\n'.join(texts)


@pytest.mark.parametrize('part', PARTS)
def test_every_name_has_a_docstring(part: str) -> None:
    for name, obj in public(part).items():
        if not (inspect.isclass(obj) or inspect.isroutine(obj)):
            continue
        own = obj.__doc__ or ''
        assert own.strip(), f'{part}.{name} has no docstring'
        # exceptions and protocols are not called by users
        if inspect.isclass(obj) and (
            issubclass(obj, BaseException) or getattr(obj, '_is_protocol', False)
        ):
            continue
        if parameters(obj):
            assert 'Args:' in docs_of(obj), f'{part}.{name} lacks "Args:"'
