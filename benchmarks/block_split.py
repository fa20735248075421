# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random pixels against blocks with a guard: what a split is worth, on real tiles.

The sixteen EnMAP tiles of Potsdam are laid out at their places. Their labelled pixels
are split half and half, once at random and once by blocks with the guard of the window.
From the training half the same number of pixels is drawn in both cases, class by class.
Two classifiers are trained: a support vector machine on single spectra, and a small
convolutional network on windows of principal components. All is repeated with other
splits; spectra are scaled by, and components fitted to, training pixels only.

A part of the drop is that the places differ, and not that windows overlap. That is what
a user has at the next place, too.

    python benchmarks/block_split.py --quick
    python benchmarks/block_split.py --out
"""

import argparse
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from common import finish, header, option_parser
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from torch import nn
from torch.nn import functional as F

from torchgeo_hsi.datasets import (
    EnMAPL2A,
    LabelRaster,
    block_pixel_split,
    leak_report,
    random_pixel_split,
)
from torchgeo_hsi.datasets.splits import PixelSplit

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get('TORCHGEO_HSI_DATA', ROOT.parent / 'shared' / 'data'))

CLASSES = (1, 2, 3, 4, 5, 6)
IGNORE = 255
WINDOW = 15
COMPONENTS = 15
#: Training pixels, of about 2500 in a half.
PIXELS = 500
SHARES = {'train': 0.5, 'test': 0.5}
#: Few, because with many all seeds end at much the same split.
TRIALS = 8


class Scene(NamedTuple):
    """The tiles at their places."""

    image: NDArray[np.float32]
    labels: NDArray[np.int64]


def read_scene(folder: Path) -> Scene:
    """Read all tiles on one grid; pixels without data have no label."""
    both = EnMAPL2A(folder / 'images') & LabelRaster(folder / 'labels', CLASSES, IGNORE)
    sample = both[both.bounds]
    labels = sample['mask'].numpy()
    labels[~sample['valid'].numpy()] = IGNORE
    return Scene(sample['image'].numpy(), labels)


def make_split(kind: str, labels: NDArray[np.int64], seed: int) -> PixelSplit:
    """Split the pixels."""
    source = torch.Generator().manual_seed(seed)
    words: dict[str, Any] = {'ignore_index': IGNORE, 'generator': source}
    if kind == 'random':
        return random_pixel_split(labels, WINDOW, SHARES, **words)
    return block_pixel_split(labels, WINDOW, SHARES, trials=TRIALS, **words)


def draw(split: PixelSplit, seed: int) -> NDArray[np.intp]:
    """Draw training pixels, each class by its share of the training half."""
    rng = np.random.default_rng(seed)
    labels = split.select('train', IGNORE).ravel()
    spots = np.flatnonzero(labels != IGNORE)
    chosen = []
    for code in np.unique(labels[spots]):
        mine = np.flatnonzero(labels == code)
        number = max(2, round(PIXELS * len(mine) / len(spots)))
        chosen.append(rng.permutation(mine)[:number])
    return np.concatenate(chosen)


def fit_svm(
    scene: Scene, train: NDArray[np.intp], test: NDArray[np.intp]
) -> NDArray[np.int64]:
    """Classify single spectra."""
    spectra = scene.image.reshape(len(scene.image), -1).T
    model = make_pipeline(StandardScaler(), SVC(C=100, class_weight='balanced'))
    model.fit(spectra[train], scene.labels.ravel()[train])
    return model.predict(spectra[test])


def network() -> nn.Module:
    """Make three convolutions, which see the whole window, and a linear layer."""
    layers: list[nn.Module] = []
    width = COMPONENTS
    for out in (32, 48, 64):
        layers += [nn.Conv2d(width, out, 5, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        width = out
    layers += [nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * 9, len(CLASSES))]
    return nn.Sequential(*layers)


def fit_cnn(
    scene: Scene,
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    seed: int,
    epochs: int,
) -> NDArray[np.int64]:
    """Classify windows of principal components."""
    shape = scene.labels.shape
    spectra = scene.image.reshape(len(scene.image), -1).T
    reduce = make_pipeline(
        StandardScaler(), PCA(COMPONENTS, whiten=True, svd_solver='full')
    )
    reduce.fit(spectra[train])
    planes = reduce.transform(spectra).T.reshape(COMPONENTS, *shape)
    # 0 is the mean, and what lies between the tiles
    planes[:, ~scene.image.any(axis=0)] = 0
    half = WINDOW // 2
    padded = torch.from_numpy(np.pad(planes, ((0, 0), (half, half), (half, half))))
    windows = padded.float().unfold(1, WINDOW, 1).unfold(2, WINDOW, 1)

    def cut(spots: NDArray[np.intp]) -> torch.Tensor:
        rows, columns = np.unravel_index(spots, shape)
        return windows[:, rows, columns].transpose(0, 1)

    torch.manual_seed(seed)
    model = network()
    target = torch.from_numpy(scene.labels.ravel()[train])
    inputs = cut(train)
    steps = epochs * -(-len(train) // 64)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    for _ in range(epochs):
        for part in torch.randperm(len(train)).split(64):
            batch = inputs[part]
            if torch.rand(()) < 0.5:
                batch = batch.flip(2)
            if torch.rand(()) < 0.5:
                batch = batch.flip(3)
            loss = F.cross_entropy(model(batch), target[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.no_grad():
        found = [model(cut(part)).argmax(1) for part in np.array_split(test, 8)]
    return torch.cat(found).numpy()


def scores(truth: NDArray[np.int64], guess: NDArray[np.int64]) -> dict[str, float]:
    """Compute the usual scores, over the classes that the test has."""
    matrix = confusion_matrix(truth, guess, labels=range(len(CLASSES)))
    there = matrix.sum(axis=1) > 0
    recall = np.diag(matrix)[there] / matrix.sum(axis=1)[there]
    return {
        'oa': float(np.diag(matrix).sum() / matrix.sum()),
        'aa': float(recall.mean()),
        'kappa': float(cohen_kappa_score(truth, guess)),
    }


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Average runs."""
    return {
        name: {
            'mean': round(float(np.mean([run[name] for run in runs])), 4),
            'spread': round(float(np.std([run[name] for run in runs])), 4),
            'seeds': [round(run[name], 4) for run in runs],
        }
        for name in runs[0]
    }


def measure(
    kind: str, scene: Scene, seeds: range, epochs: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Split, train and test with each seed."""
    runs: dict[str, list[dict[str, float]]] = {'svm': [], 'cnn': []}
    reports = []
    for seed in seeds:
        split = make_split(kind, scene.labels, seed)
        train = draw(split, seed)
        report = leak_report(split)
        drawn = np.zeros(scene.labels.size, dtype=bool)
        drawn[train] = True
        masks = {'train': drawn.reshape(scene.labels.shape), 'test': split.mask('test')}
        # of the pixels that are trained on, which are a part of their half
        leaks = leak_report(masks, WINDOW)
        reports.append(
            {
                'touching': round(leaks.touching['test'], 4),
                'inside': round(leaks.inside['test'], 4),
                'left_out': round(report.left_out / int(split.labelled.sum()), 4),
                'untestable': [CLASSES[code] for code in report.untestable],
                'sizes': dict(report.sizes),
                'block_size': split.block_size,
            }
        )
        test = np.flatnonzero(split.mask('test').ravel())
        truth = scene.labels.ravel()[test]
        runs['svm'].append(scores(truth, fit_svm(scene, train, test)))
        runs['cnn'].append(scores(truth, fit_cnn(scene, train, test, seed, epochs)))
        print(
            f'{kind:6s} seed {seed}: {leaks.touching["test"]:6.1%} touch, '
            f'{reports[-1]["left_out"]:6.1%} left out, '
            + ', '.join(
                f'{n} OA {r[-1]["oa"]:.3f} AA {r[-1]["aa"]:.3f}'
                for n, r in runs.items()
            ),
            flush=True,
        )
    return {name: summary(found) for name, found in runs.items()}, reports


def main(args: argparse.Namespace) -> None:
    """Run both splits."""
    torch.set_num_threads(args.threads)
    start = time.perf_counter()
    scene = read_scene(args.data)
    seeds = range(args.seed, args.seed + (1 if args.quick else args.seeds))
    result = header('block_split', args)
    result |= {
        'labelled': int((scene.labels != IGNORE).sum()),
        'window': WINDOW,
        'training_pixels': PIXELS,
        'trials': TRIALS,
        'splits': {},
    }
    for kind in ('random', 'block'):
        found, reports = measure(kind, scene, seeds, 10 if args.quick else 60)
        result['splits'][kind] = {'leaks': reports, **found}
    random, block = (result['splits'][kind] for kind in ('random', 'block'))
    result['drop'] = {
        model: {
            name: round(random[model][name]['mean'] - block[model][name]['mean'], 4)
            for name in ('oa', 'aa', 'kappa')
        }
        for model in ('svm', 'cnn')
    }
    result['seconds'] = round(time.perf_counter() - start, 1)
    for model, drop in result['drop'].items():
        print(f'{model}: OA -{drop["oa"]:.3f}, AA -{drop["aa"]:.3f}')
    finish(result, args.out)


if __name__ == '__main__':
    parser = option_parser('block_split', __doc__)
    parser.add_argument('--data', type=Path, default=DATA / 'enmap_potsdam')
    parser.add_argument('--seeds', type=int, default=10, help='splits of each kind')
    main(parser.parse_args())
