# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Land cover of Potsdam from EnMAP: our configuration against other classifiers.

The tiles and the split (two of sixteen tiles for validation) are those of the
SpecDeepMap tests of the EnMAP-Box, whose small U-Net is published with a validation
macro-IoU of 0.3325 over the six classes. Neighbouring tiles touch, so all scores here
are those of interpolation within one scene.

Our row trains ``configs/potsdam_segmentation.yaml`` through torchgeo's own command, once
for each seed, and scores the last epoch: no epoch is chosen by the validation tiles. A
random forest and two support vector machines are fitted to the same training spectra
in the same process. IoU is computed here from the confusion of all validation pixels,
and compared with what the command logged.

    python benchmarks/potsdam.py --data FOLDER --quick
    python benchmarks/potsdam.py --data FOLDER --out
"""

import argparse
import contextlib
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torchgeo.main import main as torchgeo

from torchgeo_hsi.callbacks import read_scores
from torchgeo_hsi.datamodules import EnMAPL2ADataModule
from torchgeo_hsi.tasks import HSISegmentation

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / 'configs' / 'potsdam_segmentation.yaml'
RESULTS = Path(__file__).parent / 'results' / 'potsdam.json'
DATA = Path(os.environ.get('TORCHGEO_HSI_DATA', ROOT.parent / 'shared' / 'data'))

CLASSES = ['roof', 'pavement', 'low vegetation', 'tree', 'soil', 'water']
PUBLISHED_UNET = 0.3325

type Pixels = tuple[NDArray[Any], NDArray[Any]]


def module(data: Path) -> EnMAPL2ADataModule:
    """Open the tiles with the published split."""
    return EnMAPL2ADataModule(
        str(data / 'images'),
        str(data / 'labels'),
        classes=[1, 2, 3, 4, 5, 6],
        val=['*_tile_96_0', '*_tile_128_128'],
        batch_size=1,
        patch_size=32,
    )


def pixels(data: Path) -> tuple[Pixels, Pixels]:
    """Read the labelled spectra of both splits."""
    opened, found = module(data), []
    for split in ('train', 'val'):
        dataset = opened.make_dataset(split)  # type: ignore[arg-type]
        spectra, labels = [], []
        for shape in dataset.index.geometry:
            left, bottom, right, top = shape.bounds
            sample = dataset[left:right, bottom:top]  # type: ignore[misc]
            use = sample['valid'] & (sample['mask'] != 255)
            spectra.append(sample['image'][:, use].T.numpy())
            labels.append(sample['mask'][use].numpy())
        found.append((np.concatenate(spectra), np.concatenate(labels)))
    return found[0], found[1]


def scores(truth: NDArray[Any], prediction: NDArray[Any]) -> dict[str, Any]:
    """Compute the IoU of each class, its mean, and the accuracy."""
    iou = []
    for k in range(len(CLASSES)):
        both = ((truth == k) & (prediction == k)).sum()
        either = ((truth == k) | (prediction == k)).sum()
        iou.append(float(both / either) if either else 0.0)
    return {
        'miou': statistics.fmean(iou),
        'iou': dict(zip(CLASSES, (round(v, 4) for v in iou), strict=True)),
        'accuracy': float((truth == prediction).mean()),
    }


def forest(seed: int) -> Any:
    """Build a random forest on single spectra."""
    return RandomForestClassifier(500, random_state=seed, n_jobs=-1)


def machine(weight: str | None) -> Callable[[int], Any]:
    """Build a support vector machine with an RBF kernel on scaled spectra."""
    return lambda seed: make_pipeline(
        StandardScaler(), SVC(C=10, class_weight=weight, random_state=seed)
    )


def classic(
    build: Callable[[int], Any], train: Pixels, val: Pixels, seeds: list[int]
) -> list[dict[str, Any]]:
    """Fit and score a classifier of scikit-learn."""
    rows = []
    for seed in seeds:
        start = time.perf_counter()
        model = build(seed).fit(*train)
        row = scores(val[1], model.predict(val[0]))
        rows.append(row | {'seed': seed, 'seconds': time.perf_counter() - start})
    return rows


def ours(data: Path, seeds: list[int], options: list[str]) -> list[dict[str, Any]]:
    """Train through the command line, then score the checkpoint independently."""
    rows, before = [], Path.cwd()
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                start = time.perf_counter()
                with contextlib.redirect_stdout(io.StringIO()):
                    torchgeo(
                        [
                            'fit',
                            f'--config={CONFIG}',
                            f'--seed_everything={seed}',
                            f'--data.paths={data / "images"}',
                            f'--data.mask_paths={data / "labels"}',
                            '--trainer.enable_progress_bar=false',
                            '--trainer.logger=false',
                            *options,
                        ]
                    )
                seconds = time.perf_counter() - start
                logged = read_scores('output/potsdam/scores.json')['fit']
                row = check(Path('output/potsdam/checkpoints/last.ckpt'), data)
            finally:
                os.chdir(before)
        difference = abs(row['miou'] - logged['val_AverageJaccardIndex'])
        if difference > 1e-5:
            raise RuntimeError(f'The command logged another IoU ({difference:g} off).')
        rows.append(row | {'seed': seed, 'seconds': seconds})
        print(f'  seed {seed}: macro-IoU {row["miou"]:.4f} in {seconds:.0f} s')
    return rows


def check(checkpoint: Path, data: Path) -> dict[str, Any]:
    """Predict the validation pixels from a checkpoint and score them with numpy."""
    task = HSISegmentation.load_from_checkpoint(checkpoint)
    opened = module(data)
    opened.setup('validate')
    trainer = Trainer(
        logger=False, enable_progress_bar=False, enable_model_summary=False
    )
    state = torch.load(checkpoint, weights_only=True)
    opened.load_state_dict(state[type(opened).__qualname__])
    loader = opened.val_dataloader()
    opened.trainer = trainer
    truth, prediction = [], []
    task.eval()
    with torch.inference_mode():
        for batch in loader:
            batch = opened.aug(batch)
            use = batch['mask'] != 255
            truth.append(batch['mask'][use].numpy())
            prediction.append(task(batch['image'].cpu()).argmax(1)[use].numpy())
    return scores(np.concatenate(truth), np.concatenate(prediction))


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarize the seeds of a row of the table."""
    values = [row['miou'] for row in rows]
    return {
        'miou_mean': round(statistics.fmean(values), 4),
        'miou_std': round(statistics.pstdev(values), 4),
        'miou_min': round(min(values), 4),
        'miou_max': round(max(values), 4),
        'accuracy_mean': round(statistics.fmean(r['accuracy'] for r in rows), 4),
        'seconds_mean': round(statistics.fmean(r['seconds'] for r in rows), 1),
        'seeds': [row['seed'] for row in rows],
        'iou_mean': {
            name: round(statistics.fmean(row['iou'][name] for row in rows), 4)
            for name in CLASSES
        },
    }


def environment() -> dict[str, Any]:
    """Describe what the figures were measured on."""
    run = subprocess.run(
        ['git', 'describe', '--always', '--dirty'],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    info = Path('/proc/cpuinfo')
    names = [
        line.partition(':')[2].strip()
        for line in (info.read_text().splitlines() if info.is_file() else [])
        if line.startswith('model name')
    ]
    return {
        'commit': run.stdout.strip() or 'unknown',
        'cpu': names[0] if names else platform.processor(),
        'cores': os.cpu_count(),
        'threads': torch.get_num_threads(),
        'python': platform.python_version(),
        'torch': torch.__version__,
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').split('\n')[0])
    parser.add_argument('--data', type=Path, default=DATA / 'enmap_potsdam')
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--quick', action='store_true', help='one seed, two epochs')
    parser.add_argument('--out', action='store_true', help=f'write {RESULTS.name}')
    args = parser.parse_args()
    args.data = args.data.resolve()
    if not args.data.is_dir():
        sys.exit(f'No tiles in {args.data}. Pass their folder by --data.')
    seeds = list(range(1 if args.quick else args.seeds))
    options = ['--trainer.max_epochs=2', '--trainer.check_val_every_n_epoch=2']
    train, val = pixels(args.data)
    table = {
        'random forest, single spectra': classic(forest, train, val, seeds),
        'SVM (RBF), single spectra': classic(machine(None), train, val, seeds[:1]),
        'SVM (RBF), balanced': classic(machine('balanced'), train, val, seeds[:1]),
    }
    print('torchgeo fit --config configs/potsdam_segmentation.yaml')
    name = 'ours: spectral_mlp, last epoch' + (' (2 epochs)' if args.quick else '')
    table[name] = ours(args.data, seeds, options if args.quick else [])
    rows = {key: summary(value) for key, value in table.items()}
    print(f'{"validation macro-IoU":40} mean    std     seconds')
    print(f'{"U-Net of SpecDeepMap, as published":40} {PUBLISHED_UNET:.4f}')
    for key, row in rows.items():
        print(
            f'{key:40} {row["miou_mean"]:.4f}  {row["miou_std"]:.4f}  '
            f'{row["seconds_mean"]:.1f}'
        )
    result = {
        'benchmark': 'potsdam',
        'published_unet': PUBLISHED_UNET,
        'train_pixels': len(train[1]),
        'val_pixels': len(val[1]),
        'ratio_to_svm': round(
            rows[name]['miou_mean'] / rows['SVM (RBF), balanced']['miou_mean'], 4
        ),
        'note': 'neighbouring tiles touch; the last epoch is scored',
        **environment(),
        'rows': rows,
    }
    if args.out:
        RESULTS.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
    print(json.dumps(result))


if __name__ == '__main__':
    main()
