# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Size of what is left of an equation, from the coefficients of its series."""

import math
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from ..errors import BandMismatchError
from ..physics.equations.calculus import square_frequencies
from ..physics.series import Fourier, get_series

#: How coefficients count: all the same, by the norm of their basis function, or also by
#: how fast the equation damps them.
type CoefficientWeights = Literal['unit', 'parseval', 'dual']


class SpectralResidualLoss(nn.Module):
    r"""Weighted sum of squared coefficients of a residual, mean over functions.

    No grid, no quadrature and no derivative by automatic differentiation is needed: by
    Parseval's identity, squared coefficients are the integral of the squared function.

    * ``'unit'``: the plain sum, as published. It is not that integral: for Fourier
      series waves count twice as much as the mean, of each axis.
    * ``'parseval'``: the integral over the box of :math:`w(x)\,R(x)^2`, with the weight of
      each series: :math:`w = 1` for Fourier and Legendre series, so that this is the
      ordinary mean of squares, and :math:`(1 - (2 x - 1)^2)^{-1/2}` for Chebyshev
      series, under which both ends of the axis count more.
    * ``'dual'``: as ``'parseval'``, and the square of each wave of the periodic axes is
      divided by :math:`1 + \kappa\,|2\pi k|^2`, where :math:`\kappa` is the *damping*. A
      wave that the equation damps strongly leaves a large residual even if its error
      is small; this norm, dual to that of the energy, is about as large as the error
      of the solution with its gradient (https://doi.org/10.1016/j.cma.2024.116904).
      Other axes, such as time, count as they are. It is not in the paper below.

    If you use this loss in your research, please cite the following paper:

    * https://arxiv.org/abs/2312.05225

    Args:
        axes: Series of each axis, one of ``'fourier'``, ``'chebyshev'`` or ``'legendre'``.
        weights: ``'unit'``, ``'parseval'`` or ``'dual'``.
        damping: Factor of the Laplacian along periodic axes, for ``'dual'``:
            ``equation.damping``. No other weights use it.

    Raises:
        UnknownNameError: If there is no such series.
        ValueError: If there are no such weights, or nothing is damped by a finite
            factor.

    Example:
        >>> import torch
        >>> residual = torch.tensor([[3.0, 2.0, 0.0]])  # 3 + 2 cos(2 pi x)
        >>> SpectralResidualLoss(['fourier'])(residual)
        tensor(13.)
        >>> SpectralResidualLoss(['fourier'], 'parseval')(residual)
        tensor(11.)
        >>> damping = 1 / (2 * torch.pi) ** 2
        >>> SpectralResidualLoss(['fourier'], 'dual', damping)(residual)
        tensor(10.)
    """

    def __init__(
        self,
        axes: Sequence[str],
        weights: CoefficientWeights = 'unit',
        damping: float = 0.0,
    ) -> None:
        """Initialize a new SpectralResidualLoss instance; see the class."""
        super().__init__()
        if weights not in ('unit', 'parseval', 'dual'):
            raise ValueError(
                f"Expected the weights 'unit', 'parseval' or 'dual', got {weights!r}."
            )
        self.axes = tuple(get_series(name) for name in axes)
        self.weights = weights
        self.damping = damping
        damped = 0 < damping < math.inf and Fourier() in self.axes
        if weights == 'dual' and not damped:
            raise ValueError(
                "The weights 'dual' are for equations that damp the waves of a periodic "
                f'axis, and here the damping is {damping:g} and the axes are '
                f"{', '.join(axes)}. Use 'parseval'."
            )

    def forward(self, residual: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            residual: Coefficients of shape ``(B, N_1, ..., N_d)``.

        Returns:
            The loss, of shape ``()``.

        Raises:
            BandMismatchError: If there is another number of axes.
        """
        if residual.ndim != len(self.axes) + 1:
            raise BandMismatchError(
                f'Expected coefficients of a batch of functions of {len(self.axes)} '
                f'variables, got the shape {tuple(residual.shape)}.'
            )
        squares = residual.square()
        if self.weights == 'unit':
            return squares.flatten(1).sum(1).mean()
        if self.weights == 'dual':
            squares = squares / (1 + self.damping * self._square_waves(squares))
        for axis in reversed(self.axes):
            weights = axis.parseval_weights(
                squares.shape[-1], squares.dtype, squares.device
            )
            squares = squares @ weights
        return squares.mean()

    def extra_repr(self) -> str:
        """Describe the options in one line."""
        axes = ', '.join(axis.name for axis in self.axes)
        damping = f', damping={self.damping:g}' if self.weights == 'dual' else ''
        return f'{axes}, weights={self.weights}{damping}'

    def _square_waves(self, like: Tensor) -> Tensor:
        """Add up ``(2 pi k)**2`` of the periodic axes, for each coefficient."""
        total = like.new_zeros(())
        for axis, count in zip(self.axes, like.shape[1:], strict=True):
            squares = (
                square_frequencies(count, like)
                if axis == Fourier()
                else like.new_zeros(count)
            )
            total = total.unsqueeze(-1) + squares
        return total
