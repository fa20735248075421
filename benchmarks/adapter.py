# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Speed and memory of the spectral adapter against its plain Conv3d form.

Both forms run in this process on the same cube, in turns, so that a busy machine slows
both. The last line is one JSON object.

    python benchmarks/adapter.py --quick
    python benchmarks/adapter.py --threads 2 --out
"""

import argparse
import copy
import ctypes
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from common import finish, header, option_parser
from torch import Tensor, nn

from torchgeo_hsi.models import SpectralAdapter

#: A network that turns a cube into feature maps, and whether it wants a channel axis.
type Form = tuple[nn.Module, bool]


def memory(field: str) -> float | None:
    """Return a figure of this process in MiB (Linux only)."""
    status = Path('/proc/self/status')
    if not status.is_file():
        return None
    for line in status.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return None


def peak(step: Callable[[], None]) -> float | None:
    """Return by how many MiB a step raises the resident memory."""
    try:
        # what earlier runs left in the heap would be used again, unseen
        ctypes.CDLL(None).malloc_trim(0)
        # 5 resets the high-water mark
        Path('/proc/self/clear_refs').write_text('5')
    except (OSError, AttributeError):
        return None
    before = memory('VmRSS')
    step()
    after = memory('VmHWM')
    return None if before is None or after is None else after - before


def run(form: Form, x: Tensor) -> Tensor:
    """Run a form on a batch of cubes."""
    module, plain = form
    return module(x.unsqueeze(1)).squeeze(2) if plain else module(x)


def infer(form: Form, x: Tensor, _: Tensor) -> None:
    """Run the forward pass in evaluation mode."""
    form[0].eval()
    with torch.inference_mode():
        run(form, x)


def train(form: Form, x: Tensor, grad: Tensor) -> None:
    """Run the forward and the backward pass in training mode."""
    form[0].train()
    form[0].zero_grad()
    run(form, x).backward(grad)


def difference(forms: dict[str, Form], x: Tensor) -> float:
    """Return the largest difference of the outputs in evaluation mode."""
    with torch.inference_mode():
        plain, fast = (run((f[0].eval(), f[1]), x) for f in forms.values())
    return float((plain - fast).abs().max())


def compare(args: argparse.Namespace) -> dict[str, object]:
    """Time both forms in turns."""
    generator = torch.Generator().manual_seed(args.seed)
    with torch.random.fork_rng():
        torch.manual_seed(args.seed)
        fast = SpectralAdapter()
    plain = nn.Sequential(*copy.deepcopy(list(fast)))
    forms: dict[str, Form] = {'conv3d': (plain, True), 'fast': (fast, False)}
    shape = (args.batch, args.bands, args.size, args.size)
    x = torch.randn(shape, generator=generator)
    grad = torch.randn(args.batch, 128, args.size, args.size, generator=generator)
    figures: dict[str, object] = {'max_difference': difference(forms, x)}
    for task in (infer, train):
        times: dict[str, list[float]] = {name: [] for name in forms}
        peaks = {n: peak(partial(task, form, x, grad)) for n, form in forms.items()}
        for _ in range(args.repeats):
            for name, form in forms.items():
                start = time.perf_counter()
                task(form, x, grad)
                times[name].append(time.perf_counter() - start)
        medians = {name: statistics.median(values) for name, values in times.items()}
        ratio = medians['conv3d'] / medians['fast']
        figures[task.__name__] = {
            'ms': {name: round(1e3 * value, 1) for name, value in medians.items()},
            'peak_mib': {n: None if p is None else round(p) for n, p in peaks.items()},
            'speedup': round(ratio, 2),
        }
        print(
            f'{task.__name__:6s} conv3d {1e3 * medians["conv3d"]:8.1f} ms   '
            f'fast {1e3 * medians["fast"]:8.1f} ms   {ratio:.2f} x faster   '
            f'peak memory {peaks["conv3d"] or 0:.0f} -> {peaks["fast"] or 0:.0f} MiB'
        )
    return figures


def main() -> None:
    """Run the benchmark."""
    parser = option_parser('adapter', __doc__)
    parser.add_argument('--bands', type=int, default=202)
    parser.add_argument('--size', type=int, default=128)
    parser.add_argument('--batch', type=int, default=4)
    parser.add_argument('--repeats', type=int, default=9)
    args = parser.parse_args()
    if args.quick:
        args.batch, args.repeats = 1, 3
    torch.set_num_threads(args.threads)
    print(
        f'{args.batch} x {args.bands} x {args.size} x {args.size}, float32, '
        f'{args.threads} threads'
    )
    result = {
        **header('adapter', args),
        'input': [args.batch, args.bands, args.size, args.size],
        'repeats': args.repeats,
        **compare(args),
    }
    finish(result, args.out)


if __name__ == '__main__':
    main()
