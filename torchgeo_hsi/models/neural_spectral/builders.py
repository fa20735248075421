# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Neural operators by name."""

from collections.abc import Sequence

from ..api import register_model
from .fourier_neural_operator import FourierNeuralOperator
from .spectral_operator import SpectralOperator

#: Those of Poisson's equation on a periodic box.
_AXES, _MODES = ('fourier', 'fourier'), (31, 31)


@register_model
def spectral_operator(
    axes: Sequence[str] = _AXES,
    modes: Sequence[int] = _MODES,
    fields: int = 1,
    width: int = 64,
    depth: int = 4,
    activation: str = 'relu',
    scale: float = 1e-3,
    coupled: bool = False,
) -> SpectralOperator:
    """Build a :class:`SpectralOperator`, by default that of Poisson's equation.

    Args:
        axes: Series of each axis.
        modes: Number of coefficients along each axis.
        fields: Number of fields that are given.
        width: Number of channels.
        depth: Number of spectral convolutions.
        activation: ``'relu'``, ``'gelu'`` or ``'tanh'``.
        scale: Factor of the output.
        coupled: Whether sines and cosines of a wave see each other.

    Returns:
        The model.

    Example:
        >>> model = spectral_operator(modes=(7, 7), width=8)
        >>> model.modes
        (7, 7)
    """
    return SpectralOperator(
        axes, modes, fields, width, depth, activation, scale, coupled
    )


@register_model
def fourier_neural_operator(
    axes: Sequence[str] = _AXES,
    modes: Sequence[int] = _MODES,
    fields: int = 1,
    width: int = 64,
    depth: int = 4,
    activation: str = 'gelu',
    padding: float = 0.125,
    scale: float = 1e-3,
) -> FourierNeuralOperator:
    """Build a :class:`FourierNeuralOperator`, by default that of Poisson's equation.

    Args:
        axes: Series of each axis; all but ``'fourier'`` are padded.
        modes: Number of waves along each axis.
        fields: Number of fields that are given.
        width: Number of channels.
        depth: Number of Fourier layers.
        activation: ``'relu'``, ``'gelu'`` or ``'tanh'``.
        padding: Length of the zeros behind axes that are not periodic.
        scale: Factor of the output.

    Returns:
        The model.

    Raises:
        ImportError: If neuraloperator is not installed.

    Example:
        >>> model = fourier_neural_operator(modes=(7, 7), width=8)
        >>> model.modes
        (7, 7)
    """
    return FourierNeuralOperator(
        axes, modes, fields, width, depth, activation, padding, scale
    )
