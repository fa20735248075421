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
from _pages import DOCS, check_size

IMAGES = DOCS / 'datasets' / 'images'

#: Largest picture in bytes; the repository keeps them forever.
LIMIT = 100_000

CLASSES = {
    'enmap_cdl': 'SpectralEarthCDL',
    'enmap_nlcd': 'SpectralEarthNLCD',
    'enmap_corine': 'SpectralEarthCORINE',
    'enmap_eurocrops': 'SpectralEarthEuroCrops',
    'enmap_bdforet': 'SpectralEarthBDForet',
    'enmap_treemap': 'SpectralEarthTreeMap',
    'enmap_bnetd': 'SpectralEarthBNETD',
    'desis_cdl': 'DESISCDL',
    'eo1_cdl': 'EO1CDL',
    'hyperview': 'Hyperview',
}


def make_picture(name: str, folder: Path) -> Path:
    """Plot a made-up sample of a data set.

    Args:
        name: The data set.
        folder: Where to write the data.

    Returns:
        The picture.

    Raises:
        ValueError: If the picture is too large.
    """
    from data.spectral_earth_downstream.data import write_downstream
    from matplotlib import pyplot as plt

    from torchgeo_hsi import datasets

    write_downstream(folder, name, size=64)
    dataset = getattr(datasets, CLASSES[name])(folder)
    figure = dataset.plot(dataset[1])
    page = name.replace('enmap_', '')
    page = f'spectral_earth_{page}'
    picture = IMAGES / f'{page}.png'
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, dpi=70)
    plt.close(figure)
    check_size(picture, LIMIT)
    return picture


if __name__ == '__main__':
    mpl.use('Agg')
    sys.path.insert(0, str(DOCS.parent / 'tests'))
    with tempfile.TemporaryDirectory() as temporary:
        for data_set in CLASSES:
            make_picture(data_set, Path(temporary))
