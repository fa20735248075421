# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Classes and bands of the standard benchmarks."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from ...physics import BandSet

__all__ = ('SceneClasses', 'load_scene_bands', 'load_scene_classes')


@dataclass(frozen=True)
class SceneClasses:
    """Classes of a benchmark, in the order of their codes.

    Args:
        codes: Code of each class in the label map.
        names: Name of each class.
        colors: Color of each class, as ``'#rrggbb'``.
        pixels: Labelled pixels of each class.
        official: Pixels of each class by the name of an official split, where one is
            known.
        source: Where all this comes from.

    Example:
        >>> table = load_scene_classes('pavia_university')
        >>> table.names[0], sum(table.pixels)
        ('Asphalt', 42776)
    """

    codes: tuple[int, ...]
    names: tuple[str, ...]
    colors: tuple[str, ...]
    pixels: tuple[int, ...]
    official: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    source: str = ''

    def __len__(self) -> int:
        """Return the number of classes."""
        return len(self.codes)


@cache
def load_scene_classes(name: str) -> SceneClasses:
    """Read the classes of a benchmark.

    Args:
        name: Name of the table, e.g. ``'salinas'``.

    Returns:
        The classes.
    """
    comments, rows = _read('classes', name)
    splits = [key for key in rows[0] if key in ('train', 'val', 'test')]
    return SceneClasses(
        codes=tuple(int(row['code']) for row in rows),
        names=tuple(row['name'] for row in rows),
        colors=tuple(row['color'] for row in rows),
        pixels=tuple(int(row['pixels']) for row in rows),
        official={key: tuple(int(row[key]) for row in rows) for key in splits},
        source=' '.join(comments),
    )


@cache
def load_scene_bands(name: str) -> BandSet:
    """Read the bands of a benchmark whose own wavelengths are known.

    Args:
        name: Name of the table, ``'indian_pines'`` or ``'houston_2013'``.

    Returns:
        The bands, in the order of the image.

    Example:
        >>> load_scene_bands('indian_pines')
        BandSet(200 bands, 0.40002 to 2.48911 µm)
    """
    rows = _read('bands', name)[1]
    wide = 'fwhm_nm' in rows[0]
    return BandSet.from_unit(
        [float(row['wavelength_nm']) for row in rows],
        'nm',
        fwhm=[float(row['fwhm_nm']) for row in rows] if wide else None,
        names=[row['name'] for row in rows],
    )


def _read(folder: str, name: str) -> tuple[list[str], list[dict[str, str]]]:
    path = files(__package__) / folder / f'{name}.csv'
    lines = path.read_text(encoding='utf-8').splitlines()
    comments = [line[1:].strip() for line in lines if line.startswith('#')]
    return comments, list(csv.DictReader(li for li in lines if not li.startswith('#')))
