# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The Fourier neural operator on grids, to compare with."""

import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import BandMismatchError
from ...physics.series import Fourier, get_series
from ._checks import check_positive


class FourierNeuralOperator(nn.Module):
    """Map the parameter of an equation to its solution, both as values on a grid.

    The network is that of neuraloperator (``pip install torchgeo-hsi[operator]``). It
    gets the coordinates as further channels, and any even grid, whose points are those
    of :meth:`~torchgeo_hsi.physics.equations.Equation.grid`. What it costs grows with
    the grid. With the same modes and width it has about as many parameters as a
    :class:`SpectralOperator`.

    Its waves are periodic, so axes that are not get zeros behind their end, and lose
    them in the output. Along all axes but the last neuraloperator 2.0 needs an even
    number of points (odd ones shift its frequencies by one); periodic axes with an odd
    number are interpolated to one point more, and back.

    * https://arxiv.org/abs/2010.08895

    Args:
        axes: Series of each axis, one of ``'fourier'``, ``'chebyshev'`` or
            ``'legendre'``; all but the first are padded.
        modes: Number of waves along each axis, those of negative frequency included.
        fields: Number of fields that are given.
        width: Number of channels.
        depth: Number of Fourier layers.
        activation: ``'relu'``, ``'gelu'`` or ``'tanh'``.
        padding: Length of the zeros behind axes that are not periodic, as a share of
            the box.
        scale: Factor of the output, see :class:`SpectralOperator`.

    Raises:
        BandMismatchError: If there is not one number of modes for each axis.
        ImportError: If neuraloperator is not installed.
        UnknownNameError: If there is no such series.
        ValueError: If there is no such activation, *padding* is negative, or a number
            is less than 1.

    Example:
        >>> import torch
        >>> axes = ('chebyshev', 'fourier')
        >>> model = FourierNeuralOperator(axes, (6, 7), width=8, depth=1)
        >>> model(torch.rand(2, 1, 16, 20)).shape
        torch.Size([2, 16, 20])
    """

    def __init__(
        self,
        axes: Sequence[str],
        modes: Sequence[int],
        fields: int = 1,
        width: int = 64,
        depth: int = 4,
        activation: str = 'gelu',
        padding: float = 0.125,
        scale: float = 1e-3,
    ) -> None:
        """Initialize a new FourierNeuralOperator instance; see the class."""
        super().__init__()
        if len(axes) != len(modes):
            raise BandMismatchError(
                f'Expected one number of modes for each of {len(axes)} axes, got '
                f'{list(modes)}.'
            )
        check_positive(fields=fields, width=width, depth=depth)
        if activation not in _ACTIVATIONS:
            raise ValueError(
                f'Expected an activation of {", ".join(_ACTIVATIONS)}, got '
                f'{activation!r}.'
            )
        if padding < 0:
            raise ValueError(f'Expected a padding of 0 or more, got {padding}.')
        self.axes = tuple(axes)
        self.periodic = tuple(get_series(name) == Fourier() for name in axes)
        self.modes = tuple(modes)
        self.fields = fields
        self.padding = padding
        self.scale = scale
        self.network = _network(
            n_modes=self.modes,
            in_channels=fields + len(self.modes),
            out_channels=1,
            hidden_channels=width,
            n_layers=depth,
            non_linearity=_ACTIVATIONS[activation],
            # its own coordinates never reach 1, its own padding leaves odd sizes odd
            positional_embedding=None,
        )
        self.register_state_dict_post_hook(_keep_tensors)  # type: ignore[no-untyped-call]

    def forward(self, parameter: Tensor) -> Tensor:
        """Compute a candidate for the solution.

        Args:
            parameter: Values of the given fields on an even grid, shape
                ``(B, fields, M_1, ..., M_d)``; periodic axes without 1, others with it.

        Returns:
            Values of shape ``(B, M_1, ..., M_d)``.

        Raises:
            BandMismatchError: If there are other numbers of fields or axes.
        """
        count = len(self.modes)
        if parameter.ndim != count + 2 or parameter.shape[1] != self.fields:
            raise BandMismatchError(
                f'Expected values of shape (batch, {self.fields}, ...) on a grid of '
                f'{count} axes, got {tuple(parameter.shape)}.'
            )
        sizes = tuple(parameter.shape[2:])
        inside = self._periodic_sizes(sizes)
        x = torch.cat(
            [_interpolate(parameter, inside), self._coordinates(inside, parameter)], 1
        )
        ends = [0] * (2 * count)
        for dim, size in enumerate(inside):
            # pairs of begin and end, the last axis first
            ends[2 * (count - dim) - 1] = self._zeros(dim, size)
        x = self.network(nn.functional.pad(x, ends))
        x = x[(slice(None), slice(None), *(slice(size) for size in inside))]
        out: Tensor = _interpolate(x, sizes)[:, 0] * self.scale
        return out

    def _periodic_sizes(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Make periodic axes even, except for the last, of which halves are kept."""
        last = len(sizes) - 1
        return tuple(
            size + 1 if periodic and size % 2 and dim < last else size
            for dim, (size, periodic) in enumerate(
                zip(sizes, self.periodic, strict=True)
            )
        )

    def _zeros(self, dim: int, size: int) -> int:
        """Return how many zeros an axis gets, so that the whole of it is even."""
        if self.periodic[dim]:
            return 0
        # the same length at all resolutions, as far as that can be
        whole = (1 + self.padding) * (size - 1)
        return max(2 * round(whole / 2), size + size % 2) - size

    def _coordinates(self, sizes: tuple[int, ...], like: Tensor) -> Tensor:
        """Return the functions x_1 ... x_d on the grid, as channels."""
        lines = [
            torch.arange(size, dtype=like.dtype, device=like.device)
            / (size if periodic else max(size - 1, 1))
            for size, periodic in zip(sizes, self.periodic, strict=True)
        ]
        found = torch.stack(torch.meshgrid(*lines, indexing='ij'))
        return found.expand(len(like), *found.shape)


_ACTIVATIONS = {
    'gelu': nn.functional.gelu,
    'relu': nn.functional.relu,
    'tanh': torch.tanh,
}


def _keep_tensors(
    module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any
) -> None:
    """Leave functions and classes out, which no safe checkpoint may hold."""
    state.pop(f'{prefix}_metadata', None)
    state.pop('_metadata', None)


def _interpolate(x: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """Evaluate the waves of periodic axes at another number of points."""
    series = Fourier()
    for dim, size in enumerate(sizes, start=2):
        if x.shape[dim] != size:
            points = series.nodes(size, x.dtype, x.device)
            x = series.evaluate(series.transform(x, dim), points, dim)
    return x


def _network(**options: Any) -> nn.Module:
    """Build the network of neuraloperator."""
    try:
        with warnings.catch_warnings():
            # packages that its other networks could use
            warnings.simplefilter('ignore')
            from neuralop.models import FNO
    except ImportError as error:
        raise ImportError(
            'neuraloperator is needed for Fourier neural operators. Install it with '
            "pip install 'torchgeo-hsi[operator]'."
        ) from error
    network: nn.Module = FNO(**options)
    return network
