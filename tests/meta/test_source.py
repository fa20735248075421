# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Rules of form that no linter checks."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ('torchgeo_hsi', 'tests', 'benchmarks', 'docs', '.ci')
SOURCES = sorted(
    path
    for folder in FOLDERS
    for path in (ROOT / folder).rglob('*.py')
    if '_build' not in path.parts
)
PACKAGE = [path for path in SOURCES if path.is_relative_to(ROOT / 'torchgeo_hsi')]

MAX_FILE = 400
MAX_FUNCTION = 50
#: A function, or what a function before it ends at.
START = re.compile(r'( *)(?:async )?(def|class|@)\b')

HEADER = (
    '# Copyright (c) torchgeo-hsi contributors. All rights reserved.\n'
    '# Licensed under the MIT License.\n'
)


@cache
def text(path: Path) -> str:
    return path.read_text('utf-8')


@cache
def tree(source: str) -> ast.Module:
    return ast.parse(source)


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


def may_be_long(source: str) -> bool:
    """Whether a function may have too many lines; to parse all files takes seconds."""
    starts = [
        (number, len(match[1]), match[2] == 'def')
        for number, line in enumerate(source.splitlines())
        if (match := START.match(line))
    ]
    starts.append((source.count('\n') + 1, 0, False))
    return any(
        next(n for n, other, _ in starts[i + 1 :] if other <= indent) - number
        >= MAX_FUNCTION
        for i, (number, indent, is_function) in enumerate(starts)
        if is_function
    )


def long_functions(source: str) -> list[str]:
    if not may_be_long(source):
        return []
    return [
        f'{node.name}: {span(node)} lines'
        for node in ast.walk(tree(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and span(node) >= MAX_FUNCTION
    ]


# one test for all files: to make thousands of them takes longer than to read the files


def test_headers() -> None:
    lacking = [name(path) for path in SOURCES if not text(path).startswith(HEADER)]
    assert not lacking


def test_files_are_short() -> None:
    counts = {name(path): len(text(path).splitlines()) for path in SOURCES}
    assert {path: n for path, n in counts.items() if n >= MAX_FILE} == {}


def test_functions_are_short() -> None:
    found = {name(path): long_functions(text(path)) for path in SOURCES}
    assert {path: functions for path, functions in found.items() if functions} == {}


def test_docstring_does_not_count() -> None:
    doc = '\n'.join(['def f():', '    """Do.', *['    x'] * 60, '    """', '    pass'])
    code = '\n'.join(['def f():', '    """Do."""', *['    pass'] * MAX_FUNCTION])
    assert not long_functions(doc)
    assert long_functions(code) == [f'f: {MAX_FUNCTION + 1} lines']


def test_no_print() -> None:
    calls = [
        f'{name(path)}:{node.lineno}'
        for path in PACKAGE
        for node in ast.walk(tree(text(path)))
        if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'print'
    ]
    assert not calls
