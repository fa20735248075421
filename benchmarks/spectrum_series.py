# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Spectra as series: other bands, networks for any sensor, speed.

Three parts. "spectra": mixed pixels of simulated scenes, seen through the Gaussian
responses of EnMAP and of another sensor, so that what the other one sees is known;
series against linear interpolation, a cubic spline and Gaussian SRF resampling, with and
without the noise of EnMAP; and real spectra of Potsdam, where each fifth band is
predicted from the others, or which go to PRISMA and back. "adapters": a small network
learns land cover from EnMAP and sees another ground through other sensors, with the
statistics of EnMAP only. "speed": the adapters in turns. The last line is one JSON
object.

    python benchmarks/spectrum_series.py --quick
    python benchmarks/spectrum_series.py --threads 1 --out
"""

import json
import time
from collections.abc import Callable
from typing import Any

import torch
from _series_adapters import compare, speed
from _series_spectra import DATA, left_out, round_trip, simulated
from common import finish, header, option_parser

PARTS = ('spectra', 'adapters', 'speed')


def run_spectra(seeds: list[int], quick: bool) -> dict[str, Any]:
    """Compare methods on spectra."""
    size = 24 if quick else 96
    result: dict[str, Any] = {
        f'enmap_to_{name}': simulated(name, seeds, size) for name in ('prisma', 'emit')
    }
    if (DATA / 'enmap_potsdam').is_dir():
        limit = 1000 if quick else None
        result['left_out'] = left_out(5, limit)
        result['round_trip'] = round_trip(limit)
    else:
        print(f'no real spectra in {DATA} (TORCHGEO_HSI_DATA)')
    return result


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('spectrum_series', __doc__)
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=PARTS)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--steps', type=int, default=300)
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.steps = args.seeds[:1], 10
    torch.set_num_threads(args.threads)
    result: dict[str, Any] = {}
    if args.out is not None and args.out.is_file():
        # parts that are not run again stay
        result = json.loads(args.out.read_text())
    result |= header('spectrum_series', args)
    result |= {'seeds': args.seeds, 'steps': args.steps}
    quick, seeds = args.quick, args.seeds
    runs: dict[str, Callable[[], dict[str, Any]]] = {
        'spectra': lambda: run_spectra(seeds, quick),
        'adapters': lambda: compare(seeds, args.steps, 48 if quick else 96),
        'speed': lambda: speed(64 if quick else 128, 3 if quick else 9),
    }
    for part in args.parts:
        start = time.perf_counter()
        result[part] = runs[part]()
        result[part]['part_seconds'] = round(time.perf_counter() - start, 1)
    finish(result, args.out)


if __name__ == '__main__':
    main()
