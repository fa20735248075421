# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What pretraining is worth: probes with few labels, on other sensors, by view.

The sixteen EnMAP tiles of Potsdam are split half and half by blocks, a window apart. A
small wavelength-aware vision transformer learns from windows of the training half, and
from simulated scenes, without labels. Then a linear probe learns from 5, 10 and 25
labelled pixels of each class of the training half, and is scored on the other half by the
average accuracy of the classes. Beside it: the spectra themselves, their principal
components, the same network with random weights, and trained with these labels alone.

Sensors: the same scenes with the bands of PRISMA and DESIS, through networks that
learned from EnMAP; with the probe of that sensor, and with the one of EnMAP.

Views: MoCo with other views, with three of the seeds.

    python benchmarks/pretraining.py --quick
    python benchmarks/pretraining.py --out --workers 2
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any, NamedTuple

import numpy as np
import torch
from _pretraining_scene import (
    CLASSES,
    IGNORE,
    Scene,
    Split,
    Statistics,
    Windows,
    bands_of,
    pretraining_windows,
    read_scene,
    sensor_bands,
    simulated,
    split_blocks,
    statistics_of,
    to_bands,
)
from _pretraining_tasks import (
    STEPS,
    TASKS,
    VIEWS,
    features_of,
    make_task,
    make_view,
    pretrain,
    supervise,
)
from common import finish, header, option_parser
from torch import Tensor

from torchgeo_hsi.models.probes import (
    ProbeFeatures,
    choose_penalty,
    draw_shots,
    linear_predict,
    principal_components,
)
from torchgeo_hsi.physics import BandSet
from torchgeo_hsi.transforms import MultiView

SHOTS = (5, 10, 25)
SENSORS = ('prisma', 'desis')
COMPONENTS = (5, 10, 30)
SCENES = 6
AWARE, POSITIONAL = 'spec_vit_tiny_wl', 'spec_vit_tiny'
#: The task that goes to other sensors, and the one whose views are changed.
CARRIED, VIEWED = 'mae', 'moco'
#: Seeds of the ablation, which trains a network for each of its rows.
VIEW_SEEDS = 3
#: Labels are drawn so often for each network.
DRAWS = 2
#: Views of the ablation: whether parts are neighbours, and the transforms of spectra.
ABLATION: dict[str, tuple[bool, tuple[str, ...]]] = {
    'same pixels, flipped': (False, ()),
    'neighbours': (True, ()),
    **{
        f'neighbours, {name}': (True, (name,))
        for name in ('mask', 'dropout', 'illumination', 'jitter', 'mixup', 'blur')
    },
    'neighbours, mask, dropout': (True, VIEWS),
}


class Job(NamedTuple):
    """What one run needs."""

    seed: int
    steps: float
    scenes: int
    shots: tuple[int, ...]
    draws: int


class Data(NamedTuple):
    """A scene, its split, and what networks learn from."""

    scene: Scene
    split: Split
    windows: Windows
    statistics: Statistics
    image: Tensor


@cache
def read(scenes: int) -> tuple[Scene, list[Tensor]]:
    """Read the scene, and simulate others, once in each process."""
    scene = read_scene()
    return scene, simulated(scene, scenes)


def load(job: Job) -> Data:
    """Read the scene, split it and cut windows."""
    scene, others = read(job.scenes)
    split = split_blocks(scene, job.seed)
    windows, statistics = pretraining_windows(scene, split, others)
    image = statistics.apply(scene.image, scene.valid)
    return Data(scene, split, windows, statistics, image)


def learned(name: str, model: str, data: Data, job: Job, **words: Any) -> Any:
    """Pretrain a network."""
    torch.manual_seed(job.seed)
    task = make_task(name, model, len(data.image), **words)
    pretrain(task, data.windows, data.statistics, max(int(STEPS[name] * job.steps), 1))
    return task.backbone


def pixels(features: Tensor, labels: np.ndarray) -> ProbeFeatures:
    """Take the features of labelled pixels."""
    truth = torch.from_numpy(labels)
    known = truth != IGNORE
    found = features[:, known].T.contiguous().float()
    return ProbeFeatures(found, truth[known], torch.arange(len(found)))


def accuracy(guess: Tensor, truth: Tensor) -> float:
    """Compute the average accuracy of the classes that are there."""
    recalls = [(guess[truth == c] == c).float().mean() for c in truth.unique()]
    return float(torch.stack(recalls).mean())


def fit(train: ProbeFeatures, test: Tensor, seed: int) -> Tensor:
    """Fit a linear probe, and let it say the classes of other features."""
    source = torch.Generator().manual_seed(seed)
    penalty = choose_penalty(train, len(CLASSES), generator=source)
    return linear_predict(train, test, len(CLASSES), penalty).argmax(1)


def score(train: ProbeFeatures, test: ProbeFeatures, job: Job) -> dict[int, float]:
    """Score a linear probe with few labels."""
    found = {}
    for shots in job.shots:
        scores = []
        for seed in range(job.draws):
            few = draw_shots(train, shots, torch.Generator().manual_seed(seed))
            scores.append(accuracy(fit(few, test.features, seed), test.labels))
        found[shots] = float(np.mean(scores))
    return found


def score_features(features: Tensor, split: Split, job: Job) -> dict[int, float]:
    """Score features of all pixels."""
    return score(pixels(features, split.train), pixels(features, split.test), job)


def score_supervised(data: Data, job: Job) -> dict[int, float]:
    """Score the network that learns from the labels alone, of one draw."""
    bands = bands_of(data.scene)
    places = torch.from_numpy(data.split.train != IGNORE).nonzero()
    labels = torch.from_numpy(data.split.train)[places[:, 0], places[:, 1]]
    # what is drawn are the numbers of pixels
    every = ProbeFeatures(
        torch.arange(len(places)).float()[:, None], labels, torch.arange(len(places))
    )
    truth = torch.from_numpy(data.split.test)
    known = truth != IGNORE
    found = {}
    for shots in job.shots:
        few = draw_shots(every, shots, torch.Generator().manual_seed(0))
        chosen = places[few.features[:, 0].long()]
        torch.manual_seed(job.seed)
        task = make_task('moco', AWARE, len(data.image))
        steps = max(int(200 * job.steps), 1)
        head = supervise(task.backbone, data.image, bands, chosen, few.labels, steps)
        features = features_of(task.backbone, data.image, bands)
        guess = head(features[:, known].T).argmax(1)
        found[shots] = accuracy(guess, truth[known])
    return found


def probe(job: Job) -> dict[str, Any]:
    """Score all tasks, and what they have to beat."""
    data = load(job)
    bands = bands_of(data.scene)
    parts = [pixels(data.image, labels) for labels in data.split[:2]]
    shown = data.image[:, data.scene.valid & torch.from_numpy(data.split.near)].T
    whole = ProbeFeatures(
        shown, torch.zeros(len(shown)).long(), torch.arange(len(shown))
    )
    reduced = {
        f'{n} components': score(
            *principal_components(whole, *parts, components=n)[1:], job
        )
        for n in COMPONENTS
    }
    torch.manual_seed(job.seed)
    random = make_task('moco', AWARE, len(data.image)).backbone
    found = {
        'spectra': score(parts[0], parts[1], job),
        **reduced,
        'random': score_features(
            features_of(random, data.image, bands), data.split, job
        ),
        'supervised': score_supervised(data, job),
    }
    for name in TASKS:
        backbone = learned(name, AWARE, data, job)
        features = features_of(backbone, data.image, bands)
        found[name] = score_features(features, data.split, job)
    report('probe', job, found)
    return found


def fitting(backbone: Any, model: str, image: Tensor) -> Any:
    """Return the network for the bands of an image."""
    if model == AWARE:
        return backbone
    # its weights fit any number of bands, but it is built for one
    other = make_task(CARRIED, model, len(image)).backbone
    other.load_state_dict(backbone.state_dict())
    return other.eval()


def sensors(job: Job) -> dict[str, Any]:
    """Score networks that learned from EnMAP on bands of other sensors."""
    data = load(job)
    shown = data.scene.valid & torch.from_numpy(data.split.near)
    scenes: dict[str, tuple[Tensor, BandSet]] = {
        'enmap': (data.image, bands_of(data.scene))
    }
    for sensor in SENSORS:
        bands = sensor_bands(sensor, data.scene)
        image = to_bands(data.scene.image, bands_of(data.scene), bands)
        own = statistics_of(image, shown)
        scenes[sensor] = own.apply(image, data.scene.valid), bands
    found: dict[str, Any] = {
        'spectra': {
            s: score_features(i, data.split, job) for s, (i, _) in scenes.items()
        }
    }
    for model in (AWARE, POSITIONAL):
        backbone = learned(CARRIED, model, data, job)
        maps = {
            sensor: features_of(fitting(backbone, model, image), image, bands)
            for sensor, (image, bands) in scenes.items()
        }
        found[model] = {s: score_features(m, data.split, job) for s, m in maps.items()}
        train = pixels(maps['enmap'], data.split.train)
        found[f'{model}, probe of enmap'] = {
            sensor: score(train, pixels(found_maps, data.split.test), job)
            for sensor, found_maps in maps.items()
        }
    report('sensors', job, found)
    return found


def views(job: Job) -> dict[str, Any]:
    """Score networks that learned from other views."""
    data = load(job)
    bands = bands_of(data.scene)
    found = {}
    for name, (neighbours, spectral) in ABLATION.items():
        both = MultiView([make_view(spectral, neighbours) for _ in range(2)])
        backbone = learned(VIEWED, AWARE, data, job, views=both)
        features = features_of(backbone, data.image, bands)
        found[name] = score_features(features, data.split, job)
    report('views', job, found)
    return found


def report(part: str, job: Job, found: dict[str, Any]) -> None:
    """Print the scores of a run."""
    for name, scores in found.items():
        print(f'{part} seed {job.seed} {name}: {short(scores)}', flush=True)


def short(scores: dict[Any, Any]) -> str:
    """Write scores, of which some are of sensors, in a line."""
    return ', '.join(
        f'{key} {value:.3f}' if isinstance(value, float) else f'{key} ({short(value)})'
        for key, value in scores.items()
    )


def average(runs: Sequence[Any]) -> Any:
    """Average runs that look the same, number by number."""
    if isinstance(runs[0], dict):
        return {str(key): average([run[key] for run in runs]) for key in runs[0]}
    return {
        'mean': round(float(np.mean(runs)), 4),
        'spread': round(float(np.std(runs)), 4),
        'seeds': [round(run, 4) for run in runs],
    }


def mean_of(scores: dict[str, Any]) -> float:
    """Average the scores over the numbers of labels."""
    return float(np.mean([entry['mean'] for entry in scores.values()]))


def verdict(result: dict[str, Any]) -> dict[str, Any]:
    """Say what beats what, on average over the numbers of labels."""
    found: dict[str, Any] = {}
    if 'probe' in result:
        means = {name: mean_of(scores) for name, scores in result['probe'].items()}
        best = max(TASKS, key=means.__getitem__)
        found['best'], mean_of_best = best, means[best]
        for other, mean in means.items():
            if other not in TASKS:
                found[f'best_over_{other}'] = round(mean_of_best - mean, 4)
        found['over_random'] = {
            name: round(means[name] - means['random'], 4) for name in TASKS
        }
    if 'sensors' in result:
        for name, scores in result['sensors'].items():
            own = mean_of(result['sensors'][name.partition(',')[0]]['enmap'])
            found[f'kept, {name}'] = {
                sensor: round(mean_of(scores[sensor]) / own, 4) for sensor in SENSORS
            }
    if 'views' in result:
        means = {name: mean_of(scores) for name, scores in result['views'].items()}
        found['over_neighbours'] = {
            name: round(mean - means['neighbours'], 4) for name, mean in means.items()
        }
    return found


PARTS: dict[str, Callable[[Job], dict[str, Any]]] = {
    'probe': probe,
    'sensors': sensors,
    'views': views,
}


def main(args: argparse.Namespace) -> None:
    """Run all parts with each seed."""
    start = time.perf_counter()
    count = 1 if args.quick else args.seeds
    size = (0.02, 1, SHOTS[:1], 1) if args.quick else (1.0, SCENES, SHOTS, DRAWS)
    jobs = [Job(args.seed + i, *size) for i in range(count)]
    parts = [p for p in PARTS if p in args.parts] if not args.quick else ['probe']
    result = header('pretraining', args) | {
        'network': AWARE,
        'steps': STEPS,
        'draws': DRAWS,
        'components': COMPONENTS,
        'carried': CARRIED,
        'viewed': VIEWED,
    }
    os.environ['OMP_NUM_THREADS'] = str(args.threads)
    if args.out and args.out.is_file() and set(parts) != set(PARTS):
        # parts that are not run again keep what is known, and where it is from
        known = json.loads(args.out.read_text())
        kept = {part: known[part] for part in PARTS if part in known}
        result |= kept | {f'{part}_commit': known['commit'] for part in kept}
    with ProcessPoolExecutor(
        args.workers, get_context('spawn'), torch.set_num_threads, (args.threads,)
    ) as pool:
        runs = {
            part: [
                pool.submit(PARTS[part], job)
                for job in (jobs[:VIEW_SEEDS] if part == 'views' else jobs)
            ]
            for part in parts
        }
        for part, futures in runs.items():
            try:
                result[part] = average([future.result() for future in futures])
            except BaseException:
                # or what comes after a failure is waited for
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            result[f'{part}_commit'] = result['commit']
            result['verdict'] = verdict(result)
            result['seconds'] = round(time.perf_counter() - start, 1)
            if args.out:
                # what took an hour is not lost with the rest
                args.out.parent.mkdir(parents=True, exist_ok=True)
                args.out.write_text(json.dumps(result, indent=2) + '\n')
    for name, value in result['verdict'].items():
        print(f'{name}: {value}')
    finish(result, args.out)


if __name__ == '__main__':
    parser = option_parser('pretraining', __doc__)
    parser.set_defaults(threads=1)
    parser.add_argument('--seeds', type=int, default=5)
    parser.add_argument('--workers', type=int, default=1, help='processes')
    parser.add_argument('--parts', nargs='+', choices=PARTS, default=list(PARTS))
    main(parser.parse_args())
