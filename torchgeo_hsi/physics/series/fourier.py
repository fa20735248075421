# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Fourier series with real coefficients."""

import math
from typing import ClassVar

import torch
from torch import Tensor

from .base import Series, check_count, check_order


class Fourier(Series):
    """Fourier series of functions with period 1.

    ``u(x) = a_0 + sum_k a_k cos(2 pi k x) - b_k sin(2 pi k x)`` is stored as ``[a_0, a_1,
    ..., a_K, b_L, ..., b_1]`` with ``K = N // 2`` and ``L = (N - 1) // 2``: as many real
    numbers as there are points. With an even number of them, the highest cosine has no
    sine beside it, and odd derivatives lose it: odd numbers are safer.

    * https://arxiv.org/abs/2312.05225

    Example:
        >>> import torch
        >>> x = Fourier().nodes(8)
        >>> found = Fourier().transform(1 + torch.cos(2 * torch.pi * x))
        >>> torch.allclose(found[:2], torch.ones(2).double())  # a_0 and a_1
        True
    """

    name: ClassVar[str] = 'fourier'

    def nodes(
        self,
        count: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Return evenly spaced points from 0, without 1; see :class:`Series`."""
        check_count(count, 1, 'Fourier')
        return torch.arange(count, dtype=dtype, device=device) / count

    def basis(self, count: int, x: Tensor) -> Tensor:
        """Evaluate cosines and negative sines; see :class:`Series`."""
        check_count(count, 1, 'Fourier')
        cosines = torch.arange(count // 2 + 1, dtype=x.dtype, device=x.device)
        sines = torch.arange((count - 1) // 2, 0, -1, dtype=x.dtype, device=x.device)
        turn = 2 * math.pi * x[:, None]
        return torch.cat([torch.cos(turn * cosines), -torch.sin(turn * sines)], dim=1)

    def transform(self, values: Tensor, dim: int = -1) -> Tensor:
        """Turn values into coefficients by the fast Fourier transform."""
        moved = values.movedim(dim, -1)
        check_count(moved.shape[-1], 1, 'Fourier')
        return _to_real(torch.fft.rfft(moved, norm='forward'), moved.shape[-1], dim)

    def inverse(self, coefficients: Tensor, dim: int = -1) -> Tensor:
        """Turn coefficients into values by the fast Fourier transform."""
        count = coefficients.shape[dim]
        values: Tensor = torch.fft.irfft(
            _to_complex(coefficients, dim), count, norm='forward'
        )
        return values.movedim(-1, dim)

    def resize(self, coefficients: Tensor, count: int, dim: int = -1) -> Tensor:
        """Keep the lowest frequencies, or add higher ones of 0."""
        check_count(count, 1, 'Fourier')
        moved = coefficients.movedim(dim, -1)
        old = moved.shape[-1]
        cosines = min(old // 2, count // 2) + 1
        sines = min((old - 1) // 2, (count - 1) // 2)
        zeros = moved.new_zeros(*moved.shape[:-1], count - cosines - sines)
        tail = moved[..., old - sines :]
        return torch.cat([moved[..., :cosines], zeros, tail], dim=-1).movedim(-1, dim)

    def differentiate(
        self, coefficients: Tensor, order: int = 1, dim: int = -1
    ) -> Tensor:
        """Multiply each frequency by a power of it; see :class:`Series`."""
        check_order(order)
        count = coefficients.shape[dim]
        waves = _to_complex(coefficients, dim)
        factor = _frequencies(waves) ** order
        if order % 2 and count % 2 == 0:
            # a sine of the highest frequency is 0 at all points
            factor[-1] = 0
        return _to_real(waves * factor, count, dim)

    def integrate(self, coefficients: Tensor, dim: int = -1) -> Tensor:
        """Integrate a function without a mean; that of another has no period.

        Args:
            coefficients: Coefficients, of which the first should be 0.
            dim: Their axis.

        Returns:
            As many coefficients of the antiderivative of the function minus its mean,
            0 at 0.
        """
        count = coefficients.shape[dim]
        waves = _to_complex(coefficients, dim)
        factor = _frequencies(waves)
        factor[0] = 1
        parts = waves / factor
        parts = torch.cat([torch.zeros_like(parts[..., :1]), parts[..., 1:]], dim=-1)
        if count % 2 == 0:
            parts = torch.cat([parts[..., :-1], torch.zeros_like(parts[..., :1])], -1)
        found = _to_real(parts, count, -1)
        start = found[..., : count // 2 + 1].sum(-1, keepdim=True)
        return torch.cat([found[..., :1] - start, found[..., 1:]], -1).movedim(-1, dim)

    def parseval_weights(
        self,
        count: int,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """Return 1 for the mean and 1/2 for each wave; see :class:`Series`."""
        check_count(count, 1, 'Fourier')
        weights = torch.full((count,), 0.5, dtype=dtype, device=device)
        weights[0] = 1
        return weights

    def weight(self, x: Tensor) -> Tensor:
        """Return 1: waves are orthogonal as they are."""
        return torch.ones_like(x)


def _to_real(waves: Tensor, count: int, dim: int) -> Tensor:
    """Turn complex amplitudes of rfft along the last axis into real coefficients."""
    sines = (count - 1) // 2
    double = waves.new_full((waves.shape[-1],), 2, dtype=waves.real.dtype)
    double[0] = 1
    if count % 2 == 0:
        double[-1] = 1
    real = waves.real * double
    imaginary = 2 * waves.imag[..., 1 : sines + 1].flip(-1)
    return torch.cat([real, imaginary], dim=-1).movedim(-1, dim)


def _to_complex(coefficients: Tensor, dim: int) -> Tensor:
    """Turn real coefficients into complex amplitudes along the last axis."""
    moved = coefficients.movedim(dim, -1)
    count = moved.shape[-1]
    check_count(count, 1, 'Fourier')
    cosines, sines = count // 2 + 1, (count - 1) // 2
    half = moved.new_full((cosines,), 0.5)
    half[0] = 1
    if count % 2 == 0:
        half[-1] = 1
    imaginary = moved[..., cosines:].flip(-1) * 0.5
    imaginary = torch.nn.functional.pad(imaginary, (1, cosines - sines - 1))
    return torch.complex(moved[..., :cosines] * half, imaginary)


def _frequencies(waves: Tensor) -> Tensor:
    """Return what a derivative multiplies each complex amplitude by."""
    k = torch.arange(waves.shape[-1], dtype=waves.real.dtype, device=waves.device)
    return 2j * math.pi * k
