# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Houston 2013: a university and its surroundings, with its official split."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..._typing import BoolArray
from ...errors import BandMismatchError
from ...physics import BandSet
from ._benchmark_files import ScenePart, find_part
from ._sources import GRSS
from .benchmark import BenchmarkScene
from .tables import load_scene_bands

_CONTEST = '2013_IEEE_GRSS_DF_Contest'

_TRAIN = ScenePart(
    ('TRLabel', f'{_CONTEST}_Samples_TR', 'Houston_train', 'Houston13_train'),
    ('TRLabel', 'TR', 'train'),
)
_TEST = ScenePart(
    ('TSLabel', f'{_CONTEST}_Samples_VA', 'Houston_test', 'Houston13_test'),
    ('TSLabel', 'TE', 'test'),
)


class Houston2013(BenchmarkScene):
    """Houston 2013: CASI over the university of Houston, June 23, 2012.

    349 x 1905 pixels of 2.5 m, 144 bands from 364 to 1046 nm, 15 classes, 15029
    labelled pixels, of which the contest made 2832 the training and 12197 the test
    (``official``). A cloud shades a part of the test. There are
    other scenes of Houston: that of 2018, and a set of two with 7 classes.

    Files: either those of the contest (``2013_IEEE_GRSS_DF_Contest_CASI.tif``,
    ``..._Samples_TR.txt`` and ``..._Samples_VA.txt``, whose columns and rows count from
    1), or ``HSI.mat``, ``TRLabel.mat`` and ``TSLabel.mat``. A map of all labels
    (``Houston_gt.mat``) will do without an official split.

    * https://doi.org/10.1109/JSTARS.2014.2305441

    Example:
        .. code-block:: python

            scene = Houston2013('data/2013_DFTC').scene()
            scene.official['train'].sum(), scene.official['test'].sum()
    """

    title: ClassVar[str] = 'Houston 2013'
    table: ClassVar[str] = 'houston_2013'
    shape: ClassVar[tuple[int, int, int]] = (144, 349, 1905)
    image_part: ClassVar[ScenePart] = ScenePart(
        (f'{_CONTEST}_CASI', 'HSI', 'Houston', 'Houston13', 'Houston2013'),
        ('HSI', 'Houston', 'ans', 'img'),
    )
    label_part: ClassVar[ScenePart] = ScenePart(
        ('Houston_gt', 'Houston13_gt', 'Houston2013_gt', 'gt'),
        ('gt', 'Houston_gt', 'gnd_flag'),
    )
    url: ClassVar[str] = GRSS
    citation: ClassVar[tuple[str, ...]] = (
        'https://doi.org/10.1109/JSTARS.2014.2305441',
    )
    sha256: ClassVar[Mapping[str, str]] = {
        f'{_CONTEST.lower()}_casi.tif': (
            '1440f38594e8e82cc1944c084fc138ef55a70af54122828e999c4fb438574c14'
        ),
        f'{_CONTEST.lower()}_samples_tr.txt': (
            '16c69cf216535d7b4df2045b05d49c50a078609aa6d011a5e23e54f4cd08abda'
        ),
    }
    spectral_source: ClassVar[str] = 'calibration'

    def bandset(self) -> BandSet:
        """Return the 144 bands."""
        return load_scene_bands(self.table)

    def _find_labels(self) -> dict[str, str]:
        found = {
            'train': find_part(self.root, _TRAIN),
            'test': find_part(self.root, _TEST),
            'labels': find_part(self.root, self.label_part),
        }
        files = {name: path for name, path in found.items() if path is not None}
        if 'labels' not in files:
            # training alone would be no benchmark
            for part in (_TRAIN, _TEST):
                self._need(part)
        return files

    def _read_labels(self) -> tuple[NDArray[np.int64], dict[str, BoolArray]]:
        parts = {'train': _TRAIN, 'test': _TEST, 'labels': self.label_part}
        planes = {name: self._plane(name, parts[name]) for name in self.label_files}
        return official_masks(planes, self.title)


def official_masks(
    planes: dict[str, NDArray[np.int64]], title: str
) -> tuple[NDArray[np.int64], dict[str, BoolArray]]:
    """Put label maps of training, test and everything together.

    Args:
        planes: Codes, 0 for none, by ``train``, ``test`` and ``labels``.
        title: Name of the scene, for messages.

    Returns:
        All codes, and the masks of training and test; none unless there are both.

    Raises:
        BandMismatchError: If they contradict each other, or have pixels in common.
    """
    if 'train' not in planes or 'test' not in planes:
        return planes['labels'], {}
    train, test = planes['train'], planes['test']
    both = int(((train > 0) & (test > 0)).sum())
    if both:
        raise BandMismatchError(
            f'Training and test of {title} have {both} pixels in common. Are the two '
            'files of the same edition?'
        )
    codes = np.where(train > 0, train, test)
    every = planes.get('labels', codes)
    other = int(((codes > 0) & (codes != every)).sum())
    if other:
        raise BandMismatchError(
            f'{other} pixels of the official split of {title} have another class in '
            'its label map. Are the files of the same edition?'
        )
    return every, {'train': train > 0, 'test': test > 0}
