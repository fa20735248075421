# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Imports go one way, and what is cheap stays cheap."""

import functools
import subprocess
import sys
import time
from pathlib import Path

import pytest
from meta.import_graph import (
    FILES,
    MODULES,
    PACKAGE,
    ROOT,
    cycles,
    imports,
    module_name,
    neighbours,
    own_parts,
    part_of,
    sub_room,
)

#: Rooms from the ground up: a room imports from rooms below it, never from its own
#: floor. `torchgeo_hsi` is the package itself, which knows its version.
FLOORS = (
    {'torchgeo_hsi', 'errors'},
    {'_typing', '_json', '_precision', '_registry', '_compat', '_timm'},
    {'_torch_file'},
    {'physics', 'plugins', 'jobs', 'graphs'},
    {'io', 'layers', 'metrics'},
    {'losses', 'models'},
    {'transforms', 'scenes'},
    {'datasets'},
    {'samplers'},
    {'datamodules', 'callbacks', 'tasks'},
    {'workflows'},
    {'cli'},
    {'main'},
    {'__main__'},
)

#: What each room imports, and no more: who needs another room adds it here, and who
#: needs one no longer takes it out.
IMPORTS: dict[str, set[str]] = {
    '_registry': {'errors'},
    '_torch_file': {'_typing', 'errors'},
    'physics': {'_precision', '_registry', '_typing', 'errors'},
    'plugins': {'_registry', 'errors', 'torchgeo_hsi'},
    'jobs': {'_typing', 'errors'},
    'graphs': {'_precision', '_typing', 'errors'},
    'io': {'_json', '_typing', 'errors', 'physics'},
    'layers': {'_precision', 'errors'},
    'metrics': {'_json', '_precision', 'errors', 'physics'},
    'losses': {'_precision', 'errors', 'physics'},
    'models': {
        '_compat',
        '_precision',
        '_registry',
        '_torch_file',
        '_typing',
        'errors',
        'io',
        'layers',
        'metrics',
        'physics',
        'torchgeo_hsi',
    },
    'transforms': {'_precision', '_registry', '_timm', '_typing', 'errors', 'physics'},
    'scenes': {'_typing', 'errors', 'io', 'models', 'physics', 'torchgeo_hsi'},
    'datasets': {
        '_json',
        '_timm',
        '_typing',
        'errors',
        'io',
        'jobs',
        'physics',
        'transforms',
    },
    'samplers': {'_timm', '_typing', 'errors', 'physics'},
    'datamodules': {
        '_compat',
        '_timm',
        '_torch_file',
        '_typing',
        'datasets',
        'errors',
        'graphs',
        'io',
        'jobs',
        'physics',
        'samplers',
        'scenes',
        'transforms',
    },
    'callbacks': {
        '_timm',
        '_typing',
        'datasets',
        'errors',
        'io',
        'metrics',
        'models',
        'physics',
        'samplers',
        'torchgeo_hsi',
        'transforms',
    },
    'tasks': {
        '_compat',
        '_precision',
        '_torch_file',
        '_typing',
        'errors',
        'graphs',
        'layers',
        'losses',
        'metrics',
        'models',
        'physics',
        'transforms',
    },
    'workflows': {
        '_typing',
        'callbacks',
        'datamodules',
        'datasets',
        'errors',
        'graphs',
        'io',
        'metrics',
        'models',
        'physics',
        'scenes',
        'tasks',
        'torchgeo_hsi',
        'transforms',
    },
    '__main__': {'main'},
}
#: Rooms that may import everything below them.
FREE = frozenset({'main', 'cli'})

#: Naming one class of these in a config has to register our backbones in timm.
REGISTERING = frozenset(
    {'datasets', 'samplers', 'datamodules', 'transforms', 'callbacks', 'tasks'}
)

#: Parts that run on a machine without torchgeo.
BARE = (
    'physics',
    'io',
    'layers',
    'metrics',
    'losses',
    'models',
    'scenes',
    'graphs',
    'jobs',
)
HEAVY = frozenset({'torchgeo', 'lightning', 'pytorch_lightning'})


@functools.cache
def imported(path: Path) -> set[str]:
    """Return the other parts that a file imports to use them."""
    module, source = module_name(path), path.read_text('utf-8')
    part = part_of(module)
    names = imports(source, module, path.name == '__init__.py')
    if part == 'plugins':
        # the host reaches other parts by dotted strings, when a hook is called
        names = (name for name in names if f"import_module('{name}')" not in source)
    found = own_parts(names) - {part}
    if part in REGISTERING and module == f'torchgeo_hsi.{part}':
        found -= {'models'}
    return found


def test_direction() -> None:
    wrong = {}
    for path in FILES:
        part = part_of(module_name(path))
        more = imported(path) - IMPORTS.get(part, set())
        if more and part not in FREE:
            wrong[module_name(path)] = more
    assert not wrong


def test_every_part_has_a_place() -> None:
    parts = {part_of(module_name(path)) for path in FILES}
    assert parts == set().union(*FLOORS)


def test_rooms_import_from_below() -> None:
    floor = {part: n for n, parts in enumerate(FLOORS) for part in parts}
    edges = dict(IMPORTS)
    for path in FILES:
        part = part_of(module_name(path))
        if part in FREE:
            edges[part] = edges.get(part, set()) | imported(path)
    up = [(a, b) for a, parts in edges.items() for b in parts if floor[a] <= floor[b]]
    assert not up


def test_what_may_be_imported_is() -> None:
    used: dict[str, set[str]] = {}
    for path in FILES:
        used.setdefault(part_of(module_name(path)), set()).update(imported(path))
    unused = {
        part: parts - used[part]
        for part, parts in IMPORTS.items()
        if parts - used[part]
    }
    assert not unused, 'allowed, but nobody imports it: take it out of IMPORTS'


def test_modules_load_without_cycles() -> None:
    edges = {module: neighbours(path) for module, path in MODULES.items()}
    assert not cycles(edges)


def test_folders_of_a_room_import_one_way() -> None:
    edges: dict[str, set[str]] = {}
    for module, path in MODULES.items():
        others = neighbours(path)
        if path.name == '__init__.py':
            # a door opens what lies behind it
            others = {other for other in others if not other.startswith(f'{module}.')}
        found = {sub_room(other) for other in others} - {sub_room(module)}
        edges.setdefault(sub_room(module), set()).update(found)
    assert not cycles(edges)


def test_private_names_stay_in_their_room() -> None:
    wrong = set()
    for module, path in MODULES.items():
        source = path.read_text('utf-8')
        for name in imports(source, module, path.name == '__init__.py'):
            last = name.rpartition('.')[2]
            private = last.startswith('_') and not last.startswith('__')
            inside = part_of(name) == part_of(module) or name in MODULES
            if name.startswith('torchgeo_hsi.') and private and not inside:
                wrong.add(f'{module} imports {name}')
    assert not wrong


def test_cycles_are_found() -> None:
    edges = {'a': {'b'}, 'b': {'c'}, 'c': {'b'}, 'd': {'a'}, 'e': set()}
    # what leads into a cycle is named, too
    assert cycles(edges) == ['a', 'b', 'c', 'd']
    assert cycles({'a': {'b'}, 'b': set()}) == []


@pytest.mark.parametrize(
    'part', sorted(p for p in REGISTERING if (PACKAGE / p / '__init__.py').is_file())
)
def test_naming_one_class_registers_the_backbones(part: str) -> None:
    source = (PACKAGE / part / '__init__.py').read_text('utf-8')
    assert 'models' in own_parts(imports(source, f'torchgeo_hsi.{part}', True))


@pytest.mark.parametrize(
    ('source', 'module', 'package', 'expected'),
    [
        ('import torchgeo_hsi.io.base', 'torchgeo_hsi.x', False, {'io'}),
        ('from .. import models', 'torchgeo_hsi.io.envi', False, {'models'}),
        ('from ..models import x', 'torchgeo_hsi.io.envi', False, {'models'}),
        ('from ..models import x', 'torchgeo_hsi.io', True, {'models'}),
        ('from . import envi', 'torchgeo_hsi.io', True, {'io'}),
        ('from .envi import y', 'torchgeo_hsi.io', True, {'io'}),
        ('from .. import __version__', 'torchgeo_hsi.io.b', False, {'torchgeo_hsi'}),
        ('if TYPE_CHECKING:\n from .. import io', 'torchgeo_hsi.p.q', False, {'io'}),
        ('def f():\n from ..io import x', 'torchgeo_hsi.p.q', False, {'io'}),
        ('import_module("torchgeo_hsi.io")', 'torchgeo_hsi.p', False, {'io'}),
        ('import torchgeo.datasets', 'torchgeo_hsi.p', False, set()),
    ],
)
def test_walker_sees_every_form(
    source: str, module: str, package: bool, expected: set[str]
) -> None:
    assert own_parts(imports(source, module, package)) == expected


def reachable(part: str) -> set[Path]:
    """Return the files of a part and of all that it may import, step by step."""
    seen: set[str] = set()
    todo = {part}
    while todo:
        current = todo.pop()
        seen.add(current)
        todo |= IMPORTS.get(current, set()) - seen
    return {path for path in FILES if part_of(module_name(path)) in seen}


@pytest.mark.parametrize('part', BARE)
def test_never_imports_torchgeo(part: str) -> None:
    for path in reachable(part):
        names = imports(path.read_text('utf-8'), module_name(path), False)
        heavy = {name.split('.')[0] for name in names} & HEAVY
        assert not heavy, f'{module_name(path)} imports {heavy}'


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, '-c', code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_bare_parts_load_without_torchgeo() -> None:
    lines = [f'import torchgeo_hsi.{p}' for p in BARE if (PACKAGE / p).is_dir()]
    check = f'import sys; print(sorted({set(HEAVY)!r} & set(sys.modules)))'
    run = python('\n'.join([*lines, check]))
    assert run.stdout.strip() == '[]', run.stderr or run.stdout


def test_package_and_plugin_list_load_without_torch() -> None:
    run = python(
        'import sys\n'
        'import torchgeo_hsi\n'
        'assert not {"torch", "numpy", "click"} & set(sys.modules)\n'
        'from torchgeo_hsi.main import cli\n'
        'cli.main(["plugins"], standalone_mode=False)\n'
        'cli.main(["--help"], standalone_mode=False)\n'
        'assert not {"torch", "rasterio", "torchgeo"} & set(sys.modules)\n'
    )
    assert run.returncode == 0, run.stderr


def seconds(code: str) -> float:
    """Return the shortest of five runs of an interpreter."""
    best = float('inf')
    for _ in range(5):
        start = time.perf_counter()
        assert python(code).returncode == 0
        best = min(best, time.perf_counter() - start)
    return best


def test_package_loads_in_no_time() -> None:
    cost = seconds('import torchgeo_hsi') - seconds('pass')
    assert cost < 0.3, f'import torchgeo_hsi takes {cost:.2f} s'
