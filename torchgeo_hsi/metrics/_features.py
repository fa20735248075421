# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What metrics of feature vectors share: checks, and lengths of 1."""

import torch
import torch.nn.functional as F
from torch import Tensor


def check_features(features: Tensor) -> Tensor:
    """Check feature vectors.

    Args:
        features: Features of shape ``(N, F)``.

    Returns:
        The same, without gradients, in float32, or float64 if they are.

    Raises:
        ValueError: If it is no such table of real numbers, or not all are finite.
    """
    if features.ndim != 2 or not features.is_floating_point():
        raise ValueError(
            'Expected features of shape (N, F), one row of real numbers for each '
            f'image, got {features.dtype} of shape {tuple(features.shape)}.'
        )
    if not features.isfinite().all():
        raise ValueError(
            'The features hold NaN or infinite numbers: the network has diverged, or '
            'its input was not finite. Lower the learning rate, or check the data.'
        )
    features = features.detach()
    return features if features.dtype == torch.float64 else features.float()


def unit_features(features: Tensor) -> Tensor:
    """Check feature vectors and scale each to the length 1; zeros stay zeros.

    Args:
        features: Features of shape ``(N, F)``.

    Returns:
        Features of shape ``(N, F)``.

    Raises:
        ValueError: If it is no such table of real numbers, or not all are finite.
    """
    return F.normalize(check_features(features), dim=1)
