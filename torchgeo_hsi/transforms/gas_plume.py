# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Plumes of gas over any scene."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from .._typing import Sample
from ..errors import BandMismatchError, MetadataError, UnitError
from ..physics import BandSet
from ..physics.gases import GasAbsorption, get_gas
from ..physics.simulation import PlumeSource
from .views._common import check_bounds, check_probability, uniform

#: Images of a sample that show the ground through the gas.
_IMAGES = ('image', 'target')


class GasPlume(nn.Module):
    """Let a plume of gas darken the bands of an image.

    Each band is multiplied by what a plume lets through, see
    :meth:`~torchgeo_hsi.physics.gases.GasAbsorption.band_transmittance`, so images are
    radiance or reflectance in any unit, before they are normalized. The plume is either
    given, or drawn for each image: a source anywhere, a rate, a wind of any direction
    (:class:`~torchgeo_hsi.physics.simulation.PlumeSource`). Light, noise and ground stay
    those of the image: a plume in a real scene with a truth.

    A transform takes a sample with ``image`` of shape ``(C, H, W)``, ``wavelength`` and
    ``fwhm`` in micrometres, or a batch of shape ``(B, C, H, W)``. A ``target``, the clean
    image, gets the plume too. ``enhancement``, in ppm m, shape ``(1, H, W)`` or
    ``(B, 1, H, W)``, is added to one that is there already. Pixels that are not
    ``valid`` keep their numbers.

    Example:
        >>> from torchgeo_hsi.physics import get_sensor
        >>> bands = get_sensor('enmap').bands
        >>> sample = {'image': torch.full((224, 8, 8), 3000.0),
        ...           'wavelength': torch.tensor(bands.wavelength),
        ...           'fwhm': torch.tensor(bands.fwhm)}
        >>> seen = GasPlume(enhancement=torch.full((8, 8), 1000.0))(sample)
        >>> int(seen['image'].amin()), seen['enhancement'].shape
        (2955, torch.Size([1, 8, 8]))
    """

    #: Transforms in :class:`~torchgeo_hsi.transforms.PhysicalUnits` ask for this.
    physical = True

    enhancement: Tensor | None

    def __init__(
        self,
        gas: str | GasAbsorption = 'methane',
        enhancement: Tensor | None = None,
        rate: tuple[float, float] = (500.0, 10_000.0),
        wind: tuple[float, float] = (1.0, 6.0),
        diffusivity: float = 20.0,
        duration: float = 1800.0,
        pixel: float = 30.0,
        sun_zenith: float = 30.0,
        view_zenith: float = 0.0,
        p: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> None:
        """Initialize a new GasPlume instance.

        Args:
            gas: The gas, or its name; plumes that are drawn need a name.
            enhancement: A given plume in ppm m, of shape ``(H, W)``, that of the images;
                what follows up to *pixel* does not matter then.
            rate: Smallest and largest rate in kg/h; their logarithm is uniform.
            wind: Smallest and largest speed of the wind in m/s.
            diffusivity: Horizontal diffusivity in m2/s.
            duration: How long the source has been leaking in s.
            pixel: Side of a pixel in metres.
            sun_zenith: Zenith angle of the sun in degrees.
            view_zenith: Zenith angle of the view in degrees.
            p: Probability with which an image gets a plume.
            generator: Source of randomness, on the CPU; torch's own by default.

        Raises:
            UnitError: If bounds are not in order, a rate is not positive, *p* is no
                probability, or a given plume has less than two dimensions.
            UnknownNameError: If there is no such gas.
        """
        super().__init__()
        self.gas = get_gas(gas) if isinstance(gas, str) else gas
        self.rate = check_bounds(rate, 'rate', 0.0)
        self.wind = check_bounds(wind, 'wind', 0.0)
        self.p = check_probability(p)
        if self.rate[0] <= 0:
            raise UnitError(f'Expected positive rates in kg/h, got {rate}.')
        if enhancement is not None and enhancement.ndim != 2:
            raise UnitError(
                'Expected an enhancement of shape (H, W), got '
                f'{tuple(enhancement.shape)}.'
            )
        self.register_buffer('enhancement', enhancement, persistent=False)
        self.diffusivity, self.duration, self.pixel = diffusivity, duration, pixel
        self.angles = {'sun_zenith': sun_zenith, 'view_zenith': view_zenith}
        self.generator = generator

    def forward(self, sample: Sample) -> Sample:
        """Add plumes to a sample or batch.

        Args:
            sample: Sample with ``image``, ``wavelength`` and ``fwhm``; maybe ``valid``,
                ``target`` and ``enhancement``.

        Returns:
            A new sample.

        Raises:
            BandMismatchError: If the image has not three or four axes, or another size
                than a given plume.
            MetadataError: If ``wavelength`` or ``fwhm`` is missing.
        """
        image = sample['image']
        if image.ndim == 3:
            batch = {key: _lift(value) for key, value in sample.items()}
            found = self.forward(batch)
            changed = (*_IMAGES, 'enhancement')
            return {**sample, **{key: found[key][0] for key in changed if key in found}}
        if image.ndim != 4:
            raise BandMismatchError(
                'Expected an image of shape (C, H, W) or (B, C, H, W), got '
                f'{tuple(image.shape)}.'
            )
        bands = _band_sets(sample)
        plumes = torch.stack([self.draw(*image.shape[-2:]) for _ in bands])
        plumes = plumes.to(image.device)[:, None]
        before = sample.get('enhancement')
        through = torch.stack(
            [
                self._through(
                    mine, plumes[i, 0], None if before is None else before[i, 0]
                )
                for i, mine in enumerate(bands)
            ]
        )
        if 'valid' in sample:
            through = through.where(sample['valid'].bool()[:, None], 1.0)
        result = dict(sample)
        for key in _IMAGES:
            if key in sample and sample[key].shape == image.shape:
                result[key] = _multiply(sample[key], through)
        result['enhancement'] = plumes if before is None else before + plumes
        return result

    def draw(self, height: int, width: int) -> Tensor:
        """Draw a plume, or return the given one.

        Args:
            height: Rows of the image.
            width: Columns of the image.

        Returns:
            Enhancement in ppm m, float32 of shape ``(H, W)``.

        Raises:
            BandMismatchError: If the given plume has another shape.
        """
        if self.enhancement is not None and self.enhancement.shape != (height, width):
            raise BandMismatchError(
                f'Expected images of {tuple(self.enhancement.shape)} pixels, those of the '
                f'plume, got {(height, width)}: cut out the same part of both.'
            )
        chance, column, row, angle, strength, speed = (
            float(uniform((1,), (0.0, 1.0), self.generator)) for _ in range(6)
        )
        if chance >= self.p:
            return torch.zeros(height, width)
        if self.enhancement is not None:
            return self.enhancement.float()
        low, high = map(math.log, self.rate)
        source = PlumeSource(
            self.gas.name,
            math.exp(low + strength * (high - low)),
            self.wind[0] + speed * (self.wind[1] - self.wind[0]),
            360 * angle,
            (column, row),
            self.diffusivity,
            self.duration,
        )
        return torch.from_numpy(source.enhancement(height, width, self.pixel))

    def _through(self, bands: BandSet, plume: Tensor, before: Tensor | None) -> Tensor:
        """Compute what one more plume lets through, shape ``(C, H, W)``."""
        if before is None:
            return self.gas.band_transmittance(bands, plume, **self.angles)
        both = self.gas.band_transmittance(bands, before + plume, **self.angles)
        return both / self.gas.band_transmittance(bands, before, **self.angles)

    def extra_repr(self) -> str:
        """Show what the transform was made with."""
        return f'gas={self.gas.name}, rate={self.rate}, wind={self.wind}, p={self.p:g}'


def _lift(value: Any) -> Any:
    """Give an entry of a sample the axis of the batch."""
    return value[None] if isinstance(value, Tensor) else value


def _band_sets(batch: Sample) -> list[BandSet]:
    """Return the bands of each image."""
    missing = [key for key in ('wavelength', 'fwhm') if key not in batch]
    if missing:
        raise MetadataError(
            f'Expected a sample with {" and ".join(missing)} in micrometres, which says '
            'where its bands absorb. Datasets of torchgeo_hsi have them.'
        )
    count = len(batch['image'])
    centre, width = (
        torch.as_tensor(batch[key]).detach().double().cpu().expand(count, -1).numpy()
        for key in ('wavelength', 'fwhm')
    )
    return [BandSet(w, f) for w, f in zip(centre, width, strict=True)]


def _multiply(image: Tensor, factor: Tensor) -> Tensor:
    """Multiply, and return what is not a floating type as float32."""
    if not image.is_floating_point():
        image = image.float()
    # where nothing was measured may stand anything, NaN included
    return torch.where(factor == 1, image, image * factor.to(image.dtype))
