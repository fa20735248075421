# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scenes with labels for the benchmark of graphs: Potsdam and Jasper Ridge."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from torchgeo_hsi.datasets import EnMAPL2A, LabelRaster

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('TORCHGEO_HSI_DATA', ROOT.parent / 'shared' / 'data'))


class Scene(NamedTuple):
    """A scene with labels, -1 where there are none."""

    image: NDArray[np.float32]
    valid: NDArray[np.bool_]
    labels: NDArray[np.int64]


def read_potsdam() -> Scene:
    """Read all EnMAP tiles at their places."""
    folder = DATA / 'enmap_potsdam'
    both = EnMAPL2A(folder / 'images') & LabelRaster(
        folder / 'labels', (1, 2, 3, 4, 5, 6), 255
    )
    sample = both[both.bounds]
    valid = sample['valid'].numpy().astype(bool)
    labels = sample['mask'].numpy().astype(np.int64)
    return Scene(
        sample['image'].numpy(), valid, np.where(valid & (labels != 255), labels, -1)
    )


def read_jasper() -> Scene:
    """Read Jasper Ridge; its classes are the endmembers that cover most of a pixel."""
    file = loadmat(DATA / 'aviris' / 'jasper_ridge.mat')
    # the file is written column by column
    image = file['Y'].reshape(-1, 100, 100).transpose(0, 2, 1).astype(np.float32)
    share = file['A'].reshape(-1, 100, 100).transpose(0, 2, 1)
    labels = np.where(share.max(0) > 0.6, share.argmax(0), -1)
    image /= float(file['maxValue'].squeeze())
    return Scene(image, np.ones((100, 100), dtype=bool), labels.astype(np.int64))


SCENES = {'potsdam': read_potsdam, 'jasper': read_jasper}
