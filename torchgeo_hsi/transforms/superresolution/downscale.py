# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs of a coarse and a fine cube."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import BandMismatchError, EmptyDataError, MetadataError
from ...physics.noise.draw import as_real, like_given
from ...physics.resampling import box_down, gaussian_down, imresize_down, mtf_sigma
from ...physics.resampling._axes import apply_axes
from ...physics.resampling.gaussian_reduce import touched_rows
from .._grids import filled, mask_of, scaled_place
from ..noise import NoiseTransform, get_noise

type Kernel = Literal['bicubic', 'gaussian', 'mtf', 'box']

#: Kernels, and the argument that each of them takes.
_KERNELS = {'bicubic': None, 'gaussian': 'sigma', 'mtf': 'gain', 'box': None}

#: Entries that no longer fit, or that are made anew.
_DROPPED = ('up', 'sigma')

#: What noise may depend on, beside the image.
_KNOWN = ('wavelength', 'fwhm', 'scale', 'offset')


class Downscale(nn.Module):
    """Make a coarse cube, whose truth is the cube as it was.

    ``image`` becomes ``target`` and what a sensor with larger pixels sees becomes
    ``image``. Corners stay where they are: a coarse pixel lies in the middle of the fine
    ones that it covers.

    * ``bicubic``: ``imresize`` of MATLAB, against aliasing: what most papers of
      super-resolution mean. https://doi.org/10.1109/TASSP.1981.1163711
    * ``gaussian``: a Gaussian of *sigma* fine pixels.
    * ``mtf``: the Gaussian whose gain at the Nyquist frequency of the coarse image is
      that of a sensor. https://doi.org/10.48550/arXiv.2407.01355
    * ``box``: the mean of the fine pixels.

    ``valid`` is False where a gap lies under a coarse pixel, or has at least 1 % of the
    kernel's largest weight along rows and columns; ``target_valid`` is that of the image
    as it was. Gaps hold the mean of their band, so that they do not bleed into their
    neighbors. ``transform`` and ``bounds`` are those of the coarse image. Rows and
    columns that make no whole coarse pixel are cut off below and on the right.

    Example:
        >>> import torch
        >>> pair = Downscale(2, kernel='mtf')({'image': torch.rand(8, 24, 25)})
        >>> {key: tuple(value.shape) for key, value in pair.items()}
        {'image': (8, 12, 12), 'target': (8, 24, 24), 'valid': (12, 12), 'target_valid': (24, 24)}
    """

    def __init__(
        self,
        scale: int,
        kernel: Kernel = 'bicubic',
        sigma: float | Sequence[float] | None = None,
        gain: float | Sequence[float] = 0.3,
        noise: NoiseTransform | str | None = None,
    ) -> None:
        """Initialize a new Downscale instance.

        Args:
            scale: Factor of pixel sizes.
            kernel: How fine pixels make a coarse one.
            sigma: Standard deviation in fine pixels for ``gaussian``, one for all bands
                or one for each.
            gain: Gain at the Nyquist frequency for ``mtf``, one for all bands or one for
                each: about 0.3 for most hyperspectral sensors.
            noise: Noise of the coarse image, or its name, see
                :func:`~torchgeo_hsi.transforms.get_noise`; none by default.

        Raises:
            ValueError: If the scale is no whole number from 2 on, there is no such
                kernel, or *sigma* or *gain* are missing or out of their range.
            UnknownNameError: If no noise has this name.
        """
        super().__init__()
        if isinstance(scale, bool) or scale != int(scale) or scale < 2:
            raise ValueError(f'Expected a scale of 2 or a larger number, got {scale}.')
        if kernel not in _KERNELS:
            raise ValueError(f'Expected one of {", ".join(_KERNELS)}, got {kernel!r}.')
        if (sigma is None) == (kernel == 'gaussian'):
            raise ValueError(
                "Expected sigma= with kernel='gaussian', and with no other one, got "
                f'sigma={sigma} with {kernel!r}.'
            )
        self.scale = int(scale)
        self.kernel = kernel
        self.sigma = None if sigma is None else _numbers(sigma)
        self.gain = _numbers(gain)
        self.noise = get_noise(noise) if isinstance(noise, str) else noise
        # of each band, in fine pixels
        self._widths = self.sigma or ()
        if kernel == 'mtf':
            self._widths = tuple(mtf_sigma(one, self.scale) for one in self.gain)
        if not all(0 < width < float('inf') for width in self._widths):
            raise ValueError(f'Expected a positive sigma, in fine pixels, got {sigma}.')
        if _KERNELS[kernel] and not self._widths:
            raise ValueError(
                f'Expected a {_KERNELS[kernel]}, or one for each band, got none.'
            )

    def forward(self, sample: Sample) -> Sample:
        """Make a pair.

        Args:
            sample: Sample or batch with ``image`` of shape ``(..., C, H, W)``, and maybe
                ``valid``, ``transform`` and ``bounds``.

        Returns:
            A new sample with ``image``, ``target``, ``valid`` and ``target_valid``, and
            with ``sigma`` if there is noise, see
            :class:`~torchgeo_hsi.transforms.NoiseTransform`.

        Raises:
            MetadataError: If there is a target already.
            EmptyDataError: If the image is smaller than the scale.
            BandMismatchError: If the image or *valid* have another shape, or *sigma* or *gain* have another
                number of bands.
        """
        if 'target' in sample:
            raise MetadataError(
                'Downscale makes a target of the image, but this sample has one already. '
                'Leave the transform out, or drop the target.'
            )
        target, seen = self._whole(sample)
        valid = self.reduce_valid(seen)
        kept = {key: value for key, value in sample.items() if key not in _DROPPED}
        result = {
            **kept,
            'image': self.reduce(target),
            'target': target,
            'valid': valid,
            'target_valid': seen,
            **scaled_place(sample, self.scale, (valid.shape[-2], valid.shape[-1])),
        }
        return result | self._noisy(result)

    def reduce(self, image: Tensor) -> Tensor:
        """Look at images with larger pixels, without noise.

        Args:
            image: Images of shape ``(..., C, H, W)`` without gaps, whose rows and columns
                are multiples of the scale.

        Returns:
            Images of shape ``(..., C, H / scale, W / scale)``, of the same type.
        """
        # half precision would round the weights
        fine = as_real(image)
        if self.kernel == 'bicubic':
            coarse = imresize_down(fine, self.scale)
        elif self.kernel == 'box':
            coarse = box_down(fine, self.scale)
        else:
            coarse = gaussian_down(fine, self.scale, self._widths)
        return like_given(coarse, image)

    def reduce_valid(self, valid: Tensor) -> Tensor:
        """Tell which coarse pixels come from data alone.

        Args:
            valid: Where the fine image has data, shape ``(..., H, W)``, multiples of the
                scale.

        Returns:
            True where it has data under the kernel, shape ``(..., H / scale, W /
            scale)``.
        """
        height, width = valid.shape[-2:]
        shape = (*valid.shape[:-2], height // self.scale, width // self.scale)
        if valid.device.type == 'cpu' and bool(valid.all()):
            return torch.ones(shape, dtype=torch.bool)
        widths = {'bicubic': None, 'box': 0.0}
        sigma = widths[self.kernel] if self.kernel in widths else max(self._widths)
        rows, cols = (touched_rows(n, self.scale, sigma) for n in (height, width))
        return apply_axes((~valid.bool()).float(), rows, cols) < 0.5

    def reseed(self, seed: int) -> None:
        """Start over with the noise: what comes now depends on this number alone.

        Args:
            seed: Any integer, e.g. one for each sample of a test set.
        """
        if self.noise is not None:
            self.noise.reseed(seed)

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        name = _KERNELS[self.kernel]
        numbers = {'sigma': self.sigma, 'gain': self.gain}.get(name or '') or ()
        shown = numbers[0] if len(set(numbers)) == 1 else list(numbers)
        width = f', {name}={shown}' if name else ''
        return f'scale={self.scale}, kernel={self.kernel!r}{width}'

    def _whole(self, sample: Sample) -> tuple[Tensor, Tensor]:
        """Return the part of an image that makes whole coarse pixels, without gaps."""
        image, valid = sample['image'], sample.get('valid')
        if image.ndim < 3:
            raise BandMismatchError(
                f'Expected an image of shape (..., C, H, W), got {tuple(image.shape)}.'
            )
        height, width = (
            length // self.scale * self.scale for length in image.shape[-2:]
        )
        if min(height, width) < 1:
            raise EmptyDataError(
                f'Expected at least {self.scale} x {self.scale} pixels to reduce by '
                f'{self.scale}, got {image.shape[-2]} x {image.shape[-1]}.'
            )
        seen = mask_of(image, valid, 'valid')[..., :height, :width]
        return filled(image[..., :height, :width], seen), seen

    def _noisy(self, sample: Sample) -> Sample:
        """Return the coarse image with noise, and how much it is."""
        if self.noise is None:
            return {}
        keys = ('image', 'valid', *_KNOWN)
        noisy = self.noise({key: sample[key] for key in keys if key in sample})
        return {key: noisy[key] for key in ('image', 'sigma')}


def _numbers(value: float | Sequence[float]) -> tuple[float, ...]:
    """Return one number, or one for each band."""
    return tuple(torch.as_tensor(value, dtype=torch.float64).reshape(-1).tolist())
