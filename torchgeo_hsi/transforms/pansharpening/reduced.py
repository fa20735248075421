# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pairs whose truth is known: Wald's protocol."""

import torch
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import BandMismatchError, EmptyDataError, MetadataError
from ...physics import panchromatic
from ...physics.panchromatic import pan_weights, simulate_pan
from ...physics.resampling import mtf_decimate
from .._grids import filled, mask_of, scaled_place
from ._pairs import Pair, check_not_reduced, make_pair
from ._reduced_valid import reduced_valid


class ReducedResolution(nn.Module):
    """Pairs at reduced resolution: a coarser sensor looks at the same scene.

    Cube and panchromatic image are blurred and decimated by their ratio, each with the
    gain of its own sensor, and the cube as it was is the truth. Of a cube without a
    panchromatic image, one is simulated from its own bands, at its own resolution, and
    only the cube is reduced.

    ``valid`` is False where a gap lies in the footprint of a coarse pixel: where the
    kernel has at least 1 % of its center. ``pan_valid`` belongs to the panchromatic
    image and the truth, which share a grid. Gaps hold the mean of their band, so that
    they do not bleed into their neighbors. ``transform`` and ``bounds`` are those of the
    cube, which has larger pixels now. Rows and columns that make no whole coarse pixel
    are cut off below and on the right.

    * https://doi.org/10.1109/MGRS.2020.3019315 (Wald's protocol, kernels of sensors)

    Example:
        >>> import torch
        >>> cube = {'image': torch.rand(8, 24, 24), 'wavelength': torch.linspace(0.4, 1, 8)}
        >>> pair = ReducedResolution(ratio=4)(cube)
        >>> [tuple(pair[key].shape) for key in ('image', 'pan', 'target')]
        [(8, 6, 6), (1, 24, 24), (8, 24, 24)]
    """

    def __init__(
        self,
        ratio: int | None = None,
        gain: float = 0.3,
        pan_gain: float = 0.2,
        pan_range: str | tuple[float, float] = (0.4, 0.7),
        size: int = 41,
    ) -> None:
        """Initialize a new ReducedResolution instance.

        Args:
            ratio: Ratio of pixel sizes; that of the images by default. A cube alone
                needs one.
            gain: Gain of the cube's sensor at its Nyquist frequency.
            pan_gain: The same of the panchromatic sensor.
            pan_range: First and last wavelength in micrometres of a simulated
                panchromatic band, or its name, see
                :func:`~torchgeo_hsi.physics.pan_range`.
            size: Rows and columns of the kernels, an odd number.

        Raises:
            ValueError: If the ratio is less than 2, or a gain not between 0 and 1.
            UnknownNameError: If no panchromatic band has this name.
            UnitError: If the range looks like nanometres.
        """
        super().__init__()
        if ratio is not None and ratio < 2:
            raise ValueError(f'Expected a ratio of at least 2, got {ratio}.')
        if not (0 < gain < 1 and 0 < pan_gain < 1):
            raise ValueError(
                f'Expected gains between 0 and 1, got gain={gain} and '
                f'pan_gain={pan_gain}.'
            )
        self.ratio = ratio
        self.gain = gain
        self.pan_gain = pan_gain
        self.pan_range = panchromatic.pan_range(pan_range)
        self.size = size

    def forward(self, sample: Sample) -> Sample:
        """Make a pair.

        Args:
            sample: Sample or batch with ``image`` of shape ``(..., C, h, w)``, and
                ``pan`` of shape ``(..., 1, H, W)`` or ``wavelength``; maybe with
                ``valid`` and ``pan_valid``.

        Returns:
            A new sample with ``image``, ``pan``, ``target``, ``valid`` and
            ``pan_valid``.

        Raises:
            MetadataError: If a cube alone has no wavelengths, or no ratio is known, or
                there is a target already.
            BandMismatchError: If the images do not cover the same area.
            EmptyDataError: If the cube is smaller than the ratio.
        """
        check_not_reduced(sample, 'ReducedResolution')
        full = self._pair(sample) if 'pan' in sample else self._alone(sample)
        # all of it makes whole pixels of the reduced cube
        height, width = full.image.shape[-2:]
        ratio, fine = full.ratio, full.pan.shape[-2] // height
        pan, seen = full.pan, full.pan_valid
        if fine > 1:
            seen = reduced_valid(seen, self.pan_gain, ratio, self.size)
            pan = mtf_decimate(pan, self.pan_gain, ratio, self.size)
        kept = {key: value for key, value in sample.items() if key != 'up'}
        return {
            **kept,
            'image': mtf_decimate(full.image, self.gain, ratio, self.size),
            'pan': pan,
            'target': full.image,
            'valid': reduced_valid(full.valid, self.gain, ratio, self.size),
            'pan_valid': seen & full.valid,
            **scaled_place(sample, ratio, (height // ratio, width // ratio)),
        }

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'ratio={self.ratio}, gain={self.gain}, pan_gain={self.pan_gain}'

    def _pair(self, sample: Sample) -> Pair:
        """Return the pair at full resolution, cut to whole pixels of the reduced one."""
        pair = make_pair(sample, self.ratio)
        height, width = self._whole(pair.image, pair.ratio)
        rows, columns = slice(pair.ratio * height), slice(pair.ratio * width)
        return pair._replace(
            image=pair.image[..., :height, :width],
            valid=pair.valid[..., :height, :width],
            pan=pair.pan[..., rows, columns],
            pan_valid=pair.pan_valid[..., rows, columns],
        )

    def _alone(self, sample: Sample) -> Pair:
        """Return a cube and its panchromatic image, both at its own resolution."""
        if self.ratio is None:
            raise MetadataError(
                'A cube without a panchromatic image does not tell a ratio. Pass '
                'ratio= to ReducedResolution.'
            )
        if 'wavelength' not in sample:
            raise MetadataError(
                'A panchromatic image is simulated from the wavelengths of a cube, '
                'which this one does not have. Add wavelength in micrometres, or a pan.'
            )
        height, width = self._whole(sample['image'], self.ratio)
        image = sample['image'][..., :height, :width]
        given = sample.get('valid')
        cut = None if given is None else given[..., :height, :width]
        valid = mask_of(image, cut, 'valid')
        image = filled(image, valid)
        pan = _simulated(image, sample, self.pan_range)
        return Pair(image, pan, valid, valid, self.ratio)

    @staticmethod
    def _whole(image: Tensor, ratio: int) -> tuple[int, int]:
        """Return the rows and columns that make whole coarse pixels."""
        height, width = (length // ratio * ratio for length in image.shape[-2:])
        if min(height, width) < 1:
            raise EmptyDataError(
                f'Expected at least {ratio} x {ratio} pixels to reduce by {ratio}, got '
                f'{image.shape[-2]} x {image.shape[-1]}.'
            )
        return height, width


def _simulated(image: Tensor, sample: Sample, span: tuple[float, float]) -> Tensor:
    """See a cube through a panchromatic band."""
    centers, widths = sample['wavelength'], sample.get('fwhm')
    if centers.ndim == 1:
        return simulate_pan(image, pan_weights(centers, widths, span))
    if centers.shape != image.shape[:2]:
        raise BandMismatchError(
            f'Expected wavelengths of shape {tuple(image.shape[:2])} in a batch, got '
            f'{tuple(centers.shape)}.'
        )
    # scenes of a batch have wavelengths of their own
    known = [None] * len(centers) if widths is None else list(widths)
    return torch.stack(
        [
            simulate_pan(one, pan_weights(center, width, span))
            for one, center, width in zip(image, centers, known, strict=True)
        ]
    )
