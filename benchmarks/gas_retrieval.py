# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Methane that a matched filter finds, against the methane that is there.

Plumes of known rate lie in simulated EnMAP scenes, as part of the signal, and are put
into a real one (Potsdam), whose bands are multiplied by what the gas lets through. Each
is mapped with several backgrounds, the classic filter (one background, no albedo) being
the baseline. Of each map: the slope of what was found against what is there, the mass in
the plume as a share of the truth, the error and scatter of single pixels, whether the
plume is outlined at its source, and how many pixels of scenes without a plume stand out.
The absorption is the same in both directions, so none of this tests the absorption; nor
is there a real plume. Then what explains the results: thick columns, which a linear
filter underestimates; the size of the scene; the brightness of pixels; which bands are
used. At last, how long a map takes against a plain loop over pixels.

    python benchmarks/gas_retrieval.py --quick
    python benchmarks/gas_retrieval.py --out
"""

import argparse
import json
import time
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
import torch
from _gas_parts import brightness, saturation, sizes, windows
from _gas_scenes import SITES, WIND, Plume, has_potsdam, potsdam, simulated
from common import finish, header, option_parser

from torchgeo_hsi.physics.gases import (
    MatchedFilter,
    effective_wind,
    emission_rate,
    get_gas,
    plume_mask,
)
from torchgeo_hsi.workflows import map_gas

#: Options of the maps by name; the first is the baseline.
METHODS: dict[str, dict[str, Any]] = {
    'classic': {'background': 'plain', 'albedo': False, 'clusters': 1},
    'albedo': {'background': 'plain', 'clusters': 1},
    'trimmed': {'background': 'trimmed', 'clusters': 1},
    'sparse': {'background': 'sparse', 'clusters': 1},
    'clusters': {'background': 'plain', 'clusters': 8},
    'clusters_trimmed': {'background': 'trimmed', 'clusters': 8},
    'clusters_sparse': {'background': 'sparse', 'clusters': 8},
}
RATES = (0.0, 500.0, 1000.0, 2000.0, 5000.0, 10_000.0, 20_000.0)

#: Enhancement in ppm m from which on a pixel belongs to a plume, and up to which to none.
PLUME, NONE = 500.0, 10.0

#: What can be measured alone.
PARTS = ('maps', 'filter', 'speed')

METHANE = get_gas('methane')


def score(plume: Plume, folder: Path, options: dict[str, Any]) -> dict[str, float]:
    """Map a scene, and compare the map with the truth."""
    out = folder / 'map.tif'
    start = time.perf_counter()
    report = map_gas(plume.path, out, overwrite=True, **plume.options, **options)
    seconds = time.perf_counter() - start
    with rasterio.open(out) as src:
        column, error = src.read()
    known = np.isfinite(column) & np.isfinite(plume.truth)
    away = known & (plume.truth < NONE)
    ratio = column[away] / error[away]
    found: dict[str, float] = {
        'seconds': seconds,
        'error': report.error,
        'scatter': _spread(column[away]),
        'bias': float(np.median(column[away])),
        'spread': _spread(ratio),
        'share_with_result': float(known.sum() / np.isfinite(plume.truth).sum()),
        'above_5': int((ratio > 5).sum()),
        'below_5': int((ratio < -5).sum()),
        'pixels': int(away.sum()),
    }
    if not (plume.truth > 0).any():
        found['outlined_elsewhere'] = outlined(column, error, known)
    mask = plume_mask(column, error, source=plume.source)
    found['outlined'] = float(mask.any())
    inside = known & (plume.truth > PLUME)
    if inside.sum() > 10:
        truth, seen = plume.truth[inside], column[inside]
        found['slope'] = float((truth * seen).sum() / (truth**2).sum())
        found['mass'] = float(seen.sum() / truth.sum())
        found['rmse'] = float(np.sqrt(((seen - truth) ** 2).mean()))
        found['plume_pixels'] = int(inside.sum())
    if mask.any():
        words = {'pixel_size': 30.0, 'wind': effective_wind(WIND), 'error': error}
        found['rate'] = emission_rate(column, mask, METHANE, **words).rate
    return found


def outlined(column: Any, error: Any, known: Any, count: int = 60) -> float:
    """Return at which share of random places without gas a plume is outlined."""
    rng = np.random.default_rng(0)
    places = rng.permutation(np.argwhere(known))[:count].tolist()
    hits = [plume_mask(column, error, source=(r, c)).any() for r, c in places]
    return float(np.mean(hits))


def _spread(values: Any) -> float:
    """Return the standard deviation of a normal distribution with these quartiles."""
    low, high = np.quantile(values, (0.25, 0.75))
    return float(high - low) / 1.349


def average(runs: list[dict[str, float]]) -> dict[str, float]:
    """Average what all runs, or some of them, have found."""
    names = dict.fromkeys(name for run in runs for name in run)
    return {
        name: round(fmean(run[name] for run in runs if name in run), 4)
        for name in names
    }


def scenes(
    kind: str, rate: float, args: argparse.Namespace, folder: Path
) -> list[Plume]:
    """Make the scenes of a kind with a rate."""
    if kind == 'simulated':
        size = 96 if args.quick else 256
        return [simulated(folder, rate, args.seed + k, size) for k in range(args.seeds)]
    sites = range(min(args.seeds + 1, len(SITES))) if rate else (0,)
    return [potsdam(folder, rate, site) for site in sites]


def measure(kind: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Map all scenes of a kind with all methods."""
    result: dict[str, Any] = {}
    for rate in args.rates:
        plumes = scenes(kind, rate, args, folder)
        cell = {}
        for name in args.methods:
            runs = [score(plume, folder, METHODS[name]) for plume in plumes]
            cell[name] = average(runs)
            _show(kind, rate, name, cell[name])
        result[f'{rate:g}'] = cell
    return result


def _show(kind: str, rate: float, name: str, found: dict[str, float]) -> None:
    words = ', '.join(f'{k} {v:.4g}' for k, v in found.items())
    print(f'{kind} {rate:6g} kg/h {name:17s} {words}', flush=True)


def ratios(cells: dict[str, Any], baseline: str) -> dict[str, Any]:
    """Divide scatter, outliers and errors in plumes by those of the baseline."""
    found: dict[str, Any] = {}
    for rate, cell in cells.items():
        base = cell[baseline]
        found[rate] = {
            name: {
                key: round(own[key] / base[key], 3)
                for key in ('scatter', 'rmse', 'above_5')
                if base.get(key) and key in own
            }
            for name, own in cell.items()
            if name != baseline
        }
    return found


def race(turns: int) -> dict[str, float]:
    """Compare the filter with the formula for one pixel after the other in numpy."""
    rng = np.random.default_rng(0)
    cube = 2000 + 200 * rng.standard_normal((64, 1, 1)) + np.zeros((64, 200, 200))
    cube = (cube * (1 + 0.1 * rng.standard_normal((200, 200)))).astype(np.float32)
    cube += 5 * rng.standard_normal(cube.shape).astype(np.float32)
    absorption = 2e-5 * rng.random(64)
    image = torch.from_numpy(cube)

    def ours() -> Any:
        return MatchedFilter(absorption, shrinkage=0).fit(image)(image).enhancement

    def plain() -> Any:
        pixels = cube.reshape(64, -1).T.astype(np.float64)
        mean = pixels.mean(0)
        inverse = np.linalg.inv(np.cov(pixels.T))
        target = -mean * absorption
        weight = inverse @ target / (target @ inverse @ target)
        light = mean @ absorption
        return [((x - mean) @ weight) / (x @ absorption / light) for x in pixels]

    np.testing.assert_allclose(ours().flatten(), plain(), rtol=1e-3, atol=1)
    times: dict[str, list[float]] = {'ours': [], 'plain': []}
    for _ in range(turns):
        for name, work in (('ours', ours), ('plain', plain)):
            start = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - start)
    own, other = (median(times[name]) for name in ('ours', 'plain'))
    return {
        'megapixels_per_second': round(cube[0].size / own / 1e6, 2),
        'times_as_fast_as_a_loop': round(other / own, 2),
    }


def main() -> None:
    """Run all parts."""
    parser = option_parser('gas_retrieval', __doc__)
    parser.add_argument('--seeds', type=int, default=3, help='scenes for each rate')
    parser.add_argument('--rates', type=float, nargs='+', help='kg/h')
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=list(METHODS))
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.seeds = 1 if args.quick else args.seeds
    args.rates = args.rates or ((0.0, 5000.0) if args.quick else RATES)
    if args.quick:
        args.methods = [m for m in args.methods if 'sparse' not in m]
    result: dict[str, Any] = {}
    if args.out is not None and args.out.exists() and set(args.parts) != set(PARTS):
        # the other parts stay
        result = json.loads(args.out.read_text())
    result |= header('gas_retrieval', args)
    with TemporaryDirectory() as folder:
        if 'maps' in args.parts:
            result |= maps(args, Path(folder))
        if 'filter' in args.parts:
            result |= parts(args, Path(folder))
    if 'speed' in args.parts:
        result['speed'] = race(3 if args.quick else 7)
    finish(result, args.out)


def maps(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Map plumes of all rates with all methods."""
    result: dict[str, Any] = {
        'wind': WIND,
        'rates': list(args.rates),
        'scenes': args.seeds,
        'methods': {name: METHODS[name] for name in args.methods},
    }
    for kind in ['simulated', *(['potsdam'] if has_potsdam() else [])]:
        cells = measure(kind, args, folder)
        result[kind] = cells
        result[f'{kind}_ratios'] = ratios(cells, args.methods[0])
        print(json.dumps(result[f'{kind}_ratios']))
    return result


def parts(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure what explains the results."""
    sides = (96,) if args.quick else (128, 256, 640)
    result: dict[str, Any] = {
        'share_found_of_thick_columns': saturation(),
        'share_found_of_2_t_h_by_size': sizes(folder, 2000.0, 1, sides),
    }
    if has_potsdam():
        result['response_of_potsdam'] = brightness()
        if not args.quick:
            result['error_of_potsdam_by_window'] = windows(folder)
    print(json.dumps(result))
    return result


if __name__ == '__main__':
    main()
