# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Find the map in the output of ``predict_step``."""

from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from ..errors import BandMismatchError, MetadataError

# entries of a sample that are no predictions
_GEOREFERENCE = ('bounds', 'transform', 'crs', 'valid', 'wavelength', 'fwhm')


def prediction_values(prediction: Any, key: str | None) -> Tensor:
    """Return the predicted maps.

    Args:
        prediction: A tensor, or a dictionary with one.
        key: Entry to use; by default ``'probabilities'``, or the only tensor that is
            no georeference.

    Returns:
        Values of shape ``(B, K, h, w)``.

    Raises:
        MetadataError: If there is no such entry, or it is no map of real numbers.
    """
    values = prediction
    if isinstance(prediction, dict):
        names = [
            name
            for name, value in prediction.items()
            if isinstance(value, Tensor) and name not in _GEOREFERENCE
        ]
        if key is None:
            key = 'probabilities' if 'probabilities' in names else ''
            key = names[0] if not key and len(names) == 1 else key
        if key not in names:
            raise MetadataError(
                f'Expected the entry {key or "of one map"!r} in the prediction, got '
                f'{", ".join(sorted(prediction))}. Name the entry to write with key.'
            )
        values = prediction[key]
    if isinstance(values, Tensor) and values.ndim == 3:
        values = values.unsqueeze(1)
    if (
        not isinstance(values, Tensor)
        or values.ndim != 4
        or not values.dtype.is_floating_point
    ):
        found = (
            f'{values.dtype} of shape {tuple(values.shape)}'
            if isinstance(values, Tensor)
            else type(values).__name__
        )
        raise MetadataError(
            'Expected a prediction of real numbers of shape (B, K, H, W), or a '
            f'dictionary with one, got {found}. Class maps cannot be blended: return '
            'probabilities from predict_step.'
        )
    return values


def denormalize(values: Tensor, trainer: Trainer) -> Tensor:
    """Undo the normalization of the datamodule.

    Args:
        values: Values of shape ``(B, K, h, w)``.
        trainer: Trainer with the datamodule, whose ``mean`` and ``std`` are numbers or
            of shape ``(K,)``.

    Returns:
        ``values * std + mean``.

    Raises:
        MetadataError: If there is no datamodule with both.
        BandMismatchError: If their length is not the number of channels.
    """
    datamodule = getattr(trainer, 'datamodule', None)
    mean, std = getattr(datamodule, 'mean', None), getattr(datamodule, 'std', None)
    if mean is None or std is None:
        raise MetadataError(
            'denormalize needs a datamodule with mean and std, got '
            f'{type(datamodule).__name__}.'
        )
    pair = []
    for value in (mean, std):
        tensor = torch.as_tensor(value, dtype=torch.float32, device=values.device)
        if tensor.numel() not in (1, values.shape[1]):
            raise BandMismatchError(
                f'Expected mean and std of the {values.shape[1]} predicted channels, '
                f'got {tensor.numel()} values.'
            )
        pair.append(tensor.reshape(1, -1, 1, 1))
    return values.float() * pair[1] + pair[0]
