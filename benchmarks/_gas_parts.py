# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What else is measured of the retrieval of gases: size of scenes, brightness, windows."""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from _gas_scenes import SUN, Plume, mosaic, simulated
from numpy.typing import NDArray

from torchgeo_hsi.physics import get_sensor
from torchgeo_hsi.physics.gases import MatchedFilter, get_gas
from torchgeo_hsi.workflows import map_gas

#: Windows in micrometres that are compared.
WINDOWS: dict[str, tuple[tuple[float, float], ...]] = {
    '2.11-2.45': ((2.11, 2.45),),
    '1.6-1.78, 2.05-2.45': ((1.6, 1.78), (2.05, 2.45)),
    '1.5-1.78, 1.96-2.45': ((1.5, 1.78), (1.96, 2.45)),
}


def sizes(
    folder: Path, rate: float, seed: int, sides: tuple[int, ...]
) -> dict[str, Any]:
    """Return which share of a plume is found in scenes of several sizes.

    The difference of the maps with and without plume is taken, so that what the ground
    looks like does not matter.
    """
    found = {}
    for side in sides:
        without, plume = (simulated(folder, r, seed, side) for r in (0.0, rate))
        change = _column(plume, folder) - _column(without, folder)
        inside = np.isfinite(change) & (plume.truth > 500)
        share = float(change[inside].sum() / plume.truth[inside].sum())
        found[f'{side}'] = {'share': round(share, 4), 'pixels': int(inside.sum())}
    return found


def _column(plume: Plume, folder: Path) -> NDArray[np.float32]:
    out = folder / 'size.tif'
    map_gas(plume.path, out, overwrite=True, **plume.options)
    with rasterio.open(out) as src:
        column: NDArray[np.float32] = src.read(1)
    return column


def brightness() -> dict[str, list[float]]:
    """Return how pixels of Potsdam respond to gas, with two forms of brightness.

    Quantiles (5 and 95 %) of what is found of a little gas above each pixel, relative to
    the gas: of the filter here, and with the published brightness.
    """
    image, valid, bands = mosaic()
    inside = (bands.wavelength > 1.6) & (bands.wavelength < 1.78)
    inside |= bands.wavelength > 2.05
    chosen = np.flatnonzero(inside & bands.good).tolist()
    unit = get_gas('methane').absorption_coefficients(bands, sun_zenith=SUN)[chosen]
    cube, counting = torch.from_numpy(image[chosen]).double(), torch.from_numpy(valid)
    made = MatchedFilter(unit, albedo=False).fit(cube, counting)
    less = cube * (1 - unit)[:, None, None]
    # double precision: the difference of two maps of one unit of gas
    spectra, changed = cube[:, counting].mT, less[:, counting].mT
    mean = made.mean[0]
    filters = made._settled()
    change = (changed - spectra) @ filters.weight[0]
    forms = {
        'light_absorbed': (spectra @ unit) / (mean @ unit),
        'published': (spectra @ mean) / (mean @ mean),
    }
    share = torch.tensor([0.05, 0.95], dtype=torch.float64)
    return {
        name: [round(v, 4) for v in torch.quantile(change / form, share).tolist()]
        for name, form in forms.items()
    }


def windows(folder: Path) -> dict[str, Any]:
    """Return the median error in Potsdam with several windows, one background."""
    from _gas_scenes import potsdam

    scene = potsdam(folder, 0.0, 0)
    found: dict[str, Any] = {}
    for gas in ('methane', 'carbon_dioxide'):
        for name, ranges in WINDOWS.items():
            if gas == 'carbon_dioxide' and ranges[-1][0] > 2:
                continue
            for clusters in (1, 8):
                report = map_gas(
                    scene.path,
                    folder / 'window.tif',
                    gas,
                    windows=ranges,
                    background='plain',
                    clusters=clusters,
                    overwrite=True,
                    **scene.options,
                )
                found[f'{gas} {name}, {clusters} kinds'] = round(report.error, 1)
    return found


def saturation() -> dict[str, float]:
    """Return which share of uniform columns the linear filter finds."""
    methane = get_gas('methane')
    bands = get_sensor('enmap').bands.between(2.05, 2.45)
    absorption = methane.absorption_coefficients(bands)
    rng = torch.Generator().manual_seed(0)
    ground = 2000 + 4 * torch.randn(len(bands), 60, 60, generator=rng)
    bright = 1 + 0.2 * torch.randn(60, 60, generator=rng)
    made = MatchedFilter(absorption).fit(ground * bright)
    found = {}
    for column in (500.0, 2000.0, 5000.0, 10_000.0, 20_000.0, 50_000.0):
        share = methane.band_transmittance(bands, column)
        pixel = (made.mean[0] * share)[:, None, None]
        found[f'{column:g}'] = round(float(made(pixel).enhancement) / column, 4)
    return found
