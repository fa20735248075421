# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The spectral neural operator: a network between coefficients of series."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...errors import BandMismatchError
from ...physics.series import Fourier, Series, get_series
from ._checks import check_positive


class GridActivation(nn.Module):
    """Apply an activation to the functions that coefficients stand for.

    Coefficients become values at their collocation points, and back. Both ways are
    matrices, one axis after the other: as exact as fast transforms, and faster for the
    few dozen modes that there are.

    Args:
        axes: Series of each axis.
        modes: Number of coefficients along each axis.
        activation: Function of values.
    """

    def __init__(
        self, axes: Sequence[Series], modes: Sequence[int], activation: nn.Module
    ) -> None:
        """Initialize a new GridActivation instance; see the class for the arguments."""
        super().__init__()
        self.activation = activation
        self.count = len(modes)
        for dim, (axis, count) in enumerate(zip(axes, modes, strict=True)):
            unit = torch.eye(count, dtype=torch.float64)
            # known from the arguments, so not a part of the weights
            synthesis = axis.inverse(unit, 0).float()
            analysis = axis.transform(unit, 0).float()
            self.register_buffer(f'synthesis_{dim}', synthesis, persistent=False)
            self.register_buffer(f'analysis_{dim}', analysis, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation.

        Args:
            x: Coefficients of shape ``(B, N_1, ..., N_d, C)``.

        Returns:
            Coefficients of the same shape.
        """
        x = self.activation(self._along(x, 'synthesis'))
        return self._along(x, 'analysis')

    def _along(self, x: Tensor, which: str) -> Tensor:
        for dim in range(self.count):
            matrix = self.get_buffer(f'{which}_{dim}')
            shape = x.shape
            # (B ... , N, rest): one matrix product for each leading entry
            flat = x.reshape(-1, shape[dim + 1], shape[dim + 2 :].numel())
            x = (matrix @ flat).reshape(shape)
        return x


class SpectralConvolution(nn.Module):
    """Mix channels, with a matrix of its own for each coefficient.

    As published, sines and cosines have separate matrices. No such layer can
    differentiate, which turns the one into the other, so networks learn winds and
    currents very slowly. With *coupled* axes each coefficient also sees the sine, or
    cosine, of the same wave, along one axis at a time: derivatives of first order are
    layers then. The matrix of a coefficient has rows for its own channels, then for
    those of its partner along each coupled axis.

    Args:
        modes: Number of coefficients along each axis.
        channels: Number of channels.
        coupled: Axes of Fourier series, from 0, along which sines and cosines are
            coupled.
    """

    def __init__(
        self, modes: Sequence[int], channels: int, coupled: Sequence[int] = ()
    ) -> None:
        """Initialize a new SpectralConvolution instance; see the class."""
        super().__init__()
        total = torch.Size(modes).numel()
        self.coupled = tuple(coupled)
        for axis in self.coupled:
            count = modes[axis]
            # the cosine of k is at k, its sine at count - k; the mean stays
            partner = (count - torch.arange(count)) % count
            self.register_buffer(f'partner_{axis}', partner, persistent=False)
        inputs = channels * (1 + len(self.coupled))
        weight = torch.randn(total, inputs, channels) / channels**2
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Mix channels.

        Args:
            x: Coefficients of shape ``(B, N_1, ..., N_d, C)``.

        Returns:
            Coefficients of the same shape.
        """
        partners = [
            x.index_select(axis + 1, self.get_buffer(f'partner_{axis}'))
            for axis in self.coupled
        ]
        flat = torch.cat([x, *partners], dim=-1).flatten(1, -2).transpose(0, 1)
        return torch.bmm(flat, self.weight).transpose(0, 1).reshape(x.shape)


class SpectralOperator(nn.Module):
    """Map the parameter of an equation to its solution, both as series.

    Linear layers on the channels, and activations on the grid of the collocation
    points; in the middle *depth* layers that also have a matrix for each coefficient.
    Nothing of it depends on the resolution at which the solution is evaluated later.

    * https://arxiv.org/abs/2312.05225

    Args:
        axes: Series of each axis, one of ``'fourier'``, ``'chebyshev'`` or ``'legendre'``.
        modes: Number of coefficients along each axis.
        fields: Number of fields that are given.
        width: Number of channels.
        depth: Number of spectral convolutions.
        activation: ``'relu'``, ``'gelu'`` or ``'tanh'``.
        scale: Factor of the output. Residuals have second derivatives, which are large
            for random fields; training starts from small ones.
        coupled: Whether sines and cosines of a wave see each other in spectral
            convolutions. Not in the paper; flows are not learned without it in less
            than very many steps. Convolutions have 1 + *periodic axes* times the
            weights. Where no axis is periodic, it changes nothing.

    Raises:
        BandMismatchError: If there is not one number of modes for each axis.
        UnknownNameError: If there is no such series.
        ValueError: If there is no such activation, or a number is less than 1.

    Example:
        >>> import torch
        >>> model = SpectralOperator(('fourier', 'fourier'), (7, 7), width=8, depth=1)
        >>> model(torch.rand(2, 1, 7, 7)).shape
        torch.Size([2, 7, 7])
    """

    coordinates: Tensor

    def __init__(
        self,
        axes: Sequence[str],
        modes: Sequence[int],
        fields: int = 1,
        width: int = 64,
        depth: int = 4,
        activation: str = 'relu',
        scale: float = 1e-3,
        coupled: bool = False,
    ) -> None:
        """Initialize a new SpectralOperator instance; see the class for arguments."""
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
        self.modes = tuple(modes)
        self.scale = scale
        series = [get_series(name) for name in axes]
        periodic = [i for i, one in enumerate(series) if one == Fourier()]
        coordinates = _coordinates(series, self.modes)
        self.register_buffer('coordinates', coordinates, persistent=False)
        self.act = GridActivation(series, self.modes, _ACTIVATIONS[activation]())
        self.fields = fields
        channels = fields + len(series)
        self.lift = nn.ModuleList(
            [nn.Linear(channels, 4 * width), nn.Linear(4 * width, width)]
        )
        self.convolutions = nn.ModuleList(
            SpectralConvolution(self.modes, width, periodic if coupled else ())
            for _ in range(depth)
        )
        self.mixers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.project = nn.ModuleList(
            [nn.Linear(width, width), nn.Linear(width, 4 * width)]
        )
        self.head = nn.Linear(4 * width, 1)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                # as many layers as these forget their input if it shrinks in each
                nn.init.normal_(module.weight, std=module.in_features**-0.5)
                nn.init.zeros_(module.bias)

    def forward(self, parameter: Tensor) -> Tensor:
        """Compute a candidate for the solution.

        Args:
            parameter: Coefficients of the given fields, shape ``(B, fields, N_1,
                ..., N_d)``.

        Returns:
            Coefficients of shape ``(B, N_1, ..., N_d)``.

        Raises:
            BandMismatchError: If there are other numbers of fields or coefficients.
        """
        expected = (self.fields, *self.modes)
        if tuple(parameter.shape[1:]) != expected:
            raise BandMismatchError(
                f'Expected coefficients of shape (batch, {", ".join(map(str, expected))}), '
                f'got {tuple(parameter.shape)}. Resize them first.'
            )
        known = self.coordinates.expand(len(parameter), *self.coordinates.shape)
        x = torch.cat([parameter.movedim(1, -1), known], dim=-1)
        for layer in self.lift:
            x = self.act(layer(x))
        for convolution, mixer in zip(self.convolutions, self.mixers, strict=True):
            x = self.act(convolution(x) + mixer(x))
        for layer in self.project:
            x = self.act(layer(x))
        out: Tensor = self.head(x).squeeze(-1) * self.scale
        return out


_ACTIVATIONS = {'relu': nn.ReLU, 'gelu': nn.GELU, 'tanh': nn.Tanh}


def _coordinates(series: Sequence[Series], modes: Sequence[int]) -> Tensor:
    """Return the coefficients of the functions x_1 ... x_d, as channels."""
    found = []
    for dim, (axis, count) in enumerate(zip(series, modes, strict=True)):
        line = axis.transform(axis.nodes(count))
        whole = torch.zeros(*modes, dtype=line.dtype)
        whole.movedim(dim, -1)[(0,) * (len(modes) - 1)] = line
        found.append(whole)
    return torch.stack(found, dim=-1).float()
