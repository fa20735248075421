# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Directives that show results of benchmarks.

* ``result``: all of a file, as a section.
* ``result-table``: one of its tables, for other pages; ``:table:`` is its position.
* ``results-overview``: a line of each file.
* ``results-unsorted``: files that ``result_tables`` does not mention.

A file that no page shows is a warning, and so an error of ``make docs``.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from result_tables import SHOWN
from results import (
    BENCHMARKS,
    RESULTS,
    Cells,
    Result,
    fill,
    fill_table,
    plain_tables,
    read_result,
    result_names,
)
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

logger = logging.getLogger(__name__)


def words(text: str) -> list[nodes.Node]:
    """Make text of nodes, with ``code`` between backticks."""
    parts = re.split(r'`+([^`]+)`+', text)
    return [
        nodes.literal(text=part) if i % 2 else nodes.Text(part)
        for i, part in enumerate(parts)
        if part
    ]


def table_node(cells: Cells) -> nodes.container:
    """Make a table that scrolls where the page is narrow."""
    table = nodes.table(classes=['result-table'], align='left')
    table += nodes.title('', '', *words(cells.title))
    group = nodes.tgroup(cols=len(cells.head))
    table += group
    for _ in cells.head:
        group += nodes.colspec(colwidth=1)
    group += nodes.thead('', _row(cells.head, set()))
    body = nodes.tbody()
    for i, row in enumerate(cells.rows):
        body += _row(row, {column for line, column in cells.marked if line == i})
    group += body
    return nodes.container('', table, classes=['table-scroll'])


def _row(cells: Iterable[str], marked: set[int]) -> nodes.row:
    row = nodes.row()
    for column, text in enumerate(cells):
        inside: nodes.Node = nodes.Text(text)
        if column in marked:
            inside = nodes.strong('', text)
        row += nodes.entry('', nodes.paragraph('', '', inside))
    return row


def filled(result: Result) -> list[Cells]:
    """Fill all tables of a result."""
    if result.name in SHOWN:
        return [fill_table(t, result.content) for t in SHOWN[result.name].tables]
    return list(plain_tables(result.content))


class ResultDirective(SphinxDirective):
    """What these directives share."""

    def read(self, name: str) -> Result:
        """Read a result, and rebuild the page when it changes."""
        self.env.note_dependency(str(RESULTS / f'{name}.json'))
        return read_result(name)

    def file_link(self, path: Path, text: str) -> nodes.Node:
        """Link to a copy of a file of the repository."""
        target = '/' + str(Path('..') / path.relative_to(BENCHMARKS.parent))
        return addnodes.download_reference(
            '',
            '',
            nodes.literal(text=text),
            refdoc=self.env.docname,
            reftarget=target,
            reftype='download',
            refexplicit=True,
            classes=['xref', 'download'],
        )

    def source(self, result: Result) -> nodes.paragraph:
        """Say where the figures come from."""
        script = result.script
        text = f'. {result.hardware}; commit {result.commit}, {result.date}; seed '
        return nodes.paragraph(
            '',
            '',
            nodes.Text('From '),
            self.file_link(script, script.name),
            nodes.Text(', '),
            self.file_link(RESULTS / f'{result.name}.json', f'{result.name}.json'),
            nodes.Text(f'{text}{result.content["seed"]}.'),
            classes=['result-source'],
        )

    def section(self, name: str) -> nodes.section:
        """Show all of a result."""
        result = self.read(name)
        title = name.replace('_', ' ').capitalize()
        section = nodes.section(ids=[label(name)], names=[name])
        standard = self.env.domains.standard_domain
        standard.labels[label(name)] = (self.env.docname, label(name), title)
        standard.anonlabels[label(name)] = (self.env.docname, label(name))
        section += nodes.title('', title)
        section += nodes.paragraph('', '', *words(result.what))
        if name in SHOWN:
            shown = SHOWN[name]
            line = fill(shown.headline, result.content)
            section += nodes.paragraph('', '', nodes.strong('', line))
            section += nodes.paragraph(
                '', '', nodes.Text('Compared with: '), *words(f'{shown.baseline}.')
            )
        section += [table_node(cells) for cells in filled(result)]
        section += self.source(result)
        shown_names(self.env).setdefault(self.env.docname, set()).add(name)
        return section


class ShowResult(ResultDirective):
    """Show a result as a section."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the section."""
        return [self.section(self.arguments[0])]


class ShowTable(ResultDirective):
    """Show one table of a result."""

    required_arguments = 1
    option_spec: ClassVar[dict[str, Any]] = {'table': directives.nonnegative_int}

    def run(self) -> list[nodes.Node]:
        """Make the table, and say where it comes from."""
        result = self.read(self.arguments[0])
        cells = filled(result)[self.options.get('table', 0)]
        return [table_node(cells), self.source(result)]


class ShowHeadline(ResultDirective):
    """Show the line of a result that counts."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Make the line."""
        result = self.read(self.arguments[0])
        line = fill(SHOWN[result.name].headline, result.content)
        return [nodes.paragraph('', '', nodes.strong('', line))]


def label(name: str) -> str:
    """Name the section of a result."""
    return f'result-{name.replace("_", "-")}'


class ShowOverview(ResultDirective):
    """Show a line of each result."""

    def link(self, entry: nodes.Element) -> None:
        """Turn the name of a result into a link to its section."""
        name = entry.astext()
        link = addnodes.pending_xref(
            '',
            nodes.inline('', name.replace('_', ' ')),
            refdoc=self.env.docname,
            refdomain='std',
            reftype='ref',
            reftarget=label(name),
            refexplicit=True,
            refwarn=True,
        )
        entry.children = [nodes.paragraph('', '', link)]

    def run(self) -> list[nodes.Node]:
        """Make the table."""
        rows = []
        for name in result_names():
            result = self.read(name)
            line = result.what.replace('``', '')
            if name in SHOWN:
                line = fill(SHOWN[name].headline, result.content)
            versus = SHOWN[name].baseline.replace('`', '') if name in SHOWN else '–'
            rows.append([name, line, versus, str(result.content['seed']), result.date])
        head = ['benchmark', 'what came out', 'compared with', 'seed', 'date']
        table = table_node(Cells('All results', head, rows, set()))
        for row in table.findall(nodes.tbody):
            for line in row.children:
                self.link(line.children[0])
        return [table]


class ShowUnsorted(ResultDirective):
    """Show the results that no table is made for."""

    def run(self) -> list[nodes.Node]:
        """Make a section for each."""
        return [self.section(name) for name in result_names() if name not in SHOWN]


def shown_names(env: BuildEnvironment) -> dict[str, set[str]]:
    """Return which page shows which results."""
    if not hasattr(env, 'shown_results'):
        env.shown_results = {}  # type: ignore[attr-defined]
    found: dict[str, set[str]] = env.shown_results  # type: ignore[attr-defined]
    return found


def forget(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget what a page has shown, before it is read again."""
    shown_names(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, names: set[str], other: Any) -> None:
    """Take over what another process has found."""
    shown_names(env).update(shown_names(other))


def check(app: Sphinx, env: BuildEnvironment) -> None:
    """Warn of results that no page shows."""
    shown = set().union(*shown_names(env).values())
    for name in sorted(set(result_names()) - shown):
        logger.warning('benchmarks/results/%s.json is on no page.', name)


def setup(app: Sphinx) -> dict[str, Any]:
    """Tell Sphinx."""
    app.add_directive('result', ShowResult)
    app.add_directive('result-table', ShowTable)
    app.add_directive('result-headline', ShowHeadline)
    app.add_directive('results-overview', ShowOverview)
    app.add_directive('results-unsorted', ShowUnsorted)
    app.connect('env-purge-doc', forget)
    app.connect('env-merge-info', merge)
    app.connect('env-check-consistency', check)
    return {'version': '1', 'parallel_read_safe': True, 'env_version': 1}
