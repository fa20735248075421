# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Derivatives and products of fields, as coefficients or on a grid."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from ..series import Fourier, Series


class Calculus(ABC):
    """What an equation needs to say what is left of it.

    Fields have shape ``(B, N_1, ..., N_d)``, one axis for each variable.
    """

    @abstractmethod
    def differentiate(self, field: Tensor, order: int, dim: int) -> Tensor:
        """Compute a derivative.

        Args:
            field: The field.
            order: Order of the derivative.
            dim: Axis of the variable, from 1.

        Returns:
            Field of the same shape.
        """

    @abstractmethod
    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiply fields.

        Args:
            a: A field.
            b: Another one.

        Returns:
            Their product, which may have more coefficients.
        """

    @abstractmethod
    def add(self, *fields: Tensor) -> Tensor:
        """Add fields that may have different numbers of coefficients.

        Args:
            *fields: The fields.

        Returns:
            Their sum.
        """

    @abstractmethod
    def stream(self, vorticity: Tensor) -> Tensor:
        """Solve ``-Lap psi = w`` in the last two axes, which are periodic.

        Args:
            vorticity: Field ``w``; its mean is left out.

        Returns:
            Field ``psi`` with mean 0, of the same shape.
        """


class SeriesCalculus(Calculus):
    """Exact derivatives and products of series.

    Args:
        axes: Series of each axis.

    Example:
        >>> calculus = SeriesCalculus([Fourier()])
        >>> wave = torch.tensor([[0.0, 1.0, 0.0]])  # cos(2 pi x)
        >>> square = calculus.multiply(wave, wave)  # (1 + cos(4 pi x)) / 2
        >>> square[0, :3].abs().round(decimals=3)
        tensor([0.5000, 0.0000, 0.5000])
    """

    def __init__(self, axes: Sequence[Series]) -> None:
        """Initialize a new SeriesCalculus instance; see the class for the arguments."""
        self.axes = tuple(axes)

    def differentiate(self, field: Tensor, order: int, dim: int) -> Tensor:
        """Compute the coefficients of a derivative; see :class:`Calculus`."""
        return self.axes[dim - 1].differentiate(field, order, dim)

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiply without aliasing: the product has as many terms as both factors."""
        sizes = [m + n for m, n in zip(a.shape[1:], b.shape[1:], strict=True)]
        for dim, (axis, size) in enumerate(zip(self.axes, sizes, strict=True), start=1):
            a = axis.inverse(axis.resize(a, size, dim), dim)
            b = axis.inverse(axis.resize(b, size, dim), dim)
        product = a * b
        for dim, axis in enumerate(self.axes, start=1):
            product = axis.transform(product, dim)
        return product

    def add(self, *fields: Tensor) -> Tensor:
        """Add series: shorter ones have terms of 0."""
        for dim, axis in enumerate(self.axes, start=1):
            size = max(field.shape[dim] for field in fields)
            fields = tuple(
                field if field.shape[dim] == size else axis.resize(field, size, dim)
                for field in fields
            )
        return reduce(torch.add, fields)

    def stream(self, vorticity: Tensor) -> Tensor:
        """Divide waves by their squared frequency; see :class:`Calculus`."""
        squares = [square_frequencies(n, vorticity) for n in vorticity.shape[-2:]]
        total = squares[0][:, None] + squares[1]
        # the mean has no stream function
        keep = total > 0
        return torch.where(keep, vorticity / total.masked_fill(~keep, 1), 0.0)


class GridCalculus(Calculus):
    """Finite differences of second order on even grids, as usual for grid networks.

    Args:
        axes: Series of each axis, which tell periodic ones.
        points: Points of each axis, evenly spaced.

    Example:
        >>> x = torch.arange(8) / 8
        >>> calculus = GridCalculus([Fourier()], [x])
        >>> calculus.differentiate(torch.ones(1, 8), order=2, dim=1).abs().max()
        tensor(0.)
    """

    def __init__(self, axes: Sequence[Series], points: Sequence[Tensor]) -> None:
        """Initialize a new GridCalculus instance; see the class for the arguments."""
        self.periodic = tuple(axis == Fourier() for axis in axes)
        self.steps = tuple(float(x[1] - x[0]) for x in points)

    def differentiate(self, field: Tensor, order: int, dim: int) -> Tensor:
        """Take central differences; one-sided ones at the ends of an axis."""
        step, periodic = self.steps[dim - 1], self.periodic[dim - 1]
        if order == 2:
            return _curvature(field, step, dim, periodic)
        for _ in range(order):
            field = _slope(field, step, dim, periodic)
        return field

    def multiply(self, a: Tensor, b: Tensor) -> Tensor:
        """Multiply values."""
        return a * b

    def add(self, *fields: Tensor) -> Tensor:
        """Add values."""
        return reduce(torch.add, fields)

    def stream(self, vorticity: Tensor) -> Tensor:
        """Divide waves by their squared frequency; see :class:`Calculus`."""
        size = vorticity.shape[-2:]
        waves = torch.fft.rfft2(vorticity)
        kx = torch.fft.fftfreq(size[0], 1 / size[0], device=vorticity.device)
        ky = torch.fft.rfftfreq(size[1], 1 / size[1], device=vorticity.device)
        total = (2 * torch.pi) ** 2 * (kx[:, None] ** 2 + ky**2)
        keep = total > 0
        waves = torch.where(keep, waves / total.masked_fill(~keep, 1), 0)
        found: Tensor = torch.fft.irfft2(waves, size)
        return found


def square_frequencies(count: int, like: Tensor) -> Tensor:
    """Return ``(2 pi k)**2`` of each coefficient of a Fourier series.

    Args:
        count: Number of coefficients.
        like: Tensor whose data type and device it gets.

    Returns:
        Squares of shape ``(count,)``.
    """
    k = torch.arange(count, dtype=like.dtype, device=like.device)
    return (2 * torch.pi * torch.minimum(k, count - k)) ** 2


def _slope(field: Tensor, step: float, dim: int, periodic: bool) -> Tensor:
    if periodic:
        return (field.roll(-1, dim) - field.roll(1, dim)) / (2 * step)
    (found,) = torch.gradient(field, spacing=step, dim=dim, edge_order=2)
    return found


def _curvature(field: Tensor, step: float, dim: int, periodic: bool) -> Tensor:
    """Take second differences of neighbours: slopes of slopes do not see a sawtooth."""
    around = field.roll(1, dim) + field.roll(-1, dim)
    found = (around - 2 * field) / step**2
    if periodic:
        return found
    inner = found.narrow(dim, 1, field.shape[dim] - 2)
    moved = field.movedim(dim, 0)
    ends = [
        (2 * line[0] - 5 * line[1] + 4 * line[2] - line[3]) / step**2
        for line in (moved, moved.flip(0))
    ]
    first, last = (end.unsqueeze(dim) for end in ends)
    return torch.cat([first, inner, last], dim)
