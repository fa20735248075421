# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random numbers that can be drawn again."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def repeatable(device: torch.device, *numbers: int) -> Iterator[None]:
    """Let what torch draws inside of this context depend on some numbers only.

    What it draws outside is not changed. A step of a training that draws from its own
    number draws the same if the training goes on from a checkpoint in front of it;
    checkpoints hold no state of random numbers, which each process has its own of.

    Args:
        device: The device that is drawn on, beside the CPU.
        *numbers: The numbers, 0 or more.

    Yields:
        Nothing.

    Example:
        >>> with repeatable(torch.device('cpu'), 12345, 7):
        ...     first = torch.rand(3)
        >>> with repeatable(torch.device('cpu'), 12345, 7):
        ...     bool((torch.rand(3) == first).all())
        True
    """
    high, low = np.random.SeedSequence(numbers).generate_state(2)
    seed = int(high) << 31 ^ int(low)
    on_cuda = device.type == 'cuda'
    with torch.random.fork_rng([device] if on_cuda else []):
        torch.default_generator.manual_seed(seed)
        if on_cuda:
            torch.cuda.manual_seed(seed)
        yield
