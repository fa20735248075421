# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of the pages that run anew: ``python docs/figures.py``.

Such a page runs as it stands, and each picture that it shows is the file of the same
name that its code saves. Those of the downstream sets come from ``dataset_figures.py``.
"""

import re
import runpy
import shutil
import tempfile
from contextlib import chdir
from pathlib import Path

DOCS = Path(__file__).resolve().parent

#: Largest picture in bytes; the repository keeps them forever.
LIMIT = 150_000


def make_pictures(page: Path) -> list[Path]:
    """Run a page and copy the pictures that it shows.

    Args:
        page: The page.

    Returns:
        The pictures.

    Raises:
        ValueError: If a picture is too large.
    """
    text = page.read_text(encoding='utf-8')
    code = '\n'.join(
        re.findall(r'^```python\n(.*?)^```$', text, re.MULTILINE | re.DOTALL)
    )
    pictures = [page.parent / name for name in re.findall(r'\]\((images/\S+)\)', text)]
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        Path('page.py').write_text(code, encoding='utf-8')
        runpy.run_path('page.py', run_name='__main__')
        for picture in pictures:
            size = Path(picture.name).stat().st_size
            if size > LIMIT:
                raise ValueError(
                    f'{picture.name} has {size} bytes, at most {LIMIT} are allowed.'
                )
            picture.parent.mkdir(exist_ok=True)
            shutil.copyfile(picture.name, picture)
    return pictures


if __name__ == '__main__':
    pages = sorted(DOCS.glob('tutorials/*.md'))
    guides = ('samplers.md', 'datasets/spectral_earth.md', 'denoising/noise.md')
    for document in [*pages, *(DOCS / name for name in guides)]:
        make_pictures(document)
