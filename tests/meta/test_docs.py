# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Whatever the README and the guides show has to run as it stands.

The blocks of a page run in their order, in an empty folder:

* ``python`` blocks share one namespace; where a line is an expression with a comment,
  the comment is what it evaluates to, with ``...`` for any text,
* ``yaml`` blocks whose first line is a comment with a file name become that file,
* lines of ``bash`` blocks run if they call one of our commands.
"""

import ast
import doctest
import json
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page.relative_to(ROOT).as_posix()
    for page in [ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md')]
    if '_build' not in page.parts
)

_BLOCK = re.compile(r'^```(python|yaml|bash)\n(.*?)^```$', re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r'# ([\w-]+\.yaml)\n')


class Block(NamedTuple):
    """One fenced block of a page."""

    language: str
    line: int
    text: str


def blocks(page: str) -> Iterator[Block]:
    text = (ROOT / page).read_text(encoding='utf-8')
    for match in _BLOCK.finditer(text):
        yield Block(match[1], text.count('\n', 0, match.start(2)), match[2])


def commands(text: str) -> Iterator[list[str]]:
    """Split a shell block into the commands that belong to us."""
    for line in text.replace('\\\n', ' ').splitlines():
        words = shlex.split(line, comments=True)
        if words and words[0] in ('torchgeo', 'torchgeo-hsi'):
            yield words


def run_python(page: str, block: Block, namespace: dict[str, object]) -> None:
    # the padding makes tracebacks point at the line of the page
    source = '\n' * block.line + block.text
    lines = source.splitlines()
    for node in ast.parse(source).body:
        filename = str(ROOT / page)
        if not isinstance(node, ast.Expr):
            module = ast.Module([node], type_ignores=[])
            exec(compile(module, filename, 'exec'), namespace)  # noqa: S102
            continue
        got = eval(compile(ast.Expression(node.value), filename, 'eval'), namespace)
        after = lines[node.end_lineno - 1][node.end_col_offset :].strip()
        if after.startswith('#'):
            want = after.removeprefix('#').strip()
            matches = doctest.OutputChecker().check_output(
                f'{want}\n', f'{got!r}\n', doctest.ELLIPSIS
            )
            assert matches, f'{page}:{node.lineno}: expected {want}, got {got!r}'


@contextmanager
def own_environment() -> Iterator[None]:
    """Undo changes of the environment: torchgeo's command sets options of GDAL."""
    before = dict(os.environ)
    try:
        yield
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def run_command(words: list[str]) -> None:
    with own_environment():
        if words[0] == 'torchgeo':
            from torchgeo.main import main as torchgeo_main

            torchgeo_main(words[1:])
            return
        from torchgeo_hsi.main import main

        with pytest.raises(SystemExit) as end:
            main(words[1:])
        assert end.value.code in (0, None), ' '.join(words)


PAGES_THAT_RUN = [
    page
    for page in PAGES
    if any(
        block.language == 'python' or any(commands(block.text))
        for block in blocks(page)
    )
]


def run_page(page: str, folder: Path) -> None:
    """Run the blocks of a page; *folder* is the working directory."""
    namespace: dict[str, object] = {'__name__': '__main__'}
    for block in blocks(page):
        if block.language == 'python':
            run_python(page, block, namespace)
        elif block.language == 'yaml':
            name = _FILE_NAME.match(block.text)
            if name:
                (folder / name[1]).write_text(block.text, encoding='utf-8')
        else:
            for words in commands(block.text):
                run_command(words)


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES_THAT_RUN)
def test_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(page, tmp_path)


def test_readme_is_short() -> None:
    lines = (ROOT / 'README.md').read_text(encoding='utf-8').splitlines()
    assert len(lines) <= 150


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    text = path.read_text(encoding='utf-8')
    for target in re.findall(r'\]\((?!https?://|#)([^)#\s]+)', text):
        assert (path.parent / target).exists(), f'{page} links to {target}'


def test_makefile_targets_are_documented() -> None:
    makefile = (ROOT / 'Makefile').read_text(encoding='utf-8')
    documented = (ROOT / 'docs/install.md').read_text(encoding='utf-8')
    for target in ('demo', 'test', 'lint', 'docs', 'bench', 'clean'):
        assert re.search(rf'^{target}:', makefile, re.MULTILINE)
        assert f'`{target}`' in documented or f'make {target}' in documented


def test_version_is_the_same_everywhere() -> None:
    import yaml

    from torchgeo_hsi import __version__

    citation = yaml.safe_load((ROOT / 'CITATION.cff').read_text(encoding='utf-8'))
    assert citation['version'] == __version__
    changelog = (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8')
    assert '## [Unreleased]' in changelog or f'## [{__version__}]' in changelog


@pytest.fixture
def extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / 'docs' / '_ext'))


RESULTS = sorted(path.stem for path in (ROOT / 'benchmarks/results').glob('*.json'))


@pytest.mark.usefixtures('extensions')
@pytest.mark.parametrize('name', RESULTS)
def test_results_fill_their_tables(name: str) -> None:
    from result_tables import SHOWN
    from results import fill, fill_table, plain_tables, read_result

    result = read_result(name)
    assert result.what
    assert result.hardware
    if name not in SHOWN:
        assert list(plain_tables(result.content))
        return
    assert '{' not in fill(SHOWN[name].headline, result.content)
    for table in SHOWN[name].tables:
        cells = fill_table(table, result.content)
        assert all(len(row) == len(cells.head) for row in cells.rows)


@pytest.mark.usefixtures('extensions')
def test_each_result_is_on_a_page() -> None:
    from result_tables import SHOWN

    shown_results = re.compile(r'^```\{result\} (\w+)$', re.MULTILINE)
    pages = (ROOT / 'docs' / 'benchmarks').glob('*.md')
    shown = {
        name
        for page in pages
        for name in shown_results.findall(page.read_text('utf-8'))
    }
    # the rest is on the page of those without tables of their own
    assert shown == set(SHOWN)
    assert shown <= set(RESULTS)


@pytest.mark.usefixtures('extensions')
@pytest.mark.parametrize(
    'broken', [{'commit': None}, {'quick': True}, {'infer': None}, {'train': {}}]
)
def test_malformed_results_are_errors(
    broken: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import results
    from result_tables import SHOWN

    content = json.loads((ROOT / 'benchmarks/results/adapter.json').read_text('utf-8'))
    content |= broken
    content = {key: value for key, value in content.items() if value is not None}
    (tmp_path / 'adapter.json').write_text(json.dumps(content), 'utf-8')
    monkeypatch.setattr(results, 'RESULTS', tmp_path)
    (table,) = SHOWN['adapter'].tables
    with pytest.raises(results.ResultError):
        results.fill_table(table, results.read_result('adapter').content)


@pytest.mark.usefixtures('extensions')
def test_drawing_shows_each_room_and_what_it_imports() -> None:
    from rooms import PURPOSES, arrows, draw, find_rooms, levels

    rooms = find_rooms()
    assert set(rooms) == set(PURPOSES)
    layer = levels(rooms)
    assert all(layer[a] > layer[b] for a in rooms for b in rooms[a].imports)
    picture = draw(rooms)
    assert picture.count('class="arch-box"') == len(rooms)
    assert picture.count('class="arch-arrow"') == len(arrows(rooms))

    circle = {
        name: room._replace(imports=frozenset({other}))
        for (name, room), other in zip(
            list(rooms.items())[:2], reversed(list(rooms)[:2]), strict=True
        )
    }
    with pytest.raises(ValueError, match='import each other'):
        levels(circle)


TASKS = sorted(p.stem for p in (ROOT / 'docs/tasks').glob('*.md') if p.stem != 'index')


@pytest.mark.parametrize('task', TASKS)
def test_each_task_has_figure_config_numbers_and_limits(task: str) -> None:
    text = (ROOT / f'docs/tasks/{task}.md').read_text('utf-8')
    assert '![' in text
    assert '```{literalinclude} ../../configs/' in text or '`torchgeo-hsi gas' in text
    assert '```{result-table}' in text
    assert '## Limits' in text
    assert f']({task}.md)' in (ROOT / 'docs/tasks/index.md').read_text('utf-8')


SENSOR_PAGES = ('enmap_l2a', 'prisma_l2d', 'emit_l2a', 'desis_l2a', 'hsi_cube')


@pytest.mark.parametrize('sensor', SENSOR_PAGES)
def test_each_sensor_page_has_the_same_sections(sensor: str) -> None:
    text = (ROOT / f'docs/datasets/{sensor}.md').read_text('utf-8')
    found = re.findall(r'^## (.*)$', text, re.MULTILINE)
    same = ['What is read', 'Bands', 'Values', 'Quality layers', 'Pitfalls']
    assert [name for name in found if name in same] == same
    assert 'Example and plot' in found
    assert f'datasets/{sensor}.md)' in (ROOT / 'docs/sensors/index.md').read_text(
        'utf-8'
    )
