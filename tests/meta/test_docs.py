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
import re
import shlex
from collections.abc import Iterator
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


def run_command(words: list[str]) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize('page', PAGES_THAT_RUN)
def test_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {'__name__': '__main__'}
    for block in blocks(page):
        if block.language == 'python':
            run_python(page, block, namespace)
        elif block.language == 'yaml':
            name = _FILE_NAME.match(block.text)
            if name:
                (tmp_path / name[1]).write_text(block.text, encoding='utf-8')
        else:
            for words in commands(block.text):
                run_command(words)


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
