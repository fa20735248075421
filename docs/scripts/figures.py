# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of the pages that run anew.

Such a page runs as it stands. A picture that it shows is the file of the same name that
its code saves, or the one that is listed here. Those of the downstream sets come from
``dataset_figures.py``. Names of pages as arguments make only theirs.
"""

import re
import shutil
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

from _pages import DOCS, check_size, save_small
from PIL import Image

sys.path.insert(0, str(DOCS.parent / 'tests' / 'meta'))

from test_docs import run_page

PAGES = ('samplers.md', 'datasets/spectral_earth.md', 'denoising/noise.md')

#: Pages whose pictures are written by a command: what is written, and the picture.
WRITTEN = {
    'quickstart.md': {'output/map.png': 'images/quickstart_map.png'},
    'own_scene.md': {'map.png': 'images/own_scene_map.png'},
}

#: Width of pictures that a command writes, in pixels.
WIDTH = 900


def make_pictures(name: str) -> None:
    """Run a page and copy the pictures that it shows.

    Args:
        name: The page.

    Raises:
        ValueError: If a picture is too large.
    """
    page = DOCS / name
    shown = re.findall(r'\]\((images/\S+)\)', page.read_text(encoding='utf-8'))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        run_page(page.relative_to(DOCS.parent).as_posix(), Path(folder))
        written = WRITTEN.get(name, {})
        for source, picture in written.items():
            with Image.open(source) as image:
                save_small(image, page.parent / picture, WIDTH)
        for picture in set(shown) - set(written.values()):
            check_size(Path(Path(picture).name))
            (page.parent / picture).parent.mkdir(exist_ok=True)
            shutil.copyfile(Path(picture).name, page.parent / picture)


if __name__ == '__main__':
    tutorials = [p.relative_to(DOCS).as_posix() for p in DOCS.glob('tutorials/*.md')]
    for chosen in sys.argv[1:] or [*sorted(tutorials), *PAGES, *WRITTEN]:
        make_pictures(chosen)
