# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scores of pixels and the split they come from, and what has to fit together."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import BandMismatchError, EmptyDataError, MetadataError
from ..metrics.classification_report import RANDOM_NOTE, ClassificationReport

#: Split of data that nobody has described.
UNKNOWN = 'unspecified'


def split_name(datamodule: Any) -> str:
    """Name the kind of a split in one word.

    Args:
        datamodule: Data module with a ``pixel_split``, or anything else.

    Returns:
        The word, for the names of scores.
    """
    split = getattr(datamodule, 'pixel_split', None)
    method = UNKNOWN if split is None else str(split.method)
    return re.sub(r'\W+', '_', method) or UNKNOWN


def make_report(
    matrix: NDArray[Any], stage: str, datamodule: Any, hparams: Mapping[str, Any]
) -> ClassificationReport:
    """Put scores and the split that they come from together.

    Args:
        matrix: Confusion matrix of shape ``(K, K)``, rows by truth.
        stage: ``'val'`` or ``'test'``.
        datamodule: Data module that the pixels come from, or None.
        hparams: Arguments of the task.

    Returns:
        The report.
    """
    names = hparams['labels'] or getattr(datamodule, 'class_names', None)
    names = names or [f'class {k}' for k in range(len(matrix))]
    split = getattr(datamodule, 'pixel_split', None)
    leaks = getattr(datamodule, 'leaks', None)
    touching: tuple[float, ...] = ()
    notes = list(getattr(datamodule, 'notes', ()))
    trained = getattr(datamodule, 'trained', None)
    # a network that was trained on another scene has nothing to touch
    is_here = trained is None or trained.any()
    if split is not None and leaks is not None and is_here:
        name = split.names[-1] if stage == 'test' else stage
        if name in leaks.touching:
            touching = (leaks.touching[name],)
        notes = [*_notes(names, leaks), *notes]
        if split.method == 'random':
            notes.append(RANDOM_NOTE)
    return ClassificationReport(
        matrix,
        names,
        split_name(datamodule),
        touching,
        None if split is None else split.guard or None,
        hparams['window'],
        getattr(datamodule, 'mode', 'inductive'),
        hparams['model'],
        (datamodule.seed,) if hasattr(datamodule, 'seed') else (),
        notes,
    )


def _notes(names: Any, leaks: Any) -> list[str]:
    """Say which classes a split has lost, and how many labels it trains on."""
    notes = [f'trained on {leaks.sizes[leaks.names[0]]} labelled pixels']
    trained = leaks.counts.get(leaks.names[0], {})
    missing = [names[code] for code in leaks.totals if not trained.get(code)]
    if missing:
        notes.append(f'not in training: {", ".join(missing)}')
    return notes


def named_scores(
    report: ClassificationReport, stage: str, split: str
) -> dict[str, float]:
    """Name the scores of a report for loggers; classes without a test are left out.

    Args:
        report: The report.
        stage: ``'val'`` or ``'test'``.
        split: Kind of the split.

    Returns:
        Scores by names such as ``val_OA_block`` and ``test_F1_water_block``.
    """
    found = {f'{stage}_{k}_{split}': v[0] for k, v in report.scores().items()}
    for name, value in zip(report.class_names, report.f1[0], strict=True):
        found[f'{stage}_F1_{name}_{split}'] = value
    return {k: float(v) for k, v in found.items() if not np.isnan(v)}


def class_weights_of(datamodule: Any, num_classes: int) -> Tensor:
    """Weigh classes by one over the number of their training pixels.

    Args:
        datamodule: Data module with a ``pixel_split``.
        num_classes: Number of classes.

    Returns:
        Weights of shape ``(K,)``, 0 for classes without training pixels; over the
        training pixels their mean is 1.

    Raises:
        MetadataError: If nobody knows the training pixels.
    """
    split = getattr(datamodule, 'pixel_split', None)
    if split is None:
        raise MetadataError(
            "class_weights='balanced' counts training pixels. Train with "
            'torchgeo_hsi.datamodules.HSIPixelDataModule, or pass the weights.'
        )
    labels = split.labels[split.mask(split.names[0])]
    counts = np.bincount(labels, minlength=num_classes)
    there = counts > 0
    weights = np.where(there, len(labels) / (there.sum() * np.maximum(counts, 1)), 0.0)
    return torch.from_numpy(weights).float()


def check_data(datamodule: Any, hparams: Mapping[str, Any]) -> None:
    """Check that a data module fits the arguments of a task.

    Args:
        datamodule: The data module, or None.
        hparams: Arguments of the task.

    Raises:
        BandMismatchError: If bands or windows are others.
        EmptyDataError: If training has fewer than two classes.
        MetadataError: If classes are others.
    """
    if not hasattr(datamodule, 'pixel_split'):
        return
    pairs = (
        ('window', getattr(datamodule, 'window', hparams['window'])),
        ('in_channels', datamodule.in_channels),
    )
    for name, theirs in pairs:
        if theirs != hparams[name]:
            raise BandMismatchError(
                f'The data module has {name}={theirs}, but the task has '
                f'{name}={hparams[name]}. Pass {name}={theirs} to the task.'
            )
    if datamodule.num_classes != hparams['num_classes']:
        raise MetadataError(
            f'The data module has {datamodule.num_classes} classes, but the task has '
            f'num_classes={hparams["num_classes"]}. Make them equal.'
        )
    split = datamodule.pixel_split
    trained = np.unique(split.labels[split.mask(split.names[0])])
    if len(trained) < 2:
        raise EmptyDataError(
            'All training pixels are of the class '
            f'{datamodule.class_names[int(trained[0])]}, so there is nothing to tell '
            'apart. Choose another seed, smaller blocks, or other labels.'
        )
