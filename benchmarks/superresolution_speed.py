# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Speed and memory of ESSAformer against the official network, and how both grow.

Both run on the same input with the same weights, without gradients, in this process, in
turns, so that a busy machine slows both; peak memory is taken in a process of its own
for each. Check out https://github.com/Rexzhan/ESSAformer into a folder. Without
``--peer``, the baseline is the plain formulation that the network of this package uses
in training. The last line is one JSON object.

    python benchmarks/superresolution_speed.py --quick
    python benchmarks/superresolution_speed.py --peer DIR --threads 2 --out
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from _forward_cost import child_peak, forward_peak, seconds
from common import finish, header, option_parser
from torch import Tensor, nn

from torchgeo_hsi.models import get_model


def official(bands: int, dim: int, scale: int, peer: Path) -> nn.Module:
    """Build the official network."""
    sys.path.insert(0, str(peer))
    try:
        network: nn.Module = importlib.import_module('ESSA').ESSA(bands, dim, scale)
    finally:
        sys.path.pop(0)
    return network.eval()


def build(form: str, args: argparse.Namespace) -> Callable[[Tensor], Tensor]:
    """Return a function that runs one form of the network, always the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(args.seed)
        ours = get_model(
            'essaformer', in_channels=args.bands, dim=args.dim, scale=args.scale
        )
    ours.eval().to(args.device)
    if form == 'ours':
        return ours
    if args.peer is None:
        return lambda x: ours.conv_last(ours.blockup(ours.conv_first(x), True))
    peer = official(args.bands, args.dim, args.scale, args.peer)
    peer.load_state_dict(ours.state_dict())
    return peer.to(args.device)


def sides(args: argparse.Namespace) -> list[tuple[int, int]]:
    """Return rows and columns of coarse images of 1, 2 and 4 times the pixels."""
    size = args.size
    return [(size, size), (size, 2 * size), (2 * size, 2 * size)]


def peak(form: str, rows: int, columns: int, args: argparse.Namespace) -> float | None:
    """Return by how many MiB a forward pass raises the memory, in a new process."""
    options = ('threads', 'device', 'seed', 'dim', 'scale', 'bands')
    return child_peak(__file__, (form, str(rows), str(columns)), options, args)


def child(args: argparse.Namespace) -> None:
    """Run one form once, and print how much memory that took."""
    form, rows, columns = args.child
    network = build(form, args)
    x = torch.rand(1, args.bands, int(rows), int(columns), device=args.device)
    print(forward_peak(network, x))


def compare(rows: int, columns: int, args: argparse.Namespace) -> dict[str, Any]:
    """Time the official network and ours in turns."""
    generator = torch.Generator().manual_seed(args.seed)
    x = torch.rand(1, args.bands, rows, columns, generator=generator).to(args.device)
    forms = {form: build(form, args) for form in ('baseline', 'ours')}
    with torch.inference_mode():
        first = [form(x) for form in forms.values()]
        error = float((first[1] - first[0]).abs().max() / first[0].abs().max())
        runs: dict[str, list[tuple[float, float]]] = {form: [] for form in forms}
        for _ in range(args.repeats):
            for form, network in forms.items():
                runs[form].append(seconds(partial(network, x), args.device))
    # the fastest run is the one that nothing else on the machine disturbed
    wall = {form: min(run[0] for run in values) for form, values in runs.items()}
    processor = {form: min(run[1] for run in values) for form, values in runs.items()}
    peaks = {form: peak(form, rows, columns, args) for form in forms}
    speedup = wall['baseline'] / wall['ours']
    busy = processor['baseline'] / processor['ours']
    ratio = (peaks['ours'] or 0) / (peaks['baseline'] or 1)
    print(
        f'{rows:3d} x {columns:3d} to {rows * args.scale} x {columns * args.scale}: '
        f'{wall["baseline"]:6.2f} -> {wall["ours"]:6.2f} s, {speedup:.2f} x faster '
        f'({busy:.2f} x less processor time), '
        f'peak memory {peaks["baseline"] or 0:.0f} -> {peaks["ours"] or 0:.0f} MiB, '
        f'{ratio:.2f} of it, difference {error:.1e} of the largest value'
    )
    return {
        'pixels': rows * columns,
        'seconds': {form: round(value, 3) for form, value in wall.items()},
        'processor_seconds': {f: round(value, 3) for f, value in processor.items()},
        'speedup': round(speedup, 3),
        'processor_speedup': round(busy, 3),
        'peak_mib': {f: None if m is None else round(m) for f, m in peaks.items()},
        'memory_ratio': round(ratio, 3),
        'relative_difference': error,
    }


def growth(results: list[dict[str, Any]], key: str) -> float | None:
    """Return by how much a figure grows for each doubling of the pixels, at most."""
    values = [row[key]['ours'] for row in results]
    if None in values:
        return None
    steps = pairwise(values)
    return round(max(after / before for before, after in steps), 3)


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('superresolution_speed', __doc__)
    parser.add_argument('--peer', type=Path, help='folder of the official checkout')
    parser.add_argument('--size', type=int, default=32, help='coarse rows and columns')
    parser.add_argument('--bands', type=int, default=128)
    parser.add_argument('--dim', type=int, default=256)
    parser.add_argument('--scale', type=int, default=4)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument(
        '--device', default='cuda' if torch.cuda.is_available() else 'cpu'
    )
    parser.add_argument('--child', nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.child:
        child(args)
        return
    if args.quick:
        args.repeats, args.dim = 2, min(args.dim, 96)
    baseline = 'plain formulation' if args.peer is None else 'official network'
    print(f'{args.device}, {args.threads} threads; baseline: {baseline}')
    results = [compare(*side, args) for side in sides(args)]
    # other work on the machine does not count as time of the processor
    times = 'processor_seconds' if args.device == 'cpu' else 'seconds'
    result = {
        **header('superresolution_speed', args),
        'device': args.device,
        'baseline': baseline,
        'network': {'bands': args.bands, 'dim': args.dim, 'scale': args.scale},
        'sizes': results,
        'speedup': min(row['speedup'] for row in results),
        'processor_speedup': min(row['processor_speedup'] for row in results),
        'memory_ratio': max(row['memory_ratio'] for row in results),
        'time_growth': growth(results, times),
        'memory_growth': growth(results, 'peak_mib'),
    }
    finish(result, args.out)


if __name__ == '__main__':
    main()
