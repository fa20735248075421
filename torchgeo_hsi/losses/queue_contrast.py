# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Contrast of a query and its key with a queue of earlier keys."""

import torch
import torch.nn.functional as F
from lightly.models.utils import concat_all_gather
from lightly.utils.dist import world_size
from torch import Tensor, nn

from .._precision import full_precision


class QueueContrastLoss(nn.Module):
    """InfoNCE loss of MoCo: which of many keys belongs to a query.

    Queries, keys and the queue have length 1. The keys of all processes enter the queue,
    which is the same in all of them, and with the gradients averaged, several processes
    learn what one learns from all of their images. All processes need batches of the
    same size.

    Unlike lightly's ``NTXentLoss`` with a memory bank, checkpoints hold the queue and
    the place where it goes on, and keys that do not fit in front of its end continue at
    its start. The loss is computed in float32 at least, also in mixed precision.

    If you use this loss in your research, please cite the following papers:

    * https://arxiv.org/abs/1911.05722
    * https://arxiv.org/abs/2003.04297

    Example:
        >>> import torch
        >>> loss = QueueContrastLoss(size=64, dim=8, temperature=0.1)
        >>> query, key = torch.rand(4, 8), torch.rand(4, 8)
        >>> loss(query, key).shape
        torch.Size([])
        >>> loss.position
        tensor(4)
    """

    queue: Tensor
    position: Tensor

    def __init__(
        self,
        size: int = 32_768,
        dim: int = 128,
        temperature: float = 0.1,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new QueueContrastLoss instance.

        Args:
            size: Number of keys in the queue.
            dim: Number of features of a key.
            temperature: What cosines are divided by.
            generator: Source of the random keys that the queue starts with; torch's own
                by default.

        Raises:
            ValueError: If a number is not positive.
        """
        super().__init__()
        if size < 1 or dim < 1 or not temperature > 0:
            raise ValueError(
                'Expected a positive size, dim and temperature, got '
                f'{size}, {dim} and {temperature}.'
            )
        self.size = size
        self.temperature = temperature
        queue = F.normalize(torch.randn(size, dim, generator=generator), dim=1)
        self.register_buffer('queue', queue)
        self.register_buffer('position', torch.tensor(0))

    def forward(self, query: Tensor, key: Tensor, update: bool = True) -> Tensor:
        """Compute the loss.

        Args:
            query: Features of shape ``(B, D)``.
            key: Features of another view of each image, shape ``(B, D)``. They get no
                gradient.
            update: Whether the keys enter the queue.

        Returns:
            The mean over the queries.

        Raises:
            ValueError: If the shapes do not fit.
        """
        if query.shape != key.shape or query.shape[1:] != self.queue.shape[1:]:
            raise ValueError(
                f'Expected queries and keys of shape (B, {self.queue.shape[1]}), got '
                f'{tuple(query.shape)} and {tuple(key.shape)}.'
            )
        dtype = torch.promote_types(query.dtype, torch.float32)
        with full_precision(query.device):
            query = F.normalize(query.to(dtype), dim=1)
            key = F.normalize(key.detach().to(dtype), dim=1)
            same = (query * key).sum(dim=1, keepdim=True)
            # a copy: the backward pass comes after the keys have entered the queue
            others = query @ self.queue.to(dtype, copy=True).T
            logits = torch.cat((same, others), dim=1) / self.temperature
            answer = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
            loss = F.cross_entropy(logits, answer)
        if update:
            self._enqueue(key)
        return loss

    @torch.no_grad()
    def _enqueue(self, keys: Tensor) -> None:
        """Let the keys of all processes take the places of the oldest ones."""
        if world_size() > 1:
            keys = concat_all_gather(keys)
        count = len(keys)
        fits = keys[-self.size :]
        steps = torch.arange(count - len(fits), count, device=keys.device)
        # the position stays on the device: reading it would wait for the device
        places = (self.position + steps) % self.size
        self.queue.index_copy_(0, places, fits.to(self.queue.dtype))
        self.position.copy_((self.position + count) % self.size)

    def extra_repr(self) -> str:
        """Describe the queue."""
        return f'size={self.size}, temperature={self.temperature}'
