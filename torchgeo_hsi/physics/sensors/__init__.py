# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Nominal bands of known sensors: one table with its source per sensor."""

from functools import cache
from importlib.resources import as_file, files

from ..._registry import Registry
from ...errors import NameClashError
from .sensor import Sensor

__all__ = ('Sensor', 'get_sensor', 'list_sensors', 'register_sensor')

_OWNER = 'torchgeo-hsi'

#: Products that come in the order of wavelength, although their table is in that of the
#: detectors; the table as it is gets the second name.
_SORTED = {'enmap': 'enmap_detector'}


@cache
def _registry() -> Registry[Sensor]:
    """Read our tables on first use and not on import."""
    registry: Registry[Sensor] = Registry('sensor')
    folder = files(__name__)
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith('.csv'):
            with as_file(entry) as path:
                sensor = Sensor.from_csv(path)
            if sensor.name in _SORTED:
                unsorted = sensor.renamed(_SORTED[sensor.name])
                registry.add(unsorted.name, unsorted, owner=_OWNER)
                sensor = sensor.by_wavelength()
            registry.add(sensor.name, sensor, owner=_OWNER)
    return registry


def get_sensor(name: str) -> Sensor:
    """Look up a sensor.

    Ours: ``aviris``, ``desis``, ``emit``, ``enmap``, ``enmap_detector``, ``hyperion``,
    ``prisma``, ``sentinel2``. Wavelengths and widths that a product carries itself are
    better than these nominal ones.

    Args:
        name: Name of the sensor.

    Returns:
        The sensor.

    Raises:
        UnknownNameError: If no sensor has this name.

    Example:
        >>> bands = get_sensor('enmap').bands
        >>> len(bands), bands.names[bands.nearest(0.64)]
        (224, 'B44')
    """
    return _registry().get(name)


def list_sensors(pattern: str = '*') -> list[str]:
    """List the names of the sensors.

    Args:
        pattern: Shell-style wildcard that the names have to match.

    Returns:
        The matching names, sorted.
    """
    return _registry().list(pattern)


def register_sensor(sensor: Sensor, *, owner: str, name: str | None = None) -> None:
    """Make a sensor known to :func:`get_sensor`.

    Plugins return theirs from the hook ``register_sensors`` instead of calling this.

    Args:
        sensor: The sensor.
        owner: Plugin or module that registers it.
        name: Name to find it by; has to be that of the sensor.

    Raises:
        NameClashError: If another sensor has this name, or *name* is not that of the
            sensor.
    """
    if name is not None and name != sensor.name:
        raise NameClashError(
            f'Expected the sensor {sensor.name!r} to be registered by its own name, '
            f'got {name!r}. Give the sensor that name.'
        )
    _registry().add(sensor.name, sensor, owner=owner)
