# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Rules of form that no linter checks."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / 'torchgeo_hsi').rglob('*.py'))
FOLDERS = ('torchgeo_hsi', 'tests', 'benchmarks', 'docs')
SOURCES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob('*.py')
    if '_build' not in path.parts
)

MAX_FILE = 400
MAX_FUNCTION = 50

HEADER = (
    '# Copyright (c) torchgeo-hsi contributors. All rights reserved.\n'
    '# Licensed under the MIT License.\n'
)


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def span(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the lines of a function, from ``def`` to its end, without docstring."""
    assert node.end_lineno is not None
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def long_functions(source: str) -> list[str]:
    return [
        f'{node.name}: {span(node)} lines'
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and span(node) >= MAX_FUNCTION
    ]


@pytest.mark.parametrize('path', SOURCES, ids=name)
def test_header(path: Path) -> None:
    assert path.read_text('utf-8').startswith(HEADER)


@pytest.mark.parametrize('path', PACKAGE, ids=name)
def test_file_is_short(path: Path) -> None:
    lines = len(path.read_text('utf-8').splitlines())
    assert lines < MAX_FILE, f'{lines} lines'


@pytest.mark.parametrize('path', PACKAGE, ids=name)
def test_functions_are_short(path: Path) -> None:
    assert not long_functions(path.read_text('utf-8'))


def test_docstring_does_not_count() -> None:
    doc = '\n'.join(['def f():', '    """Do.', *['    x'] * 60, '    """', '    pass'])
    code = '\n'.join(['def f():', '    """Do."""', *['    pass'] * MAX_FUNCTION])
    assert not long_functions(doc)
    assert long_functions(code) == [f'f: {MAX_FUNCTION + 1} lines']


@pytest.mark.parametrize('path', PACKAGE, ids=name)
def test_no_print(path: Path) -> None:
    calls = [
        node.lineno
        for node in ast.walk(ast.parse(path.read_text('utf-8')))
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'print'
    ]
    assert not calls
