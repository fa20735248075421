# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Two-dimensional flow of a viscous fluid."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ..series import Chebyshev, Fourier, Series
from .base import Equation
from .calculus import Calculus
from .random_functions import gaussian_process

#: Points along each axis on which initial values are drawn; correlation length.
_POINTS, _LENGTH = 64, 0.8


class NavierStokes(Equation):
    """Navier-Stokes equation of the vorticity on a periodic box, for t from 0 to 1.

    ``w_t / T + v . grad w = nu Lap w + f`` with the velocity ``v = (psi_y, -psi_x)`` of the
    stream function, ``-Lap psi = w``. The Reynolds numbers of the paper are 0.8 / nu.

    * https://arxiv.org/abs/2312.05225
    """

    name: ClassVar[str] = 'navier_stokes'
    axes: ClassVar[tuple[Series, ...]] = (Chebyshev(), Fourier(), Fourier())

    def __init__(
        self,
        modes: Sequence[int] = (12, 31, 31),
        viscosity: float = 1e-2,
        duration: float = 3.0,
        forced: bool = False,
        steps: int = 1000,
    ) -> None:
        """Initialize a new NavierStokes instance.

        Args:
            modes: Number of coefficients along t, x and y.
            viscosity: Kinematic viscosity ``nu``.
            duration: Time ``T`` that the unit interval stands for.
            forced: Whether ``0.1 (sin 2 pi (x + y) + cos 2 pi (x + y))`` drives the flow.
            steps: Time steps of the reference solution for each unit of time.

        Raises:
            ValueError: If viscosity or duration are not positive.
        """
        super().__init__(modes)
        #: Initial vorticity, and what drives the flow.
        self.parameters = 2 if forced else 1
        if not (viscosity > 0 and duration > 0):
            raise ValueError(
                f'Expected a positive viscosity and duration, got {viscosity} and '
                f'{duration}.'
            )
        self.viscosity = viscosity
        self.duration = duration
        self.forced = forced
        self.steps = steps

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw initial vorticities, constant in time; see :class:`Equation`."""
        points = (Fourier().nodes(_POINTS),) * 2
        values = gaussian_process(points, _LENGTH, count, generator=generator)
        values = values - values.mean((1, 2), keepdim=True)
        start = Fourier().transform(Fourier().transform(values, 1), 2)
        fields = [self.resize(start[:, None], self.modes)]
        if self.forced:
            fields.append(self._force().expand(count, *self.modes))
        return torch.stack(fields, 1)

    def _force(self) -> Tensor:
        """Return the coefficients of what drives the flow, constant in time."""
        x, y = (Fourier().nodes(count) for count in self.modes[1:])
        phase = 2 * math.pi * (x[:, None] + y)
        values = 0.1 * (torch.sin(phase) + torch.cos(phase))
        found = Fourier().transform(Fourier().transform(values, 0), 1)
        return Chebyshev().resize(found[None], self.modes[0], 0)

    def residual(
        self, parameter: Tensor, solution: Tensor, calculus: Calculus | None = None
    ) -> Tensor:
        """Compute what is left of the transport equation; see :class:`Equation`."""
        calculus = calculus or self.calculus
        stream = calculus.stream(solution)
        flow = (
            calculus.differentiate(stream, 1, 3),
            -calculus.differentiate(stream, 1, 2),
        )
        rate = calculus.differentiate(solution, 1, 1) / self.duration
        curved = [calculus.differentiate(solution, 2, dim) for dim in (2, 3)]
        parts = [rate - self.viscosity * (curved[0] + curved[1])]
        for speed, dim in zip(flow, (2, 3), strict=True):
            slope = calculus.differentiate(solution, 1, dim)
            parts.append(calculus.multiply(speed, slope))
        if self.forced:
            parts.append(-parameter[:, 1])
        return calculus.add(*parts)

    def constrain_values(
        self, parameter: Tensor, candidate: Tensor, points: Sequence[Tensor]
    ) -> Tensor:
        """Add the initial value to t times the candidate; see :class:`Equation`."""
        return parameter[:, 0] + points[0][:, None, None] * candidate

    def solve(self, parameter: Tensor, size: int) -> Tensor:
        """Step through time by Heun and Crank and Nicolson; see :class:`Equation`.

        Diffusion is implicit, transport explicit, with the highest third of the waves
        cut off after each product.
        """
        start = parameter[:, 0, 0].double()
        waves = torch.fft.rfft2(self._plane(start, size), norm='forward')
        stride = -(-round(self.steps * self.duration) // (size - 1))
        step = self.duration / (stride * (size - 1))
        stepper = _Stepper(size, self.viscosity, step, self.forced)
        frames = [waves]
        for _ in range(size - 1):
            for _ in range(stride):
                waves = stepper(waves)
            frames.append(waves)
        stacked = torch.stack(frames, 1)
        found: Tensor = torch.fft.irfft2(stacked, (size, size), norm='forward')
        return found.to(parameter)

    @staticmethod
    def _plane(coefficients: Tensor, size: int) -> Tensor:
        for dim in (1, 2):
            points = Fourier().nodes(size)
            coefficients = Fourier().evaluate(coefficients, points, dim)
        return coefficients


class _Stepper:
    """One step of the reference solution, on complex amplitudes of rfft2."""

    def __init__(self, size: int, viscosity: float, step: float, forced: bool) -> None:
        self.size, self.step = size, step
        kx = torch.fft.fftfreq(size, 1 / size, dtype=torch.float64)[:, None]
        ky = torch.arange(size // 2 + 1, dtype=torch.float64)
        self.dx, self.dy = 2j * math.pi * kx, 2j * math.pi * ky
        square = (2 * math.pi) ** 2 * (kx**2 + ky**2)
        self.inverse = torch.where(square > 0, 1 / square.clamp_min(1e-30), 0.0)
        self.keep = (kx.abs() <= size / 3) & (ky <= size / 3)
        half = viscosity * step * square / 2
        self.before, self.after = 1 - half, 1 / (1 + half)
        x = torch.arange(size, dtype=torch.float64) / size
        phase = 2 * math.pi * (x[:, None] + x)
        force = 0.1 * (torch.sin(phase) + torch.cos(phase)) * forced
        self.force = torch.fft.rfft2(force, norm='forward')

    def _transport(self, waves: Tensor) -> Tensor:
        stream = waves * self.inverse
        parts = torch.stack(
            [self.dy * stream, -self.dx * stream, self.dx * waves, self.dy * waves]
        )
        u, v, wx, wy = torch.fft.irfft2(parts, (self.size,) * 2, norm='forward')
        product: Tensor = torch.fft.rfft2(u * wx + v * wy, norm='forward')
        left: Tensor = self.force - product * self.keep
        return left

    def __call__(self, waves: Tensor) -> Tensor:
        first = self._transport(waves)
        guess = (waves * self.before + self.step * first) * self.after
        second = self._transport(guess)
        mean = (first + second) / 2
        new: Tensor = (waves * self.before + self.step * mean) * self.after
        return new
