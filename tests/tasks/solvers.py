# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Solvers of equations, small ones."""

from typing import Any

import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchgeo_hsi.tasks import NeuralSpectral

SMALL: dict[str, Any] = {'width': 8, 'depth': 1}

MODES = {
    'periodic_poisson': [7, 7],
    'dirichlet_poisson': [7, 7],
    'reaction_diffusion': [6, 9],
    'navier_stokes': [5, 7, 7],
    'column_plume': [5, 7, 7],
}


def make(equation: str = 'periodic_poisson', **words: Any) -> NeuralSpectral:
    torch.manual_seed(0)
    options: dict[str, Any] = {
        'equation_options': {'modes': MODES[equation]},
        # large outputs, so that something is left to see
        'model_kwargs': SMALL | {'scale': 1.0},
        'resolution': 12,
    }
    return NeuralSpectral(equation, **(options | words))


def operator(equation: str = 'periodic_poisson', **words: Any) -> NeuralSpectral:
    pytest.importorskip('neuralop')
    words = {'objective': 'grid_residual'} | words
    return make(equation, model='fourier_neural_operator', **words)


def parameter(task: NeuralSpectral, count: int = 2) -> Tensor:
    return task.equation.sample(count, torch.Generator().manual_seed(1)).float()


def values_of(task: NeuralSpectral, source: Tensor, size: int) -> NDArray[Any]:
    """The given field on a grid, from its waves."""
    x = torch.arange(size) / size
    found: NDArray[Any] = task.equation.to_grid(source, [x, x])[:, 0].double().numpy()
    return found
