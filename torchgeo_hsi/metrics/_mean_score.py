# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Metrics that are means over images."""

import torch
from torch import Tensor
from torchmetrics import Metric


class MeanScore(Metric):
    """Base of metrics that add up one number for each image."""

    full_state_update = False

    total: Tensor
    count: Tensor

    def __init__(self) -> None:
        """Initialize a new MeanScore instance."""
        super().__init__()
        self.add_state('total', torch.zeros(()), dist_reduce_fx='sum')
        self.add_state('count', torch.zeros(()), dist_reduce_fx='sum')

    def _add(self, values: Tensor, known: Tensor) -> None:
        """Take the scores of images that are known."""
        self.total += values.masked_fill(~known, 0).sum()
        self.count += known.sum()

    def compute(self) -> Tensor:
        """Return the mean over the images so far; NaN if none could be scored."""
        return self.total / self.count
