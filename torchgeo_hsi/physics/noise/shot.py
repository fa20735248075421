# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Shot noise: light arrives in photons."""

import torch
from torch import Tensor

from ...errors import UnitError
from .draw import Source, as_real, like_given, normal, per_band, place


def add_shot(
    cube: Tensor,
    photons: Tensor | float,
    read_noise: Tensor | float = 0.0,
    peak: float = 1.0,
    generator: Source = None,
) -> Tensor:
    """Add the noise of counting photons (Poisson), and that of the read-out.

    A pixel of value *x* counts a Poisson number of mean ``photons * x / peak``, so the
    variance grows with the light and the signal-to-noise ratio with its square root.
    Values below 0 count none and keep their value, as do those that are not finite.

    Args:
        cube: Cubes of shape ``(..., C, H, W)``.
        photons: Photons that a pixel of full scale counts: a number, or one for each
            band, of shape ``(C,)`` or ``(..., C)``.
        read_noise: Standard deviation of the read-out in photons (electrons), of the
            same form.
        peak: Value of the cube that counts as full scale.
        generator: Source of randomness; torch's own by default.

    Returns:
        The noisy cubes, not clipped.

    Raises:
        UnitError: If *photons* is not positive, or *read_noise* negative.

    Example:
        >>> seed = torch.Generator().manual_seed(0)
        >>> noisy = add_shot(torch.full((1, 90, 90), 0.5), 200, generator=seed)
        >>> round((noisy.mean() / noisy.std()).item(), 1)  # the root of 100 photons
        10.0
    """
    clean = as_real(cube)
    full, read = per_band(photons, clean), per_band(read_noise, clean)
    if not (bool((full > 0).all()) and bool((read >= 0).all())):
        raise UnitError(
            'Expected a positive number of photons and a read-out noise of at least 0, '
            f'got {photons} and {read_noise}.'
        )
    scale = full / peak
    rate = (clean.clamp(min=0) * scale).nan_to_num(0, posinf=0)
    # a Poisson number can only be drawn where its generator is
    device = place(clean, generator)['device']
    counted = torch.poisson(rate.to(device), generator=generator).to(clean.device)
    if bool((read > 0).any()):
        counted += normal(clean.shape, clean, generator) * read
    return like_given(clean + (counted - rate) / scale, cube)
