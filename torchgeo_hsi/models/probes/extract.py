# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Features of a dataset in one call."""

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from ..._typing import Sample
from ...errors import EmptyDataError, HSIWarning
from ..weights._backbone_search import find_backbone
from .features import ProbeFeatures, collect_features

#: Normalized numbers are a few standard deviations from 0; reflectance x 10 000 is not.
_LARGEST = 1000.0


def extract_features(
    model: nn.Module,
    data: Iterable[Sample] | Dataset[Any],
    transform: Callable[[Sample], Sample] | None = None,
    *,
    pool: Literal['token', 'avg'] | None = None,
    pixels: int | None = 100,
    ignore_index: int | None = None,
    batch_size: int = 32,
    num_workers: int = 0,
    device: str | torch.device | None = None,
    generator: torch.Generator | None = None,
) -> ProbeFeatures:
    """Compute the features of a dataset, for a linear probe or whatever else.

    Images with a ``label`` have one row each. Of images with a ``mask``, some labelled
    pixels are drawn, with the last feature map interpolated in between. Wavelengths in
    the samples are handed to backbones that know wavelengths.

    Args:
        model: A backbone of timm, or a model or task with one inside; the backbone is
            put into evaluation mode.
        data: A dataset with samples of one size, a list of its samples, or a data
            loader or other batches. Samples have ``image`` and ``label`` or ``mask``,
            and maybe ``valid``, ``wavelength`` and ``fwhm``.
        transform: Is applied to each batch, on the device: that is where images are
            normalized, e.g. by :class:`~torchgeo_hsi.transforms.NormalizeValid`.
        pool: Class token or average of the others, for vision transformers; by default
            what the backbone does. Pixels need no pooling.
        pixels: Labelled pixels to draw from each image with a mask; None for all.
        ignore_index: Label that does not count; that of the dataset by default, if it
            has one.
        batch_size: Samples at once, of a dataset.
        num_workers: Processes that read a dataset.
        device: Where to compute; where the parameters of the backbone are by default.
        generator: What draws the pixels; the same ones each time by default.

    Returns:
        Features of shape ``(N, F)``, labels of shape ``(N,)``, and the number of the
        image of each, on the CPU.

    Raises:
        BandMismatchError: If there is no backbone in the model, or several.
        EmptyDataError: If there is no sample, or nothing has a label.
        MetadataError: If samples have neither ``label`` nor ``mask``.
        TypeError: If a dataset is indexed by space and time, which takes a sampler.
        ValueError: If the backbone cannot be pooled this way.

    Example:
        .. code-block:: python

            from sklearn.linear_model import LogisticRegression

            train = extract_features(backbone, train_dataset, normalize)
            test = extract_features(backbone, test_dataset, normalize)
            probe = LogisticRegression().fit(train.features, train.labels)
            probe.score(test.features, test.labels)
    """
    backbone = find_backbone(model)
    if device is not None:
        backbone = backbone.to(device)
    place = next((p.device for p in backbone.parameters()), torch.device('cpu'))
    if ignore_index is None:
        source = data.dataset if isinstance(data, DataLoader) else data
        ignore_index = getattr(source, 'ignore_index', None)
    if generator is None:
        generator = torch.Generator().manual_seed(0)
    batches = _prepared(_batches(data, batch_size, num_workers), transform, place)
    first = next(batches, None)
    if first is None:
        raise EmptyDataError(
            'There is no sample in the data. Check its folder or split.'
        )
    _check_scale(first)
    every = chain([first], batches)
    return collect_features(backbone, every, pool, pixels, ignore_index, generator)


def _batches(data: Any, batch_size: int, num_workers: int) -> Iterable[Sample]:
    """Return what yields batches of data."""
    if isinstance(data, DataLoader | IterableDataset):
        return data
    is_dataset = isinstance(data, Dataset)
    if is_dataset and hasattr(data, 'index') and hasattr(data, 'res'):
        raise TypeError(
            f'{type(data).__name__} is indexed by space and time. Pass a loader: '
            'DataLoader(dataset, sampler=GridGeoSampler(dataset, size), '
            'collate_fn=stack_samples).'
        )
    is_list = (
        isinstance(data, Sequence) and len(data) > 0 and data[0]['image'].ndim == 3
    )
    if not is_dataset and not is_list:
        batches: Iterable[Sample] = data
        return batches
    return DataLoader(
        data,
        batch_size,
        num_workers=num_workers,
        collate_fn=_collate_tensors,
        # else it draws the seeds of its workers from the global source
        generator=torch.Generator(),
    )


def _collate_tensors(samples: list[Sample]) -> Sample:
    """Make a batch of what networks take; there are no batches of files and of CRS."""
    tensors = [
        {key: value for key, value in sample.items() if isinstance(value, Tensor)}
        for sample in samples
    ]
    batch: Sample = default_collate(tensors)
    return batch


def _prepared(
    batches: Iterable[Sample],
    transform: Callable[[Sample], Sample] | None,
    device: torch.device,
) -> Iterator[Sample]:
    """Yield normalized batches on the device."""
    for batch in batches:
        moved = {
            key: value.to(device) if isinstance(value, Tensor) else value
            for key, value in batch.items()
        }
        with torch.inference_mode():
            ready = moved if transform is None else transform(moved)
        yield ready


def _check_scale(batch: Sample) -> None:
    """Warn of numbers that no backbone was trained with."""
    image: Tensor = batch['image']
    if 'valid' in batch:
        valid = batch['valid'].flatten(0, -3)[:, None]
        image = image.masked_fill(~valid.to(image.device), 0)
    largest = float(image.abs().max()) if image.numel() else 0.0
    if largest >= _LARGEST:
        warnings.warn(
            f'The images go up to {largest:.3g}, so they do not look normalized, and '
            'features of such images mean little. Pass transform='
            'NormalizeValid(mean, std) with the statistics of the training.',
            HSIWarning,
            stacklevel=3,
        )
