# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Make the pictures of the data sets anew.

The real patches may not be shown here, so the pictures are of the made-up ones that the
tests use; each page says so.
"""

import sys
import tempfile
from pathlib import Path

import matplotlib as mpl
from _pages import DOCS, check_size, save_figure

IMAGES = DOCS / 'datasets' / 'images'

#: Largest picture in bytes; the repository keeps them forever.
LIMIT = 100_000


def make_picture(name: str, kind: str, folder: Path) -> Path:
    """Plot a made-up sample of a data set.

    Args:
        name: The data set.
        kind: Name of its class.
        folder: Where to write the data.

    Returns:
        The picture.

    Raises:
        ValueError: If the picture is too large.
    """
    from data.spectral_earth_downstream.data import write_downstream

    from torchgeo_hsi import datasets

    write_downstream(folder, name, size=64)
    dataset = getattr(datasets, kind)(folder)
    figure = dataset.plot(dataset[1])
    page = name.replace('enmap_', '')
    page = f'spectral_earth_{page}'
    picture = IMAGES / f'{page}.png'
    save_figure(figure, picture, dpi=70, colors=256)
    check_size(picture, LIMIT)
    return picture


def main() -> None:
    """Make all pictures."""
    # found by what is put on the path below
    from tests.datasets.spectral_earth.downstream.sets import CLASSES

    with tempfile.TemporaryDirectory() as temporary:
        for name, kind in {**CLASSES, 'hyperview': 'Hyperview'}.items():
            make_picture(name, kind, Path(temporary))


if __name__ == '__main__':
    mpl.use('Agg')
    sys.path[:0] = [str(DOCS.parent), str(DOCS.parent / 'tests')]
    main()
