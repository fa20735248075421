# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Kill every verb that writes, many times, and fill the disk under it.

Each job is small and gives the same bytes each time. It is killed (SIGKILL) before its
n-th change of files, in the middle of a write, and at random times; then the same
command runs again, and its result is compared, byte by byte, with that of a run that
nobody disturbed. After that, it runs where files cannot grow any more, and on a disk with
little room. The baseline of everything is the undisturbed run of the same process.
"""

import argparse
import re
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from common import finish, header, option_parser

sys.path.insert(0, str(Path(__file__).parents[1] / 'tests'))

from robustness.server import Server  # isort: skip  (lies in the folder of the tests)

JOBS = (
    'fit',
    'predict',
    'embeddings',
    'convert',
    'convert scenes',
    'restore denoise',
    'restore pansharpen',
    'restore superresolve',
    'classify',
    'gas',
    'simulate',
    'stats',
)

#: Parts of the largest file of a result that files can have.
SHARES = [0.0, 0.02, 0.6, 0.95]

#: Free bytes of a small disk.
ROOMS = [0, 16384, 65536, 200_000]


def kill_table(server: Server, args: argparse.Namespace) -> dict[str, Any]:
    """Kill each job.

    Args:
        server: The process that forks.
        args: Options.

    Returns:
        For each job, how often it was killed, and what became of it.
    """
    table = {}
    for job in JOBS:
        start = time.monotonic()
        found = server.ask('kills', job, args.events, args.times, args.seed)
        killed = [kill for kill in found if kill['was_killed']]
        outcomes = Counter(kill['outcome'] for kill in killed)
        table[job] = {
            'kills': len(killed),
            'at_events': sum(kill['moment'].startswith('event') for kill in killed),
            'resumed': outcomes['resumed'],
            'restarted': outcomes['restarted'],
            'finished_before': outcomes['finished before'],
            'needed_overwrite': sum(kill['needed_overwrite'] for kill in killed),
            'equal': sum(kill['is_equal'] for kill in killed),
            'troubles': [kill['trouble'] for kill in found if kill['trouble']],
            'seconds': round(time.monotonic() - start, 1),
        }
        row = table[job]
        print(
            f'{job:<22} {row["kills"]:>4} kills, {row["resumed"]:>3} resumed, '
            f'{row["restarted"]:>3} restarted, {row["finished_before"]:>3} finished '
            f'before, {row["equal"]:>4} equal, {len(row["troubles"])} troubles',
            flush=True,
        )
    return table


def _anywhere(said: str) -> str:
    """Take out where the temporary folder was: it is another one in each run."""
    return re.sub(rf'{re.escape(tempfile.gettempdir())}/tmp\w+', 'FOLDER', said)


def disk_table(server: Server, args: argparse.Namespace) -> dict[str, Any]:
    """Fill the disk under each job.

    Args:
        server: The process that forks.
        args: Options.

    Returns:
        For each job, how often it was refused, and what it said.
    """
    few = slice(2, 3) if args.quick else slice(None)
    table: dict[str, Any] = {}
    for job in JOBS:
        table[job] = {}
        for name, points in (('sizes', SHARES[few]), ('rooms', ROOMS[few])):
            found = server.ask(name, job, points)
            refused = [one for one in found if one['ended']]
            table[job][name] = {
                'runs': len(found),
                'refused': len(refused),
                'with_older_result': sum(one['was_old'] for one in refused),
                'troubles': [one['trouble'] for one in found if one['trouble']],
                'said': _anywhere(refused[0]['said']) if refused else None,
            }
        rows = table[job].values()
        print(
            f'{job:<22} {sum(row["refused"] for row in rows):>4} of '
            f'{sum(row["runs"] for row in rows):>3} refused, '
            f'{sum(len(row["troubles"]) for row in rows)} troubles',
            flush=True,
        )
    return table


def main() -> None:
    """Kill, fill, and report."""
    parser = option_parser('crash', __doc__)
    parser.add_argument('--events', type=int, help='kills at changes of files, per job')
    parser.add_argument('--times', type=int, help='kills at random times, per job')
    args = parser.parse_args()
    args.events = args.events or (1 if args.quick else 20)
    args.times = args.times if args.times is not None else 0 if args.quick else 10
    server = Server()
    result = header('crash', args)
    result['kills'] = kill_table(server, args)
    result['full_disks'] = {} if args.quick else disk_table(server, args)
    server.close()
    rows = result['kills'].values()
    result['total'] = {
        'kills': sum(row['kills'] for row in rows),
        'equal': sum(row['equal'] for row in rows),
        'troubles': sum(len(row['troubles']) for row in rows)
        + sum(
            len(part['troubles'])
            for row in result['full_disks'].values()
            for part in row.values()
        ),
        'refused': sum(
            part['refused']
            for row in result['full_disks'].values()
            for part in row.values()
        ),
    }
    finish(result, args.out)


if __name__ == '__main__':
    main()
