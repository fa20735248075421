# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all transforms that add noise have in common."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import BandMismatchError, EmptyDataError, UnitError
from ...physics.noise import noise_levels
from ...physics.noise.draw import Source, as_real, like_given
from ...physics.noise.levels import band_power

#: Entries of a sample that say something about its pixels, and their axes.
_AXES = {'image': 3, 'valid': 2, 'wavelength': 1, 'fwhm': 1, 'scale': 0, 'offset': 0}


class NoiseTransform(nn.Module, ABC):
    """Base of transforms that make a pair of noisy and clean image.

    ``image`` becomes noisy and ``target`` the image as it was, unless there is a target
    already: so transforms can follow each other. Pixels that are not ``valid`` keep
    their numbers. ``sigma`` is the standard deviation of the noise in the pixels of each
    band, on a scale from 0 to 255, of all transforms together; impulses, stripes and
    dead lines do not count. Noise that a sample already has is understood as by
    :func:`~torchgeo_hsi.physics.noise.noise_levels`, and is averaged if it differs from
    pixel to pixel.

    A transform takes a sample with an image of shape ``(C, H, W)``, or a batch of shape
    ``(B, C, H, W)`` in which each image draws its own noise.

    A subclass has to define :meth:`draw`.

    Example:
        >>> class Offset(NoiseTransform):
        ...     def draw(self, image, batch):
        ...         return image + 0.1 * self.peak, None
        >>> pair = Offset(peak=10.0)({'image': torch.zeros(3, 8, 8)})
        >>> pair['image'].max(), pair['target'].max(), pair['sigma']
        (tensor(1.), tensor(0.), tensor([0., 0., 0.]))
    """

    generator: Source

    def __init__(
        self, *, clip: bool = False, peak: float = 1.0, generator: Source = None
    ) -> None:
        """Initialize a new NoiseTransform instance.

        Args:
            clip: Whether to limit the noisy image to 0 ... *peak*.
            peak: Value of the image that counts as full scale: 1 for images from 0 to
                1, 10 000 for reflectance x 10 000.
            generator: Source of randomness; torch's own by default, which Lightning
                seeds differently in each worker. Copies of a generator in workers
                would all draw the same.

        Raises:
            UnitError: If *peak* is not positive.
        """
        super().__init__()
        if not 0 < peak < float('inf'):
            raise UnitError(f'Expected a positive peak, got {peak}.')
        self.clip = clip
        self.peak = float(peak)
        self.generator = generator
        self._turn = 0

    @abstractmethod
    def draw(self, image: Tensor, batch: Sample) -> tuple[Tensor, Tensor | None]:
        """Add the noise to images.

        Args:
            image: Clean images of shape ``(B, C, H, W)``, at least float32, with 0 in
                pixels that are not valid. It must not be changed in place.
            batch: Whatever else the batch has, each entry with the axis of the batch.

        Returns:
            The noisy images, and the standard deviation of their noise, on a scale from
            0 to 255, of shape ``(B, C)`` or ``(B, C, H, W)``, or None if there are only
            impulses, stripes or dead lines.
        """

    def reseed(self, seed: int) -> None:
        """Start over: what comes now depends on this number alone.

        It also makes ``seed`` the place in the cycle of transforms that take turns, so
        that the seeds 0, 1, 2 ... go through all of them.

        Args:
            seed: Any integer, e.g. one for each sample of a test set.
        """
        generator = torch.Generator().manual_seed(seed)
        for module in self.modules():
            if isinstance(module, NoiseTransform):
                module.generator = generator
                module._turn = seed

    def forward(self, sample: Sample) -> Sample:
        """Add noise to a sample or batch.

        Args:
            sample: Sample with ``image`` of shape ``(C, H, W)`` or ``(B, C, H, W)``, and
                maybe ``valid`` and ``target``.

        Returns:
            A new sample with ``image``, ``target`` and ``sigma``.

        Raises:
            BandMismatchError: If the image has not three or four axes, *valid* not its
                rows and columns, or *sigma* does not fit.
        """
        given = sample['image']
        noisy, spread, batch = self._add_to(sample)
        sigma = self.total_sigma(spread, batch)
        if given.ndim == 3:
            noisy, sigma = noisy[0], sigma[0]
        return {
            **sample,
            'image': like_given(noisy, given),
            'target': sample.get('target', like_given(as_real(given), given)),
            'sigma': sigma,
        }

    def noisy_image(self, sample: Sample) -> Tensor:
        """Add noise to a sample or batch of which nobody asks how much it was.

        Args:
            sample: Sample as of :meth:`forward`.

        Returns:
            What :meth:`forward` returns as ``image``, of the same random numbers.

        Raises:
            BandMismatchError: If the image has not three or four axes, or *valid* not
                its rows and columns.
        """
        given = sample['image']
        noisy = self._add_to(sample)[0]
        return like_given(noisy[0] if given.ndim == 3 else noisy, given)

    def _add_to(self, sample: Sample) -> tuple[Tensor, Tensor | None, Sample]:
        """Return noisy images, the noise as of :meth:`draw`, and the batch they are of."""
        check_shapes(sample)
        batch = as_batch(sample)
        image = as_real(batch['image'])
        valid = batch['valid'].unsqueeze(-3) if 'valid' in batch else None
        # where nothing was measured may stand anything, NaN included
        clean = image if valid is None else image.masked_fill(~valid, 0)
        noisy, spread = self.add(clean, batch)
        if valid is not None:
            noisy = torch.where(valid, noisy, image)
        return noisy, spread, batch

    def add(self, image: Tensor, batch: Sample) -> tuple[Tensor, Tensor | None]:
        """Add the noise to images, and clip them if that is wanted.

        Args:
            image: Images, see :meth:`draw`.
            batch: Whatever else the batch has, see :meth:`draw`.

        Returns:
            See :meth:`draw`.
        """
        noisy, spread = self.draw(image, batch)
        return noisy.clamp(0, self.peak) if self.clip else noisy, spread

    def total_sigma(self, spread: Tensor | None, batch: Sample) -> Tensor:
        """Add up the noise of each band and that which was there before.

        Args:
            spread: Standard deviation as of :meth:`draw`.
            batch: The batch that the noise was added to.

        Returns:
            Standard deviations of shape ``(B, C)``, on a scale from 0 to 255.
        """
        image = batch['image']
        old = batch.get('sigma', image.new_zeros((), dtype=torch.float32))
        if spread is None:
            return old.expand(image.shape[:2]).clone()
        power = band_power(spread, batch.get('valid'))
        power = power + old.double().square()
        return power.sqrt().float().expand(image.shape[:2]).clone()

    def take_turns(self, count: int) -> Tensor:
        """Count on by a number of samples.

        Args:
            count: Number of samples.

        Returns:
            Their numbers, from the first sample on or that of :meth:`reseed`.
        """
        start, self._turn = self._turn, self._turn + count
        return torch.arange(start, start + count)

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return ', '.join(
            f'{key}={value}'
            for key, value in vars(self).items()
            if not key.startswith('_') and key not in ('training', 'generator')
        )


def as_batch(sample: Sample) -> Sample:
    """Give each entry that noise may depend on the axis of the batch."""
    image = sample['image']
    count = len(image) if image.ndim == 4 else 1
    batch = {}
    for key, axes in _AXES.items():
        if key in sample:
            value = torch.as_tensor(sample[key], device=image.device)
            missing = max(axes + 1 - value.ndim, 0)
            value = value.reshape((1,) * missing + value.shape)
            batch[key] = value.expand(count, *value.shape[1:])
    if 'valid' in batch:
        # datasets of torchgeo have masks of numbers
        batch['valid'] = batch['valid'].bool()
    if 'sigma' in sample:
        levels = noise_levels(sample['sigma'], image)
        power = band_power(levels, batch.get('valid')).sqrt().float()
        batch['sigma'] = power.expand(count, -1)
    return batch


def check_shapes(sample: Sample) -> None:
    """Refuse images that are none, and a validity that belongs to another one."""
    shape = tuple(sample['image'].shape)
    if len(shape) not in (3, 4):
        raise BandMismatchError(
            f'Expected an image of shape (C, H, W) or (B, C, H, W), got {shape}.'
        )
    wanted = (*shape[:-3], *shape[-2:])
    if 'valid' in sample and tuple(sample['valid'].shape) != wanted:
        raise BandMismatchError(
            f'Expected valid of shape {wanted}, as the image of shape {shape}, got '
            f'{tuple(sample["valid"].shape)}.'
        )


def common_peak(noises: list[NoiseTransform]) -> float:
    """Return the peak that all noises have in common.

    Raises:
        UnitError: If they have different peaks.
        EmptyDataError: If there is no noise.
    """
    if not noises:
        raise EmptyDataError('Expected at least one noise, got none.')
    peaks = {noise.peak for noise in noises}
    if len(peaks) > 1:
        raise UnitError(
            f'Expected noises of the same peak, got {sorted(peaks)}: make all of them '
            'with the peak of the images.'
        )
    return peaks.pop()


def share_generator(noise: NoiseTransform) -> None:
    """Give the generator of a noise, if it has one, to those that it consists of."""
    if noise.generator is not None:
        for module in noise.modules():
            if isinstance(module, NoiseTransform):
                module.generator = noise.generator
