# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Reaction and diffusion along a line."""

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ..series import Chebyshev, Fourier, Series
from .base import Equation
from .calculus import Calculus
from .random_functions import gaussian_process

#: Points on which initial values are drawn, and their correlation length.
_POINTS, _LENGTH = 64, 0.2
#: Least number of steps of the reference solution, and points along x.
_STEPS, _FINE = 2048, 512


class ReactionDiffusion(Equation):
    """``u_t - nu u_xx = rho u (1 - u)``, periodic in x, for t from 0 to 1.

    Initial values are random functions of correlation length 0.2, scaled to [0, 1].

    * https://arxiv.org/abs/2312.05225

    Example:
        >>> equation = ReactionDiffusion((8, 15), diffusion=0.05)
        >>> initial = equation.sample(1, torch.Generator().manual_seed(0))
        >>> equation.solve(initial, size=(9, 64)).shape  # times, then places
        torch.Size([1, 9, 64])
    """

    name: ClassVar[str] = 'reaction_diffusion'
    axes: ClassVar[tuple[Series, ...]] = (Chebyshev(), Fourier())
    variables: ClassVar[tuple[str, ...]] = ('t', 'x')

    def __init__(
        self,
        modes: Sequence[int] = (32, 63),
        diffusion: float = 0.01,
        rate: float = 5.0,
    ) -> None:
        """Initialize a new ReactionDiffusion instance.

        Args:
            modes: Number of coefficients along t and x.
            diffusion: Diffusion coefficient ``nu``; 0.005 to 0.1 in the paper.
            rate: Rate of the reaction ``rho``.

        Raises:
            ValueError: If *diffusion* is negative, or a number is not finite.
        """
        super().__init__(modes)
        if not (0 <= diffusion < math.inf and math.isfinite(rate)):
            raise ValueError(
                f'Expected a diffusion of 0 or more and a finite rate, got {diffusion} '
                f'and {rate}.'
            )
        self.diffusion = self.damping = diffusion
        self.rate = rate

    def sample(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw initial values, constant in time; see :class:`Equation`."""
        x = Fourier().nodes(_POINTS)
        values = gaussian_process((x,), _LENGTH, count, generator=generator)
        low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
        start = Fourier().transform((values - low) / (high - low))
        return self.resize(start[:, None], self.modes)[:, None]

    def residual(
        self, parameter: Tensor, solution: Tensor, calculus: Calculus | None = None
    ) -> Tensor:
        """Compute ``u_t - nu u_xx - rho u (1 - u)``; see :class:`Equation`."""
        calculus = calculus or self.calculus
        change = calculus.differentiate(solution, 1, 1)
        spread = self.diffusion * calculus.differentiate(solution, 2, 2)
        square = self.rate * calculus.multiply(solution, solution)
        return calculus.add(change - spread - self.rate * solution, square)

    def constrain_values(
        self, parameter: Tensor, candidate: Tensor, points: Sequence[Tensor]
    ) -> Tensor:
        """Add the initial value to t times the candidate; see :class:`Equation`."""
        return parameter[:, 0] + points[0][:, None] * candidate

    def solve(self, parameter: Tensor, size: int | Sequence[int]) -> Tensor:
        """Alternate exact reaction and exact diffusion; see :class:`Equation`.

        Both halves of a step are solved exactly, so the error is that of splitting
        (second order in the step).
        """
        self._check_given(parameter)
        fine = max(_FINE, parameter.shape[-1])
        start = Fourier().resize(parameter[:, 0, 0].double(), fine)
        u = Fourier().inverse(start)
        # frames lie on steps
        count = self._sizes(size)[0] - 1
        stride = -(-_STEPS // max(count, 1))
        step = 1 / (stride * max(count, 1))
        k = torch.arange(fine // 2 + 1).to(u)
        decay = torch.exp(-self.diffusion * (2 * math.pi * k) ** 2 * step)
        grow = math.exp(self.rate * step / 2)
        frames = [u]
        for _ in range(count):
            for _ in range(stride):
                u = _logistic(u, grow)
                u = torch.fft.irfft(torch.fft.rfft(u) * decay, fine)
                u = _logistic(u, grow)
            frames.append(u)
        found = torch.stack(frames, 1)
        points = self.grid(size)[1]
        return Fourier().evaluate(Fourier().transform(found), points).to(parameter)


def _logistic(u: Tensor, grow: float) -> Tensor:
    """Solve u_t = rho u (1 - u) exactly, where grow is exp(rho t)."""
    return u * grow / (1 + u * (grow - 1))
