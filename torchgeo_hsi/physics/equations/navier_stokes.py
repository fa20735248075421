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
#: Settings of the paper, without and with a force; steps are ours.
_MODES = ((12, 31, 31), (18, 31, 31))
_VISCOSITY, _DURATION, _STEPS = (1e-2, 2e-3), (3.0, 50.0), (100, 50)


class NavierStokes(Equation):
    """Navier-Stokes equation of the vorticity on a periodic box, for t from 0 to 1.

    ``w_t / T + v . grad w = nu Lap w + f`` with the velocity ``v = (psi_y, -psi_x)`` of the
    stream function, ``-Lap psi = w``. The Reynolds numbers of the paper are 0.8 / nu.
    Initial vorticities are random functions of correlation length 0.8 without a mean.

    * https://arxiv.org/abs/2312.05225

    Args:
        modes: Number of coefficients along t, x and y; 12, 31 and 31, or 18, 31 and 31
            of a forced flow.
        viscosity: Kinematic viscosity ``nu``; 0.01, or 0.002 of a forced flow.
        duration: Time ``T`` that the unit interval stands for; 3, or 50 of a forced flow.
        forced: Whether ``0.1 (sin 2 pi (x + y) + cos 2 pi (x + y))`` drives the flow.
        steps: Least number of time steps of the reference solution for each unit of
            time; 100 (50 of a forced flow), or 250 where the viscosity is below 0.001.
        points: Points along x and y of the reference solution: at least 64, or 96 where
            the viscosity is below 0.001.

    Raises:
        ValueError: If a number is not positive.

    Example:
        >>> NavierStokes().duration, NavierStokes(forced=True).duration
        (3.0, 50.0)
    """

    name: ClassVar[str] = 'navier_stokes'
    axes: ClassVar[tuple[Series, ...]] = (Chebyshev(), Fourier(), Fourier())
    variables: ClassVar[tuple[str, ...]] = ('t', 'x', 'y')

    def __init__(
        self,
        modes: Sequence[int] | None = None,
        viscosity: float | None = None,
        duration: float | None = None,
        forced: bool = False,
        steps: int | None = None,
        points: int | None = None,
    ) -> None:
        """Initialize a new NavierStokes instance; see the class for the arguments."""
        super().__init__(modes or _MODES[forced])
        given = (viscosity, duration, steps, points)
        if any(number is not None and not 0 < number < math.inf for number in given):
            raise ValueError(
                'Expected a positive viscosity, duration and number of steps and points, '
                f'got {viscosity}, {duration}, {steps} and {points}.'
            )
        #: Initial vorticity, and what drives the flow.
        self.parameters = 2 if forced else 1
        self.viscosity = viscosity or _VISCOSITY[forced]
        self.duration = duration or _DURATION[forced]
        self.forced = forced
        self.damping = self.viscosity * self.duration
        thin = self.viscosity < 1e-3
        self.steps = steps or (250 if thin else _STEPS[forced])
        enough = 96 if thin else 64
        self.points = points or max(enough, *(2 * count for count in self.modes[1:]))

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

    def solve(self, parameter: Tensor, size: int | Sequence[int]) -> Tensor:
        """Step through time by Heun and Crank and Nicolson; see :class:`Equation`.

        Diffusion is implicit, transport explicit, with the highest third of the waves
        cut off after each product. The steps and the grid are the equation's own, and
        the frames are then evaluated where they are wanted.
        """
        self._check_given(parameter)
        count = self._sizes(size)[0] - 1
        _, *plane = self.grid(size)
        fine = (Fourier().nodes(self.points),) * 2
        # constant in time, so the first coefficient of each field is all of it
        values = _on_plane(parameter[:, :, 0].double().flatten(0, 1), fine)
        fields = torch.fft.rfft2(values, norm='forward').unflatten(
            0, parameter.shape[:2]
        )
        waves = fields[:, 0]
        # frames lie on steps
        stride = max(-(-round(self.steps * self.duration) // max(count, 1)), 1)
        step = self.duration / (stride * max(count, 1))
        force = fields[:, 1] if self.forced else torch.zeros_like(waves)
        stepper = _Stepper(force, self.viscosity, step)
        frames = []
        for frame in range(count + 1):
            for _ in range(stride if frame else 0):
                waves = stepper(waves)
            values = torch.fft.irfft2(waves, (self.points,) * 2, norm='forward')
            found = Fourier().transform(Fourier().transform(values, 1), 2)
            frames.append(_on_plane(found, plane).to(parameter))
        return torch.stack(frames, 1)


def _on_plane(coefficients: Tensor, points: Sequence[Tensor]) -> Tensor:
    """Evaluate functions of x and y, shape ``(B, N_x, N_y)``, on a grid."""
    for dim, line in enumerate(points, start=1):
        coefficients = Fourier().evaluate(coefficients, line, dim)
    return coefficients


class _Stepper:
    """One step of the reference solution, on complex amplitudes of rfft2."""

    def __init__(self, force: Tensor, viscosity: float, step: float) -> None:
        self.force, self.size, self.step = force, force.shape[-2], step
        kx = torch.fft.fftfreq(self.size, dtype=torch.float64) * self.size
        kx = kx.round().to(force.device)[:, None]
        ky = torch.arange(self.size // 2 + 1).to(force.real)
        self.dx, self.dy = 2j * math.pi * kx, 2j * math.pi * ky
        square = (2 * math.pi) ** 2 * (kx**2 + ky**2)
        self.inverse = torch.where(square > 0, 1 / square.clamp_min(1e-30), 0.0)
        self.keep = (kx.abs() <= self.size / 3) & (ky <= self.size / 3)
        half = viscosity * step * square / 2
        self.before, self.after = 1 - half, 1 / (1 + half)

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
