# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Batches of a worker in memory that is used again when the training has let go of it.

A worker hands its batches over in shared memory. The system has to find and clear every
page of that, batch after batch, which takes about as long as decoding.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from ..io._buffers import lease

#: Tensors of a worker that the training may hold at a time; more have memory of their
#: own. A data loader asks for two batches ahead, and a training holds one or two.
_SLOTS = 8
#: Smaller tensors are not worth it.
_LARGE = 1 << 20


class SharedRing:
    """Shared memory of the batches of one worker.

    Memory is used again when neither the training nor the worker can see what it holds.
    """

    def __init__(self) -> None:
        """Initialize a new SharedRing instance."""
        # 1 while the training uses a slot; written here, and erased by the training
        self._used = shared((_SLOTS,), torch.uint8).zero_()
        self._memory: list[Tensor] = []
        self._idle: list[int] = []
        self._retired: set[int] = set()

    def empty(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Make a tensor.

        Args:
            shape: Its shape.
            dtype: Its data type.

        Returns:
            Tensor with any values. What is sent to the training has to go through
            :meth:`mark` first.
        """
        size = math.prod(shape) * dtype.itemsize
        if size < _LARGE:
            return shared(shape, dtype)
        for slot in range(_SLOTS):
            if slot == len(self._memory):
                memory = shared((size,), torch.uint8)
                self._memory.append(memory)
                self._idle.append(_references(memory))
            elif not self._is_free(slot, size):
                continue
            self._used[slot] = 1
            return self._memory[slot].view(dtype).view(shape)
        return shared(shape, dtype)

    def mark(self, tensor: Tensor) -> Tensor:
        """Mark a tensor, so that its memory comes back.

        Args:
            tensor: What :meth:`empty` returned, filled.

        Returns:
            The same tensor. Without this step, its memory is not used again.
        """
        place = tensor.untyped_storage().data_ptr()
        for slot, memory in enumerate(self._memory):
            if memory.data_ptr() == place:
                return RingTensor.of(tensor, self, slot)
        return tensor

    def retire(self, slot: int) -> None:
        """Never use the memory of a slot again.

        Args:
            slot: The slot.
        """
        self._retired.add(slot)

    def _is_free(self, slot: int, size: int) -> bool:
        memory = self._memory[slot]
        return (
            slot not in self._retired
            and memory.numel() == size
            and self._used[slot].item() == 0
            # what the worker itself still holds, it may still send
            and _references(memory) <= self._idle[slot]
        )


class RingTensor(Tensor):
    """A tensor that tells its worker when the training has let go of it.

    Whatever is computed from it is an ordinary tensor. A view of it may be sent to the
    training, too, which would not notice the end of that; so the memory of a tensor of
    which there ever was a view is not used again.
    """

    _ring: SharedRing
    _slot: int
    _is_sent: bool

    @classmethod
    def of(cls, tensor: Tensor, ring: SharedRing, slot: int) -> Tensor:
        """Mark a tensor.

        Args:
            tensor: The tensor.
            ring: Where its memory comes from.
            slot: Its slot there.
        """
        marked = tensor.as_subclass(cls)
        marked._ring, marked._slot, marked._is_sent = ring, slot, False
        return marked

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call a function as if this were an ordinary tensor, and look for views."""
        kwargs = kwargs or {}
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
            marked = [x for x in _leaves((args, kwargs)) if isinstance(x, cls)]
            places = {_place(x) for x in _leaves(result) if not isinstance(x, cls)}
            for tensor in marked:
                if _place(tensor) in places:
                    tensor._ring.retire(tensor._slot)
        return result

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """Copy what it holds to an ordinary tensor."""
        with torch._C.DisableTorchFunctionSubclass():
            copy = self.as_subclass(Tensor).clone()
        memo[id(self)] = copy
        return copy

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        """Return how the training makes a tensor of it."""
        with torch._C.DisableTorchFunctionSubclass():
            plain = self.as_subclass(Tensor)
            if self._is_sent:
                # there is one mark, and the first to let go would erase it for all
                return _receive_copy, (plain.clone(),)
            self._is_sent = True
            # numpy, which notices the end of a tensor, lacks some types of torch
            memory = plain.view(-1).view(torch.uint8)
            used, slot = self._ring._used, self._slot
            return _receive, (memory, used, slot, plain.dtype, plain.shape)


def _leaves(value: Any) -> Iterator[Any]:
    """Go through what containers hold."""
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, tuple | list):
        yield value
        return
    for part in value:
        yield from _leaves(part)


def _place(value: Any) -> int | None:
    """Return where the memory of a tensor, or a storage, begins."""
    if isinstance(value, Tensor):
        value = value.untyped_storage()
    if isinstance(value, torch.UntypedStorage | torch.TypedStorage):
        return value.data_ptr()
    return None


def _receive(
    memory: Tensor, used: Tensor, slot: int, dtype: torch.dtype, shape: tuple[int, ...]
) -> Tensor:
    """Make an ordinary tensor in the training."""
    marks: NDArray[Any] = used.numpy()
    # views of the tensor, and views of these, refer to the lease
    array = lease(memory.numpy(), marks.__setitem__, slot, 0)
    return torch.from_numpy(array).view(dtype).view(shape)


def _receive_copy(tensor: Tensor) -> Tensor:
    return tensor


def _references(tensor: Tensor) -> int:
    """Count what refers to the memory of a tensor."""
    return torch._C._storage_Use_Count(tensor.untyped_storage()._cdata)


def shared(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Make a tensor in memory that other processes can see.

    Args:
        shape: Its shape.
        dtype: Its data type.

    Returns:
        Tensor with any values.
    """
    # torch's own collation does the same, and offers no public way
    size = math.prod(shape) * dtype.itemsize
    storage = torch.UntypedStorage._new_shared(size)  # type: ignore[no-untyped-call]
    tensor: Tensor = torch.empty(0, dtype=dtype).set_(storage, 0, shape)  # type: ignore[call-overload]
    return tensor
