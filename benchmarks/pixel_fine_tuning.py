# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Few labels on real EnMAP tiles: low-rank adaptation against other fine-tuning.

A LoLA-SpecViT learns the land cover of a simulated EnMAP scene. Then it meets the real
tiles of Potsdam, of which a few labelled pixels of each class are known, and goes on in
each way: low-rank matrices in the attention and the SwiGLUs, at constant strength and
in cycles; all of its weights; the head alone; and, without the simulated scene, from
random weights. Blocks with a guard lie between training and test, so no windows touch; each
seed has its own split, labels and order. Learning rates were set beforehand. The last
line is one JSON object.

    python benchmarks/pixel_fine_tuning.py --quick
    python benchmarks/pixel_fine_tuning.py --out
"""

import argparse
import contextlib
import io
import logging
import os
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import finish, header, option_parser
from lightning.pytorch import Callback, Trainer, seed_everything

from torchgeo_hsi.callbacks import LoRAScaleCycle
from torchgeo_hsi.datamodules import HSIPixelDataModule
from torchgeo_hsi.datasets import LabelledScene, SimulatedEnMAP, open_labelled_scene
from torchgeo_hsi.models import trainable_share
from torchgeo_hsi.tasks import HSIPixelClassification

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('TORCHGEO_HSI_DATA', ROOT.parent / 'shared' / 'data'))

MODEL, WINDOW, BATCH = 'lola_specvit_tiny', 9, 32
#: Steps between two looks at the validation, of which there is none.
EPOCH = 10
SHARES = {'train': 0.5, 'test': 0.5}

#: What each way asks of the task.
WAYS: dict[str, dict[str, Any]] = {
    'lora': {'protocol': 'lora', 'lora_rank': 8, 'lora_alpha': 16, 'lr': 2e-3},
    'lora_cycle': {'protocol': 'lora', 'lora_rank': 8, 'lora_alpha': 16, 'lr': 2e-3},
    'full': {'protocol': 'full', 'lr': 1e-3},
    'head': {'protocol': 'frozen', 'lr': 5e-3},
    'scratch': {'protocol': 'full', 'lr': 1e-3},
}


def simulated_scene(folder: Path, side: int, seed: int) -> LabelledScene:
    """Simulate a scene, with the class that has the largest share of each pixel."""
    dataset = SimulatedEnMAP(
        folder, size=side, seed=seed, cloud_cover=0, footprint=False
    )
    sample = dataset[dataset.bounds]
    mask = sample['mask'].numpy().astype(np.int64)
    return LabelledScene(
        sample['image'].numpy(),
        sample['valid'].numpy(),
        np.where(mask == dataset.ignore_index, -1, mask),
        dataset.classes,
        dataset.class_colors,
        name='simulated EnMAP',
    )


def make_data(scene: LabelledScene, seed: int, **options: Any) -> HSIPixelDataModule:
    """Split a scene by blocks."""
    return HSIPixelDataModule(
        scene,
        window=WINDOW,
        shares=SHARES,
        batch_size=BATCH,
        length=BATCH * EPOCH,
        seed=seed,
        **options,
    )


def make_task(scene: LabelledScene, **options: Any) -> HSIPixelClassification:
    """Build the task for the bands and classes of a scene."""
    return HSIPixelClassification(
        MODEL,
        len(scene.image),
        scene.num_classes,
        WINDOW,
        labels=list(scene.class_names),
        label_smoothing=0.1,
        weight_decay=0.05,
        **options,
    )


def run(
    task: HSIPixelClassification,
    data: HSIPixelDataModule,
    steps: int,
    callbacks: list[Callback] | None = None,
) -> tuple[Trainer, dict[str, float]]:
    """Train and test; return the scores, and how long the training took."""
    trainer = Trainer(
        max_epochs=-(-steps // EPOCH),
        accelerator='cpu',
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        gradient_clip_val=1.0,
        callbacks=callbacks,
    )
    start = time.perf_counter()
    trainer.fit(task, datamodule=data)
    seconds = time.perf_counter() - start
    with contextlib.redirect_stdout(io.StringIO()):
        # what the task prints of each run
        trainer.test(task, datamodule=data, verbose=False)
    assert task.report is not None
    found = task.report
    return trainer, {
        'oa': float(found.overall_accuracy[0]),
        'aa': float(found.average_accuracy[0]),
        'kappa': float(found.kappa[0]),
        'seconds': seconds,
    }


def pretrain(folder: Path, args: argparse.Namespace) -> tuple[Path, dict[str, float]]:
    """Train on the simulated scene, and keep the checkpoint."""
    seed_everything(args.seed, verbose=False)
    side, steps = (96, 40) if args.quick else (256, args.pretrain_steps)
    scene = simulated_scene(folder / 'scene', side, args.seed)
    task = make_task(scene, lr=1e-3)
    trainer, found = run(task, make_data(scene, args.seed), steps)
    path = folder / 'trunk.ckpt'
    trainer.save_checkpoint(path)
    return path, found


def fine_tune(
    way: str, scene: LabelledScene, trunk: Path, shots: int, seed: int, steps: int
) -> dict[str, float]:
    """Learn from a few labels of the real scene in one way."""
    seed_everything(seed, verbose=False)
    weights = None if way == 'scratch' else str(trunk)
    task = make_task(scene, weights=weights, **WAYS[way])
    share = trainable_share(task.model)
    data = make_data(scene, seed, shots=shots)
    cycle = LoRAScaleCycle(length=max(steps // 7, 1), interval='step', growth=2)
    callbacks: list[Callback] | None = [cycle] if way == 'lora_cycle' else None
    _, found = run(task, data, steps, callbacks)
    return found | {'trained_share': share}


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Average runs."""
    return {
        name: {
            'mean': round(float(np.mean([one[name] for one in runs])), 4),
            'spread': round(float(np.std([one[name] for one in runs])), 4),
            'seeds': [round(one[name], 4) for one in runs],
        }
        for name in runs[0]
    }


def main(args: argparse.Namespace) -> None:
    """Pretrain, and fine-tune in each way."""
    torch.set_num_threads(args.threads)
    warnings.filterwarnings('ignore')
    for name in ('lightning', 'lightning.pytorch', 'torchgeo_hsi'):
        logging.getLogger(name).setLevel(logging.ERROR)
    steps, numbers, seeds = args.steps, args.shots, args.seeds
    if args.quick:
        steps, numbers, seeds = 20, numbers[:1], 1
    result = header('pixel_fine_tuning', args) | {'model': MODEL, 'window': WINDOW}
    result |= {'steps': steps, 'ways': WAYS, 'shots': {}}
    scene = open_labelled_scene(args.data / 'images', args.data / 'labels')
    with tempfile.TemporaryDirectory() as folder:
        trunk, found = pretrain(Path(folder), args)
        result['simulated'] = {k: round(v, 4) for k, v in found.items()}
        print(f'simulated scene: {result["simulated"]}', flush=True)
        for shots in numbers:
            rows = result['shots'][str(shots)] = {}
            for way in WAYS:
                runs = [
                    fine_tune(way, scene, trunk, shots, args.seed + i, steps)
                    for i in range(seeds)
                ]
                rows[way] = row = summary(runs)
                print(
                    f'{shots:3d} labels per class, {way:10s} '
                    + ' '.join(
                        f'{k} {row[k]["mean"]:.3f} ± {row[k]["spread"]:.3f}'
                        for k in ('oa', 'aa', 'kappa')
                    )
                    + f', {row["trained_share"]["mean"]:6.1%} trained, '
                    f'{row["seconds"]["mean"]:.0f} s',
                    flush=True,
                )
    finish(result, args.out)


if __name__ == '__main__':
    parser = option_parser('pixel_fine_tuning', __doc__)
    parser.add_argument('--data', type=Path, default=DATA / 'enmap_potsdam')
    parser.add_argument('--seeds', type=int, default=5, help='splits and label draws')
    parser.add_argument('--shots', type=int, nargs='+', default=[5, 10, 25])
    parser.add_argument('--steps', type=int, default=300, help='of fine-tuning')
    parser.add_argument('--pretrain-steps', type=int, default=2000)
    main(parser.parse_args())
