# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Slopes of spectra in place of spectra."""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from .._typing import Sample
from ..errors import BandMismatchError
from ..physics.bands import BandSet
from ..physics.series import derivative_matrix

#: Images whose spectra change together, where they have the same bands.
_IMAGES = ('image', 'target')


class SpectralDerivative(nn.Module):
    """Replace spectra by their derivatives with respect to wavelength.

    See :func:`~torchgeo_hsi.physics.series.derivative_spectra`. Bands in the water
    vapour, and others outside of all windows, are dropped from ``image``,
    ``wavelength`` and ``fwhm``, as no slope is known there. Values are in units of the
    image per micrometre to the power of *order*: compute statistics for a
    normalization behind this transform, not before it.

    Example:
        >>> import torch
        >>> wavelength = torch.linspace(0.45, 1.3, 90)
        >>> image = (2 * wavelength)[:, None, None].expand(90, 4, 4)
        >>> sample = SpectralDerivative()({'image': image, 'wavelength': wavelength})
        >>> bool((sample['image'] - 2).abs().max() < 1e-3), len(sample['wavelength'])
        (True, 90)
    """

    def __init__(
        self, order: int = 1, smoothness: float = 0.008, bands_per_term: float = 1.5
    ) -> None:
        """Initialize a new SpectralDerivative instance.

        Args:
            order: Order of the derivative.
            smoothness: Length in micrometres below which features are suppressed. As
                derivatives amplify noise, it is more than for spectra.
            bands_per_term: Bands for each coefficient of a window.

        Raises:
            ValueError: If *order* is less than 1.
        """
        super().__init__()
        if order < 1:
            raise ValueError(f'Expected a derivative of order 1 or more, got {order}.')
        self.order = order
        self.smoothness = smoothness
        self.bands_per_term = bands_per_term

    def forward(self, sample: Sample) -> Sample:
        """Transform a sample, or a batch whose images all have the same bands.

        Args:
            sample: Sample with ``image`` of shape ``(C, H, W)``, ``wavelength`` and
                maybe ``fwhm`` of shape ``(C,)`` in micrometres; or a batch of them.

        Returns:
            A new sample.

        Raises:
            BandMismatchError: If there are no wavelengths, or not one for each band, or
                images of a batch have different ones.
            UnitError: If wavelengths look like nanometres.
        """
        image = sample['image']
        count = image.shape[-3]
        axes = {
            key: _row(sample, key, count)
            for key in ('wavelength', 'fwhm')
            if key in sample
        }
        if 'wavelength' not in axes:
            raise BandMismatchError(
                'Expected a sample with "wavelength": derivatives are taken with respect '
                'to it. Datasets of this package give it.'
            )
        matrix, inside = _matrix(
            tuple(axes['wavelength'].tolist()),
            tuple(axes['fwhm'].tolist()) if 'fwhm' in axes else None,
            self.order,
            self.smoothness,
            self.bands_per_term,
        )
        result = dict(sample)
        for key in _IMAGES:
            if key in sample and sample[key].shape[-3] == count:
                result[key] = _apply(sample[key], matrix)
        for key in axes:
            result[key] = sample[key][..., inside.to(sample[key].device)]
        return result

    def extra_repr(self) -> str:
        """Describe the options in one line."""
        return f'order={self.order}, smoothness={self.smoothness}'


def _row(sample: Sample, key: str, count: int) -> Tensor:
    """Return the one row of numbers that all images of a batch share."""
    rows = torch.as_tensor(sample[key]).detach().cpu()
    if rows.shape[-1] != count or rows.ndim not in (1, 2):
        raise BandMismatchError(
            f'Expected {key} of shape ({count},), one for each band of the image, got '
            f'{tuple(rows.shape)}.'
        )
    if rows.ndim == 2:
        if bool((rows != rows[:1]).any()):
            raise BandMismatchError(
                f'Expected images of a batch with the same {key}. Use this transform on '
                'samples, as one of a dataset.'
            )
        rows = rows[0]
    return rows.double()


@lru_cache(maxsize=32)
def _matrix(
    wavelength: tuple[float, ...],
    fwhm: tuple[float, ...] | None,
    order: int,
    smoothness: float,
    bands_per_term: float,
) -> tuple[Tensor, Tensor]:
    """Return the map to the derivatives of the bands inside, and which these are."""
    bands = BandSet(
        np.array(wavelength), None if fwhm is None else np.array(fwhm, dtype=float)
    )
    matrix, inside = derivative_matrix(
        bands, order, smoothness=smoothness, bands_per_term=bands_per_term
    )
    return matrix[inside], inside


def _apply(image: Tensor, matrix: Tensor) -> Tensor:
    """Map the bands of images, in float32 or better."""
    values = image if image.dtype == torch.float64 else image.float()
    found = matrix.to(values) @ values.flatten(-2)
    found = found.reshape(*found.shape[:-1], *image.shape[-2:])
    return found.to(image.dtype) if image.is_floating_point() else found
