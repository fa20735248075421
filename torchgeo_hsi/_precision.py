# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Exact numbers where a training runs in mixed precision."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch

#: Kinds of devices with autocast; asked here, for torch 2.6 cannot compile the question.
_AUTOCAST = frozenset(
    kind
    for kind in ('cpu', 'cuda', 'hpu', 'mps', 'mtia', 'xla', 'xpu')
    if torch.amp.is_autocast_available(kind)
)


def full_precision(device: torch.device) -> AbstractContextManager[Any]:
    """Multiply as it says: autocast would do it in half precision, of three digits.

    Args:
        device: Device of the numbers.

    Returns:
        A context.
    """
    if device.type not in _AUTOCAST:
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


@contextmanager
def optimizing(device: torch.device) -> Iterator[None]:
    """Allow gradients in single precision, also where the caller predicts.

    Args:
        device: Where the optimization runs.

    Yields:
        Nothing.
    """
    with torch.inference_mode(False), torch.enable_grad(), full_precision(device):
        yield
