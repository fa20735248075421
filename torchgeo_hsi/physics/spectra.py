# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Functions of single spectra: angle and continuum."""

import math

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..errors import BandMismatchError
from .units import check_micrometres


def _as_float(x: Tensor) -> Tensor:
    """Return at least float32: half precision overflows on the norm of a spectrum."""
    if x.dtype in (torch.float32, torch.float64):
        return x
    return x.float()


def spectral_angle(a: Tensor, b: Tensor, dim: int = -3, eps: float = 1e-12) -> Tensor:
    r"""Measure the angle between spectra.

    The spectral angle mapper's measure (https://doi.org/10.1016/0034-4257(93)90013-N)
    in the form :math:`2 \arctan(\|u - v\| / \|u + v\|)` for the unit vectors *u* and
    *v*. The usual arc cosine loses half of the digits for similar spectra (float32:
    angles below 0.0003 become 0) and has an infinite slope there; this form is accurate
    everywhere.

    A spectrum that is 0 has no direction: the angle is 0 between two of them and
    :math:`\pi / 2` between one and any other, and the gradient is 0. The gradient is
    also 0 where the spectra are parallel.

    Args:
        a: Spectra, e.g. of shape ``(..., C, H, W)``.
        b: Spectra of the same number of bands; broadcast against *a*.
        dim: The spectral dimension.
        eps: Norm up to which a spectrum counts as 0.

    Returns:
        Angles in radians, 0 to :math:`\pi`, without dimension *dim*; float32, or
        float64 if an input is.

    Raises:
        BandMismatchError: If the numbers of bands differ.

    Example:
        >>> a, b = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
        >>> torch.rad2deg(spectral_angle(a, b, dim=0))
        tensor(45.)
    """
    if a.shape[dim] != b.shape[dim]:
        raise BandMismatchError(
            f'Expected spectra with the same number of bands along dimension {dim}, '
            f'got {a.shape[dim]} and {b.shape[dim]}.'
        )
    a, b = _as_float(a), _as_float(b)
    dtype = torch.promote_types(a.dtype, b.dtype)
    a, b = a.to(dtype), b.to(dtype)
    norm_a = torch.linalg.vector_norm(a, dim=dim, keepdim=True)
    norm_b = torch.linalg.vector_norm(b, dim=dim, keepdim=True)
    empty_a, empty_b = norm_a <= eps, norm_b <= eps
    # b as long as a: the angle only depends on the ratio of the two norms below, and
    # this takes fewer copies of the cube than two unit vectors
    ratio = norm_a / norm_b.masked_fill(empty_b, 1)
    across = torch.linalg.vector_norm(torch.addcmul(a, ratio, b, value=-1), dim=dim)
    along = torch.linalg.vector_norm(torch.addcmul(a, ratio, b), dim=dim)
    none, both = (empty_a | empty_b).squeeze(dim), (empty_a & empty_b).squeeze(dim)
    # (0, 1) instead of what may be (0, 0), whose gradient is NaN
    angle = 2 * torch.atan2(across.masked_fill(none, 0), along.masked_fill(none, 1))
    return angle.masked_fill(none, math.pi / 2).masked_fill(both, 0)


def continuum_removal(spectra: Tensor, wavelength: ArrayLike, dim: int = -3) -> Tensor:
    """Divide spectra by their continuum, the upper convex hull.

    What remains are the absorption features, at most 1 and exactly 1 where the spectrum
    touches its hull (https://doi.org/10.1029/JB089iB07p06329).

    Args:
        spectra: Reflectances, e.g. of shape ``(..., C, H, W)``.
        wavelength: Band centres in micrometres, shape ``(C,)``, in any order.
        dim: The spectral dimension.

    Returns:
        Spectra of the same shape, float32 or float64. Where the continuum is not
        positive there is no feature to tell, and the result is 1. A spectrum with NaN
        becomes NaN as a whole.

    Raises:
        BandMismatchError: If there is not one centre for each band, or two bands have
            the same centre.
        UnitError: If *wavelength* looks like nanometres.

    Example:
        >>> spectrum = torch.tensor([0.2, 0.15, 0.4])
        >>> continuum_removal(spectrum, [0.5, 0.6, 0.7], dim=0)
        tensor([1.0000, 0.5000, 1.0000])
    """
    centre = check_micrometres(wavelength, spectra.shape[dim])
    order = np.argsort(centre)
    if (np.diff(centre[order]) == 0).any():
        raise BandMismatchError(
            'Expected bands with different centres: a hull over two values at the same '
            'wavelength is not defined. Select one of them.'
        )
    values = _as_float(spectra).movedim(dim, -1)
    rank = torch.tensor(np.argsort(order), device=values.device)
    x = torch.tensor(centre[order], device=values.device).to(values)
    y = values[..., torch.tensor(order, device=values.device)]
    left, right = _hull(x, y.detach().reshape(-1, len(x)))
    left, right = left.reshape(y.shape), right.reshape(y.shape)
    y_left, y_right = y.gather(-1, left), y.gather(-1, right)
    share = (x - x[left]) / (x[right] - x[left]).masked_fill(left == right, 1)
    continuum = torch.lerp(y_left, y_right, share)
    flat = (continuum <= 0) | (left == right)
    removed = torch.where(flat, 1, y / continuum.masked_fill(flat, 1)).clamp(max=1)
    broken = y.isnan().any(dim=-1, keepdim=True)
    removed = removed.masked_fill(broken, math.nan)
    return removed[..., rank].movedim(-1, dim)


def _hull(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Find the vertices of the upper hull to the left and right of each band.

    All spectra march from vertex to vertex at once: the next one is the band that the
    steepest line leads to. The number of steps is that of the vertices, about 20.

    Args:
        x: Increasing wavelengths of shape ``(C,)``.
        y: Spectra of shape ``(P, C)``.

    Returns:
        Positions of shape ``(P, C)``; both are the band itself where it is a vertex.
    """
    count = len(x)
    band = torch.arange(count, device=y.device)
    left = band.expand(y.shape).clone()
    right = left.clone()
    at = torch.zeros(len(y), 1, dtype=torch.long, device=y.device)
    while (at < count - 1).any():
        ahead = band > at
        slope = (y - y.gather(1, at)) / (x - x[at]).masked_fill(~ahead, 1)
        slope = slope.masked_fill(~ahead, -math.inf)
        # of equally steep lines the longest, or rounding would add vertices
        best = slope.amax(dim=1, keepdim=True)
        best_or_nan = (slope == best) | slope.isnan()
        to = torch.where(best_or_nan & ahead, band, -1).amax(dim=1, keepdim=True)
        to = torch.where(at < count - 1, to, at)
        between = (band > at) & (band < to)
        left = torch.where(between, at, left)
        right = torch.where(between, to, right)
        at = to
    return left, right
