# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A sensor: its bands and how to look at them."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from ..._typing import PathLike
from ...errors import (
    BandMismatchError,
    CorruptFileError,
    EmptyDataError,
    MetadataError,
    UnitError,
)
from .._text import read_text
from ..bands import BandSet
from ..units import check_micrometres

_FLAGS = {'0': False, '1': True}


@dataclass(frozen=True)
class Sensor:
    """The nominal bands of a sensor.

    Args:
        name: Name to look the sensor up by, in lower case.
        title: Name for people.
        bands: All bands, in the order of the sensor's products.
        default_bands: Names of the bands that are usually worked with, in the order of
            *bands*; all by default.
        rgb: Wavelengths in micrometres for red, green and blue of true colour.
        false_color: The same for false colour (near infrared, red, green).
        source: Where the table comes from.
        detector: Detector or spectrometer of each band; empty if unknown.

    Raises:
        UnknownNameError: If a default band does not exist.
        BandMismatchError: If *detector* does not name one for each band, or a colour
            has not three wavelengths.
        UnitError: If a colour looks like nanometres.
    """

    name: str
    title: str
    bands: BandSet
    default_bands: tuple[str, ...] = ()
    rgb: tuple[float, float, float] = (0.640, 0.555, 0.468)
    false_color: tuple[float, float, float] = (0.865, 0.665, 0.560)
    source: str = ''
    detector: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the fields and fill the defaults."""
        if not self.default_bands:
            # a frozen dataclass can only be completed through object.__setattr__
            object.__setattr__(self, 'default_bands', self.bands.names)
        self.bands.indices(self.default_bands)
        if self.detector and len(self.detector) != len(self.bands):
            raise BandMismatchError(
                f'Expected a detector for each of the {len(self.bands)} bands of '
                f'{self.name}, got {len(self.detector)}.'
            )
        check_micrometres(self.rgb, 3, 'rgb')
        check_micrometres(self.false_color, 3, 'false_color')

    @property
    def default_bandset(self) -> BandSet:
        """The default bands with their centres and widths."""
        return self.bands.select(self.default_bands)

    def renamed(self, name: str) -> Self:
        """Return the same sensor under another name.

        Args:
            name: The new name.

        Returns:
            The renamed sensor.
        """
        return replace(self, name=name)

    def by_wavelength(self) -> Self:
        """Return the same sensor with its bands ordered by wavelength.

        Returns:
            The sorted sensor.
        """
        bands = self.bands.by_wavelength()
        order = self.bands.indices(bands.names)
        keep = set(self.default_bands)
        return replace(
            self,
            bands=bands,
            default_bands=tuple(name for name in bands.names if name in keep),
            detector=tuple(self.detector[i] for i in order) if self.detector else (),
        )

    @classmethod
    def from_csv(cls, path: PathLike, name: str | None = None) -> Self:
        """Read a sensor from a table.

        The file starts with lines ``# title: ...`` and ``# source: ...`` and any other
        lines with ``#``. One row per band follows, in the order of the products, with
        the columns ``name``, ``wavelength_<unit>`` and, if known, ``fwhm_<unit>``,
        ``detector``, ``good`` and ``default`` (1 or 0).

        Args:
            path: The file.
            name: Name of the sensor; the stem of the file by default.

        Returns:
            The sensor.

        Raises:
            MetadataError: If the title, the source or a necessary column is missing.
            CorruptFileError: If a row is incomplete or a value is no number.
            UnitError: If a unit is not one of wavelength.
        """
        path = Path(path)
        lines = read_text(path).splitlines()
        head = _header([line[1:].strip() for line in lines if line.startswith('#')])
        if not {'title', 'source'} <= head.keys():
            raise MetadataError(
                f'Expected lines "# title: ..." and "# source: ..." in {path}. Add them.'
            )
        table = _columns([line for line in lines if not line.startswith('#')], path)
        names = tuple(table['name'])
        flags = {key: _flags(table[key], path) for key in _FLAG_COLUMNS & table.keys()}
        default = flags.get('default', [True] * len(names))
        centre, unit = _quantity(table, 'wavelength', path)
        fwhm, fwhm_unit = _quantity(table, 'fwhm', path)
        if centre is None or (fwhm is not None and fwhm_unit != unit):
            raise MetadataError(
                f'Expected a column such as "wavelength_nm" in {path}, and "fwhm_nm" '
                'in the same unit. Correct its head.'
            )
        try:
            bands = BandSet.from_unit(centre, unit, fwhm, names, flags.get('good'))
        except (BandMismatchError, EmptyDataError, UnitError) as error:
            raise type(error)(f'Bands of {path}: {error} Correct the table.') from error
        return cls(
            name=name or path.stem,
            title=head['title'],
            bands=bands,
            default_bands=tuple(n for n, d in zip(names, default, strict=True) if d),
            source=head['source'],
            detector=tuple(table.get('detector', ())),
        )


_FLAG_COLUMNS = {'good', 'default'}


def _header(comments: list[str]) -> dict[str, str]:
    """Collect the first ``key: value`` of each key."""
    head: dict[str, str] = {}
    for comment in comments:
        key, colon, value = comment.partition(': ')
        if colon:
            head.setdefault(key, value.strip())
    return head


def _columns(lines: list[str], path: Path) -> dict[str, list[str]]:
    """Split the rows of a table into columns."""
    try:
        rows = list(csv.reader(line for line in lines if line.strip()))
    except csv.Error as error:
        raise CorruptFileError(
            f'{path} is no table ({error}). Correct it, or copy it again.'
        ) from error
    if len(rows) < 2 or 'name' not in rows[0]:
        raise MetadataError(
            f'Expected a column "name" and at least one band in {path}. Add them.'
        )
    for row in rows:
        if len(row) != len(rows[0]):
            raise CorruptFileError(
                f'Expected {len(rows[0])} values in each row of {path}, got '
                f'{len(row)}: {",".join(row)[:60]}. Correct it.'
            )
    return {key: [row[i] for row in rows[1:]] for i, key in enumerate(rows[0])}


def _quantity(
    table: dict[str, list[str]], stem: str, path: Path
) -> tuple[list[float] | None, str]:
    """Find the column of a quantity, and the unit that its title ends with."""
    for key, values in table.items():
        if key.startswith(f'{stem}_'):
            try:
                return [float(value) for value in values], key[len(stem) + 1 :]
            except ValueError as error:
                raise CorruptFileError(
                    f'Expected numbers in column {key!r} of {path}: {error}. Correct it.'
                ) from error
    return None, ''


def _flags(values: Sequence[str], path: Path) -> list[bool]:
    """Read a column of 0 and 1."""
    try:
        return [_FLAGS[value] for value in values]
    except KeyError as error:
        raise CorruptFileError(
            f'Expected 0 or 1 as flags in {path}, got {error}. Correct it.'
        ) from error
