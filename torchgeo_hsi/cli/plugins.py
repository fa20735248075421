# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi plugins``: what is installed, what it adds, what is broken."""

from dataclasses import asdict
from typing import Any

import click

from ..plugins import PluginHost, get_plugin_manager
from ..plugins.kinds import KINDS
from ._options import json_option
from ._output import echo_json, echo_table
from ._verb import Verb


def _parts(host: PluginHost) -> dict[str, dict[str, list[str]]]:
    """List what each plugin registers: plugin -> kind -> names."""
    parts: dict[str, dict[str, list[str]]] = {name: {} for name in host.records}
    for kind in KINDS:
        registry = host.registry(kind)
        for name in registry:
            parts[registry.owner(name)].setdefault(kind, []).append(name)
    return parts


def _echo_people(rows: list[dict[str, Any]], parts: bool) -> None:
    table = []
    for row in rows:
        hooks = ', '.join(hook.removeprefix('register_') for hook in row['hooks'])
        table.append((row['name'], row['version'] or '-', hooks or '-'))
    echo_table(('plugin', 'version', 'registers'), table)
    for row in rows:
        for error in row['errors']:
            click.echo(f'! {row["name"]} {error}')
    for row in rows if parts else ():
        for kind, names in row['parts'].items():
            click.echo(f'\n{row["name"]} {kind} ({len(names)}):')
            click.echo('  ' + '\n  '.join(names))


@click.command(
    cls=Verb,
    short_help='List plugins with their hooks and failures.',
    examples=('torchgeo-hsi plugins', 'torchgeo-hsi plugins --parts --json'),
)
@click.option(
    '--parts',
    is_flag=True,
    help='Call every hook and list what it registers (imports everything).',
)
@json_option
def plugins(parts: bool, as_json: bool) -> None:
    """List plugins with their hooks and failures.

    A plugin that fails to load is skipped, and the reason stands here. Our own parts are
    a plugin as well.
    """
    host = get_plugin_manager()
    # the hooks first: some failures show only when they are called
    found = _parts(host) if parts else {}
    rows = [asdict(record) for record in host.records.values()]
    for row in rows if parts else ():
        row['parts'] = found[row['name']]
    if as_json:
        echo_json(rows)
    else:
        _echo_people(rows, parts)


COMMANDS = (plugins,)
