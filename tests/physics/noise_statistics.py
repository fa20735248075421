# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the tests of noise share."""

import numpy as np
import torch
from scipy import stats
from torch import Tensor

#: A test whose numbers are drawn from one seed never fails by chance again.
RARE = 1e-3


def seed(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


def is_even(counts: np.ndarray) -> bool:
    """Whether all values occur equally often, as far as chance allows."""
    return bool(stats.chisquare(counts).pvalue > RARE)


def columns_hit(noise: Tensor) -> np.ndarray:
    """Count the columns of each band that are hit over their whole length."""
    hit = noise != 0
    assert torch.equal(hit.all(-2), hit.any(-2))
    return hit.all(-2).sum(-1).numpy().ravel()
