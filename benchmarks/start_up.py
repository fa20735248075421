# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How long everyday things take to start, beside what they cannot be faster than.

Each command runs in a process of its own, in turns with the others, so that a machine
that is slow for a while is slow for all of them; medians are compared. The first round
warms the disk and does not count.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common import finish, header, option_parser

#: Seconds that are promised on an idle machine.
PROMISED = {'torchgeo-hsi --help': 0.5, 'torchgeo-hsi info SCENE': 1.0}

#: Seconds more than torchgeo's own datasets that ours may take to import.
IMPORT_MARGIN = 1.0


def commands(scene: Path) -> dict[str, list[str]]:
    """Return what is run, baselines first.

    Args:
        scene: File that is looked at.
    """
    python = [sys.executable, '-W', 'ignore']
    ours = [*python, '-m', 'torchgeo_hsi']
    bare = f'import rasterio\nwith rasterio.open({str(scene)!r}) as src: src.read(masked=True)'
    found = {
        'python': [*python, '-c', 'pass'],
        'import click': [*python, '-c', 'import click'],
        'rasterio SCENE': [*python, '-c', bare],
        'import torchgeo.datasets': [*python, '-c', 'import torchgeo.datasets'],
        'torchgeo-hsi --help': [*ours, '--help'],
        'torchgeo-hsi plugins': [*ours, 'plugins'],
        'torchgeo-hsi info SCENE': [*ours, 'info', str(scene)],
        'import torchgeo_hsi.datasets': [*python, '-c', 'import torchgeo_hsi.datasets'],
        'torchgeo-hsi models': [*ours, 'models', 'hsdt_*'],
    }
    gdalinfo = shutil.which('gdalinfo')
    if gdalinfo is not None:
        found = {'gdalinfo SCENE': [gdalinfo, '-stats', str(scene)], **found}
    return found


def seconds(command: list[str]) -> tuple[float, float]:
    """Run a command, and return the time on the wall and that of the processors."""
    before, start = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - start, os.times()
    used = after.children_user - before.children_user
    return wall, used + after.children_system - before.children_system


def find_scene(folder: Path) -> tuple[Path, str]:
    """Return a real EnMAP tile, or a simulated one where there is none."""
    root = Path(os.environ.get('TORCHGEO_HSI_DATA', '../shared/data'))
    tiles = sorted((root / 'enmap_potsdam' / 'images').glob('*.tif'))
    if tiles:
        return tiles[0], 'EnMAP L2A tile, 32 x 32 px, 224 bands'
    command = [sys.executable, '-m', 'torchgeo_hsi', 'simulate', str(folder / 'scene')]
    subprocess.run([*command, '--size', '32', '--quiet'], check=True)
    (image,) = (folder / 'scene').glob('*SPECTRAL_IMAGE.TIF')
    return image, 'simulated EnMAP scene, 32 x 32 px'


def measure(scene: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Run all commands in turns.

    Args:
        scene: File that is looked at.
        rounds: How often, after a first time that does not count.

    Returns:
        Medians of the seconds of each, on the wall and of the processors.
    """
    jobs = commands(scene)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, command in jobs.items():
            found = seconds(command)
            if number:
                taken[name].append(found)
    return {
        name: {
            'wall': round(statistics.median(wall for wall, _ in values), 3),
            'processor': round(statistics.median(used for _, used in values), 3),
        }
        for name, values in taken.items()
    }


def compare(found: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Compare our commands with their baselines."""
    wall = {name: values['wall'] for name, values in found.items()}
    used = {name: values['processor'] for name, values in found.items()}
    names = 'import torchgeo_hsi.datasets', 'import torchgeo.datasets'
    return {
        'help_to_python': round(wall['torchgeo-hsi --help'] / wall['python'], 2),
        'help_to_click': round(wall['torchgeo-hsi --help'] / wall['import click'], 2),
        'info_to_rasterio': round(
            wall['torchgeo-hsi info SCENE'] / wall['rasterio SCENE'], 2
        ),
        'datasets_to_torchgeo': round(wall[names[0]] / wall[names[1]], 2),
        'datasets_more_seconds': round(wall[names[0]] - wall[names[1]], 3),
        'datasets_more_processor_seconds': round(used[names[0]] - used[names[1]], 3),
        'datasets_margin': IMPORT_MARGIN,
        'promised': PROMISED,
        'kept': {
            **{name: wall[name] <= most for name, most in PROMISED.items()},
            names[0]: wall[names[0]] - wall[names[1]] <= IMPORT_MARGIN,
        },
    }


def main() -> None:
    """Measure, print a table, and write the figures."""
    args = option_parser('start_up', __doc__).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scene, what = find_scene(Path(folder))
        found = measure(scene, 1 if args.quick else 5)
    for name, values in found.items():
        print(f'{name:30} {values["wall"]:7.3f} s {values["processor"]:7.3f} s CPU')
    ratios = compare(found)
    result = header('start_up', args) | {'scene': what, 'load': os.getloadavg()[0]}
    finish(result | {'seconds': found, 'ratios': ratios}, args.out)


if __name__ == '__main__':
    main()
