# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Figures of benchmarks as tables: read from ``benchmarks/results``, never typed.

What a table shows is said in ``result_tables``: words and places in the file. A file
that lacks one of these places, or says less than where it was made, is an error.
"""

import ast
import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

BENCHMARKS = Path(__file__).resolve().parents[2] / 'benchmarks'
RESULTS = BENCHMARKS / 'results'

#: What every file has to say.
NEEDED = ('benchmark', 'commit', 'hardware', 'seed', 'quick')

#: What the tables of files without tables of their own leave out.
HEADER = (*NEEDED, 'torch', 'date', 'python')

_PLACE = re.compile(r'\{([^{}]+?)(?::([+,.0-9a-z%]*))?\}')


class ResultError(Exception):
    """A file of results is malformed, or lacks what a table shows."""


class Table(NamedTuple):
    """What a table shows.

    Args:
        title: Caption.
        rows: Place of a dict or list of entries, ``''`` for the file itself.
        head: Title of the first column.
        columns: Titles and places in an entry, with a format after ``:``.
        key: Of a dict, the entries that are shown (all by default). Of a list, places
            in an entry that name it; entries of the same name are averaged.
        only: Values that entries need to be shown.
        best: Titles of columns whose best number is marked, and whether less is better.
    """

    title: str
    rows: str
    head: str
    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    only: Mapping[str, Any] = {}
    best: Mapping[str, str] = {}


class Result(NamedTuple):
    """A file of results.

    Args:
        name: Name of the file.
        content: What it holds.
    """

    name: str
    content: dict[str, Any]

    @property
    def script(self) -> Path:
        """The script that has written it."""
        return BENCHMARKS / f'{self.content["benchmark"]}.py'

    @property
    def what(self) -> str:
        """What the script says that it measures: the first paragraph about it."""
        text = ast.get_docstring(ast.parse(self.script.read_text('utf-8'))) or ''
        return ' '.join(text.split('\n\n')[0].split())

    @property
    def hardware(self) -> str:
        """The machine in words."""
        machine = self.content['hardware']
        words = [machine['cpu'], f'{machine["cores"]} cores']
        if 'threads' in machine:
            threads = machine['threads']
            words.append(f'{threads} thread{"s" if threads != 1 else ""}')
        if 'memory_gib' in machine:
            words.append(f'{machine["memory_gib"]:.0f} GiB')
        return ', '.join(words)

    @property
    def commit(self) -> str:
        """The commit that was measured."""
        return str(self.content['commit']).removesuffix('-dirty')

    @property
    def date(self) -> str:
        """The day of the file, of that commit, or of the commit that added the file."""
        if 'date' in self.content:
            return str(self.content['date'])[:10]
        log = ['git', 'log', '-1', '--format=%cs']
        for words in ([self.commit], ['--', f'results/{self.name}.json']):
            run = subprocess.run(
                [*log, *words],
                cwd=BENCHMARKS,
                capture_output=True,
                text=True,
                check=False,
            )
            if run.returncode == 0 and run.stdout.strip():
                return run.stdout.strip()
        return 'unknown'


def result_names() -> list[str]:
    """List the files of results by name."""
    return sorted(path.stem for path in RESULTS.glob('*.json'))


def read_result(name: str) -> Result:
    """Read and check a file of results.

    Args:
        name: Its name.

    Returns:
        The result.

    Raises:
        ResultError: If it is malformed.
    """
    path = RESULTS / f'{name}.json'
    try:
        content = json.loads(path.read_text('utf-8'))
    except (OSError, ValueError) as error:
        raise ResultError(f'{path.name}: {error}') from error
    missing = [word for word in NEEDED if word not in content]
    if missing:
        raise ResultError(f'{path.name} does not say {", ".join(missing)}.')
    if content['quick']:
        raise ResultError(f'{path.name} is of a quick run, which proves nothing.')
    result = Result(name, content)
    if not result.script.is_file():
        raise ResultError(f'{path.name}: there is no {result.script.name}.')
    return result


def look_up(content: Any, place: str) -> Any:
    """Find a place such as ``'infer/ms/fast'``.

    Args:
        content: Dicts and lists in each other.
        place: Names and positions with slashes between them.

    Returns:
        What is there.

    Raises:
        ResultError: If nothing is there.
    """
    found = content
    for word in place.split('/') if place else []:
        # a slash in a name is written as %
        word = word.replace('%', '/')
        try:
            found = found[int(word)] if isinstance(found, list) else found[word]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ResultError(f'there is no {place!r}') from error
    return found


def show(value: Any, form: str = '') -> str:
    """Write a value.

    Args:
        value: A number, a word, or a list of numbers, of which the mean is shown.
        form: How, as of :func:`format`.

    Returns:
        The text.
    """
    if value is None:
        return '–'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    if isinstance(value, list):
        return ' × '.join(show(v, form) for v in value)
    if isinstance(value, str):
        return value
    return format(value, form or (',' if isinstance(value, int) else ',.4g'))


def fill(text: str, content: Any) -> str:
    """Put figures into a sentence: ``'{infer/speedup:.1f} times as fast'``.

    Args:
        text: The sentence.
        content: Where the figures are.

    Returns:
        The sentence with them.
    """
    return _PLACE.sub(lambda m: show(look_up(content, m[1]), m[2] or ''), text)


def _entries(table: Table, content: Any) -> Iterator[tuple[str, list[Any]]]:
    """Yield names of rows, and the entries that each of them stands for."""
    rows = look_up(content, table.rows)
    if isinstance(rows, dict):
        yield from ((name, [look_up(rows, name)]) for name in table.key)
        if not table.key:
            yield from ((name, [entry]) for name, entry in rows.items())
        return
    groups: dict[str, list[Any]] = {}
    for entry in rows:
        if all(look_up(entry, k) == v for k, v in table.only.items()):
            name = ', '.join(show(look_up(entry, key)) for key in table.key)
            groups.setdefault(name, []).append(entry)
    yield from groups.items()


def _cell(entries: list[Any], place: str) -> tuple[str, float | None]:
    """Write a cell and return its number, if it is one."""
    place, _, form = place.rpartition(':')
    optional = place.endswith('?')
    found = []
    for entry in entries:
        try:
            found.append(look_up(entry, place.removesuffix('?')))
        except ResultError:
            if not optional:
                raise
    if not found:
        return '–', None
    if len(found) > 1 or isinstance(found[0], float | int):
        number = mean(found) if len(found) > 1 else found[0]
        return show(number, form), None if isinstance(number, bool) else number
    return show(found[0], form), None


class Cells(NamedTuple):
    """A table that is filled.

    Args:
        title: Caption.
        head: Titles of the columns.
        rows: Cells as text.
        marked: Row and column of the best numbers.
    """

    title: str
    head: list[str]
    rows: list[list[str]]
    marked: set[tuple[int, int]]


def fill_table(table: Table, content: Any) -> Cells:
    """Fill a table.

    Args:
        table: What it shows.
        content: Where the figures are.

    Returns:
        The table.

    Raises:
        ResultError: If the file lacks something, or a row is left.
    """
    rows, numbers = [], []
    for name, entries in _entries(table, content):
        cells = [_cell(entries, place) for place in table.columns.values()]
        rows.append([name, *(text for text, _ in cells)])
        numbers.append([None, *(number for _, number in cells)])
    if not rows:
        raise ResultError(f'no rows for {table.title!r}')
    head = [table.head, *table.columns]
    marked = set()
    for title, kind in table.best.items():
        column = head.index(title)
        known = [row[column] for row in numbers if row[column] is not None]
        best = (min if kind == 'least' else max)(known)
        marked |= {(i, column) for i, row in enumerate(numbers) if row[column] == best}
    return Cells(table.title, head, rows, marked)


def plain_tables(content: Mapping[str, Any]) -> Iterator[Cells]:
    """Show what a file holds where nobody has said how.

    Args:
        content: The file.

    Yields:
        Its single figures, then a table for each group of alike entries.
    """
    plain = (str, int, float, bool)
    own = {k: v for k, v in content.items() if k not in HEADER}
    single = [[k, show(v)] for k, v in own.items() if isinstance(v, plain)]
    if single:
        yield Cells('Figures', ['figure', 'value'], single, set())
    for name, group in own.items():
        if not isinstance(group, dict | list):
            continue
        rows = group.items() if isinstance(group, dict) else enumerate(group, 1)
        entries = {str(k): v for k, v in rows if isinstance(v, dict)}
        loose = {str(k): v for k, v in rows if isinstance(v, plain)}
        titles = list(
            dict.fromkeys(
                k
                for e in entries.values()
                for k, v in e.items()
                if isinstance(v, plain)
            )
        )
        if titles:
            lines = [
                [k, *(show(e[t]) if t in e else '–' for t in titles)]
                for k, e in entries.items()
            ]
            yield Cells(name, ['', *titles], lines, set())
        if loose:
            yield Cells(
                name, ['', 'value'], [[k, show(v)] for k, v in loose.items()], set()
            )
