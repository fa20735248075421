# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""One line about what training has seen of a split."""

import logging
from typing import Any

logger = logging.getLogger('torchgeo_hsi')


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
