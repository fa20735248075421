# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What more of a gas does to the light of a scene."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ..._typing import FloatArray, PathLike
from ...errors import MetadataError
from .._text import read_text
from ..bands import BandSet
from ..units import check_micrometres
from ._bands import band_weights
from .band_model import BandModel
from .us_atmosphere import (
    GAS_CONSTANT,
    GROUND_TEMPERATURE,
    ICE_POINT,
    STANDARD_PRESSURE,
)

#: Largest zenith angle in degrees; beyond, the Earth is not flat.
_MAX_ZENITH = 75.0

#: Wavenumbers of a table that are more steps apart belong to two bands.
_GAP = 1.5

#: Pixels that are computed at a time.
_CHUNK = 8192


def air_mass(sun_zenith: float, view_zenith: float = 0.0) -> float:
    """Compute the path of light down and up again, relative to the vertical.

    Args:
        sun_zenith: Zenith angle of the sun in degrees, 0 to 75.
        view_zenith: Zenith angle of the view in degrees, 0 to 75.

    Returns:
        The sum of both secants, at least 2.

    Raises:
        ValueError: If an angle is out of its range.

    Example:
        >>> round(air_mass(60), 6)
        3.0
    """
    for name, angle in (('sun_zenith', sun_zenith), ('view_zenith', view_zenith)):
        if not 0 <= angle <= _MAX_ZENITH:
            raise ValueError(
                f'Expected {name} from 0 to {_MAX_ZENITH:g} degrees, got {angle:g}.'
            )
    return sum(1 / math.cos(math.radians(a)) for a in (sun_zenith, view_zenith))


@dataclass(frozen=True, eq=False)
class GasAbsorption:
    """A gas, and how a plume of it near the ground darkens the bands of a sensor.

    Enhancements are in ppm m: a layer of 1 m whose mole fraction exceeds that of the air
    by 1 ppm, at 1013.25 hPa and 288.15 K; 1000 ppm m may be 10 ppm over 100 m or 1 ppm
    over 1 km. Light crosses the plume twice. Above lies the gas that is always there, in
    a U.S. Standard Atmosphere over sea level; it has darkened the lines already, which is
    why the same enhancement matters less where there is more background.

    What is known of these numbers: the tables have a resolution of 20 1/cm, 10.6 nm at
    2.3 µm and 5.5 nm at 1.66 µm, about that of the imaging spectrometers; finer bands
    see this resolution. They stem from LOWTRAN 7, whose lines are those of 1986. Not in
    it: other gases that absorb in the same bands, scattering, and terrain above sea level.

    Args:
        name: Name to look it up by.
        title: Name for people.
        formula: Chemical formula.
        molar_mass: Molar mass in kg/mol.
        background: Mole fraction in the air in ppm.
        model: Its band model.
        source: Where the numbers come from.
    """

    name: str
    title: str
    formula: str
    molar_mass: float
    background: float
    model: BandModel
    source: str = ''

    def __post_init__(self) -> None:
        """Check the numbers."""
        if not (0 < self.molar_mass < math.inf and 0 <= self.background < math.inf):
            raise ValueError(
                'Expected a positive molar mass and a background of 0 or more, got '
                f'{self.molar_mass:g} kg/mol and {self.background:g} ppm.'
            )

    @classmethod
    def from_csv(cls, path: PathLike, name: str | None = None) -> Self:
        """Read a gas from a table.

        Args:
            path: A file as :meth:`BandModel.from_csv` reads it, with lines such as
                ``# title: Methane`` for title, formula, molar_mass, background, source.
            name: Name of the gas; the stem of the file by default.

        Returns:
            The gas.

        Raises:
            MetadataError: If such a line is missing, or has no number where it has to.
            CorruptFileError: If the table is damaged.
        """
        path = Path(path)
        head: dict[str, str] = {}
        for line in read_text(path).splitlines():
            key, colon, value = line.removeprefix('#').strip().partition(': ')
            if line.startswith('#') and colon:
                head.setdefault(key, value.strip())
        try:
            return cls(
                name or path.stem,
                head['title'],
                head['formula'],
                float(head['molar_mass']),
                float(head['background']),
                BandModel.from_csv(path),
                head['source'],
            )
        except (KeyError, ValueError) as error:
            raise MetadataError(
                'Expected lines "# title: ...", "# formula: ...", "# molar_mass: ..." in '
                f'kg/mol, "# background: ..." in ppm and "# source: ..." in {path}: '
                f'{error}. Correct them, or copy the table again.'
            ) from error

    @property
    def wavelength_range(self) -> tuple[float, float]:
        """Shortest and longest wavelength in micrometres at which it absorbs."""
        table = self.model.wavenumber
        return float(1e4 / table[-1]), float(1e4 / table[0])

    def optical_depth(
        self,
        wavelength: ArrayLike,
        enhancement: float = 0.0,
        *,
        path: float = 1.0,
        background: float | None = None,
    ) -> FloatArray:
        """Compute the optical depth of background and plume.

        Args:
            wavelength: Wavelengths in micrometres, shape ``(M,)``. Between those of the
                table it is interpolated, beyond it is 0.
            enhancement: Plume near the ground in ppm m.
            path: Length of the path relative to the vertical, e.g. :func:`air_mass`.
            background: Mole fraction of the air in ppm; that of the gas by default.

        Returns:
            Optical depth at a resolution of 20 1/cm, float64 of shape ``(M,)``.

        Raises:
            UnitError: If *wavelength* looks like nanometres.
            ValueError: If an amount is negative or not a number.
        """
        x = check_micrometres(wavelength)
        table = self.model.wavenumber
        plume = torch.tensor([enhancement], dtype=torch.float64)
        amount = path * self._amount(_checked(plume), background)[0]
        depth = self.model.depth(amount).numpy()
        # beyond each band of the table there is nothing, not half of the last value
        edges = np.flatnonzero(np.diff(table) > _GAP * np.diff(table).min())
        near = np.searchsorted(table, 1e4 / x).clip(1, len(table) - 1)
        inside = ~np.isin(near - 1, edges) | np.isin(1e4 / x, table)
        found = np.interp(1e4 / x, table, depth, left=0, right=0)
        return np.asarray(np.where(inside, found, 0))

    def band_transmittance(
        self,
        bands: BandSet,
        enhancement: Tensor | float,
        *,
        sun_zenith: float = 30.0,
        view_zenith: float = 0.0,
        background: float | None = None,
    ) -> Tensor:
        """Compute the share of the light in each band that a plume lets through.

        Both transmittances, that of background and plume and that of the background, are
        seen through Gaussian responses of the bands, see
        :func:`~torchgeo_hsi.physics.srf_matrix`, and divided: multiply a radiance or
        reflectance without plume by the result. Gradients flow to *enhancement*.

        Args:
            bands: Bands with FWHM. Where the gas does not absorb, the result is 1.
            enhancement: Plume in ppm m, of any shape, such as ``(H, W)``. NaN stays NaN.
            sun_zenith: Zenith angle of the sun in degrees, 0 to 75.
            view_zenith: Zenith angle of the view in degrees, 0 to 75.
            background: Mole fraction of the air in ppm; that of the gas by default.

        Returns:
            Transmittance of shape ``(C, *enhancement.shape)``, of the type of
            *enhancement*, or float64 for a number.

        Raises:
            MetadataError: If *bands* have no FWHM.
            ValueError: If an enhancement is negative, or an angle out of its range.

        Example:
            >>> from torchgeo_hsi.physics import get_sensor
            >>> from torchgeo_hsi.physics.gases import get_gas
            >>> bands = get_sensor('enmap').bands.between(2.29, 2.31)
            >>> plume = torch.tensor([[0.0, 1000.0], [2000.0, 4000.0]])
            >>> get_gas('methane').band_transmittance(bands, plume).shape
            torch.Size([3, 2, 2])
        """
        plume = torch.as_tensor(enhancement)
        if not isinstance(enhancement, Tensor):
            plume = plume.double()
        elif not plume.is_floating_point():
            plume = plume.float()
        path = air_mass(sun_zenith, view_zenith)
        weights = band_weights(self.model, bands).to(plume.device)

        def through(part: Tensor) -> Tensor:
            depth = self.model.depth(path * self._amount(part, background))
            return 1 + weights @ torch.expm1(-depth).mT

        clear = through(plume.new_zeros(1))
        flat = _checked(plume).flatten()
        parts = [flat[i : i + _CHUNK] for i in range(0, max(len(flat), 1), _CHUNK)]
        share = torch.cat([through(part) / clear for part in parts], dim=1)
        return share.to(plume.dtype).reshape(len(bands), *plume.shape)

    def absorption_coefficients(
        self,
        bands: BandSet,
        *,
        enhancement: float = 0.0,
        sun_zenith: float = 30.0,
        view_zenith: float = 0.0,
        background: float | None = None,
    ) -> Tensor:
        """Compute how strongly each ppm m is absorbed in each band.

        The unit absorption of matched filters: the radiance of a band falls by this share
        for each ppm m, ``-d ln L / dX``, over both ways through the plume.

        Args:
            bands: Bands with FWHM. Where the gas does not absorb, the result is 0.
            enhancement: For 0, the slope at no plume. For more, the mean slope up to
                this many ppm m, which is less, as lines saturate.
            sun_zenith: Zenith angle of the sun in degrees, 0 to 75.
            view_zenith: Zenith angle of the view in degrees, 0 to 75.
            background: Mole fraction of the air in ppm; that of the gas by default.

        Returns:
            Coefficients in 1/(ppm m), float64 of shape ``(C,)``, not negative.

        Raises:
            MetadataError: If *bands* have no FWHM.
            ValueError: If *enhancement* is negative, an angle out of its range, or both
                enhancement and background are 0, where the slope is infinite.

        Example:
            >>> from torchgeo_hsi.physics import get_sensor
            >>> from torchgeo_hsi.physics.gases import get_gas
            >>> bands = get_sensor('enmap').bands
            >>> found = get_gas('methane').absorption_coefficients(bands)
            >>> bands.names[int(found.argmax())], f'{float(found.max()):.1e}'
            ('B211', '1.5e-05')
        """
        if enhancement != 0:
            through = self.band_transmittance(
                bands,
                float(enhancement),
                sun_zenith=sun_zenith,
                view_zenith=view_zenith,
                background=background,
            )
            return -through.log() / enhancement
        path = air_mass(sun_zenith, view_zenith)
        air = self._amount(torch.zeros(1, dtype=torch.float64), background)[0]
        if not air.all() and bool((self.model.power < 1).any()):
            raise ValueError(
                'Expected a background of more than 0 ppm, as the first molecules absorb '
                'without limit in a band model. Or pass an enhancement in ppm m.'
            )
        weights = band_weights(self.model, bands)
        depth = self.model.depth(path * air)
        slope = self.model.slope(path * air) * path * self._per_ppm_m
        through = 1 + weights @ torch.expm1(-depth)
        return weights @ (torch.exp(-depth) * slope) / through

    @property
    def _per_ppm_m(self) -> Tensor:
        """W in atm cm of one ppm m at the ground, on a vertical path, ``(N,)``."""
        return 1e-4 * ICE_POINT / GROUND_TEMPERATURE * self.model.ground_weight

    def _amount(self, enhancement: Tensor, background: float | None) -> Tensor:
        """Compute W of vertical paths, ``(P,)`` enhancements to float64 ``(P, N)``."""
        share = self.background if background is None else background
        if not share >= 0:
            raise ValueError(f'Expected a background of 0 ppm or more, got {share:g}.')
        air = 1e-6 * share * self.model.column_weight.to(enhancement.device)
        plume = self._per_ppm_m.to(enhancement.device)
        return air + enhancement.double()[:, None] * plume

    def to_moles[T: (float, Tensor)](
        self,
        enhancement: T,
        pressure: float = STANDARD_PRESSURE,
        temperature: float = GROUND_TEMPERATURE,
    ) -> T:
        """Convert an enhancement to an amount of substance on the ground.

        Args:
            enhancement: Enhancement in ppm m.
            pressure: Pressure in the plume in hPa.
            temperature: Temperature in the plume in K.

        Returns:
            Amount in mol/m2.

        Example:
            >>> from torchgeo_hsi.physics.gases import get_gas
            >>> round(get_gas('methane').to_moles(1000.0), 5)
            0.04229
        """
        return enhancement * (1e-6 * 100 * pressure / (GAS_CONSTANT * temperature))

    def to_mass[T: (float, Tensor)](
        self,
        enhancement: T,
        pressure: float = STANDARD_PRESSURE,
        temperature: float = GROUND_TEMPERATURE,
    ) -> T:
        """Convert an enhancement to a mass on the ground.

        Args:
            enhancement: Enhancement in ppm m.
            pressure: Pressure in the plume in hPa.
            temperature: Temperature in the plume in K.

        Returns:
            Mass in kg/m2.
        """
        return self.to_moles(enhancement, pressure, temperature) * self.molar_mass

    def from_mass[T: (float, Tensor)](
        self,
        mass: T,
        pressure: float = STANDARD_PRESSURE,
        temperature: float = GROUND_TEMPERATURE,
    ) -> T:
        """Convert a mass on the ground to an enhancement.

        Args:
            mass: Mass in kg/m2.
            pressure: Pressure in the plume in hPa.
            temperature: Temperature in the plume in K.

        Returns:
            Enhancement in ppm m.
        """
        return mass / self.to_mass(1.0, pressure, temperature)


def _checked(enhancement: Tensor) -> Tensor:
    """Refuse plumes of less than nothing."""
    if bool((enhancement < 0).any()):
        raise ValueError(
            'Expected enhancements of 0 ppm m or more, got '
            f'{float(enhancement.nan_to_num(0).min()):g}. Clamp what a detector found.'
        )
    return enhancement
