# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Crops, copied once: from where they were read to the batch."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import get_worker_info

from .._typing import Sample
from ..io._buffers import BufferPool
from ._shared_ring import SharedRing, shared


class Memory(Protocol):
    """Makes the tensors of batches."""

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Make a tensor with any values."""

    def mark(self, tensor: Tensor) -> Tensor:
        """Return a tensor that is filled."""


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


def stack_crops(crops: Sequence[Crop], memory: Memory) -> Sample:
    """Cut crops out and stack them, in one step.

    A copy for the sample, one for the batch and one for the memory that is shared with
    the training would take as long as decoding.

    Args:
        crops: The crops, at least one.
        memory: What :func:`batch_memory` returned.

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
        stack = memory.empty((len(values), *values[0].shape), dtype)
        for target, value in zip(stack, values, strict=True):
            target.copy_(value)
        batch[key] = memory.mark(stack)
    return batch


def batch_memory() -> Memory:
    """Return what makes the tensors of batches.

    Returns:
        Memory that is used again when nothing refers to a batch any more; in a worker,
        one that the training can see.
    """
    return _PrivateMemory() if get_worker_info() is None else SharedRing()


class _PrivateMemory:
    """Memory of batches that stay in this process."""

    def __init__(self) -> None:
        self._pool = BufferPool()

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        memory = self._pool.empty((math.prod(shape) * dtype.itemsize,), np.uint8)
        return _tensor(memory, shape, dtype)

    def mark(self, tensor: Tensor) -> Tensor:
        return tensor


def empty_shared(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Make a tensor where the training can see it, if this is a worker.

    Args:
        shape: Its shape.
        dtype: Its data type.

    Returns:
        Tensor with any values.
    """
    if get_worker_info() is None:
        # numpy asks for large pages, which are there three times as fast
        memory = np.empty(math.prod(shape) * dtype.itemsize, np.uint8)
        return _tensor(memory, shape, dtype)
    return shared(shape, dtype)


def _tensor(
    memory: NDArray[np.uint8], shape: tuple[int, ...], dtype: torch.dtype
) -> Tensor:
    return torch.from_numpy(memory).view(dtype).view(shape)


def _dtype(key: str, value: Tensor) -> torch.dtype:
    return torch.float32 if key == 'image' else value.dtype
