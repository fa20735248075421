# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi probe``: what the features of a backbone know."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import click

from ..errors import MetadataError
from ..plugins import get_plugin_manager
from ._output import echo_fields, echo_json, echo_table, json_option
from .export import read_kwargs

if TYPE_CHECKING:
    import torch

    from .._typing import Sample
    from ..models.backbones.checkpoint_backbone import Architecture
    from ..models.probes import FeatureSource, ProbeFeatures

#: Scores of probes, by the name of the probe and that of the metric.
type Scores = dict[str, dict[str, float]]


def make_datamodule(config: str, args: Sequence[str]) -> Any:
    """Build the data module of a configuration.

    Args:
        config: The YAML file; all of it but ``data`` is left alone.
        args: More options, such as ``--data.root=...``.

    Returns:
        The data module.

    Raises:
        MetadataError: If the file is no YAML, or has no ``data``.
    """
    import yaml
    from jsonargparse import ArgumentParser
    from torchgeo.datamodules import BaseDataModule

    try:
        content = yaml.safe_load(Path(config).read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MetadataError(f'{config} is not valid YAML: {error}') from error
    if not isinstance(content, dict) or 'data' not in content:
        raise MetadataError(
            f'Expected "data:" with a class_path in {config}, as "torchgeo fit" takes it.'
        )
    get_plugin_manager().load_all()
    parser = ArgumentParser(exit_on_error=True, prog='torchgeo-hsi probe')
    parser.add_subclass_arguments(BaseDataModule, 'data', required=True)
    given = parser.parse_args([f'--data={json.dumps(content["data"])}', *args])
    return parser.instantiate_classes(given)['data']


def batches(datamodule: Any, split: str, device: 'torch.device') -> Iterator['Sample']:
    """Yield batches as a network gets them in evaluation.

    Args:
        datamodule: The data module.
        split: ``'train'``, ``'val'`` or ``'test'``.
        device: Where the batches go.

    Yields:
        Normalized batches.
    """
    # torchgeo takes a while to import
    from ..callbacks._evaluation import evaluation_batches

    yield from evaluation_batches(datamodule, split, device)


def _write(path: str, report: dict[str, Any]) -> None:
    """Write a report, whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f'.{target.name}.{os.getpid()}')
    scratch.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    scratch.replace(target)


def _sources(
    architecture: 'Architecture',
    bands: int,
    weights: str | None,
    baselines: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, 'FeatureSource']:
    """Build what makes features: the backbone, and what it has to beat."""
    import torch

    from ..models import load_spectral_earth_weights
    from ..models.backbones._features import make_backbone
    from ..models.backbones.checkpoint_backbone import default_pool
    from ..models.probes import BackboneFeatures, Spectra

    words = dict(architecture.model_kwargs)
    if len(words.get('wavelength') or ()) not in (0, bands):
        # those of another sensor; batches say where their bands lie
        words = {k: v for k, v in words.items() if k not in ('wavelength', 'fwhm')}
    found: dict[str, FeatureSource] = {}
    for name in ('', *baselines):
        if name == 'pca':
            found[name] = Spectra()
            continue
        backbone = make_backbone(architecture.model, bands, words)
        if weights and not name:
            branch = options['branch']
            load_spectral_earth_weights(
                backbone, weights, branch=branch, interpolate=True
            )
        pool = options['pool'] or default_pool(backbone, architecture)
        backbone = backbone.to(torch.device(options['device']))
        found[name] = BackboneFeatures(backbone, pool)
    return found


def _features(
    datamodule: Any,
    architecture: 'Architecture',
    weights: str | None,
    baselines: Sequence[str],
    options: Mapping[str, Any],
) -> dict[str, tuple['ProbeFeatures', 'ProbeFeatures']]:
    """Compute features of training and evaluation data, of the same images or pixels."""
    import torch

    from ..models.probes import collect_from, principal_components

    device = torch.device(options['device'])
    generator = torch.Generator().manual_seed(options['seed'])
    ignored = getattr(datamodule, 'ignore_index', None)
    # random weights, and the random windows of a scene
    torch.manual_seed(options['seed'])
    sources: dict[str, FeatureSource] = {}
    splits = []
    for split in ('train', options['on']):
        data = batches(datamodule, split, device)
        first = next(data)
        if not sources:
            bands = first['image'].shape[-3]
            sources = _sources(architecture, bands, weights, baselines, options)
        data = chain([first], data)
        splits.append(
            collect_from(sources, data, options['pixels'], ignored, generator)
        )
    found = {name: (splits[0][name], splits[1][name]) for name in sources}
    if 'pca' in found:
        train, test = principal_components(
            *found['pca'], components=options['components']
        )
        found['pca'] = train, test
    return found


def _probe(
    features: Mapping[str, tuple['ProbeFeatures', 'ProbeFeatures']],
    knn: int,
    linear: bool,
    options: Mapping[str, Any],
) -> Scores:
    """Run the probes that were asked for."""
    from ..models.probes import run_probes

    scores: Scores = {}
    for source, (train, test) in features.items():
        found = run_probes(train, test, knn, linear, options['shots'], options['seed'])
        for probe, values in found.items():
            name = f'knn-{knn}' if probe == 'knn' else probe
            scores[f'{source}/{name}' if source else name] = values
    return scores


def _summary(runs: Sequence[Scores]) -> tuple[Scores, Scores]:
    """Average scores over seeds, and say how far they spread."""

    def over(function: Any) -> Scores:
        return {
            probe: {
                name: function([run[probe][name] for run in runs]) for name in values
            }
            for probe, values in runs[0].items()
        }

    return over(fmean), over(stdev) if len(runs) > 1 else {}


@click.command(
    'probe',
    context_settings={'ignore_unknown_options': True, 'allow_extra_args': True},
    short_help='Evaluate the features of a backbone.',
)
@click.option(
    '--config',
    required=True,
    type=click.Path(exists=True, dir_okay=False),
    help='Configuration with the data, e.g. one of configs/.',
)
@click.option(
    '--model', help='Backbone of timm, e.g. spec_vit_small; that of the checkpoint.'
)
@click.option('--model-kwargs', help='More of its arguments, as JSON.')
@click.option('--weights', help='File or entry of its weights; random ones without.')
@click.option(
    '--branch',
    type=click.Choice(['auto', 'student', 'teacher']),
    default='auto',
    show_default=True,
    help='Which of two networks; auto is the teacher of DINO, the student of others.',
)
@click.option(
    '--pool',
    type=click.Choice(['token', 'avg']),
    help='Pooling of a vision transformer; avg for our masked autoencoders.',
)
@click.option(
    '--knn', default=20, show_default=True, help='Nearest neighbours; 0 for no kNN.'
)
@click.option('--linear/--no-linear', default=True, help='Fit a linear probe, too.')
@click.option(
    '--pixels', default=100, show_default=True, help='Pixels of each image with a mask.'
)
@click.option(
    '--shots', type=click.IntRange(1), help='Labels of each class to learn from.'
)
@click.option(
    '--seeds',
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help='Do all of it so many times, and show mean and standard deviation.',
)
@click.option(
    '--baseline',
    'baselines',
    multiple=True,
    type=click.Choice(['random', 'pca']),
    help='Probe random weights, or principal components of the spectra, too.',
)
@click.option(
    '--components', default=30, show_default=True, help='Principal components.'
)
@click.option(
    '--on',
    type=click.Choice(['val', 'test']),
    default='test',
    show_default=True,
    help='What to evaluate on.',
)
@click.option('--device', default='cpu', show_default=True, help='cpu, cuda, ...')
@click.option('--seed', default=0, show_default=True, help='Draws pixels and images.')
@click.option(
    '--out', type=click.Path(dir_okay=False), help='Write the scores to this JSON file.'
)
@json_option
@click.argument('args', nargs=-1, type=click.UNPROCESSED)
def probe(
    config: str,
    model: str | None,
    model_kwargs: str | None,
    weights: str | None,
    knn: int,
    linear: bool,
    seeds: int,
    baselines: tuple[str, ...],
    out: str | None,
    as_json: bool,
    args: tuple[str, ...],
    **options: Any,
) -> None:
    """Evaluate the features of a frozen backbone by nearest neighbours and linearly.

    Takes the data of a configuration of "torchgeo fit"; more ARGS change them, e.g.
    "--data.root FOLDER". Images with one or several labels or with numbers are probed
    as a whole; of images with a mask some pixels are.
    """
    from ..models.backbones.checkpoint_backbone import find_architecture

    datamodule = make_datamodule(config, args)
    architecture = find_architecture(weights, model, read_kwargs(model_kwargs))
    datamodule.prepare_data()
    runs = []
    for seed in range(options['seed'], options['seed'] + seeds):
        words = options | {'seed': seed}
        features = _features(
            datamodule, architecture, weights, list(dict.fromkeys(baselines)), words
        )
        runs.append(_probe(features, knn, linear, words))
    train, test = features['']
    scores, spread = _summary(runs)
    report = {
        'model': architecture.model,
        'weights': weights,
        'config': config,
        'kind': train.kind,
        'features': train.features.shape[1],
        'train_samples': len(train.features),
        'samples': len(test.features),
        'seeds': seeds,
        **options,
        'scores': scores,
    }
    if spread:
        report |= {'std': spread, 'runs': runs}
    if out:
        _write(out, report)
    if as_json:
        echo_json(report)
    else:
        _show(report, scores, spread)


def _show(report: Mapping[str, Any], scores: Scores, spread: Scores) -> None:
    """Print what was done, and a table with one row for each probe."""
    hidden = ('scores', 'std', 'runs')
    echo_fields([(k, str(v)) for k, v in report.items() if k not in hidden])
    if not scores:
        return
    rows = []
    for probe, values in scores.items():
        cells = [f'{value:.4f}' for value in values.values()]
        if spread:
            ranges = spread[probe].values()
            cells = [f'{c} ± {s:.4f}' for c, s in zip(cells, ranges, strict=True)]
        rows.append((probe, *cells))
    click.echo()
    echo_table(('probe', *next(iter(scores.values()))), rows)


COMMANDS = (probe,)
