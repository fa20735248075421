# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fewer labels, and fewer features."""

import torch
from torch import Tensor

from .features import ProbeFeatures


def _first_of_each(chosen: Tensor, shots: int) -> Tensor:
    """Keep the first rows of each column that are chosen."""
    return (chosen & (chosen.cumsum(dim=0) <= shots)).any(dim=1)


def draw_shots(
    data: ProbeFeatures, shots: int, generator: torch.Generator | None = None
) -> ProbeFeatures:
    """Draw some labels of each class.

    Args:
        data: Images or pixels with classes or labels.
        shots: How many of each class; all of a class that has fewer. Of images with
            several labels, so many are drawn for each label.
        generator: What draws them.

    Returns:
        The images or pixels that were drawn, with the images numbered anew.

    Raises:
        ValueError: If there are no classes, or *shots* is not positive.

    Example:
        >>> import torch
        >>> labels = torch.tensor([0, 0, 0, 1, 1, 2])
        >>> data = ProbeFeatures(torch.randn(6, 4), labels, torch.arange(6))
        >>> draw_shots(data, 2).labels.bincount().tolist()
        [2, 2, 1]
    """
    if data.kind == 'regression':
        raise ValueError('Numbers have no classes to draw labels of. Leave out shots.')
    if shots < 1:
        raise ValueError(f'Expected at least one label of each class, got {shots}.')
    order = torch.randperm(len(data.labels), generator=generator)
    labels = data.labels[order]
    if data.kind == 'multiclass':
        labels = labels[:, None] == torch.unique(data.labels)
    index = order[_first_of_each(labels == 1, shots)]
    features, labels, images = (column[index] for column in data)
    _, images = torch.unique(images, return_inverse=True)
    return ProbeFeatures(features, labels, images)


def principal_components(
    train: ProbeFeatures, *others: ProbeFeatures, components: int = 30
) -> tuple[ProbeFeatures, ...]:
    """Replace features by their principal components.

    Args:
        train: Features from which mean and components are computed.
        *others: More features that are transformed in the same way.
        components: How many; as many as there are features or rows, if that is less.

    Returns:
        All of them, with features of shape ``(N, components)``, the largest first.

    Raises:
        ValueError: If *components* is not positive.

    Example:
        >>> import torch
        >>> x = torch.randn(6, 1) * torch.tensor([3.0, 4.0])
        >>> data = ProbeFeatures(x, torch.zeros(6).long(), torch.arange(6))
        >>> principal_components(data, components=1)[0].features.shape
        torch.Size([6, 1])
    """
    if components < 1:
        raise ValueError(f'Expected at least one component, got {components}.')
    x = train.features.double()
    mean = x.mean(dim=0)
    _, axes = torch.linalg.eigh((x - mean).T @ (x - mean))
    # the largest are last; there are no more than there are rows
    axes = axes.flip(1)[:, : min(components, len(x))]
    return tuple(
        data._replace(features=((data.features.double() - mean) @ axes).float())
        for data in (train, *others)
    )
