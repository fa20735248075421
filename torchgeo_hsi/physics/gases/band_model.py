# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Double exponential band models of molecular absorption."""

import csv
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ..._typing import FloatArray, PathLike
from ...errors import CorruptFileError
from .._text import read_text
from .us_atmosphere import (
    GROUND_TEMPERATURE,
    ICE_POINT,
    STANDARD_PRESSURE,
    TOP,
    standard_atmosphere,
)

#: Heights in metres at which the background is summed up.
_LEVELS = 1721

_COLUMNS = (
    'wavenumber_cm1',
    'coefficient',
    'power',
    'pressure_power',
    'temperature_power',
)


@dataclass(frozen=True, eq=False)
class BandModel:
    r"""Transmittance of a gas, smoothed over many of its lines.

    .. math::
        \tau(\nu) = \exp\left(-\left(10^{C(\nu)} W\right)^{a}\right), \quad
        W = \int u \left(\frac{p}{p_0}\right)^n \left(\frac{T_0}{T}\right)^m ds

    with the amount of gas u in atm cm (the thickness in cm of the pure gas at 1013.25 hPa
    and 273.15 K). Lines saturate one after the other, so the depth grows with a power a
    of about 0.6 of the amount; a = 1 is the law of Beer and Lambert. Pierluissi and
    Maragoudakis 1986, AFGL-TR-86-0272.

    Args:
        wavenumber: Wavenumbers in 1/cm, increasing, shape ``(N,)``.
        coefficient: C at each, shape ``(N,)``.
        power: a at each.
        pressure_power: n at each.
        temperature_power: m at each.
        resolution: Full width at half maximum in 1/cm to which lines were smoothed.

    Raises:
        ValueError: If lengths differ, wavenumbers do not increase, or a power a is not
            in (0, 1].
    """

    wavenumber: FloatArray
    coefficient: FloatArray
    power: FloatArray
    pressure_power: FloatArray
    temperature_power: FloatArray
    resolution: float = 20.0

    def __post_init__(self) -> None:
        """Check the table."""
        columns = [np.asarray(getattr(self, name), float) for name in _FIELDS]
        shapes = {column.shape for column in columns}
        if len(shapes) != 1 or columns[0].ndim != 1 or len(columns[0]) < 2:
            raise ValueError(
                'Expected columns of one length of at least 2, got shapes '
                f'{[column.shape for column in columns]}.'
            )
        if not all(np.isfinite(column).all() for column in columns):
            raise ValueError('Expected finite numbers.')
        if not (np.diff(columns[0]) > 0).all() or columns[0][0] <= 0:
            raise ValueError('Expected positive wavenumbers in 1/cm that increase.')
        if not ((columns[2] > 0) & (columns[2] <= 1)).all():
            raise ValueError('Expected powers of more than 0 and at most 1.')
        for name, column in zip(_FIELDS, columns, strict=True):
            column = column.copy()
            column.setflags(write=False)
            # a frozen dataclass can only be completed through object.__setattr__
            object.__setattr__(self, name, column)

    @classmethod
    def from_csv(cls, path: PathLike) -> Self:
        """Read a table.

        Args:
            path: A file with the columns ``wavenumber_cm1``, ``coefficient``, ``power``,
                ``pressure_power`` and ``temperature_power`` after comments with ``#``.

        Returns:
            The band model.

        Raises:
            CorruptFileError: If a column is missing or a value is no number.
            ValueError: If the values are no band model, see the class.
        """
        lines = read_text(path).splitlines()
        try:
            rows = list(csv.DictReader(line for line in lines if line[:1] not in '#'))
            columns = [np.array([float(row[c]) for row in rows]) for c in _COLUMNS]
        except (KeyError, TypeError, ValueError, csv.Error) as error:
            raise CorruptFileError(
                f'Expected numbers in the columns {", ".join(_COLUMNS)} of {path}: '
                f'{error}. Correct it, or copy it again.'
            ) from error
        wavenumber, coefficient, power, pressure_power, temperature_power = columns
        return cls(wavenumber, coefficient, power, pressure_power, temperature_power)

    @cached_property
    def ground_weight(self) -> Tensor:
        """W for each atm cm of gas at the ground of the standard atmosphere, ``(N,)``."""
        weight = (ICE_POINT / GROUND_TEMPERATURE) ** self.temperature_power
        return torch.from_numpy(np.asarray(weight, dtype=np.float64))

    @cached_property
    def column_weight(self) -> Tensor:
        """W of a vertical path in atm cm for a mole fraction of 1 all the way, ``(N,)``.

        From sea level to the top of the standard atmosphere.
        """
        height = np.linspace(0, TOP, _LEVELS)
        pressure, temperature = standard_atmosphere(height)
        dense, cold = pressure / STANDARD_PRESSURE, ICE_POINT / temperature
        weight = np.empty(len(self.wavenumber))
        pairs = np.stack([self.pressure_power, self.temperature_power], axis=1)
        for n, m in np.unique(pairs, axis=0):
            # 100 cm of gas of this density for each metre
            amount = 100 * dense ** (1 + n) * cold ** (1 + m)
            weight[(pairs == (n, m)).all(axis=1)] = np.trapezoid(amount, height)
        return torch.from_numpy(weight)

    def depth(self, amount: Tensor) -> Tensor:
        """Compute optical depths.

        Args:
            amount: W in atm cm, shape ``(..., N)``.

        Returns:
            Optical depth of the same shape and type.
        """
        strength = torch.tensor(10.0**self.coefficient).to(amount)
        return (strength * amount) ** torch.tensor(self.power).to(amount)

    def slope(self, amount: Tensor) -> Tensor:
        """Compute how much depth each atm cm more adds.

        Args:
            amount: W in atm cm, shape ``(..., N)``.

        Returns:
            Derivative of :meth:`depth`; infinite at 0 if powers are less than 1.
        """
        strength = torch.tensor(10.0**self.coefficient).to(amount)
        power = torch.tensor(self.power).to(amount)
        return power * strength**power * amount ** (power - 1)


_FIELDS = ('wavenumber', 'coefficient', 'power', 'pressure_power', 'temperature_power')
