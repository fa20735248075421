# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A few training labels of each class, out of a split."""

from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from ._search import random_source
from .pixel_split import PixelSplit


def few_labels(
    split: PixelSplit,
    shots: int,
    generator: torch.Generator | None = None,
    rest: Literal['drop', 'test'] = 'drop',
) -> PixelSplit:
    """Keep some training pixels of each class, drawn at random.

    Where labels are dear there are 5 or 10 of each class, and not 60 % of a scene.
    Validation and test stay as they are, so the score says what these few labels are
    worth under the same split.

    Args:
        split: The split, training first.
        shots: Training pixels of each class. Of a class that has fewer, all are kept.
        generator: Source of randomness. By default the same pixels come out each time.
        rest: What becomes of the other training pixels. ``'drop'``: nothing uses them.
            ``'test'``: they are tested, the random protocol of most papers; a class
            then gives at most half of its training pixels, so that some are left to
            test.

    Returns:
        The split with fewer training pixels.

    Raises:
        ValueError: If *shots* is not positive, or there is no such *rest*.

    Example:
        >>> from torchgeo_hsi.datasets import random_pixel_split
        >>> labels = np.repeat([[1], [2]], 50, axis=1)
        >>> split = random_pixel_split(labels, 5, {'train': 0.5, 'test': 0.5})
        >>> few = few_labels(split, shots=3)
        >>> few.mask('train').sum(1).tolist(), few.mask('test').sum().item()
        ([3, 3], 50)
    """
    if shots < 1:
        raise ValueError(
            f'Expected at least one training pixel of each class, got shots={shots}.'
        )
    if rest not in ('drop', 'test'):
        raise ValueError(f"Expected rest='drop' or 'test', got {rest!r}.")
    rng = random_source(generator)
    codes = split.codes.copy().ravel()
    train = np.flatnonzero(codes == 0)
    classes = split.labels.ravel()[train]
    # the last split is the test
    codes[train] = len(split.names) - 1 if rest == 'test' else -1
    for code in np.unique(classes).tolist():
        mine = train[classes == code]
        most = max(1, len(mine) // 2) if rest == 'test' else len(mine)
        codes[rng.permutation(mine)[: min(shots, most)]] = 0
    return replace(split, codes=codes.reshape(split.codes.shape))
