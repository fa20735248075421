# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Splits that those who made a scene gave it."""

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import ArrayLike

from ...errors import EmptyDataError
from ..labelled_scenes.scene import LabelledScene
from ._search import random_source
from .pixel_split import PixelSplit, check_labels


def official_pixel_split(
    labels: ArrayLike | LabelledScene,
    masks: Mapping[str, ArrayLike],
    window: int,
    ignore_index: int | None = 0,
    val_split_pct: float = 0.0,
    generator: torch.Generator | None = None,
) -> PixelSplit:
    """Take the split that comes with a scene, such as that of Houston 2013.

    That a split is official does not mean that it keeps training and test apart:
    :func:`leak_report` says how many windows touch.

    Args:
        labels: Label map of shape ``(H, W)``, or a scene, of which -1 is no label.
        masks: Pixels of each split by its name, training first and the test last, bool
            of shape ``(H, W)``.
        window: Rows and columns of the windows of the classifier.
        ignore_index: Code of pixels without a label, or None if all have one.
        val_split_pct: Share of the training pixels of each class to validate with, drawn at
            random, if *masks* has no ``'val'``. They lie among training, so they choose
            between epochs and say nothing about other places.
        generator: Source of randomness. By default the same pixels come out each time.

    Returns:
        The splits.

    Raises:
        ValueError: If there are fewer than two masks, shapes do not fit, a pixel is in
            two splits, or *val_split_pct* is out of range.
        EmptyDataError: If a split has no labelled pixel.

    Example:
        >>> labels = np.ones((4, 6), dtype=int)
        >>> train = np.zeros((4, 6), dtype=bool)
        >>> train[:, :2] = True
        >>> split = official_pixel_split(labels, {'train': train, 'test': ~train}, 3)
        >>> len(split.pixels('test')[0])
        16
    """
    whole, labelled = check_labels(labels, ignore_index)
    if not 0 <= val_split_pct < 1:
        raise ValueError(
            f'Expected a val_split_pct from 0 to less than 1, got {val_split_pct}.'
        )
    if len(masks) < 2:
        raise ValueError(
            'Expected masks of at least training and test, training first, got '
            f'{", ".join(masks) or "none"}.'
        )
    if val_split_pct and 'val' in masks:
        raise ValueError('There is an official val already. Leave val_split_pct out.')
    names = list(masks)
    codes = np.full(whole.shape, -1, dtype=np.int8)
    for number, (name, given) in enumerate(masks.items()):
        mask = np.asarray(given, dtype=bool)
        if mask.shape != whole.shape:
            raise ValueError(
                f'Expected a mask of {name} of shape {whole.shape}, got {mask.shape}.'
            )
        mask &= labelled
        both = mask & (codes >= 0)
        if both.any():
            other = names[int(codes[both][0])]
            raise ValueError(
                f'{int(both.sum())} pixels are in {other} and in {name}. A pixel that '
                'is trained on cannot be tested: leave it out of one of them.'
            )
        if not mask.any():
            raise EmptyDataError(f'No labelled pixel is in {name}.')
        codes[mask] = number
    if val_split_pct:
        # training, validation, others
        codes[codes >= 1] += 1
        names.insert(1, 'val')
        _draw(codes, whole, val_split_pct, random_source(generator))
    return PixelSplit(tuple(names), codes, whole, labelled, window, 'official')


def _draw(
    codes: np.ndarray, labels: np.ndarray, share: float, rng: np.random.Generator
) -> None:
    """Move a share of training to validation, class by class."""
    for code in np.unique(labels[codes == 0]).tolist():
        rows, columns = np.nonzero((codes == 0) & (labels == code))
        # training keeps at least one
        count = min(round(share * len(rows)), len(rows) - 1)
        taken = rng.permutation(len(rows))[:count]
        codes[rows[taken], columns[taken]] = 1
