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
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch
from _pretraining_probes import (
    AWARE,
    POSITIONAL,
    Job,
    learned,
    load,
    pixels,
    score,
    score_features,
    score_supervised,
)
from _pretraining_scene import bands_of, sensor_bands, statistics_of, to_bands
from _pretraining_tasks import STEPS, TASKS, VIEWS, features_of, make_task, make_view
from _pretraining_verdict import average, short, verdict
from common import finish, header, option_parser
from torch import Tensor

from torchgeo_hsi.models.probes import ProbeFeatures, principal_components
from torchgeo_hsi.physics import BandSet
from torchgeo_hsi.transforms import MultiView

SHOTS = (5, 10, 25)
SENSORS = ('prisma', 'desis')
COMPONENTS = (5, 10, 30)
SCENES = 6
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
