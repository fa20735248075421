# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Speed and memory of HSDT-M and MAN v1 against the official networks.

Both run on the same input with the same weights, in this process, in turns, so that a
busy machine slows both; peak memory is taken in a process of its own for each. Check
out https://github.com/Zeqiang-Lai/HSDT and https://github.com/Zeqiang-Lai/MAN into one
folder as HSDT and MAN. Without ``--peer``, the baseline is the plain formulation that
the networks of this package use in training. The last line is one JSON object.

    python benchmarks/denoising_speed.py --quick
    python benchmarks/denoising_speed.py --peer DIR --threads 2 --out
"""

import argparse
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _forward_cost import child_peak, forward_peak, seconds
from common import finish, header, option_parser
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from torchgeo_hsi.layers import volume_conv
from torchgeo_hsi.models import get_model

#: Our name, and folder, module and function of the official network.
NETWORKS = {'hsdt_m': ('HSDT', 'hsdt', 'hsdt'), 'man_v1': ('MAN', 'mans', 'man')}


@contextmanager
def plain() -> Iterator[None]:
    """Let the networks of this package take the way that they take in training."""
    volume_conv._STREAMS = False
    try:
        yield
    finally:
        volume_conv._STREAMS = True


def official(name: str, bands: int, peer: Path) -> nn.Module:
    """Build the official network, HSDT with queries for that number of bands."""
    folder, module, function = NETWORKS[name]
    sys.path.insert(0, str(peer / folder))
    try:
        network: nn.Module = getattr(importlib.import_module(module), function)()
    finally:
        sys.path.pop(0)
    for block in network.modules():
        if hasattr(block, 'num_bands') and hasattr(block, 'attn_proj'):
            block.num_bands = bands
            block.attn_proj = nn.Linear(block.attn_proj.in_features, bands)
    return network.eval()


def build(
    form: str, name: str, bands: int, args: argparse.Namespace
) -> Callable[[Tensor], Tensor]:
    """Return a function that runs one form of a network, always the same weights."""
    with torch.random.fork_rng():
        torch.manual_seed(args.seed)
        ours = get_model(name, num_bands=bands if name == 'hsdt_m' else None).eval()
    ours.to(args.device)
    if form == 'ours':
        return ours
    if args.peer is None:

        def run_plainly(x: Tensor) -> Tensor:
            with plain():
                y: Tensor = ours(x)
            return y

        return run_plainly
    peer = official(name, bands, args.peer)
    peer.load_state_dict(ours.state_dict())
    peer.to(args.device)
    return lambda x: peer(x[:, None])[:, 0]


def gemm_rate(device: str) -> float:
    """Return the rate of a large matrix product, in operations per second."""
    size = 2048
    a, b = torch.rand(2, size, size, device=device)
    best = min(seconds(partial(torch.mm, a, b), device)[0] for _ in range(6))
    return 2 * size**3 / best


def peak(form: str, name: str, args: argparse.Namespace, bands: int) -> float | None:
    """Return by how many MiB a forward pass raises the memory, in a new process."""
    options = ('threads', 'size', 'device', 'seed')
    return child_peak(__file__, (form, name, str(bands)), options, args)


def child(args: argparse.Namespace) -> None:
    """Run one form once, and print how much memory that took."""
    form, name, bands = args.child
    network = build(form, name, int(bands), args)
    x = torch.rand(1, int(bands), args.size, args.size, device=args.device)
    print(forward_peak(network, x))


def operations(name: str, bands: int, x: Tensor) -> int:
    """Count the operations of the plain formulation."""
    network = get_model(name, num_bands=bands if name == 'hsdt_m' else None).eval()
    with plain(), torch.inference_mode(), FlopCounterMode(display=False) as counter:
        network.to(x.device)(x)
    return int(counter.get_total_flops())


def compare(name: str, bands: int, args: argparse.Namespace, rate: float) -> Any:
    """Time the official network and ours in turns."""
    generator = torch.Generator().manual_seed(args.seed)
    x = torch.rand(1, bands, args.size, args.size, generator=generator).to(args.device)
    forms = {form: build(form, name, bands, args) for form in ('baseline', 'ours')}
    with torch.inference_mode():
        first = [form(x) for form in forms.values()]
        scale = (first[0] - x).abs().max()
        error = float((first[1] - first[0]).abs().max() / scale)
        runs: dict[str, list[tuple[float, float]]] = {form: [] for form in forms}
        for _ in range(args.repeats):
            for form, network in forms.items():
                runs[form].append(seconds(partial(network, x), args.device))
    # the fastest run is the one that nothing else on the machine disturbed
    wall = {f: min(r[0] for r in runs[f]) for f in forms}
    processor = {f: min(r[1] for r in runs[f]) for f in forms}
    memory = {form: peak(form, name, args, bands) for form in forms}
    work = operations(name, bands, x)
    share = {form: work / wall[form] / rate for form in forms}
    ratio = (memory['ours'] or 0) / (memory['baseline'] or 1)
    speedup = wall['baseline'] / wall['ours']
    print(
        f'{name} {bands:3d} bands: {1e3 * wall["baseline"]:7.1f} -> '
        f'{1e3 * wall["ours"]:7.1f} ms, {speedup:.2f} x faster '
        f'({processor["baseline"] / processor["ours"]:.2f} x less processor time), '
        f'{share["baseline"]:.0%} -> {share["ours"]:.0%} of the GEMM rate, peak memory '
        f'{memory["baseline"] or 0:.0f} -> {memory["ours"] or 0:.0f} MiB, difference '
        f'{error:.1e} of the largest change'
    )
    return {
        'ms': {form: round(1e3 * value, 1) for form, value in wall.items()},
        'speedup': round(speedup, 3),
        'processor_speedup': round(processor['baseline'] / processor['ours'], 3),
        'peak_mib': {f: None if m is None else round(m) for f, m in memory.items()},
        'memory_ratio': round(ratio, 3),
        'gemm_share': {form: round(value, 3) for form, value in share.items()},
        'gflop': round(work / 1e9, 2),
        'relative_difference': error,
    }


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('denoising_speed', __doc__)
    parser.add_argument('--peer', type=Path, help='folder of the official checkouts')
    parser.add_argument('--size', type=int, default=64, help='rows and columns')
    parser.add_argument('--repeats', type=int, default=15)
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
        args.repeats, args.size = 3, min(args.size, 48)
    rate = gemm_rate(args.device)
    baseline = 'plain formulation' if args.peer is None else 'official network'
    print(f'{args.device}, {args.threads} threads, GEMM {rate / 1e9:.0f} GFLOP/s')
    print(f'baseline: {baseline}')
    rows = {
        f'{name}_{bands}': compare(name, bands, args, rate)
        for name in NETWORKS
        for bands in ((31,) if args.quick else (31, 202))
    }
    result = {
        **header('denoising_speed', args),
        'device': args.device,
        'baseline': baseline,
        'gemm_gflops': round(rate / 1e9, 1),
        'networks': rows,
        'hsdt_m_speedup': min(r['speedup'] for k, r in rows.items() if 'hsdt' in k),
        'man_v1_speedup': min(r['speedup'] for k, r in rows.items() if 'man' in k),
        'hsdt_m_memory_ratio': max(
            r['memory_ratio'] for k, r in rows.items() if 'hsdt' in k
        ),
        'man_v1_memory_ratio': max(
            r['memory_ratio'] for k, r in rows.items() if 'man' in k
        ),
        'gemm_share': rows['hsdt_m_31']['gemm_share']['ours'],
    }
    finish(result, args.out)


if __name__ == '__main__':
    main()
