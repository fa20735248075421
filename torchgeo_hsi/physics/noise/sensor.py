# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise of a sensor: it grows with the light, and differs from band to band."""

import torch
from torch import Tensor

from ...errors import BandMismatchError, UnitError
from .draw import Source, as_real, like_given, normal, per_band
from .resampling import draw_resampled

#: Clouds, glint and glossy roofs exceed 1, but no reflectance comes near this number.
_BRIGHTEST = 50.0


def add_sensor_noise(
    cube: Tensor,
    variance: tuple[Tensor, Tensor, Tensor],
    level: Tensor | float = 1.0,
    angle: float | None = None,
    generator: Source = None,
) -> tuple[Tensor, Tensor]:
    """Add Gaussian noise whose variance is a linear function of the reflectance.

    With the thousands of photons that an imaging spectrometer counts, this is what is
    left of the Poisson law.

    Args:
        cube: Reflectances of shape ``(..., C, H, W)``, where 1 is a white target.
        variance: Slope, fixed variance and floor of each band, of shape ``(C,)`` or
            ``(..., C)``, see :meth:`NoiseCurve.at`.
        level: Factor on the standard deviation: a number, or of shape ``(...)``, the
            axes before the bands.
        angle: Angle of a product on a map, whose noise has been interpolated, in
            degrees, see :func:`draw_resampled`; by default, the noise is independent in
            each pixel.
        generator: Source of randomness; torch's own by default.

    Returns:
        The noisy cubes, not clipped, and the standard deviation in each pixel.

    Raises:
        BandMismatchError: If *variance* does not fit the bands.
        UnitError: If the cube holds no reflectances.

    Example:
        >>> from torchgeo_hsi.physics.noise import NoiseCurve
        >>> curve = NoiseCurve.from_snr([0.5, 2.2], [500, 150])
        >>> parts = tuple(torch.as_tensor(part) for part in curve.at([0.5, 2.2]))
        >>> noisy, sigma = add_sensor_noise(torch.full((2, 8, 8), 0.3), parts)
        >>> (0.3 / sigma[:, 0, 0]).round().tolist()
        [500.0, 150.0]
    """
    clean = as_real(cube)
    slope, fixed, floor = (per_band(part, clean) for part in variance)
    for part in (slope, fixed, floor):
        if part.ndim and part.shape[-3] != cube.shape[-3]:
            raise BandMismatchError(
                f'Expected the variance of the {cube.shape[-3]} bands of the cube, got '
                f'that of {part.shape[-3]}.'
            )
    if clean.numel() and float(clean.amax()) > _BRIGHTEST:
        raise UnitError(
            f'Expected reflectances, where 1 is a white target, got {clean.amax():g}: '
            'divide by the scale of the data, such as 10 000.'
        )
    factor = torch.as_tensor(level, device=clean.device, dtype=clean.dtype)
    # between the wavelengths of a curve, rounding may lead below 0
    sigma = torch.maximum(clean, floor).mul_(slope).add_(fixed).clamp_(min=0).sqrt_()
    sigma *= factor[..., None, None, None] if factor.ndim else factor
    if angle is None:
        noise = normal(clean.shape, clean, generator)
        return like_given(noise.mul_(sigma).add_(clean), cube), sigma
    noise, share = draw_resampled(clean.shape, clean, angle, generator)
    return like_given(noise.mul_(sigma).add_(clean), cube), sigma.mul_(share)
