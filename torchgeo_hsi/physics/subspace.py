# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noise of bands and the subspace of the signal, from second moments alone.

Everything here needs no more than the correlation matrix of the spectra and their
number, so a scene can be read tile by tile, and no pixel has to be kept.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import BandMismatchError, EmptyDataError

#: How the dimension of a subspace is found.
type RankRule = Literal['edge', 'hysime', 'mdl']

# below this share of the strongest band, a band counts as constant
_FLOOR = 1e-7

#: A band with less than this share of the noise that is usual for so many bands on both
#: sides of it is no better one: it is a copy or an average of others, or holds no data.
_QUIET, _REACH = 0.1, 8


class Subspace(NamedTuple):
    """Where the signal is, in units of the noise.

    Args:
        basis: Orthonormal basis, shape ``(..., C, K)``, strongest direction first.
        power: Mean square of whitened spectra along each direction, shape ``(..., K)``;
            1 where there is noise only.
    """

    basis: Tensor
    power: Tensor


def correlation_matrix(
    image: Tensor, valid: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compute the mean of the products of all pairs of bands.

    Args:
        image: Images of shape ``(..., C, H, W)``.
        valid: True for pixels that count, shape ``(..., H, W)``; all by default.

    Returns:
        Matrices of shape ``(..., C, C)`` in float64, and the number of pixels of each,
        shape ``(...)``; zeros where there is no pixel.

    Raises:
        BandMismatchError: If *valid* has not the rows and columns of the images.

    Example:
        >>> matrix, count = correlation_matrix(torch.ones(1, 5, 8, 8))
        >>> matrix.shape, count
        (torch.Size([1, 5, 5]), tensor([64]))
    """
    spectra = image.flatten(-2).double()
    shape = (*image.shape[:-3], *image.shape[-2:])
    if valid is None:
        count = torch.full(shape[:-2], spectra.shape[-1], device=image.device)
    elif valid.shape != shape:
        raise BandMismatchError(
            f'Expected valid of shape {shape}, as the image of shape '
            f'{tuple(image.shape)}, got {tuple(valid.shape)}.'
        )
    else:
        mask = valid.flatten(-2)
        spectra = spectra.masked_fill(~mask.unsqueeze(-2), 0)
        count = mask.sum(-1)
    total = spectra @ spectra.mT
    return total / count.clamp_min(1)[..., None, None], count


def band_noise(correlation: Tensor, count: Tensor | int) -> Tensor:
    """Estimate the noise of each band from what the other bands do not explain.

    Each band is regressed on the others. What is left is the noise, because that of
    different bands is independent, while neighboring bands see the same ground. As in
    HySime, https://doi.org/10.1109/TGRS.2008.918089, with two differences: the variance
    is that of an unbiased regression, which matters in small images (of 1,024 pixels
    and 218 bands, a tenth of the standard deviation would be missing); and where pixels
    are few for the number of bands, only the nearest bands are used. A band that is a
    copy of another one, or interpolated, gets the noise that is usual around it, because
    a band without any would count more than all others together.

    Args:
        correlation: Correlation matrices of shape ``(..., C, C)``, as of
            :func:`correlation_matrix`.
        count: Number of pixels behind them, shape ``(...)``.

    Returns:
        Standard deviation of the noise, shape ``(..., C)``, in float64.

    Raises:
        BandMismatchError: If the matrices are not square.
        EmptyDataError: If there is no pixel.

    Example:
        >>> import torch
        >>> rng = torch.Generator().manual_seed(0)
        >>> clean = torch.rand(1, 1, 64, 64, generator=rng).expand(1, 20, 64, 64)
        >>> noisy = clean + 0.1 * torch.randn(clean.shape, generator=rng)
        >>> band_noise(*correlation_matrix(noisy))[0, :3]
        tensor([0.1040, 0.1028, 0.1035], dtype=torch.float64)
    """
    matrix, number = _checked(correlation, count)
    bands = matrix.shape[-1]
    fewest = int(number.min())
    # a regression on as many bands as there are pixels explains everything
    neighbors = min(bands - 1, max((fewest - 1) // 3, 0))
    power = matrix.diagonal(dim1=-2, dim2=-1)
    floor = power.amax(-1, keepdim=True).clamp_min(1e-30) * _FLOOR**2
    if neighbors == bands - 1:
        solid = matrix + torch.diag_embed((power * 1e-10).clamp_min(floor))
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(solid))
        residual = 1 / inverse.diagonal(dim1=-2, dim2=-1)
    else:
        residual = _near_residual(matrix, power, floor, neighbors)
    number = number.unsqueeze(-1)
    residual = residual * number / (number - neighbors).clamp_min(1)
    return usual_noise(torch.minimum(residual, power).clamp_min(floor).sqrt())


def estimate_noise(image: Tensor, valid: Tensor | None = None) -> Tensor:
    """Estimate the noise of each band of an image.

    The noise of a band is what the other bands do not explain of it: :func:`band_noise`
    of the :func:`correlation_matrix`. For a scene that does not fit into memory, add up
    the matrices of its tiles instead.

    Args:
        image: Images of shape ``(..., C, H, W)``, in any unit.
        valid: True for pixels that count, shape ``(..., H, W)``; all by default.

    Returns:
        Standard deviation of the noise, shape ``(..., C)``, in float64, in the unit of
        *image*.

    Raises:
        BandMismatchError: If *valid* has not the rows and columns of the images.
        EmptyDataError: If an image has no valid pixel.

    Example:
        >>> import torch
        >>> rng = torch.Generator().manual_seed(0)
        >>> clean = torch.rand(1, 64, 64, generator=rng).expand(20, 64, 64)
        >>> estimate_noise(clean + 0.1 * torch.randn(clean.shape, generator=rng))[:3]
        tensor([0.1040, 0.1028, 0.1035], dtype=torch.float64)
    """
    return band_noise(*correlation_matrix(image, valid))


def usual_noise(noise: Tensor) -> Tensor:
    """Give bands that seem to have no noise what is usual around them.

    Args:
        noise: Standard deviations of the noise of bands, shape ``(..., C)``.

    Returns:
        Standard deviations that are nowhere far below those of the bands around.
    """
    reach = min(_REACH, (noise.shape[-1] - 1) // 2)
    flat = noise.reshape(-1, 1, noise.shape[-1])
    ends = F.pad(flat, (reach, reach), mode='reflect') if reach else flat
    usual = ends.unfold(-1, 2 * reach + 1, 1).median(-1).values.view_as(noise)
    return torch.where(noise < _QUIET * usual, usual, noise)


def _near_residual(
    matrix: Tensor, power: Tensor, floor: Tensor, neighbors: int
) -> Tensor:
    """Compute what the nearest bands leave of each band, as a mean square."""
    bands = matrix.shape[-1]
    place = torch.arange(bands, device=matrix.device)
    distance = (place[:, None] - place).abs()
    # the band itself is the nearest, and comes last
    near = distance.argsort(dim=1, stable=True)[:, : neighbors + 1].flip(1)
    block = matrix[..., near[:, :, None], near[:, None, :]]
    ridge = (power[..., near] * 1e-10).clamp_min(floor.unsqueeze(-1))
    factor = torch.linalg.cholesky(block + torch.diag_embed(ridge))
    residual: Tensor = factor[..., -1, -1].square()
    return residual


def signal_subspace(
    correlation: Tensor,
    sigma: Tensor,
    count: Tensor | int,
    rank: int | RankRule = 'edge',
) -> Subspace:
    r"""Find the directions of whitened spectra that hold more than noise.

    Spectra are divided by the noise of each band, so that the noise is the same in all
    directions; the subspace is that of the largest eigenvalues of their correlation
    matrix. How many are taken:

    * ``'edge'``: those above the largest one that noise alone would have,
      :math:`(1 + \sqrt{C / N})^2` for *C* bands and *N* pixels
      (https://doi.org/10.1070/SM1967v001n04ABEH001994).
    * ``'hysime'``: those that hold more than twice the noise, so that to leave the
      direction out would be the larger error,
      https://doi.org/10.1109/TGRS.2008.918089.
    * ``'mdl'``: minimum description length, https://doi.org/10.1109/TASSP.1985.1164557.

    A batch has one dimension: the largest of its images.

    Args:
        correlation: Correlation matrices of shape ``(..., C, C)``.
        sigma: Standard deviation of the noise, shape ``(..., C)``.
        count: Number of pixels, shape ``(...)``.
        rank: Dimension, or how to find it. It is at least 1.

    Returns:
        The subspace.

    Raises:
        BandMismatchError: If shapes do not fit.
        EmptyDataError: If there is no pixel.
        ValueError: If *rank* is not understood.
    """
    matrix, number = _checked(correlation, count)
    bands = matrix.shape[-1]
    if sigma.shape[-1] != bands:
        raise BandMismatchError(
            f'Expected the noise of {bands} bands, got that of {sigma.shape[-1]}.'
        )
    scale = 1 / sigma.to(matrix)
    white = matrix * scale.unsqueeze(-1) * scale.unsqueeze(-2)
    power, basis = torch.linalg.eigh(white)
    power, basis = power.flip(-1), basis.flip(-1)
    if isinstance(rank, str):
        rank = int(_count(power, number, rank).max())
    elif rank < 1:
        raise ValueError(f'Expected a subspace of at least 1 dimension, got {rank}.')
    rank = min(max(rank, 1), bands)
    return Subspace(basis[..., :rank], power[..., :rank])


def _count(power: Tensor, number: Tensor, rule: str) -> Tensor:
    bands = power.shape[-1]
    number = number.unsqueeze(-1)
    if rule == 'edge':
        edge = (1 + (bands / number).sqrt()).square()
        return (power > edge).sum(-1)
    if rule == 'hysime':
        return (power > 2).sum(-1)
    if rule == 'mdl':
        return _description_length(power, number).argmin(-1)
    raise ValueError(
        f"Expected the rank as a number, 'edge', 'hysime' or 'mdl', got {rule!r}."
    )


def _description_length(power: Tensor, number: Tensor) -> Tensor:
    """Compute the description length of each dimension from 0 to C - 1."""
    bands = power.shape[-1]
    # with fewer pixels than bands, or bands that are copies of others, the last
    # eigenvalues are zero for that reason: not below what noise alone would have
    edge = (1 - (bands / number).sqrt()).clamp_min(0.1).square()
    power = power.clamp_min(edge / 4)
    rest = torch.arange(bands, 0, -1, device=power.device, dtype=power.dtype)
    logs = power.log().flip(-1).cumsum(-1).flip(-1) / rest
    means = (power.flip(-1).cumsum(-1).flip(-1) / rest).log()
    size = bands - rest
    penalty = 0.5 * size * (2 * bands - size) * number.log()
    return number * rest * (means - logs) + penalty


def _checked(correlation: Tensor, count: Tensor | int) -> tuple[Tensor, Tensor]:
    shape = correlation.shape
    if correlation.ndim < 2 or shape[-1] != shape[-2]:
        raise BandMismatchError(
            'Expected correlation matrices of shape (..., bands, bands), got '
            f'{tuple(shape)}.'
        )
    number = torch.as_tensor(count, dtype=torch.float64, device=correlation.device)
    if math.prod(shape) == 0 or bool((number < 1).any()):
        raise EmptyDataError(
            'There is no valid pixel to estimate the noise from. Leave out images that '
            'hold no data.'
        )
    return correlation.double(), number.expand(shape[:-2])
