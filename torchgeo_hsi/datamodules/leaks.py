# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What training has seen of validation and test."""

import logging
from typing import Any

from torchgeo.datamodules import BaseDataModule

from ..datasets import leak_report
from ..datasets.splits import LeakReport
from ..errors import EmptyDataError

logger = logging.getLogger('torchgeo_hsi')


def datamodule_leaks(datamodule: BaseDataModule) -> LeakReport:
    """Compare the windows that a data module draws for training and evaluation.

    The windows of one epoch of training, and those of validation and test, are drawn
    without reading images. Works with torchgeo's own data modules of GeoDatasets, too.

    Args:
        datamodule: The data module; it is set up for ``'fit'`` and ``'test'``.

    Returns:
        Which windows touch, and a map of them.

    Raises:
        EmptyDataError: If it draws no windows, because its images are patches already.

    Example:
        .. code-block:: python

            report = datamodule_leaks(EnMAPL2ADataModule(..., split_by='block'))
            report.touching['test']  # 0.0
    """
    datamodule.setup('fit')
    windows = {'train': getattr(datamodule, 'train_sampler', None)}
    windows['val'] = getattr(datamodule, 'val_sampler', None)
    datamodule.setup('test')
    windows['test'] = getattr(datamodule, 'test_sampler', None)
    windows['train'] = windows['train'] or getattr(
        datamodule, 'train_batch_sampler', None
    )
    drawn = {name: sampler for name, sampler in windows.items() if sampler is not None}
    if 'train' not in drawn or len(drawn) < 2:
        raise EmptyDataError(
            f'{type(datamodule).__name__} draws no windows from scenes, so their places '
            'cannot be compared. For patches, pass their boxes to leak_report.'
        )
    return leak_report(drawn)


def warn_of_shared_scenes(name: str, split: str, train: Any, other: Any) -> float:
    """Log which share of the patches of a split lies in a scene of the training data.

    Args:
        name: Name of the data set.
        split: Name of the split.
        train: Dataset of the training data, with ``scenes``.
        other: Dataset of the split, with ``scenes``.

    Returns:
        The share.
    """
    # a store may not know the scene
    seen = set(train.scenes) - {''}
    shared = [scene in seen for scene in other.scenes]
    share = sum(shared) / len(shared)
    if share:
        logger.warning(
            '%s: %.1f %% of the %s patches share a scene with training (official '
            "splits). split_by='scene' makes splits that do not.",
            name,
            100 * share,
            split,
        )
    return share
