# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the losses that compare embeddings of views share."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from lightly.utils.dist import gather as gather_rows
from lightly.utils.dist import world_size
from torch import Tensor

#: What is whitened: the features over the batch, or the samples over the channels.
Axis = Literal['channels', 'batch']

#: Embeddings shorter than this have no direction.
_NORM_EPS = 1e-6


def check_axis(axis: str) -> None:
    """Check the name of an axis.

    Args:
        axis: The name.

    Raises:
        ValueError: If there is no such axis.
    """
    if axis not in ('channels', 'batch'):
        raise ValueError(f"Expected axis 'channels' or 'batch', got {axis!r}.")


def check_embeddings(z: Tensor) -> None:
    """Check that embeddings have the right shape.

    Args:
        z: Embeddings.

    Raises:
        ValueError: If they are not of shape ``(B, D)``.
    """
    if z.ndim != 2:
        raise ValueError(f'Expected embeddings of shape (B, D), got {tuple(z.shape)}.')


def to_rows(z: Tensor, axis: Axis) -> Tensor:
    """Put what is whitened into centered rows, at least in float32.

    Args:
        z: Embeddings of shape ``(B, D)``.
        axis: What is whitened.

    Returns:
        Shape ``(D, B)`` for ``'batch'``, ``(B, D)`` for ``'channels'``.

    Raises:
        ValueError: If there is no such axis, or nothing that has a variance.
    """
    check_axis(axis)
    check_embeddings(z)
    x = z if z.dtype == torch.float64 else z.float()
    x = x.T if axis == 'batch' else x
    if x.shape[1] < 2:
        raise ValueError(
            f'Expected 2 or more {"images" if axis == "batch" else "features"}, whose '
            f'variance can be computed, got embeddings of shape {tuple(z.shape)}. '
            'Set drop_last=True if this is the remainder of the data.'
        )
    return x - x.mean(dim=1, keepdim=True)


def alignment(first: Tensor, second: Tensor) -> Tensor:
    """Compute the mean squared distance of embeddings on the unit sphere.

    Args:
        first: Embeddings of shape ``(B, D)``.
        second: Those of the other view.

    Returns:
        2 - 2 x mean cosine, from 0 to 4.
    """
    a, b = (F.normalize(z, dim=1, eps=_NORM_EPS) for z in (first, second))
    return 2 - 2 * (a * b).sum(dim=1).mean()


def gather_views(views: Sequence[Tensor], gather: bool, least: int = 2) -> list[Tensor]:
    """Bring the embeddings of all processes together.

    Args:
        views: Embeddings of shape ``(B, D)``, one tensor for each view.
        gather: Whether to do so; without other processes, nothing happens.
        least: Number of views that there have to be.

    Returns:
        Embeddings of shape ``(processes x B, D)``, at least in float32. Gradients come
        back from all processes: with the mean that distributed training takes of them,
        they are those of one process with the whole batch.

    Raises:
        ValueError: If there are too few views, or their shapes do not fit.
    """
    if len(views) < least:
        raise ValueError(
            f'Expected {least} or more views of the same images, got {len(views)}.'
        )
    for view in views:
        check_embeddings(view)
        if view.shape != views[0].shape:
            raise ValueError(
                'Expected embeddings of the same images in all views, got the shapes '
                f'{tuple(views[0].shape)} and {tuple(view.shape)}.'
            )
    # one message for all views; gradients are added up in float32
    stacked = torch.stack([v if v.dtype == torch.float64 else v.float() for v in views])
    if gather and world_size() > 1:
        stacked = torch.cat(gather_rows(stacked.contiguous()), dim=1)
    return list(stacked.unbind())
