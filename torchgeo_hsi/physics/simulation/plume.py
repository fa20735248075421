# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A plume of gas from one source, carried by the wind over the scene."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray
from ...errors import UnknownNameError

if TYPE_CHECKING:
    from ..gases import GasAbsorption

#: Standard deviations of the plume that are kept clear around it.
_CLEAR = 5.0

#: Largest number of pixels along the side of the box in which a plume is computed.
_MAX_SIDE = 1501

#: Arguments that are numbers.
_NUMBERS = ('rate', 'wind', 'wind_from', 'diffusivity', 'duration')

#: Enhancement in ppm m that no band shows, below which there is no plume.
_NOTHING = 0.01


@dataclass(frozen=True)
class PlumeSource:
    """A source of gas that has been leaking for a while, and the wind over it.

    The columns follow from advection and diffusion in two dimensions with a steady wind,
    solved exactly (:class:`~torchgeo_hsi.physics.equations.ColumnPlume`), from a source
    of the size of a pixel. So they are smooth: the turns and puffs of a real plume are
    not there, and the diffusivity is the same everywhere. No gas gets lost: what lies
    over the ground is rate times duration.

    Args:
        gas: Name of the gas, see :func:`~torchgeo_hsi.physics.gases.get_gas`.
        rate: What leaks in kg/h.
        wind: Speed of the wind in m/s.
        wind_from: Direction from which the wind blows in degrees, clockwise from north
            (up): 270 for a west wind, which carries the plume to the right.
        position: Where the source is, as shares of the width from the left and of the
            height from the top.
        diffusivity: Horizontal diffusivity in m2/s.
        duration: How long it has been leaking in s.

    Raises:
        ValueError: If a number is out of its range.
        UnknownNameError: If there is no such gas.

    Example:
        >>> source = PlumeSource(rate=1000.0, wind=2.0, duration=720.0)
        >>> column = source.column(96, 96)
        >>> column.shape, f'{column.sum() * 30**2:.0f} kg'
        ((96, 96), '200 kg')
    """

    gas: str = 'methane'
    rate: float = 2000.0
    wind: float = 3.0
    wind_from: float = 270.0
    position: tuple[float, float] = (0.4, 0.5)
    diffusivity: float = 20.0
    duration: float = 1800.0

    def __post_init__(self) -> None:
        """Check the values."""
        for name in _NUMBERS:
            given = getattr(self, name)
            try:
                # YAML takes 2e4 for a word, and JSON takes no numbers of numpy
                object.__setattr__(self, name, float(given))
            except (TypeError, ValueError):
                raise ValueError(
                    f'Expected a number as {name}, got {given!r}.'
                ) from None
        for name in ('rate', 'diffusivity', 'duration'):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f'Expected a positive {name}, got {value:g}.')
        if not (math.isfinite(self.wind) and self.wind >= 0):
            raise ValueError(f'Expected a wind of 0 m/s or more, got {self.wind:g}.')
        if not math.isfinite(self.wind_from):
            raise ValueError(f'Expected wind_from in degrees, got {self.wind_from:g}.')
        try:
            position = tuple(float(share) for share in self.position)
        except (TypeError, ValueError):
            position = ()
        if len(position) != 2 or not all(0 <= share <= 1 for share in position):
            raise ValueError(
                'Expected a position as two shares from 0 to 1, from the left and from '
                f'the top, got {self.position!r}.'
            )
        # lists of configurations become what they are compared with
        object.__setattr__(self, 'position', position)
        known = _list_gases()
        if self.gas not in known:
            raise UnknownNameError('gas', str(self.gas), known)

    @classmethod
    def of(cls, value: Self | Mapping[str, Any] | None) -> Self | None:
        """Understand what a configuration says of a plume.

        Args:
            value: A source, its arguments by name, or None.

        Returns:
            The source, or None.

        Raises:
            ValueError: If a name is not that of an argument, or a value out of range.
        """
        if value is None or isinstance(value, cls):
            return value
        names = [field.name for field in fields(cls)]
        if not isinstance(value, Mapping) or not set(value) <= set(names):
            raise ValueError(
                f'Expected a plume with some of {", ".join(names)}, got {value!r}.'
            )
        return cls(**value)

    @property
    def absorption(self) -> 'GasAbsorption':
        """What the gas does to light."""
        from ..gases import get_gas

        return get_gas(self.gas)

    def side(self, pixel: float = 30.0) -> int:
        """Count the pixels along a square that holds the whole plume.

        Args:
            pixel: Side of a pixel in metres.

        Returns:
            An odd number.

        Raises:
            ValueError: If it is more than 1501.
        """
        spread = math.hypot(pixel, math.sqrt(2 * self.diffusivity * self.duration))
        count = (self.wind * self.duration + 2 * _CLEAR * spread) / pixel
        if count > _MAX_SIDE - 2:
            raise ValueError(
                f'Expected a plume of at most {_MAX_SIDE} pixels, got {count:.0f}: '
                'shorten the duration, or take less wind or diffusivity.'
            )
        return 2 * math.ceil(count / 2) + 1

    def column(
        self,
        height: int,
        width: int,
        pixel: float = 30.0,
        window: tuple[int, int, int, int] | None = None,
    ) -> NDArray[np.float64]:
        """Compute the mass of gas over each pixel.

        Args:
            height: Rows of the scene.
            width: Columns of the scene.
            pixel: Side of a pixel in metres.
            window: First column, first row, columns and rows of a part of the scene; all
                of it by default.

        Returns:
            Mass in kg/m2, shape ``(H, W)`` of the window.

        Raises:
            ValueError: If the plume is longer than 1501 pixels.
        """
        left, top, columns, rows = window or (0, 0, width, height)
        first_row, first_column, box = _solve(self, height, width, pixel)
        result = np.zeros((rows, columns))
        for row in range(max(top, first_row), min(top + rows, first_row + len(box))):
            low = max(left, first_column)
            high = min(left + columns, first_column + len(box))
            if low < high:
                part = box[row - first_row, low - first_column : high - first_column]
                result[row - top, low - left : high - left] = part
        return result

    def enhancement(
        self,
        height: int,
        width: int,
        pixel: float = 30.0,
        window: tuple[int, int, int, int] | None = None,
    ) -> NDArray[np.float32]:
        """Compute the enhancement over each pixel.

        Args:
            height: Rows of the scene.
            width: Columns of the scene.
            pixel: Side of a pixel in metres.
            window: A part of the scene, see :meth:`column`.

        Returns:
            Enhancement in ppm m at 1013.25 hPa and 288.15 K, shape ``(H, W)`` of the
            window; 0 where it is less than 0.01.

        Raises:
            ValueError: If the plume is longer than 1501 pixels.
        """
        column = self.column(height, width, pixel, window)
        found = column / self.absorption.to_mass(1.0)
        return np.where(found < _NOTHING, 0, found).astype(np.float32)


@lru_cache(maxsize=4)
def _solve(
    plume: PlumeSource, height: int, width: int, pixel: float
) -> tuple[int, int, FloatArray]:
    """Compute a plume in a box of its own, which may reach beyond the scene.

    Returns:
        First row and first column of the box, and the mass in kg/m2 in its pixels.
    """
    side = plume.side(pixel)
    heading = math.radians(plume.wind_from)
    drift = plume.wind * plume.duration / pixel
    down, right = drift * math.cos(heading), -drift * math.sin(heading)
    # the points of the box are the centres of pixels
    row = plume.position[1] * height - 0.5
    column = plume.position[0] * width - 0.5
    top = math.floor(row + (down - side) / 2)
    left = math.floor(column + (right - side) / 2)
    box = _solve_box(
        plume, side, pixel, (row - top, column - left), (down / side, right / side)
    )
    box.setflags(write=False)
    return top, left, box


def _solve_box(
    plume: PlumeSource,
    side: int,
    pixel: float,
    at: tuple[float, float],
    wind: tuple[float, float],
) -> FloatArray:
    """Solve for the columns in a periodic box.

    Args:
        plume: The source.
        side: Pixels along the box.
        pixel: Side of a pixel in metres.
        at: Row and column of the source.
        wind: Way to the bottom and to the right, as shares of the box.

    Returns:
        Mass in kg/m2, shape ``(side, side)``.
    """
    import torch

    from ..equations import ColumnPlume
    from ..series import Fourier

    axis = torch.arange(side, dtype=torch.float64)
    down, right = (torch.exp(-((axis - centre) ** 2) / 2) for centre in at)
    source = down[:, None] * right
    # kg/m2 that would lie there if nothing moved
    source *= plume.rate / 3600 * plume.duration / (source.sum() * pixel**2)
    series = Fourier()
    parameter = torch.zeros(1, 3, 1, side, side, dtype=torch.float64)
    parameter[0, 0, 0] = series.transform(series.transform(source, 0), 1)
    parameter[0, 1, 0, 0, 0], parameter[0, 2, 0, 0, 0] = wind
    speed = (plume.wind, plume.wind)
    equation = ColumnPlume(
        (1, side, side), side * pixel, plume.duration, plume.diffusivity, speed
    )
    found = equation.solve(parameter, (2, side, side))[0, -1]
    # a source of one pixel is not quite resolved
    return found.clamp(min=0).numpy()


def _list_gases() -> list[str]:
    """List the gases, without importing torch for it."""
    from importlib.resources import files

    # files() of the package itself would import it
    folder = files(__package__.rpartition('.')[0]) / 'gases'
    return sorted(
        entry.name.removesuffix('.csv')
        for entry in folder.iterdir()
        if entry.name.endswith('.csv')
    )
