# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Crops, copied once: from where they were read to the batch."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from .._typing import Sample


class Crop:
    """A crop that is still a part of its region.

    Args:
        views: The sample; images may be whole numbers.
    """

    def __init__(self, views: Sample) -> None:
        """Initialize a new Crop instance."""
        self.views = views

    def sample(self) -> Sample:
        """Cut the crop out.

        Returns:
            A sample with memory of its own; a view would keep the region in memory.
        """
        return {
            key: torch.empty(value.shape, dtype=_dtype(key, value)).copy_(value)
            if isinstance(value, Tensor)
            else value
            for key, value in self.views.items()
        }


def stack_crops(crops: Sequence[Crop]) -> Sample:
    """Cut crops out and stack them, in one step.

    A copy for the sample, one for the batch and one for the memory that is shared with
    the training would take as long as decoding.

    Args:
        crops: The crops, at least one.

    Returns:
        A batch with the keys that all crops have.
    """
    batch: Sample = {}
    for key in crops[0].views:
        values = [crop.views[key] for crop in crops if key in crop.views]
        if len(values) < len(crops):
            continue
        if not isinstance(values[0], Tensor):
            batch[key] = values  # type: ignore[unreachable]
            continue
        dtype = _dtype(key, values[0])
        stack = empty_shared((len(values), *values[0].shape), dtype)
        for target, value in zip(stack, values, strict=True):
            target.copy_(value)
        batch[key] = stack
    return batch


def empty_shared(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Make a tensor where the training can see it, if this is a worker.

    Args:
        shape: Its shape.
        dtype: Its data type.

    Returns:
        Tensor with any values.
    """
    if get_worker_info() is None:
        return torch.empty(shape, dtype=dtype)
    size = math.prod(shape) * dtype.itemsize
    # torch's own collation does the same, and offers no public way
    storage = torch.UntypedStorage._new_shared(size)  # type: ignore[no-untyped-call]
    tensor: Tensor = torch.empty(0, dtype=dtype).set_(storage, 0, shape)  # type: ignore[call-overload]
    return tensor


def _dtype(key: str, value: Tensor) -> torch.dtype:
    return torch.float32 if key == 'image' else value.dtype
