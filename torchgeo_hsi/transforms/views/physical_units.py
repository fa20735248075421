# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Transforms in physical units, of images that are normalized."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import BandMismatchError, MetadataError, UnitError
from ..crop import has_holes
from ..noise.base import NoiseTransform
from ._common import check_batch, has_bands, scale_bands
from .band_scaling import BandScaling

_STATISTICS = ('mean', 'std')


class PhysicalUnits(nn.Module):
    """Apply transforms in the units of the sensor to images that are normalized.

    Light is multiplied, bands are mixed and noise is drawn in reflectance or radiance,
    not in standard deviations. So images become ``x * std + mean``, then come the
    transforms, and then ``(x - mean) / std``. Transforms that say ``physical = False``
    (those that leave bands out) get the normalized images. Where a transform changes the
    bands, the statistics change with them: transforms find them as ``mean`` and ``std``
    in the batch and put back those that belong to their result.

    Pixels that are not ``valid`` are 0 afterwards, which is the mean. What transforms add
    to the batch (``target`` and ``sigma`` of noise) is dropped.

    Example:
        >>> import torch
        >>> from torchgeo_hsi.transforms import Illumination
        >>> brighter = PhysicalUnits([Illumination(gain=(2.0, 2.0), tilt=0.0)])
        >>> brighter.set_statistics(torch.tensor([1000.0]), torch.tensor([500.0]))
        >>> brighter({'image': torch.zeros(1, 1, 1, 1)})['image'].round().item()
        2.0
    """

    def __init__(
        self,
        transforms: Sequence[nn.Module],
        mean: Tensor | None = None,
        std: Tensor | None = None,
    ) -> None:
        """Initialize a new PhysicalUnits instance.

        Args:
            transforms: What to apply, in this order: modules that take and return a
                batch.
            mean: Mean of each band by which images were normalized, shape ``(C,)``.
            std: Standard deviation of each band, shape ``(C,)``.

        Raises:
            BandMismatchError: If *mean* and *std* have different lengths.
            UnitError: If a standard deviation is not positive.
        """
        super().__init__()
        self.transforms = nn.ModuleList(transforms)
        # no buffers: bf16-true would round them
        self._statistics: tuple[Tensor, Tensor] | None = None
        if mean is not None and std is not None:
            self.set_statistics(mean, std)

    def set_statistics(self, mean: Tensor, std: Tensor) -> None:
        """Say by what images were normalized.

        Args:
            mean: Mean of each band, shape ``(C,)``.
            std: Standard deviation of each band, shape ``(C,)``.

        Raises:
            BandMismatchError: If they have different lengths.
            UnitError: If a standard deviation is not positive.
        """
        if mean.ndim != 1 or mean.shape != std.shape:
            raise BandMismatchError(
                'Expected one mean and one standard deviation for each band, got shapes '
                f'{tuple(mean.shape)} and {tuple(std.shape)}.'
            )
        if not (std > 0).all():
            raise UnitError('Expected positive standard deviations.')
        self._statistics = mean.detach().float(), std.detach().float()

    def forward(self, batch: Sample) -> Sample:
        """Transform a batch.

        Args:
            batch: Batch with normalized ``image`` of shape ``(B, C, H, W)``; maybe with
                ``mean`` and ``std`` of shape ``(C,)`` or ``(B, C)``, which go before
                those of :meth:`set_statistics`.

        Returns:
            A new batch, normalized, with the keys that *batch* has.

        Raises:
            MetadataError: If nobody said by what the images were normalized.
            BandMismatchError: If there are statistics of other bands.
        """
        return self.change(batch, own=False)

    def change(self, batch: Sample, own: bool) -> Sample:
        """Transform a batch, in place if its images are not needed any more.

        Args:
            batch: Batch as of :meth:`forward`.
            own: Whether the images of the batch may be overwritten.

        Returns:
            A new batch, see :meth:`forward`.
        """
        given = check_batch(batch)
        sample: Sample = dict(batch)
        if any(_is_physical(part) for part in self.transforms):
            sample |= self._find(batch)
        known = sample.keys()
        # factors and offsets are gathered, to go through the images once for all
        state = _Pending(sample, own)
        for part in self.transforms:
            state.convert(_is_physical(part))
            if isinstance(part, BandScaling):
                state.scale(*part.draw(state.sample))
            else:
                found = _apply(part, state.apply())
                # noise adds keys that belong to denoising
                state.sample = {k: v for k, v in found.items() if k in known}
        state.convert(False)
        result = {k: v for k, v in state.apply().items() if k in batch}
        if state.own:
            fill_invalid_(result['image'], result)
        if given.is_floating_point():
            result['image'] = result['image'].to(given.dtype)
        return result

    def _find(self, batch: Sample) -> Sample:
        """Return the statistics, on the device of the images."""
        image = batch['image']
        if all(key in batch for key in _STATISTICS):
            return {key: batch[key].to(image.device).float() for key in _STATISTICS}
        if self._statistics is None:
            raise MetadataError(
                'Transforms in physical units have to know the mean and the standard '
                'deviation that the images were normalized by. Call '
                'set_statistics(mean, std) with those of the data module; our tasks do '
                'this if the data module has mean and std.'
            )
        mean, std = (value.to(image.device) for value in self._statistics)
        if len(mean) != image.shape[1]:
            raise BandMismatchError(
                f'Expected images of {len(mean)} bands, for which there are statistics, '
                f'got {image.shape[1]}.'
            )
        # stay there: a copy for each batch would be waited for
        self._statistics = mean, std
        return {'mean': mean, 'std': std}


class _Pending:
    """A batch, and what its bands still have to be multiplied by."""

    def __init__(self, sample: Sample, own: bool) -> None:
        self.own = own
        self.raw = False
        self.sample = sample
        self.factor: Tensor | None = None
        self.offset: Tensor | None = None

    def convert(self, raw: bool) -> None:
        """Go to physical units, or back."""
        if raw == self.raw:
            return
        self.raw = raw
        mean, std = self.sample['mean'], self.sample['std']
        factor, offset = (std, mean) if raw else (1 / std, -mean / std)
        self.scale(factor, offset)
        if has_bands(self.sample, 'target'):
            target = self.sample['target']
            self.sample['target'] = scale_bands(target, factor, offset)

    def scale(self, factor: Tensor, offset: Tensor | None) -> None:
        """Multiply and add, later."""
        if self.factor is None:
            self.factor, self.offset = factor, offset
            return
        self.factor = self.factor * factor
        if self.offset is not None:
            offset = self.offset * factor + (0 if offset is None else offset)
        self.offset = offset

    def apply(self) -> Sample:
        """Multiply and add, now."""
        if self.factor is None:
            return self.sample
        image = self.sample['image']
        image = image if image.dtype == torch.float64 else image.float()
        if self.own and not image.requires_grad:
            image = image.mul_(self.factor.to(image)[..., None, None])
            if self.offset is not None:
                image = image.add_(self.offset.to(image)[..., None, None])
        else:
            image = scale_bands(image, self.factor, self.offset)
        # whoever has the images of the caller does not see these
        self.own, self.factor, self.offset = True, None, None
        self.sample['image'] = image
        return self.sample


def _apply(part: nn.Module, sample: Sample) -> Sample:
    """Apply a transform."""
    if isinstance(part, NoiseTransform) and 'sigma' not in sample:
        # adding up the noise of each band would take longer than to draw it
        return {**sample, 'image': part.noisy_image(sample)}
    found: Sample = part(sample)
    return found


def _is_physical(part: nn.Module) -> bool:
    return bool(getattr(part, 'physical', True))


def fill_invalid_(image: Tensor, batch: Sample) -> Tensor:
    """Make pixels that are not valid 0, in place.

    Args:
        image: Normalized images of shape ``(B, C, H, W)``.
        batch: Their batch, maybe with ``valid`` of shape ``(B, H, W)``.

    Returns:
        The same images.
    """
    valid = batch.get('valid')
    if valid is None or valid.shape[-2:] != image.shape[-2:]:
        return image
    if not has_holes(valid):
        return image
    return image.masked_fill_(~valid.unsqueeze(-3), 0.0)
