# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of classification anew.

The page of the simulated scene runs as it stands, and its picture is what it draws. With
the files of "Real data" in CONTRIBUTING.md, the EnMAP tiles of Potsdam are drawn as well.
"""

import argparse
import re
import runpy
import shlex
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

from _pages import DOCS, save_small
from _real_cubes import DATA
from PIL import Image

from torchgeo_hsi.main import main as run_command
from torchgeo_hsi.workflows import classify_scene

IMAGES = DOCS / 'classification' / 'images'
PAGE = DOCS / 'classification' / 'maps.md'
#: Pixels of a row of a picture.
WIDTH = 900


def draw_simulated(picture: Path) -> None:
    """Run the page up to its picture.

    Args:
        picture: Where the picture goes.
    """
    text = PAGE.read_text(encoding='utf-8').partition('![')[0]
    blocks = re.findall(
        r'^```(python|bash)\n(.*?)^```$', text, re.MULTILINE | re.DOTALL
    )
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for language, block in blocks:
            if language == 'python':
                Path('page.py').write_text(block, encoding='utf-8')
                runpy.run_path('page.py', run_name='__main__')
                continue
            for line in block.splitlines():
                try:
                    run_command(shlex.split(line)[1:])
                except SystemExit as end:
                    if end.code:
                        raise
        save(Path('map.png'), picture)


def draw_potsdam(picture: Path) -> None:
    """Map the tiles of Potsdam.

    Args:
        picture: Where the picture goes.
    """
    tiles = DATA / 'enmap_potsdam'
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report = classify_scene(
            tiles / 'images',
            tiles / 'labels',
            folder / 'map.tif',
            figure=folder / 'map.png',
        )
        sys.stdout.write(f'{report}\n')
        save(folder / 'map.png', picture)


def save(source: Path, picture: Path) -> None:
    """Make a picture smaller, and copy it, if it is small enough then.

    Args:
        source: The picture.
        picture: Where it goes.

    Raises:
        ValueError: If it is too large.
    """
    with Image.open(source) as image:
        save_small(image, picture, WIDTH)


def main() -> None:
    """Make all pictures."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').partition('\n')[0])
    parser.add_argument('--folder', type=Path, default=IMAGES, help='of the pictures')
    args = parser.parse_args()
    draw_simulated(args.folder.absolute() / 'simulated.png')
    if (DATA / 'enmap_potsdam').is_dir():
        draw_potsdam(args.folder.absolute() / 'potsdam.png')
    else:
        sys.stdout.write(f'no Potsdam tiles in {DATA}\n')


if __name__ == '__main__':
    main()
