# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Leaks between the windows that a data module draws."""

from torchgeo.datamodules import BaseDataModule

from ..datasets import leak_report
from ..datasets.splits import LeakReport
from ..errors import EmptyDataError


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
