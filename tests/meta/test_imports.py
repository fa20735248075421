# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Imports go one way, and what is cheap stays cheap."""

import ast
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'torchgeo_hsi'

BASE = frozenset(
    {'torchgeo_hsi', 'errors', '_typing', '_precision', '_registry', '_compat'}
)
PHYSICS = BASE | {'plugins', 'physics'}
LOW = PHYSICS | {'io', 'layers', 'metrics'}
MIDDLE = LOW | {'losses', 'models', 'transforms', 'graphs'}
WORK = MIDDLE | {'scenes', 'jobs'}
DATA = WORK | {'datasets', 'samplers'}

#: What each part may import, besides itself.
ALLOWED = {
    'torchgeo_hsi': frozenset(),
    'errors': frozenset(),
    '_typing': BASE,
    '_precision': BASE,
    '_registry': BASE,
    '_compat': BASE,
    'plugins': BASE,
    'physics': PHYSICS,
    'io': PHYSICS,
    'layers': PHYSICS,
    'metrics': PHYSICS,
    'losses': LOW,
    'models': LOW,
    'transforms': LOW,
    'graphs': LOW,
    'scenes': LOW | {'models'},
    'jobs': frozenset({'torchgeo_hsi', 'errors', '_typing'}),
    'datasets': WORK,
    'samplers': MIDDLE | {'datasets'},
    'datamodules': DATA,
    'callbacks': DATA,
    'tasks': MIDDLE,
    'workflows': DATA | {'datamodules', 'callbacks', 'tasks'},
    '__main__': frozenset({'main'}),
}
#: Parts that may import everything.
FREE = frozenset({'main', 'cli'})

#: Naming one class of these in a config has to register our backbones in timm.
REGISTERING = frozenset({'datasets', 'datamodules', 'transforms', 'callbacks', 'tasks'})

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

FILES = sorted(PACKAGE.rglob('*.py'))


def part_of(module: str) -> str:
    """Name the part that a module of ours belongs to."""
    words = module.split('.')
    return words[1] if len(words) > 1 else 'torchgeo_hsi'


def module_name(path: Path) -> str:
    words = path.relative_to(ROOT).with_suffix('').parts
    return '.'.join(words[:-1] if words[-1] == '__init__' else words)


def imports(source: str, module: str, is_package: bool) -> Iterator[str]:
    """Yield the full names that a file imports, wherever in the file that is."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = node.module or ''
            if node.level:
                anchor = module.split('.')
                drop = node.level - (1 if is_package else 0)
                anchor = anchor[: len(anchor) - drop]
                stem = '.'.join([*anchor, *([stem] if stem else [])])
            # each name may be a module or something inside of one
            yield from (f'{stem}.{alias.name}' for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            function = node.func
            called = getattr(function, 'attr', getattr(function, 'id', ''))
            target = node.args[0]
            if called in ('import_module', '__import__') and isinstance(
                target, ast.Constant
            ):
                yield str(target.value)


def own_parts(names: Iterator[str]) -> set[str]:
    """Reduce imported names to the parts of our package."""
    parts = set()
    for name in names:
        words = name.split('.')
        if words[0] != 'torchgeo_hsi':
            continue
        exists = len(words) > 1 and (
            (PACKAGE / words[1]).is_dir() or (PACKAGE / f'{words[1]}.py').is_file()
        )
        # e.g. torchgeo_hsi.__version__ belongs to the package itself
        parts.add(words[1] if exists else 'torchgeo_hsi')
    return parts


def forbidden(path: Path) -> set[str]:
    """Return the parts that a file imports although it may not."""
    module = module_name(path)
    part = part_of(module)
    if part in FREE:
        return set()
    names = imports(path.read_text('utf-8'), module, path.name == '__init__.py')
    if part == 'plugins':
        # the host reaches other parts by dotted strings, when a hook is called
        names = (name for name in names if not _is_lazy(path, name))
    allowed = ALLOWED[part] | {part}
    if part in REGISTERING and module == f'torchgeo_hsi.{part}':
        allowed |= {'models'}
    return own_parts(names) - allowed


def _is_lazy(path: Path, name: str) -> bool:
    return f"import_module('{name}')" in path.read_text('utf-8')


@pytest.mark.parametrize('path', FILES, ids=module_name)
def test_direction(path: Path) -> None:
    assert not forbidden(path)


def test_every_part_has_a_place() -> None:
    parts = {part_of(module_name(path)) for path in FILES}
    assert parts <= set(ALLOWED) | FREE


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
    """Return the files of a part and of all that they may import, step by step."""
    seen: set[str] = set()
    todo = {part}
    while todo:
        current = todo.pop()
        seen.add(current)
        for path in (path for path in FILES if part_of(module_name(path)) == current):
            names = imports(
                path.read_text('utf-8'), module_name(path), path.name == '__init__.py'
            )
            if current != 'plugins':
                todo |= own_parts(names) - seen
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
