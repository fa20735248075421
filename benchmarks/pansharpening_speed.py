# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Speed and memory of pansharpening against the authors' code.

The same input in the same run: classical methods and Q2n against the toolbox, rho-PNN in
its fast preset against the authors' program. Memory is that of a process of its own. A
method that takes long is timed there, once, any other in this process, in turns, so that
a busy machine slows both. Check out
https://github.com/matciotola/hyperspectral_pansharpening_toolbox and
https://github.com/giu-guarino/rho-PNN into one folder, under these names; methods that
need PyWavelets (GSA, AWLP) or cvxpy with piqp (BDSD-PC) are left out without. Without
``--peer``, the baselines are plain formulations, and the published schedule of rho-PNN
in this package. The last line is one JSON object.

    python benchmarks/pansharpening_speed.py --quick
    python benchmarks/pansharpening_speed.py --peer DIR --threads 2 --out
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import torch
from _sharpening_peers import (
    METHODS,
    RATIO,
    TV_BANDS,
    Inputs,
    is_comparable,
    official,
    official_q2n,
    run_official_rho,
)
from _sharpening_plain import PLAIN, q2n_by_recursion
from _sharpening_timing import FORMS, LONG, measured, row_of, show, turns
from common import finish, header, option_parser
from torch import Tensor

from tests.data.pansharpening_scene.data import GAIN
from torchgeo_hsi.metrics import DLambdaK, DRho, ergas, q2n
from torchgeo_hsi.models import get_model
from torchgeo_hsi.models.pansharpening.rho_pnn import SpectralTarget

#: Options of new processes.
HANDED_ON = ('threads', 'seed', 'bands', 'size', 'rho_bands', 'rho_size', 'schedule')

#: Rows and columns that the smallest baselines need, and bands of a first, unseen call.
LEAST, FEW = 186, 4


def build(
    form: str, name: str, args: argparse.Namespace, dtype: torch.dtype = torch.float64
) -> Callable[[Inputs], Tensor]:
    """Return a function that sharpens."""
    peer = args.peer
    if form == 'baseline':
        return PLAIN[name] if peer is None else official(name, peer)[0]
    words: dict[str, Any] = {'boundary': 'circular'}
    if name in ('tv', 'hysure'):
        words['as_published'] = True
    if name == 'tv' and peer is not None:
        words['pan_weights'] = official(name, peer)[1]
    if name == 'hysure':
        words['overlap'] = list(range(min(bands_of(name, args), 26)))
    method = get_model(name, **words)

    def run(inputs: Inputs) -> Tensor:
        cube, pan, up = (x.to(dtype) for x in inputs[:3])
        with torch.no_grad():
            image: Tensor = method(cube, pan, up=up)
        return image

    return run


def bands_of(name: str, args: argparse.Namespace) -> int:
    """Return with how many bands a method is run."""
    if name == 'tv':
        return TV_BANDS
    # theirs takes three seconds for each
    return min(args.bands, 16) if name == 'sr_d' else args.bands


def warm(form: str, name: str, args: argparse.Namespace) -> None:
    """Let libraries load their parts, with a small input."""
    if name == 'tv':
        build(form, name, args)(Inputs.of(TV_BANDS, 60))
    elif name != 'hysure':
        build(form, name, args)(Inputs.of(FEW, LEAST))


def fork(form: str, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run a form of something in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / 'found.pt'
        command = [sys.executable, __file__, '--child', form, name, str(file)]
        for option in HANDED_ON:
            command += [f'--{option.replace("_", "-")}', str(getattr(args, option))]
        if args.peer is not None:
            command += ['--peer', str(args.peer.resolve())]
        subprocess.run(command, check=True, timeout=args.limit)
        found: dict[str, Any] = torch.load(file)
    return found


def child(form: str, name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run a form of something once, and say what it took."""
    if name == 'rho_pnn':
        return child_rho(form, args)
    if name == 'q2n':
        call, inputs = build_q2n(form, args), q2n_inputs(q2n_bands(args))
        call(*(x[:, :FEW] for x in inputs))
        _, seconds, peak = measured(lambda: call(*inputs))
        return {'seconds': seconds, 'mib': peak}
    warm(form, name, args)
    method = build(form, name, args)
    pair = Inputs.of(bands_of(name, args), args.size)
    image, seconds, peak = measured(lambda: method(pair))
    return {'seconds': seconds, 'mib': peak, 'image': image}


def child_rho(form: str, args: argparse.Namespace) -> dict[str, Any]:
    """Run one form of rho-PNN, and look at the result."""
    pair = Inputs.of(args.rho_bands, args.rho_size)
    parts: dict[str, float] = {}
    if form == 'baseline' and args.peer is not None:
        with tempfile.TemporaryDirectory() as folder:
            (image, parts), _, peak = measured(
                lambda: run_official_rho(
                    args.peer, pair, args.schedule, Path(folder), args.seed
                )
            )
        seconds = parts['all']
    else:
        preset = args.schedule if form == 'baseline' else 'fast'
        words: dict[str, Any] = {'pretrain_epochs': 60} if args.quick else {}
        model = get_model(
            'rho_pnn', preset=preset, seed=args.seed, boundary='circular', **words
        )
        single = [x.float() for x in pair[:3]]
        image, seconds, peak = measured(
            lambda: model(single[0], single[1], up=single[2])
        )
        image = image.double().round()
        parts = {'steps': sum(len(r.spectral) for r in model.records)}
    found = {key: round(value, 2) for key, value in parts.items()}
    return {'seconds': seconds, 'mib': peak, **look(image, pair), 'parts': found}


def look(image: Tensor, pair: Inputs) -> dict[str, float]:
    """Score a result of rho-PNN without, and with, the truth."""
    target = SpectralTarget(pair.cube[0][:, None], RATIO, GAIN, 61)
    losses = [target.losses(x[0][:, None]) for x in (image, pair.up)]
    scores: dict[str, float] = {'spectral_ratio': float((losses[0] / losses[1]).mean())}
    metrics: dict[str, Any] = {'d_lambda_k': DLambdaK(gain=GAIN), 'd_rho': DRho()}
    for key, metric in metrics.items():
        metric.update(image, pair.cube, pair.pan)
        scores[key] = float(metric.compute())
    return scores | {'ergas': error_of(image, pair)}


def error_of(image: Tensor, pair: Inputs) -> float:
    """Compute the ERGAS of a result, without its border."""
    inner = (..., slice(10, -11), slice(10, -11))
    return float(ergas(image[inner], pair.truth[inner], RATIO))


def once(
    name: str, calls: dict[str, Callable[[], Any]], args: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Run each form once, in new processes unless in a hurry."""
    if not args.quick:
        return {form: fork(form, name, args) for form in FORMS}
    found = {}
    for form, call in calls.items():
        if form == 'ours':
            call()
        image, seconds, peak = measured(call)
        found[form] = {'seconds': seconds, 'mib': peak, 'image': image}
    return found


def compare_method(name: str, args: argparse.Namespace) -> dict[str, Any]:
    """Compare one classical method."""
    bands = bands_of(name, args)
    pair = Inputs.of(bands, args.size)
    calls = {form: partial(build(form, name, args), pair) for form in FORMS}
    found = once(name, calls, args)
    seconds, mib, images = (
        {form: found[form][key] for form in FORMS}
        for key in ('seconds', 'mib', 'image')
    )
    if seconds['baseline'] <= LONG:
        _, seconds = turns(calls, args.repeats)
    gap = (images['ours'] - images['baseline']).abs()
    errors = {form: error_of(images[form], pair) for form in FORMS}
    more: dict[str, Any] = {
        'bands': bands,
        'max_difference': float(f'{float(gap.max()):.3g}'),
        'mean_difference': float(f'{float(gap.mean()):.3g}'),
        'ergas': {form: round(value, 5) for form, value in errors.items()},
    }
    if seconds['ours'] < LONG:
        single = {'ours': partial(build('ours', name, args, torch.float32), pair)}
        more['seconds_float32'] = round(turns(single, 2)[1]['ours'], 4)
    row = row_of(seconds, mib, **more)
    show(
        name,
        row,
        f'ERGAS {errors["baseline"]:.4f}, {errors["ours"]:.4f}, difference '
        f'{more["mean_difference"]:.2g}, {more["max_difference"]:.2g} at most',
    )
    return row


def q2n_bands(args: argparse.Namespace) -> int:
    """Return as many bands as the field's products have, but for a quick look."""
    return int(args.bands) if args.quick else TV_BANDS


def q2n_inputs(bands: int) -> tuple[Tensor, Tensor]:
    """Return a result and a truth of two blocks."""
    pair = Inputs.of(bands)
    part = (..., slice(64, 96), slice(64, 128))
    return pair.up[part].contiguous(), pair.truth[part].contiguous()


def build_q2n(form: str, args: argparse.Namespace) -> Callable[[Tensor, Tensor], float]:
    """Return a function that scores."""
    if form == 'ours':
        return lambda image, truth: float(q2n(image, truth, rounded=True))
    return q2n_by_recursion if args.peer is None else official_q2n(args.peer)


def compare_q2n(args: argparse.Namespace) -> dict[str, Any]:
    """Compare the index of two blocks, and time ours on a whole image."""
    bands = q2n_bands(args)
    inputs = q2n_inputs(bands)
    calls = {form: partial(build_q2n(form, args), *inputs) for form in FORMS}
    found = once('q2n', calls, args)
    mib = {form: found[form]['mib'] for form in FORMS}
    scores, seconds = turns(calls, args.repeats)
    gap = abs(scores[1] - scores[0])
    row = row_of(seconds, mib, bands=bands, difference=gap)
    show('q2n, 2 blocks', row, f'difference {gap:.1e}')
    size = 96 if args.quick else 579
    generator = torch.Generator().manual_seed(args.seed)
    truth = 4000 + 4000 * torch.rand(1, bands, size, size, generator=generator)
    image = truth + 300 * torch.rand(truth.shape, generator=generator)
    _, took, peak = measured(lambda: q2n(image, truth, rounded=True))
    row['image'] = {
        'shape': [bands, size, size],
        'seconds': round(took, 2),
        'mib': round(peak),
    }
    print(f'q2n, ours on {bands} x {size} x {size}: {took:.1f} s, {peak:.0f} MiB')
    return row


def compare_rho(args: argparse.Namespace) -> dict[str, Any]:
    """Compare rho-PNN, each form in a process of its own."""
    if args.quick:
        # in a hurry, both forms are those of this package
        args = argparse.Namespace(**vars(args) | {'peer': None})
        found = {form: child_rho(form, args) for form in FORMS}
    else:
        found = {form: fork(form, 'rho_pnn', args) for form in FORMS}
    seconds = {form: found[form].pop('seconds') for form in FORMS}
    mib = {form: found[form].pop('mib') for form in FORMS}
    pair = Inputs.of(args.rho_bands, args.rho_size)
    row = row_of(
        seconds,
        mib,
        bands=args.rho_bands,
        shape=[args.rho_size] * 2,
        schedule=args.schedule,
        results=found,
        interpolated=look(pair.up, pair),
    )
    if 'without_effect' in found['baseline']['parts']:
        spent = found['baseline']['parts']['without_effect']
        # the published program also trains networks that it does not use
        row['speedup_of_effective_part'] = round(
            (seconds['baseline'] - spent) / seconds['ours'], 2
        )
    show('rho_pnn', row, f'{args.rho_size} x {args.rho_size}, {args.schedule}')
    for form, scores in {'interpolated': row['interpolated'], **found}.items():
        cells = [f'{k} {v:.4f}' for k, v in scores.items() if k != 'parts']
        print(f'  {form:12s}', ', '.join(cells), scores.get('parts', ''), flush=True)
    return row


def options() -> argparse.Namespace:
    """Read the options."""
    parser = option_parser('pansharpening_speed', __doc__)
    parser.add_argument('--peer', type=Path, help='folder of the official checkouts')
    parser.add_argument('--bands', type=int, default=64)
    parser.add_argument('--size', type=int, default=192, help='rows and columns')
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--methods', nargs='*', help='all by default')
    parser.add_argument('--parts', nargs='+', default=('classical', 'q2n', 'rho'))
    parser.add_argument('--rho-bands', type=int, default=6)
    parser.add_argument('--rho-size', type=int, default=192)
    parser.add_argument('--schedule', choices=('reduced', 'full'), default='reduced')
    parser.add_argument(
        '--limit', type=float, default=3600, help='seconds of a process'
    )
    parser.add_argument('--child', nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick and not args.child:
        # theirs cannot do with less than 31 pixels of the cube along a side
        args.bands, args.size = (16, 96) if args.peer is None else (4, 192)
        args.repeats = 2
        args.rho_bands, args.rho_size = 2, 60
    return args


def main() -> None:
    """Run the benchmark."""
    args = options()
    torch.set_num_threads(args.threads)
    if args.child:
        torch.save(child(*args.child[:2], args), args.child[2])
        return
    baseline = 'plain formulation' if args.peer is None else 'official code'
    print(f'{args.threads} threads, baseline: {baseline}')
    names = args.methods or list(METHODS)
    if args.peer is None:
        names = [name for name in names if name in PLAIN]
    left_out = [n for n in names if args.peer and not is_comparable(n, args.peer)]
    names = [name for name in names if name not in left_out]
    if args.quick:
        # theirs take minutes
        names = [name for name in names if name not in ('tv', 'sr_d', 'hysure')]
    rows: dict[str, Any] = {}
    if 'classical' in args.parts:
        rows = {name: compare_method(name, args) for name in names}
    result: dict[str, Any] = {**header('pansharpening_speed', args)}
    result |= {'baseline': baseline, 'left_out': left_out, 'methods': dict(rows)}
    if rows:
        result['classical_speedup_median'] = median(r['speedup'] for r in rows.values())
    for part, compare in (('q2n', compare_q2n), ('rho', compare_rho)):
        if part in args.parts:
            key = 'rho_pnn' if part == 'rho' else part
            rows[key] = result[key] = compare(args)
            result[f'{key}_speedup'] = rows[key]['speedup']
    result['memory_ratio'] = median(r['memory_ratio'] for r in rows.values())
    finish(result, args.out)


if __name__ == '__main__':
    main()
