# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Advection and diffusion of a column plume."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ..series import Chebyshev, Fourier, Series
from .base import Equation
from .calculus import Calculus

#: Smallest and largest standard deviation of a source, in units of the box.
_SPREAD = (0.03, 0.06)
#: Where sources lie: in the middle, so that plumes stay in the box in any wind.
_PLACE = (0.35, 0.65)


class ColumnPlume(Equation):
    """``c_t + v . grad c = K Lap c + s`` of a gas column, from t = 0 with no gas.

    The box is periodic and stands for *extent* metres; time from 0 to 1 for *duration*
    seconds. Parameters are a source of Gaussian form and a steady wind: three fields,
    the source (constant in time) and both components of the wind (constant).

    Columns integrate over height, so nothing of the vertical structure of a real plume
    is here. The Peclet number of a cell, ``|v| extent / (K modes)``, compares wind with
    diffusion. Above about 2, central differences, and so grid losses, ring around what is
    narrow. Waves do not: a steady wind moves each one by itself, and what the modes
    cannot show is a source narrower than a cell, the more the higher this number is.
    Sources that are drawn here are as wide as a cell of 31 modes; those of real plants
    are not. Strong winds and weak diffusion also ask for more modes in time.

    Args:
        modes: Number of coefficients along t, y and x.
        extent: Side of the box in metres.
        duration: Length of the simulation in seconds.
        diffusivity: Horizontal diffusivity K in m2/s.
        wind: Smallest and largest speed of the wind in m/s; any direction.

    Raises:
        ValueError: If a number is not positive.

    Example:
        >>> round(ColumnPlume(extent=10_000, diffusivity=50).peclet, 1)
        19.4
    """

    name: ClassVar[str] = 'column_plume'
    axes: ClassVar[tuple[Series, ...]] = (Chebyshev(), Fourier(), Fourier())
    variables: ClassVar[tuple[str, ...]] = ('t', 'y', 'x')
    parameters = 3

    def __init__(
        self,
        modes: Sequence[int] = (12, 31, 31),
        extent: float = 3840.0,
        duration: float = 480.0,
        diffusivity: float = 200.0,
        wind: Sequence[float] = (1.0, 3.0),
    ) -> None:
        """Initialize a new ColumnPlume instance; see the class for the arguments."""
        super().__init__(modes)
        speeds = tuple(wind) if isinstance(wind, Sequence) else ()
        positive = all(0 < n < math.inf for n in (extent, duration, diffusivity))
        if not (
            positive and len(speeds) == 2 and 0 <= speeds[0] <= speeds[1] < math.inf
        ):
            raise ValueError(
                'Expected a positive extent, duration and diffusivity, and winds from '
                f'low to high, got {extent}, {duration}, {diffusivity} and {wind}.'
            )
        low, high = speeds
        self.extent, self.duration = extent, duration
        self.diffusivity, self.wind = diffusivity, (low, high)
        #: Diffusivity in units of the box and the duration.
        self.spreading = self.damping = diffusivity * duration / extent**2

    @property
    def peclet(self) -> float:
        """Largest Peclet number of a cell of the modes; see the class for its sense."""
        return self.wind[1] * self.extent / (self.diffusivity * min(self.modes[1:]))

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw sources and winds; see :class:`Equation`."""

        def uniform(low: float, high: float) -> Tensor:
            drawn = torch.rand(count, generator=generator, dtype=torch.float64)
            return low + (high - low) * drawn

        x = Fourier().nodes(64)
        spread = uniform(*_SPREAD)[:, None]
        lines = []
        for _ in range(2):
            distance = torch.remainder(x - uniform(*_PLACE)[:, None] + 0.5, 1) - 0.5
            lines.append(torch.exp(-((distance / spread) ** 2) / 2))
        source = lines[0][:, :, None] * lines[1][:, None]
        source = Fourier().transform(Fourier().transform(source, 1), 2)
        speed = uniform(*self.wind) * self.duration / self.extent
        angle = uniform(0, 2 * math.pi)
        field = torch.zeros(count, 3, *self.modes, dtype=torch.float64)
        field[:, 0] = self.resize(source[:, None], self.modes)
        field[:, 1, 0, 0, 0] = speed * torch.sin(angle)
        field[:, 2, 0, 0, 0] = speed * torch.cos(angle)
        return field

    def residual(
        self, parameter: Tensor, solution: Tensor, calculus: Calculus | None = None
    ) -> Tensor:
        """Compute ``c_t + v . grad c - K Lap c - s``; see :class:`Equation`."""
        calculus = calculus or self.calculus
        left = calculus.differentiate(solution, 1, 1) - parameter[:, 0]
        for dim, wind in ((2, 1), (3, 2)):
            # the first coefficient, or any value, of a constant field
            speed = parameter[:, wind, :1, :1, :1]
            left = left + speed * calculus.differentiate(solution, 1, dim)
            left = left - self.spreading * calculus.differentiate(solution, 2, dim)
        return left

    def constrain_values(
        self, parameter: Tensor, candidate: Tensor, points: Sequence[Tensor]
    ) -> Tensor:
        """Multiply by t, so that there is no gas at first; see :class:`Equation`."""
        return points[0][:, None, None] * candidate

    def solve(self, parameter: Tensor, size: int | Sequence[int]) -> Tensor:
        """Solve each wave exactly; see :class:`Equation`."""
        self._check_given(parameter)
        t, y, x = self.grid(size)
        source = parameter[:, 0, 0].double()
        count = max(*self._sizes(size)[1:], *source.shape[1:])
        fine = Fourier().nodes(count)
        for dim in (1, 2):
            source = Fourier().evaluate(source, fine, dim)
        waves = torch.fft.fft2(source, norm='forward')[:, None]
        k = torch.fft.fftfreq(count, dtype=torch.float64).to(source)
        k = 2 * math.pi * (k * count).round()
        wind = parameter[:, 1:, 0, 0, 0].double()
        drift = wind[:, :1, None] * k[:, None] + wind[:, 1:, None] * k
        fade = 1j * drift + self.spreading * (k[:, None] ** 2 + k**2)
        fade = fade[:, None]
        steady = fade.abs() < 1e-12
        moment = t.to(source)[:, None, None]
        grown = torch.where(
            steady,
            moment + 0j,
            -torch.expm1(-fade * moment) / fade.masked_fill(steady, 1),
        )
        found = torch.fft.ifft2(waves * grown, norm='forward').real
        coefficients = Fourier().transform(Fourier().transform(found, 2), 3)
        for dim, points in ((2, y), (3, x)):
            coefficients = Fourier().evaluate(coefficients, points, dim)
        return coefficients.to(parameter)
