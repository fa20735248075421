# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Damaged files, kills, full disks, and how long everyday commands take."""

from results import Table

from .shown import Shown

SHOWN: dict[str, Shown] = {
    'start_up': Shown(
        "Python itself, click, rasterio, and the import of TorchGeo's datasets",
        '`--help` in {seconds/torchgeo-hsi --help/wall:.2f} s, `info` in '
        '{seconds/torchgeo-hsi info SCENE/wall:.2f} s, the import of our datasets '
        "{ratios/datasets_more_seconds:.2f} s above that of TorchGeo's",
        (
            Table(
                'Seconds of a command',
                'seconds',
                'command',
                {'wall': 'wall:.2f', 'processor': 'processor:.2f'},
            ),
        ),
    ),
    'fuzz': Shown(
        'what is promised: an error of the package or a file that is read, within '
        '5 s and 300 MiB',
        '{inputs:,} inputs: {refused:,} refused by an error of the package, {read:,} '
        'read',
        (
            Table(
                'What became of the inputs',
                'kinds',
                'kind of file',
                {'inputs': 'inputs:,', 'read': 'read:,', 'refused by': 'errors:'},
            ),
            Table('The slowest', 'slowest', 'input', {'s of one core': ':.2f'}),
            Table('The largest', 'largest', 'input', {'MiB': ':.0f'}),
        ),
    ),
    'crash': Shown(
        'the files of a run that nobody disturbed',
        '{total/kills} kills, {total/equal} equal after the second run; '
        '{total/refused} full disks refused, each without harm to an older result',
        (
            Table(
                'Kills',
                'kills',
                'job',
                {
                    'kills': 'kills:,',
                    'resumed': 'resumed:,',
                    'restarted': 'restarted:,',
                    'finished before': 'finished_before:,',
                    'equal': 'equal:,',
                },
            ),
            Table(
                'Full disks',
                'full_disks',
                'job',
                {
                    'limit of size: runs': 'sizes/runs:,',
                    'refused': 'sizes/refused:,',
                    'small disk: runs': 'rooms/runs:,',
                    'refused there': 'rooms/refused:,',
                },
            ),
        ),
    ),
}
