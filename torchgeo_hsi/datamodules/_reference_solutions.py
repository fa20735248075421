# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Numerical solutions to compare with, solved once and kept in a folder."""

import hashlib
import json
import math
import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_info
from torch import Tensor

from .._torch_file import read_torch_file
from ..errors import HSIWarning
from ..io._torch_whole import write_torch
from ..physics.equations import Equation

#: Values that are solved for at once.
_CHUNK = 2**22


def describe_equation(equation: Equation) -> dict[str, Any]:
    """List all that makes an equation what it is.

    Args:
        equation: The equation.

    Returns:
        Its class, and its numbers, words and arrays by their names. Of other objects, only
        the class is known.
    """
    cls = type(equation)
    found: dict[str, Any] = {'class': f'{cls.__module__}.{cls.__qualname__}'}
    content = dict(sorted(vars(equation).items()))
    found.update(json.loads(json.dumps(content, default=_describe)))
    return found


def _describe(value: Any) -> str:
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        return hashlib.sha256(value.tobytes()).hexdigest()
    return f'{type(value).__module__}.{type(value).__qualname__}'


def same_equation(a: Equation, b: Equation) -> bool:
    """Whether two equations are the same, modes and all.

    Args:
        a: An equation.
        b: Another one.

    Returns:
        True if class and numbers agree.
    """
    return describe_equation(a) == describe_equation(b)


def solve_in_parts(
    equation: Equation, parameter: Tensor, size: int | Sequence[int]
) -> Tensor:
    """Solve an equation numerically, a few functions at a time.

    Args:
        equation: The equation.
        parameter: Coefficients of shape ``(N, P, *modes)``.
        size: Points along each axis; one number for all, or one for each.

    Returns:
        Values, float32 of shape ``(N, *sizes)``.
    """
    values = math.prod(len(line) for line in equation.grid(size))
    count = max(_CHUNK // values, 1)
    parts = [
        equation.solve(part, size).float() for part in torch.split(parameter, count)
    ]
    return torch.cat(parts)


def load_or_solve(
    equation: Equation,
    parameter: Tensor,
    size: int | Sequence[int],
    cache: str | Path | None = None,
) -> Tensor:
    """Read solutions from a folder, or solve the equation and keep them there.

    The name of the file has a number that stands for the equation, the functions and
    the resolution, so that other options never find it.

    Args:
        equation: The equation.
        parameter: Coefficients, float64 of shape ``(N, P, *modes)``.
        size: Points along each axis; one number for all, or one for each.
        cache: The folder; nothing is kept by default.

    Returns:
        Values, float32 of shape ``(N, *sizes)``.

    Raises:
        OutputError: If the file cannot be written.
    """
    path = None if cache is None else _path_of(Path(cache), equation, parameter, size)
    if path is not None and path.exists():
        found = _read(path, parameter)
        if found is not None:
            return found
    rank_zero_info(
        f'Solving {equation.name} for {len(parameter)} functions on a grid of '
        f'{" x ".join(str(len(line)) for line in equation.grid(size))} points.'
    )
    solution = solve_in_parts(equation, parameter, size)
    if path is not None:
        content = {'parameter': parameter, 'solution': solution}
        write_torch(path, content, 'choose another cache, or leave it out')
    return solution


def _path_of(
    folder: Path, equation: Equation, parameter: Tensor, size: int | Sequence[int]
) -> Path:
    # few digits: other machines round differently, which makes no other function
    digits = (parameter * 1e4).round().to(torch.int64).contiguous().numpy().tobytes()
    sizes = [len(line) for line in equation.grid(size)]
    words = json.dumps([describe_equation(equation), list(parameter.shape), sizes])
    number = hashlib.sha256(words.encode() + digits).hexdigest()[:16]
    return folder / f'{equation.name}_{"x".join(map(str, sizes))}_{number}.pt'


def _read(path: Path, parameter: Tensor) -> Tensor | None:
    """Read solutions; None with a warning if the file is of no use."""
    problem: object = 'it holds other functions'
    try:
        content = read_torch_file(path)
        solution, of = content['solution'], content['parameter']
        right = isinstance(solution, Tensor) and len(solution) == len(parameter)
        if right and of.shape == parameter.shape and torch.allclose(of, parameter):
            found: Tensor = solution
            return found
    # whatever a damaged file makes of itself
    except (
        OSError,
        EOFError,
        RuntimeError,
        KeyError,
        TypeError,
        AttributeError,
        ValueError,
        pickle.UnpicklingError,
    ) as error:
        problem = error
    warnings.warn(
        f'Solutions in {path} cannot be used, so they are solved for again: {problem}.',
        HSIWarning,
        stacklevel=2,
    )
    return None
