# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Color images for networks of hyperspectral cubes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..._typing import Sample
from ...errors import BandMismatchError, MetadataError, UnitError
from ...physics import BandSet, project
from ...physics.rgb import (
    Color,
    camera_bands,
    rgb_from_bands,
    rgb_response,
    rgb_to_groups,
)
from ..views._resampling import band_sets

#: Entries of the bands of an image, and of its bands themselves.
_IMAGES = ('image', 'target', 'up')
_BANDS = ('wavelength', 'fwhm', 'mean', 'std', 'sigma')

#: Bands whose maps are kept, the latest ones.
_KEPT = 64


class RGBToBands(nn.Module):
    """Make the channels of a color network of color images.

    Red, green and blue become the weighted channels of
    :func:`~torchgeo_hsi.physics.rgb_to_groups`, in ``image``, ``target`` and ``up``.
    What else a sample says about its bands is left out.

    * https://arxiv.org/abs/2101.07589

    Example:
        >>> import torch
        >>> photo = {'image': torch.randint(0, 256, (3, 16, 16), dtype=torch.uint8)}
        >>> RGBToBands(8)(photo)['image'].shape
        torch.Size([8, 16, 16])
    """

    def __init__(
        self,
        n: int = 8,
        peak: float | None = None,
        bands: Sequence[int] = (0, 1, 2),
        exact: bool = True,
    ) -> None:
        """Initialize a new RGBToBands instance.

        Args:
            n: Number of channels.
            peak: Value that becomes 1. By default the largest number of images of
                integers, 1 for others; datasets of torchgeo give 0 to 255 as floating
                numbers, so pass 255 there.
            bands: Which bands of the image are red, green and blue.
            exact: Whether the weights of each channel sum to 1, see
                :func:`~torchgeo_hsi.physics.rgb_to_groups`.

        Raises:
            ValueError: If there are fewer than three channels, or not three bands.
            UnitError: If *peak* is not positive.
        """
        super().__init__()
        if len(bands) != 3 or min(bands) < 0:
            raise ValueError(
                f'Expected the bands of red, green and blue, got {list(bands)}.'
            )
        if peak is not None and not 0 < peak < float('inf'):
            raise UnitError(f'Expected a positive peak, got {peak}.')
        self.n = n
        self.peak = peak
        self.bands = tuple(bands)
        self.exact = exact
        self._matrix = rgb_to_groups(n, exact).mT.contiguous()

    def forward(self, sample: Sample) -> Sample:
        """Make the channels.

        Args:
            sample: Sample or batch with ``image`` of shape ``(..., C, H, W)``, and maybe
                ``target`` and ``up``.

        Returns:
            A new sample with images of *n* channels, from 0 to 1 if they were from 0 to
            *peak*.

        Raises:
            BandMismatchError: If an image has too few bands.
        """
        result = {key: value for key, value in sample.items() if key not in _BANDS}
        for key in _IMAGES:
            if key in sample:
                result[key] = self._convert(sample[key], key)
        return result

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'n={self.n}, peak={self.peak}, bands={list(self.bands)}'

    def _convert(self, image: Tensor, name: str) -> Tensor:
        """Convert one image."""
        if image.ndim < 3 or image.shape[-3] <= max(self.bands):
            raise BandMismatchError(
                f'Expected {name} of shape (..., C, H, W) with bands {list(self.bands)} '
                f'for red, green and blue, got {tuple(image.shape)}. Pass bands=.'
            )
        real = image if image.is_floating_point() else image.float()
        if self.bands != tuple(range(image.shape[-3])):
            real = real[..., self.bands, :, :]
        channels = project(real, self._matrix)
        peak = self.peak or _full_scale(image.dtype)
        return channels if peak == 1 else channels / peak


def _full_scale(kind: torch.dtype) -> float:
    """Return the largest number of a type of integers, 1 for others."""
    if kind.is_floating_point or kind == torch.bool:
        return 1.0
    return float(torch.iinfo(kind).max)


class SyntheticRGB(nn.Module):
    """Look at cubes with a color camera.

    The bands of a sample become red, green and blue, by the responses of
    :func:`~torchgeo_hsi.physics.rgb_response`, in ``image``, ``target`` and ``up``, and
    ``wavelength`` and ``fwhm`` become those of the camera.

    Example:
        >>> import torch
        >>> cube = {'image': torch.rand(31, 16, 16),
        ...         'wavelength': torch.arange(0.40, 0.71, 0.01)}
        >>> SyntheticRGB()(cube)['image'].shape
        torch.Size([3, 16, 16])
    """

    def __init__(
        self,
        camera: BandSet | None = None,
        bands: Sequence[Color] | None = None,
        thirds: bool = False,
        min_coverage: float = 0.8,
    ) -> None:
        """Initialize a new SyntheticRGB instance.

        Args:
            camera: Red, green and blue of the camera;
                :func:`~torchgeo_hsi.physics.camera_bands` by default.
            bands: Bands of red, green and blue of all cubes, which win over wavelengths;
                see :func:`~torchgeo_hsi.physics.rgb_from_bands`.
            thirds: Of cubes without wavelengths, take the last, the middle and the first
                third of the bands, instead of refusing them.
            min_coverage: Share of each color that has to lie where a cube has bands.
        """
        super().__init__()
        self.camera = camera_bands() if camera is None else camera
        self.bands = bands
        self.thirds = thirds
        self.min_coverage = min_coverage
        self._maps: dict[bytes, Tensor] = {}

    def forward(self, sample: Sample) -> Sample:
        """Make color images.

        Args:
            sample: Sample or batch with ``image`` of shape ``(C, H, W)`` or ``(B, C, H,
                W)`` and ``wavelength`` in micrometres, maybe with ``fwhm``, ``target``
                and ``up``.

        Returns:
            A new sample with images of three bands.

        Raises:
            MetadataError: If there are no wavelengths and no *bands*.
            BandMismatchError: If a cube has no visible bands.
        """
        image = sample['image']
        matrix = self._matrix(sample)
        result = {key: value for key, value in sample.items() if key not in _BANDS}
        for key in _IMAGES:
            if key in sample:
                result[key] = _project_each(sample[key], matrix)
        if self.bands is None and 'wavelength' in sample:
            table = {'wavelength': self.camera.wavelength, 'fwhm': self.camera.fwhm}
            for key in table.keys() & sample.keys():
                numbers = torch.tensor(table[key], dtype=torch.float32)
                shape = (*sample[key].shape[:-1], 3)
                result[key] = numbers.to(image.device).expand(shape)
        return result

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'camera={self.camera}, bands={self.bands}, thirds={self.thirds}'

    def _matrix(self, sample: Sample) -> Tensor:
        """Return the map to three bands, or one for each image of a batch."""
        count = sample['image'].shape[-3]
        if self.bands is not None:
            return rgb_from_bands(count, self.bands).mT
        if 'wavelength' not in sample:
            if self.thirds:
                return rgb_from_bands(count).mT
            raise MetadataError(
                'A color image is made by the wavelengths of a cube, which this one does '
                'not have. Add wavelength in micrometres, or pass bands= or thirds=True '
                'to SyntheticRGB.'
            )
        whole = sample['image'].ndim == 4
        batch = sample if whole else {**sample, 'image': sample['image'][None]}
        sets, which = band_sets(batch, 'SyntheticRGB')
        maps = [self._map(one) for one in sets]
        return maps[0] if len(maps) == 1 else torch.stack([maps[k] for k in which])

    def _map(self, bands: BandSet) -> Tensor:
        """Return the map of some bands, which many batches have."""
        widths = b'' if bands.fwhm is None else bands.fwhm.tobytes()
        key = bands.wavelength.tobytes() + widths
        if key not in self._maps:
            while len(self._maps) >= _KEPT:
                del self._maps[next(iter(self._maps))]
            weights = rgb_response(
                bands.wavelength, bands.fwhm, self.camera, self.min_coverage
            )
            self._maps[key] = weights.mT.contiguous()
        return self._maps[key]


def _project_each(image: Tensor, matrix: Tensor) -> Tensor:
    """Apply one map to all images of a batch, or its own to each."""
    if matrix.ndim == 2:
        return project(image, matrix)
    pairs = zip(image, matrix, strict=True)
    return torch.stack([project(one, its) for one, its in pairs])
