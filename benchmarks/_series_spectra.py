# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""From the bands of EnMAP to others, by all methods, for spectrum_series.py."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _series_ground import add_noise, see, sensor_bands, simulate_ground
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from torchgeo_hsi.datasets import EnMAPL2A
from torchgeo_hsi.physics import BandSet, spectral_angle, srf_matrix
from torchgeo_hsi.physics.series import SpectrumSeries, find_windows

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('TORCHGEO_HSI_DATA', ROOT.parent / 'shared' / 'data'))

#: Spectral ranges in micrometres; the last bands of EnMAP's windows end them.
RANGES = {
    'all': (0.0, 3.0),
    'visible': (0.40, 0.70),
    'near_infrared': (0.70, 1.35),
    'swir_1': (1.45, 1.80),
    'swir_2': (1.95, 2.50),
}

#: Where both detectors of EnMAP see, in micrometres.
OVERLAP = (0.90, 1.00)

type Spectra = NDArray[np.float64]
#: Turns spectra (N, C) into those of other bands (N, M).
type Method = Callable[[Spectra], Spectra]


def make_methods(source: BandSet, target: BandSet) -> dict[str, Method]:
    """Make all methods for a pair of sensors."""

    def linear(x: Spectra) -> Spectra:
        return np.stack(
            [np.interp(target.wavelength, source.wavelength, row) for row in x]
        )

    def cubic(x: Spectra) -> Spectra:
        return CubicSpline(source.wavelength, x, axis=1)(target.wavelength)

    def matrix(values: torch.Tensor) -> Method:
        return lambda x: x @ values.numpy().T

    def series(**options: Any) -> Method:
        made = SpectrumSeries.of(source, **options)
        return matrix(made.resampling_matrix(target)[0])

    return {
        'linear interpolation': linear,
        'cubic spline': cubic,
        'SRF resampling': matrix(srf_matrix(source, target, min_coverage=0)),
        'series': series(),
        'series, 2 nm': series(smoothness=0.002),
        'series, 8 nm': series(smoothness=0.008),
        'series, no widths': series(fwhm=None),
    }


def errors(
    found: Spectra, truth: Spectra, wavelength: Spectra
) -> dict[str, dict[str, float]]:
    """Compare spectra: RMSE in DN (reflectance x 10 000), of the mean, and angle."""
    table = {}
    for name, (low, high) in RANGES.items():
        use = (wavelength > low) & (wavelength < high)
        if not use.any():
            continue
        difference = (found - truth)[:, use]
        rmse = float(np.sqrt((difference**2).mean()))
        angle = spectral_angle(
            torch.tensor(found[:, use]), torch.tensor(truth[:, use]), dim=1
        )
        table[name] = {
            'rmse_dn': round(1e4 * rmse, 3),
            'percent': round(100 * rmse / float(truth[:, use].mean()), 4),
            'sam_degrees': round(float(angle.rad2deg().mean()), 5),
        }
    return table


def average(tables: list[dict[str, dict[str, float]]]) -> dict[str, dict[str, Any]]:
    """Average over seeds; the RMSE of each seed is kept."""
    result: dict[str, dict[str, Any]] = {}
    for name in tables[0]:
        rows = [table[name] for table in tables]
        result[name] = {
            key: round(float(np.mean([row[key] for row in rows])), 4) for key in rows[0]
        }
        result[name]['rmse_dn_seeds'] = [row['rmse_dn'] for row in rows]
    return result


def show(title: str, table: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Print a table: RMSE by range, and the angle."""
    print(f'{title:32s}' + ''.join(f'{name:>15s}' for name in RANGES) + '    SAM')
    for method, row in table.items():
        cells = ''.join(
            f'{row[name]["rmse_dn"]:15.2f}' if name in row else ' ' * 15
            for name in RANGES
        )
        print(f'  {method:30s}{cells}{row["all"]["sam_degrees"]:7.3f}°', flush=True)


def simulated(
    target_name: str, seeds: list[int], size: int
) -> dict[str, dict[str, Any]]:
    """Go from EnMAP to another sensor where the truth is known."""
    source, target = sensor_bands('enmap'), sensor_bands(target_name)
    made = SpectrumSeries.of(source)
    inside = made.resampling_matrix(target)[1].numpy()
    target = target.select(np.flatnonzero(inside).tolist())
    methods = make_methods(source, target)
    tables: dict[str, dict[str, list[Any]]] = {
        kind: {name: [] for name in methods} for kind in ('clean', 'noisy')
    }
    for seed in seeds:
        ground = simulate_ground(seed, size)
        rng = np.random.default_rng(seed)
        clean = see(ground, source)
        truth = see(ground, target).reshape(-1, len(target))
        for kind, cube in (('clean', clean), ('noisy', add_noise(clean, source, rng))):
            for name, method in methods.items():
                found = method(cube.reshape(-1, len(source)))
                tables[kind][name].append(errors(found, truth, target.wavelength))
    result: dict[str, dict[str, Any]] = {'bands': {'compared': len(target)}}
    for kind, rows in tables.items():
        result[kind] = {name: average(row) for name, row in rows.items()}
        show(f'EnMAP -> {target_name}, {kind}, DN', result[kind])
    return result


def real_spectra() -> tuple[Spectra, BandSet]:
    """Read the tiles of Potsdam: reflectance (N, C), and the bands.

    Without those where the two detectors overlap: they disagree there by up to 8 %, so
    the bands in the order of their wavelengths make no curve.
    """
    scenes = EnMAPL2A(DATA / 'enmap_potsdam' / 'images')
    sample = scenes[scenes.bounds]
    image, valid = sample['image'], sample['valid'].bool()
    pixels = image[:, valid].T.double().numpy() / 1e4
    bands = BandSet(sample['wavelength'].numpy(), sample['fwhm'].numpy())
    spans = find_windows(bands.wavelength)
    use = [
        i
        for i, centre in enumerate(bands.wavelength)
        if any(low <= centre <= high for low, high in spans)
        and not OVERLAP[0] < centre < OVERLAP[1]
    ]
    return pixels[:, use], bands.select(use)


def left_out(every: int, limit: int | None) -> dict[str, Any]:
    """Predict each fifth band of real spectra from the others."""
    pixels, bands = real_spectra()
    pixels = pixels[:limit]
    truth, found = [], dict[str, list[Spectra]]()
    where = []
    for start in range(every):
        hidden = [
            i
            for i in range(start, len(bands), every)
            # in the middle of a window, with neighbours on both sides
            if 1 < i < len(bands) - 2
            and bands.wavelength[i + 2] - bands.wavelength[i - 2] < 0.06
        ]
        shown = [i for i in range(len(bands)) if i not in set(hidden)]
        source, target = bands.select(shown), bands.select(hidden)
        truth.append(pixels[:, hidden])
        where.append(target.wavelength)
        for name, method in make_methods(source, target).items():
            found.setdefault(name, []).append(method(pixels[:, shown]))
    together = np.concatenate(truth, axis=1)
    axis = np.concatenate(where)
    table = {
        name: errors(np.concatenate(parts, axis=1), together, axis)
        for name, parts in found.items()
    }
    show('real, each fifth band, DN', table)
    return {'spectra': len(pixels), 'bands': len(axis), **table}


def round_trip(limit: int | None) -> dict[str, Any]:
    """Take real spectra to PRISMA and back."""
    pixels, bands = real_spectra()
    pixels = pixels[:limit]
    prisma = sensor_bands('prisma')
    inside = SpectrumSeries.of(bands).resampling_matrix(prisma)[1].numpy()
    prisma = prisma.select(np.flatnonzero(inside).tolist())
    inside = SpectrumSeries.of(prisma).resampling_matrix(bands)[1].numpy()
    target = bands.select(np.flatnonzero(inside).tolist())
    there, back = make_methods(bands, prisma), make_methods(prisma, target)
    table = {
        name: errors(
            back[name](there[name](pixels)), pixels[:, inside], target.wavelength
        )
        for name in there
    }
    show('real, to PRISMA and back, DN', table)
    return {'spectra': len(pixels), 'bands': len(target), **table}
