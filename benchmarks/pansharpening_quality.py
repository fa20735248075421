# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""All methods of pansharpening on real cubes, under both protocols.

AVIRIS (Jasper Ridge and scenes of ABU) and EnMAP (Potsdam), reduced by the blur of the
sensor, with a PAN made of their visible bands. Reduced resolution compares with the
cube, in the lower half of each scene; networks learn from the upper half, everything else
learns nothing, or from cube and PAN alone. Full resolution does not look at the truth, and
scores the whole scene. EXP is the first row. The last line is one JSON object.

    python benchmarks/pansharpening_quality.py --quick
    python benchmarks/pansharpening_quality.py --out
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _sharpening_pairs import GAIN, RATIO, RealPair, make_pair
from common import finish, header, option_parser

from torchgeo_hsi.callbacks import plot_records
from torchgeo_hsi.cli._sharpening_runs import PROTOCOLS, score
from torchgeo_hsi.losses import RestorationLoss
from torchgeo_hsi.models import Pansharpener, get_model

CUBES = ('jasper_ridge', 'enmap', 'abu-urban-1', 'abu-airport-1')

CLASSICAL = (
    *('exp', 'brovey', 'gs', 'gsa', 'bt_h', 'bdsd', 'bdsd_pc', 'pracs'),
    *('awlp', 'mf', 'mtf_glp', 'mtf_glp_fs', 'mtf_glp_hpm', 'mtf_glp_hpm_h'),
    *('mtf_glp_hpm_r', 'mtf_glp_cbd', 'tv', 'sr_d', 'hysure'),
)
NETWORKS = ('hyperpnn', 'hspenet', 'hyper_dsnet', 'dhp_darn', 'dip_hyperkite')
ZERO_SHOT = ('pca_z_pnn', 'r_pnn', 'rho_pnn')

#: Fine pixels at the outer sides that count in no score.
BORDER = 8

#: Steps of a training, and rows and columns of its crops in pixels of the cube.
STEPS, CROP = 200, 8

#: Share of the steps for a network that works at eight times the resolution.
_SHORTER = {'dip_hyperkite': 0.1}


def build(name: str, pair: RealPair, seed: int) -> Pansharpener:
    """Build a method for a pair, with weights that depend on the seed only."""
    words: dict[str, Any] = {}
    if name in NETWORKS:
        # numbers of about 1, so that learning rates mean the same for all cubes
        words = {'in_channels': len(pair.image), 'scale': float(pair.target.amax())}
    if name in ('r_pnn', 'pca_z_pnn'):
        # values of about 0.1, as those of PRISMA's digital numbers
        words = {
            'in_channels': len(pair.image),
            'scale': 10 * float(pair.image.median()),
        }
    if name == 'rho_pnn':
        # half the time where processors compute with such numbers, and no worse
        words = {'seed': seed, 'precision': 'bfloat16'}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model: Any = get_model(name, **words)
    if pair.wavelength is not None:
        model.wavelength = pair.wavelength.tolist()
    return model  # type: ignore[no-any-return]


def train(model: Pansharpener, pair: RealPair, seed: int, steps: int) -> None:
    """Teach a network the upper half of a scene."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0)
    loss = RestorationLoss('l1')
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps)
    limit = pair.image.shape[1] // 2 - CROP, pair.image.shape[2] - CROP
    scale = float(pair.target.mean())
    model.train()
    for _ in range(steps):
        crops = []
        for _ in range(4):
            row, col = (
                int(torch.randint(n + 1, (1,), generator=generator)) for n in limit
            )
            coarse = (..., slice(row, row + CROP), slice(col, col + CROP))
            fine = tuple(slice(RATIO * s.start, RATIO * s.stop) for s in coarse[1:])
            crops.append(
                (pair.image[coarse], pair.pan[(..., *fine)], pair.target[(..., *fine)])
            )
        image, pan, target = (torch.stack(parts) for parts in zip(*crops, strict=True))
        optimizer.zero_grad()
        loss(model(image, pan) / scale, target / scale).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    model.eval()


def run(
    name: str, pair: RealPair, seed: int, steps: int, figure: Path | None = None
) -> dict[str, Any]:
    """Sharpen a pair by a method and score the result."""
    row: dict[str, Any] = {'cube': pair.name, 'method': name}
    model = build(name, pair, seed)
    if name in NETWORKS:
        start = time.perf_counter()
        train(model, pair, seed, max(1, round(steps * _SHORTER.get(name, 1))))
        row['training_seconds'] = round(time.perf_counter() - start, 1)
    start = time.perf_counter()
    with torch.inference_mode():
        image = model.eval()(pair.image[None], pair.pan[None])[0]
    row['seconds'] = round(time.perf_counter() - start, 3)
    if name == 'rho_pnn':
        row['bands'] = _tuning(model, pair, figure)
    lower = torch.zeros(pair.pan.shape[1:], dtype=torch.bool)
    lower[lower.shape[0] // 2 :] = True
    for protocol in PROTOCOLS:
        sample = pair.sample()
        if protocol == 'reduced':
            sample['pan_valid'] = lower
        found = score(image, sample, protocol, BORDER, GAIN)
        row[protocol] = {key: round(value, 5) for key, value in found.items()}
    return row


def _tuning(model: Any, pair: RealPair, figure: Path | None) -> dict[str, Any]:
    """Tell how uniform the spectral quality of the bands is, and draw it."""
    if figure is not None:
        plot_records(model.records, wavelength=pair.wavelength).savefig(figure, dpi=90)
    tuned = [record for record in model.records if record.iterations]
    shares = np.array([record.final / record.min_spec for record in tuned])
    return {
        'tuned': len(tuned),
        'iterations': sum(record.iterations for record in tuned),
        'threshold': round(tuned[0].upper / tuned[0].min_spec, 3),
        'relative_spectral_loss': {
            str(share): round(float(np.quantile(shares, share)), 4)
            for share in (0, 0.05, 0.5, 0.95, 1)
        },
    }


def show(rows: list[dict[str, Any]]) -> None:
    """Print the table of one cube."""
    for row in rows:
        reduced, full = row['reduced'], row['full']
        cells = [f'{row["cube"]:14s} {row["method"]:14s}']
        cells += [f'{reduced[key]:8.3f}' for key in ('ERGAS', 'SAM_deg', 'Q2n')]
        cells += [
            f'{full[key]:8.3f}' for key in ('D_lambda_K', 'D_S_R', 'D_rho', 'RQNR')
        ]
        print(*cells, f'{row["seconds"]:8.2f} s', flush=True)


def main() -> None:
    """Run what was asked for."""
    name = 'pansharpening_quality'
    parser = option_parser(name, __doc__)
    parser.add_argument('--cubes', nargs='+', default=CUBES)
    parser.add_argument('--methods', nargs='+')
    parser.add_argument('--merge', type=Path, help='keep other rows of this file')
    parser.add_argument('--figure', type=Path, help='how rho-PNN was tuned, as PNG')
    args: argparse.Namespace = parser.parse_args()
    torch.set_num_threads(args.threads)
    methods = args.methods or (*CLASSICAL, *NETWORKS, *ZERO_SHOT)
    cubes, steps = args.cubes, STEPS
    if args.quick:
        cubes, steps = cubes[:1], 5
        methods = args.methods or (*CLASSICAL[:-1], 'hyperpnn')
    rows: list[dict[str, Any]] = []
    sources = {}
    for cube in cubes:
        pair = make_pair(cube)
        sources[cube] = {'pan': pair.source, 'shape': list(pair.target.shape)}
        for method in methods:
            rows.append(run(method, pair, args.seed, steps, args.figure))
            show(rows[-1:])
    if args.merge is not None and args.merge.exists():
        rows = _merged(json.loads(args.merge.read_text())['rows'], rows)
    result = header(name, args) | {
        'ratio': RATIO,
        'training_steps': steps,
        'cubes': sources,
        'better_than_exp': _better(rows),
        'rows': rows,
    }
    finish(result, args.out)


def _merged(
    old: list[dict[str, Any]], new: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Replace rows of the same cube and method, and keep the order of the table."""
    table = {(row['cube'], row['method']): row for row in (*old, *new)}
    order = [*CLASSICAL, *NETWORKS, *ZERO_SHOT]
    place = partial(dict.get, {cube: i for i, cube in enumerate(CUBES)})
    return sorted(
        table.values(), key=lambda r: (place(r['cube'], 99), order.index(r['method']))
    )


def _better(rows: list[dict[str, Any]]) -> dict[str, list[str]]:
    """List the methods with a lower ERGAS than EXP, for each cube, best first."""
    found = {}
    for cube in dict.fromkeys(row['cube'] for row in rows):
        own = {r['method']: r['reduced']['ERGAS'] for r in rows if r['cube'] == cube}
        if 'exp' in own:
            better = [method for method in own if own[method] < own['exp']]
            found[cube] = sorted(better, key=own.__getitem__)
    return found


if __name__ == '__main__':
    main()
