# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Cubes that are held in memory, to be cut into samples in [0, 1]."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .._typing import Sample
from ..errors import BandMismatchError, EmptyDataError, MetadataError
from ..physics import BandSet
from ..physics.noise import noise_levels
from ..physics.noise.levels import band_power
from ..scenes._numbers import PERCENTILES, REFLECTANCE, Scaling

#: Numbers that quantiles are computed from; more change nothing that can be seen.
_QUANTILE_NUMBERS = 1 << 23

#: Least share of a pixel of a smaller scale that has to come from valid ones.
_WHOLE = 1 - 1e-4

#: Bands that are resized at once.
_BANDS = 32


@dataclass(frozen=True)
class Cube:
    """An image, and how its numbers become those of a network.

    Args:
        image: Numbers as stored, shape ``(C, H, W)``, of any real type.
        valid: True where all bands have data, shape ``(H, W)``.
        scale: What 1 means: ``number = value * scale + offset``.
        offset: What 0 means.
        fill: Mean of the valid pixels of each band, shape ``(C,)``.
        target: The image without noise, where that is known.
        wavelength: Centers in micrometres, shape ``(C,)``, where known.
        fwhm: Widths in micrometres, shape ``(C,)``, where known.
        sigma: Known noise of values in [0, 1], times 255, shape ``(C,)``.
    """

    image: Tensor
    valid: Tensor
    scale: float
    offset: float
    fill: Tensor
    target: Tensor | None = None
    wavelength: Tensor | None = None
    fwhm: Tensor | None = None
    sigma: Tensor | None = None

    @classmethod
    def of_sample(cls, sample: Sample, scaling: Scaling, name: str) -> Self:
        """Look at a sample of a dataset.

        Args:
            sample: Sample with ``image`` and maybe ``target``, ``valid``,
                ``wavelength``, ``fwhm`` and ``sigma``.
            scaling: What 0 and 1 are to be.
            name: What to call it in messages.

        Returns:
            The cube.

        Raises:
            BandMismatchError: If there is no image, or other entries do not fit it.
            EmptyDataError: If no pixel is valid, or all have the same number.
        """
        image, target = _images(sample, name)
        valid = _valid(sample, image, target, name)
        # the truth has neither outliers nor a wider range because of noise
        clean = image if target is None else target
        low, high = _limits(clean, valid, scaling, name)
        # bands one by one: a scene in float32 would take twice its memory
        means = [float(band[valid].double().mean()) for band in clean]
        axis: dict[str, Tensor] = {
            key: sample[key].float()
            for key in ('wavelength', 'fwhm')
            if key in sample and sample[key].shape == image.shape[:1]
        }
        if sample.get('sigma') is not None:
            power = band_power(noise_levels(sample['sigma'], image), valid[None])
            axis['sigma'] = power[0].sqrt().float() / (high - low)
        fill = torch.tensor(means, dtype=torch.float32)
        return cls(image, valid, high - low, low, fill, target, **axis)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Bands, rows and columns."""
        bands, height, width = self.image.shape
        return bands, height, width

    def clean(self) -> Self:
        """Return the image without its own noise, as far as it is known."""
        if self.target is None:
            return self
        return replace(self, image=self.target, target=None, sigma=None)

    def select(self, bands: Sequence[int | float]) -> Self:
        """Choose bands.

        Args:
            bands: Positions from 0, or wavelengths in micrometres, of which the nearest
                band is taken.

        Returns:
            The cube with these bands, in this order. What 0 and 1 mean stays.

        Raises:
            MetadataError: If there are no wavelengths to choose by.
            BandMismatchError: If there is no such band, or one is chosen twice.
        """
        places = band_places(bands, self.shape[0], self.wavelength)
        parts = ('image', 'fill', 'target', 'wavelength', 'fwhm', 'sigma')
        known = {name: getattr(self, name) for name in parts}
        return replace(
            self, **{name: v[places] for name, v in known.items() if v is not None}
        )

    def padded(self, size: int) -> Self:
        """Mirror the image at its lower and right edge, until crops fit into it.

        Args:
            size: Least number of rows and columns.

        Returns:
            The cube, whose new pixels are not valid.
        """
        _, height, width = self.shape
        down, right = max(size - height, 0), max(size - width, 0)
        if not down and not right:
            return self

        def mirror(values: Tensor) -> Tensor:
            pads = ((0, 0), (0, down), (0, right))
            return torch.from_numpy(np.pad(values.numpy(), pads, 'symmetric'))

        return replace(
            self,
            image=mirror(self.image),
            target=None if self.target is None else mirror(self.target),
            valid=F.pad(self.valid, (0, right, 0, down)),
        )

    def resized(self, factor: float) -> Self:
        """Resize the image by averaging its pixels.

        Args:
            factor: Factor of the rows and columns, less than 1.

        Returns:
            The cube. A pixel is valid if all that contribute to it are. How strong its
            noise is is not known any more: averaging takes some of it, and pixels that
            share what they average share noise.
        """
        _, height, width = self.shape
        size = round(height * factor), round(width * factor)
        weight = _shrink(self.valid[None].float(), size)

        def shrink(values: Tensor) -> Tensor:
            parts = [
                _shrink(part.float().masked_fill(~self.valid, 0), size)
                for part in torch.split(values, _BANDS)
            ]
            return torch.cat(parts) / weight.clamp_min(1e-6)

        return replace(
            self,
            image=shrink(self.image),
            target=None if self.target is None else shrink(self.target),
            valid=weight[0] > _WHOLE,
            sigma=None,
        )

    def cut(
        self,
        rows: slice = slice(None),
        columns: slice = slice(None),
        bands: slice = slice(None),
    ) -> Sample:
        """Cut out a part and scale it.

        Args:
            rows: Rows.
            columns: Columns.
            bands: Bands.

        Returns:
            ``image`` in [0, 1], ``target`` if there is one, ``valid``, ``scale``,
            ``offset``, and ``wavelength``, ``fwhm`` and ``sigma`` where known. Pixels
            without data hold the mean of their band.
        """
        part = (bands, rows, columns)
        valid = self.valid[rows, columns].clone()
        fill = (self.fill[bands] - self.offset) / self.scale
        sample: Sample = {'image': self._scaled(self.image[part], valid, fill)}
        if self.target is not None:
            sample['target'] = self._scaled(self.target[part], valid, fill)
        sample['valid'] = valid
        sample['scale'] = torch.tensor(self.scale, dtype=torch.float32)
        sample['offset'] = torch.tensor(self.offset, dtype=torch.float32)
        for key in ('wavelength', 'fwhm', 'sigma'):
            values: Tensor | None = getattr(self, key)
            if values is not None:
                sample[key] = values[bands].clone()
        return sample

    def _scaled(self, values: Tensor, valid: Tensor, fill: Tensor) -> Tensor:
        image = (values.float() - self.offset) / self.scale
        return torch.where(valid, image, fill[:, None, None])


def _images(sample: Sample, name: str) -> tuple[Tensor, Tensor | None]:
    """Return image and target of a sample."""
    image, target = sample.get('image'), sample.get('target')
    if image is None or image.ndim != 3:
        found = 'none' if image is None else f'shape {tuple(image.shape)}'
        raise BandMismatchError(
            f'Expected an image of shape (C, H, W) in {name}, got {found}. Of datasets '
            'with several dates, take single patches (item="patch").'
        )
    if target is not None and target.shape != image.shape:
        raise BandMismatchError(
            f'Expected a target like the image of shape {tuple(image.shape)} in {name}, '
            f'got {tuple(target.shape)}.'
        )
    return image, target


def _valid(sample: Sample, image: Tensor, target: Tensor | None, name: str) -> Tensor:
    """Return which pixels count."""
    valid = sample.get('valid')
    if valid is None:
        # datasets that do not say put 0 where there is no data
        valid = image.isfinite().all(0) & image.any(0)
    else:
        valid = valid.bool()
        for values in (image, target):
            if values is not None and values.is_floating_point():
                valid = valid & values.isfinite().all(0)
    if not valid.any():
        raise EmptyDataError(
            f'{name} holds no pixel in which all bands have data. Check its nodata '
            'value, or choose bands that have data.'
        )
    return valid


def _limits(
    image: Tensor, valid: Tensor, scaling: Scaling, name: str
) -> tuple[float, float]:
    """Return the numbers that become 0 and 1."""
    low, high = 0.0, REFLECTANCE
    if scaling == 'min_max':
        pairs = [band[valid].aminmax() for band in image]
        low = min(float(pair.min) for pair in pairs)
        high = max(float(pair.max) for pair in pairs)
    elif scaling == 'percentile':
        step = max(image.shape[0] * int(valid.sum()) // _QUANTILE_NUMBERS, 1)
        values = torch.cat([band[valid][::step] for band in image])
        low, high = np.quantile(values.numpy(), PERCENTILES).tolist()
    elif not isinstance(scaling, str):
        high = float(scaling)
    if not high > low:
        raise EmptyDataError(
            f'{name} holds {low:g} everywhere, so there is nothing to learn from it. '
            'Leave it out.'
        )
    return low, high


def _shrink(values: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(
        values[None], size, mode='bilinear', antialias=True, align_corners=False
    )[0]


def band_places(
    bands: Sequence[int | float], count: int, wavelength: Tensor | None
) -> list[int]:
    """Find bands by position or wavelength.

    Args:
        bands: Positions from 0, or wavelengths in micrometres.
        count: Number of bands.
        wavelength: Centers in micrometres, shape ``(C,)``, where known.

    Returns:
        Their positions.

    Raises:
        MetadataError: If there are no wavelengths to choose by.
        BandMismatchError: If there is no such band, or one is chosen twice.
    """
    if wavelength is not None:
        axis = BandSet(wavelength.double().numpy())
    elif all(isinstance(band, int) for band in bands):
        axis = BandSet(np.linspace(0.4, 2.5, count))
    else:
        raise MetadataError(
            'Bands are chosen by wavelength, but the cube does not know its own. Choose '
            'them by position, from 0.'
        )
    # complains about bands that are none, or the same
    axis.select(bands)
    return axis.indices(bands)


def check_bands(cubes: Sequence[Cube], num_bands: int | None, word: str) -> None:
    """Check that parts of all cubes have the same number of bands.

    Args:
        cubes: The cubes.
        num_bands: Number of bands of a part, or None for all.
        word: Name of the argument that chooses it.

    Raises:
        BandMismatchError: If they have not.
    """
    counts = sorted({cube.shape[0] for cube in cubes})
    if num_bands is None and len(counts) > 1:
        raise BandMismatchError(
            f'The cubes have {", ".join(map(str, counts))} bands, which make no batch. '
            f'Pass {word}= to take as many neighboring bands of each.'
        )
    if num_bands is not None and counts[0] < num_bands:
        raise BandMismatchError(
            f'Expected cubes of at least {word}={num_bands} bands, got one of '
            f'{counts[0]}. Lower {word}.'
        )


def common_keys(cubes: Sequence[Cube]) -> frozenset[str]:
    """Return the entries that samples of all cubes have, so that they can be stacked.

    Args:
        cubes: The cubes.
    """
    names = ('target', 'wavelength', 'fwhm', 'sigma')
    known = [n for n in names if all(getattr(c, n) is not None for c in cubes)]
    return frozenset({'image', 'valid', 'scale', 'offset', *known})
