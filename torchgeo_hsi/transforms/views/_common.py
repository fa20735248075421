# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What the views have in common: small draws, bands of a batch, linear maps of them."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from ..._precision import full_precision
from ..._typing import Sample
from ...errors import BandMismatchError, UnitError

#: Source of randomness, on the CPU; torch's own if None.
type Source = torch.Generator | None

#: Keys of images that a map of the bands changes together.
IMAGES = ('image', 'target')


def check_probability(p: float) -> float:
    """Refuse what is no probability.

    Raises:
        UnitError: If *p* is not between 0 and 1.
    """
    if not 0 <= p <= 1:
        raise UnitError(f'Expected a probability p from 0 to 1, got {p}.')
    return float(p)


def check_bounds(
    bounds: Sequence[float], name: str, low: float = -math.inf, high: float = math.inf
) -> tuple[float, float]:
    """Refuse what are no bounds of a range.

    Raises:
        UnitError: If *bounds* are not two numbers in order, from *low* to *high*.
    """
    good = len(bounds) == 2 and all(math.isfinite(b) for b in bounds)
    if not good or not low <= bounds[0] <= bounds[1] <= high:
        within = f' from {low:g} to {high:g}' if math.isfinite(low + high) else ''
        least = f' of at least {low:g}' if math.isfinite(low) and not within else ''
        raise UnitError(
            f'Expected {name} to be two numbers (low, high){within}{least}, in order, '
            f'got {tuple(bounds)}.'
        )
    return float(bounds[0]), float(bounds[1])


def check_batch(batch: Sample) -> Tensor:
    """Return the images of a batch.

    Raises:
        BandMismatchError: If they have not the shape ``(B, C, H, W)``.
    """
    image = batch['image']
    if image.ndim != 4:
        raise BandMismatchError(
            f'Expected a batch with images of shape (B, C, H, W), got '
            f'{tuple(image.shape)}. Views are made of batches: add an axis to a sample.'
        )
    return image


def has_bands(batch: Sample, key: str) -> bool:
    """Whether an entry holds images of the bands of the batch."""
    return (
        key in batch
        and batch[key].ndim == 4
        and batch[key].shape[1] == batch['image'].shape[1]
    )


def uniform(
    shape: Sequence[int], bounds: tuple[float, float], generator: Source
) -> Tensor:
    """Draw numbers, on the CPU: so every device draws the same and nobody waits."""
    low, high = bounds
    drawn = torch.rand(tuple(shape), generator=generator, dtype=torch.float64)
    return (low + (high - low) * drawn).float()


def chosen(p: float, count: int, generator: Source) -> Tensor:
    """Draw which images are changed, True for these, on the CPU."""
    return torch.rand(count, generator=generator) < p


def wavelengths(batch: Sample, key: str = 'wavelength') -> Tensor | None:
    """Return the centres (or widths) of the bands of each image.

    Args:
        batch: Batch with ``image`` of shape ``(B, C, H, W)`` and maybe *key* of shape
            ``(B, C)`` or ``(C,)``, in micrometres.
        key: ``'wavelength'`` or ``'fwhm'``.

    Returns:
        Numbers of shape ``(B, C)`` on the device of the images, or None.

    Raises:
        BandMismatchError: If there is not one for each band.
    """
    found = band_numbers(batch, key)
    return None if found is None else found.to(batch['image'].device)


def band_numbers(batch: Sample, key: str = 'wavelength') -> Tensor | None:
    """Do the same as :func:`wavelengths`, on whatever device the numbers are."""
    if key not in batch:
        return None
    shape = tuple(batch['image'].shape[:2])
    found = torch.as_tensor(batch[key]).float()
    if tuple(found.shape) not in (shape, shape[1:]):
        raise BandMismatchError(
            f'Expected {key} of shape {shape} or {shape[1:]}, one for each band of the '
            f'images, got {tuple(found.shape)}.'
        )
    return found.expand(shape)


def spectral_axis(batch: Sample) -> Tensor:
    """Return where each band lies, from -1 to 1: by wavelength, else by index.

    Returns:
        Places of shape ``(B, C)``; 0 if all bands are at the same one.
    """
    found = wavelengths(batch)
    if found is None:
        count, bands = batch['image'].shape[:2]
        index = torch.arange(bands, device=batch['image'].device).float()
        found = index.expand(count, bands)
    low, high = found.amin(1, keepdim=True), found.amax(1, keepdim=True)
    span = (high - low).clamp(min=1e-9)
    return torch.where(high > low, 2 * (found - low) / span - 1, 0.0)


def scale_bands(image: Tensor, factor: Tensor, offset: Tensor | None = None) -> Tensor:
    """Multiply bands, and add to them.

    Args:
        image: Images of shape ``(B, C, H, W)``.
        factor: Factors that broadcast to ``(B, C)``.
        offset: What is added afterwards; nothing by default.

    Returns:
        New images.
    """
    factor = factor.to(image)[..., None, None]
    if offset is None:
        return image * factor
    return torch.addcmul(offset.to(image)[..., None, None], image, factor)


def map_bands(image: Tensor, matrix: Tensor) -> Tensor:
    """Map the bands of images linearly.

    Args:
        image: Images of shape ``(B, C, H, W)``.
        matrix: Maps of shape ``(M, C)`` or ``(B, M, C)``.

    Returns:
        Images of shape ``(B, M, H, W)``, of the type of *image*.
    """
    with full_precision(image.device):
        found = matrix.to(image) @ image.flatten(2)
    return found.view(*found.shape[:2], *image.shape[2:])


def map_some(image: Tensor, matrix: Tensor, which: Sequence[int]) -> Tensor:
    """Map the bands of some images of a batch, to as many bands.

    Args:
        image: Images of shape ``(B, C, H, W)``.
        matrix: Maps of shape ``(C, C)``, or ``(N, C, C)`` for N images.
        which: The N images; others stay as they are.

    Returns:
        New images of shape ``(B, C, H, W)``.
    """
    if len(which) == len(image):
        return map_bands(image, matrix)
    found = image.clone()
    if len(which):
        index = torch.tensor(which).to(image.device)
        found[index] = map_bands(image[index], matrix)
    return found
