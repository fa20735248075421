# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Metrics that torchmetrics does not have, or not for labels that are unknown."""

from .average_precision import KnownAveragePrecision, average_precision
from .hyperview import HyperviewScore, hyperview_score

__all__ = (
    'HyperviewScore',
    'KnownAveragePrecision',
    'average_precision',
    'hyperview_score',
)
