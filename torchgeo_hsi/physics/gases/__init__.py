# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Gases in the air: how plumes of them change the bands of a sensor."""

from functools import cache
from importlib.resources import as_file, files

from ..._registry import Registry
from .absorption import GasAbsorption, air_mass
from .band_model import BandModel
from .clusters import SpectralClusters
from .emission import Emission, effective_wind, emission_rate, plume_mask
from .matched_filter import GasRetrieval, MatchedFilter
from .us_atmosphere import standard_atmosphere

__all__ = (
    'BandModel',
    'Emission',
    'GasAbsorption',
    'GasRetrieval',
    'MatchedFilter',
    'SpectralClusters',
    'air_mass',
    'effective_wind',
    'emission_rate',
    'get_gas',
    'list_gases',
    'plume_mask',
    'standard_atmosphere',
)


@cache
def _registry() -> Registry[GasAbsorption]:
    """Read our tables on first use and not on import."""
    registry: Registry[GasAbsorption] = Registry('gas')
    for entry in sorted(files(__name__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith('.csv'):
            with as_file(entry) as path:
                gas = GasAbsorption.from_csv(path)
            registry.add(gas.name, gas, owner='torchgeo-hsi')
    return registry


def get_gas(name: str) -> GasAbsorption:
    """Look up a gas.

    Args:
        name: ``'methane'`` or ``'carbon_dioxide'``.

    Returns:
        The gas, with its absorption between 1.42 and 2.43 µm.

    Raises:
        UnknownNameError: If no gas has this name.

    Example:
        >>> get_gas('methane').formula
        'CH4'
    """
    return _registry().get(name)


def list_gases() -> list[str]:
    """List the names of the gases.

    Returns:
        The names, sorted.
    """
    return _registry().list('*')
