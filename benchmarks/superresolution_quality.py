# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Super-resolution of real cubes that no weights of ours have been trained on.

Three AVIRIS scenes and two EnMAP tiles, scaled to [0, 1] from their lowest number to
their 99.9 % quantile, are made coarse by antialiased bicubic interpolation; each method
gets the coarse cube and nothing else. Beside interpolation and the weights that ship, a
small DeepShare is trained here: from cubes alone, with mixed bands, with photographs,
and with both, always as many steps, for several seeds. The last line is one JSON object.

    python benchmarks/superresolution_quality.py --quick
    python benchmarks/superresolution_quality.py --out
"""

import argparse
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import sklearn.datasets
import torch
from _real_cubes import DATA, HELD_BACK, read_cube, scaled
from common import finish, header, option_parser
from lightning.pytorch import Trainer, seed_everything
from torch import Tensor

from torchgeo_hsi.datamodules import HSISuperResolutionDataModule
from torchgeo_hsi.metrics import (
    ERGAS,
    MPSNR,
    MSSIM,
    RMSE,
    CrossCorrelation,
    SpectralAngle,
)
from torchgeo_hsi.models import BandWindowSuperResolver, get_model
from torchgeo_hsi.physics.resampling import imresize_down
from torchgeo_hsi.tasks import HSISuperResolution

#: Files of the cubes that are held back.
EXCLUDED = ['abu-urban-4', 'abu-airport-3', 'jasper_ridge', '*_96_0', '*_128_128']

#: Photographs that come with scikit-learn.
PHOTOGRAPHS = Path(sklearn.datasets.__file__).parent / 'images'

#: What the small network learns from: how often each kind of batch comes.
VARIANTS: dict[str, dict[str, int]] = {
    'cubes': {'spectral': 1},
    'cubes, mixup': {'spectral': 1, 'mixup': 1},
    'cubes, rgb': {'spectral': 1, 'rgb': 1},
    'cubes, mixup, rgb': {'spectral': 1, 'mixup': 1, 'rgb': 1},
}

#: Steps, crops of a step, and bands and channels of the small network.
STEPS, BATCH, BANDS, WIDTH = 300, 4, 32, 16

type Method = Callable[[Tensor], Tensor]
type Pairs = dict[str, tuple[Tensor, Tensor]]


def make_pairs(scale: int, names: tuple[str, ...]) -> Pairs:
    """Make coarse cubes of the cubes that are held back."""
    pairs = {}
    for name in names:
        fine = scaled(read_cube(name))[None]
        height, width = (scale * (size // scale) for size in fine.shape[2:])
        fine = fine[..., :height, :width]
        pairs[name] = imresize_down(fine, scale), fine
    return pairs


def score(fine: Tensor, truth: Tensor, scale: int) -> dict[str, float]:
    """Score a cube, without clamping it."""
    metrics = {
        'MPSNR': MPSNR(1.0),
        'MSSIM': MSSIM(1.0),
        'SAM_deg': SpectralAngle('degrees'),
        'ERGAS': ERGAS(scale),
        'CC': CrossCorrelation(),
        'RMSE': RMSE(),
    }
    return {key: round(float(m(fine, truth)), 5) for key, m in metrics.items()}


def run(
    name: str, method: Method, pairs: Pairs, scale: int, **words: Any
) -> list[dict[str, Any]]:
    """Enlarge all cubes, and score each."""
    rows = []
    for cube, (coarse, truth) in pairs.items():
        start = time.perf_counter()
        with torch.inference_mode():
            fine = method(coarse)
        seconds = round(time.perf_counter() - start, 3)
        rows.append(
            {'scale': scale, 'method': name, 'cube': cube, **words}
            | score(fine, truth, scale)
            | {'seconds': seconds}
        )
    show(rows)
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    """Print the mean of some rows."""
    keys = ('MPSNR', 'MSSIM', 'SAM_deg', 'ERGAS', 'CC', 'RMSE')
    means = [float(np.mean([row[key] for row in rows])) for key in keys]
    first = rows[0]
    name = f'x{first["scale"]} {first["method"]}' + (
        f', seed {first["seed"]}' if 'seed' in first else ''
    )
    print(f'{name:34s}', *(f'{mean:8.3f}' for mean in means), flush=True)


def train(scale: int, cycle: Mapping[str, int], seed: int, steps: int) -> Method:
    """Train the small network, always with as many steps."""
    seed_everything(seed, verbose=False)
    data = HSISuperResolutionDataModule(
        train=[str(DATA / 'aviris'), str(DATA / 'enmap_potsdam' / 'images')],
        exclude=EXCLUDED,
        scale=scale,
        num_bands=BANDS,
        patch_size=48 // scale,
        batch_size=BATCH,
        length=steps * BATCH,
        min_valid=0.4,
        mixup='mixup' in cycle,
        rgb=str(PHOTOGRAPHS / '*.jpg') if 'rgb' in cycle else None,
        rgb_options={'in_memory': True},
        cycle=dict(cycle),
        seed=seed,
    )
    kwargs = {'in_channels': BANDS, 'n_feats': WIDTH, 'residual': True}
    task = HSISuperResolution(
        'deepshare',
        kwargs,
        loss={'psnr': 0.1, 'sam': 1.0},
        lr=1e-3,
        warmup=0.05,
        scale=scale,
    )
    trainer = Trainer(
        accelerator='cpu',
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    trainer.fit(task, data)
    return BandWindowSuperResolver(task.model).eval()


def main() -> None:
    """Score interpolation, the weights that ship, and four trainings."""
    parser = option_parser('superresolution_quality', __doc__)
    parser.add_argument('--scales', nargs='+', type=int, default=[2, 4])
    parser.add_argument('--seeds', type=int, default=2, help='trainings of each kind')
    parser.add_argument('--steps', type=int, default=STEPS)
    args: argparse.Namespace = parser.parse_args()
    if not DATA.is_dir():
        parser.error(f'there are no real cubes in {DATA} (TORCHGEO_HSI_DATA)')
    torch.set_num_threads(args.threads)
    warnings.filterwarnings('ignore', module='lightning')
    names, steps, seeds = HELD_BACK, args.steps, args.seeds
    if args.quick:
        names, steps, seeds = names[-2:], 5, 1
    rows: list[dict[str, Any]] = []
    for scale in args.scales:
        pairs = make_pairs(scale, names)
        rows += run('bicubic', get_model('bicubic', scale=scale), pairs, scale)
        for variant, cycle in VARIANTS.items():
            for seed in range(args.seed, args.seed + seeds):
                method = train(scale, cycle, seed, steps)
                rows += run(variant, method, pairs, scale, seed=seed)
        shipped = get_model('pretrained_superresolution', scale=scale).eval()
        rows += run('shipped', shipped, pairs, scale)
    result = header('superresolution_quality', args) | {
        'training_steps': steps,
        'gains': _gains(rows),
        'rows': rows,
    }
    finish(result, args.out)


def _gains(rows: list[dict[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Compare the means over all cubes, seed by seed, with interpolation."""
    found: dict[str, dict[str, list[float]]] = {}
    keys = sorted({(r['scale'], r['method'], r.get('seed', -1)) for r in rows})
    for scale, method, seed in keys:
        part, plain = (
            [r for r in rows if (r['scale'], r['method'], r.get('seed', -1)) == key]
            for key in ((scale, method, seed), (scale, 'bicubic', -1))
        )
        entry = found.setdefault(f'x{scale} {method}', {'MPSNR': [], 'SAM_deg': []})
        for key, values in entry.items():
            gain = np.mean([r[key] for r in part]) - np.mean([r[key] for r in plain])
            values.append(round(float(gain), 4))
    return found


if __name__ == '__main__':
    main()
