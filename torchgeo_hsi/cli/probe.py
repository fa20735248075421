# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi probe``: what the features of a backbone know."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

import click

from ..errors import MetadataError
from ..plugins import get_plugin_manager
from ._config_file import read_yaml
from ._methods import check_device
from ._options import (
    branch_option,
    config_option,
    device_option,
    json_option,
    model_option,
    quiet_option,
    report_option,
    seed_option,
    set_option,
)
from ._output import echo_done, echo_fields, echo_json, echo_table, is_quiet
from ._progress import show_counts
from ._verb import Verb
from .export import read_settings

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
    from jsonargparse import ArgumentParser
    from torchgeo.datamodules import BaseDataModule

    content = read_yaml(config)
    if not isinstance(content, dict) or 'data' not in content:
        raise MetadataError(
            f'Expected "data:" with a class_path in {config}, as "torchgeo fit" takes it.'
        )
    get_plugin_manager().load_all()
    # "leaks" reads data modules in this way, too
    verb = click.get_current_context(silent=True)
    prog = 'torchgeo-hsi' if verb is None else verb.command_path
    parser = ArgumentParser(exit_on_error=True, prog=prog)
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


def _watch(
    data: Iterator['Sample'], split: str, tell: Callable[[str, int], None]
) -> Iterator['Sample']:
    """Yield batches, and tell how many images they have been."""
    done = 0
    for batch in data:
        yield batch
        done += len(batch['image'])
        tell(f'Features of {split}', done)


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
    with show_counts('images') as tell:
        for split in ('train', options['on']):
            data = _watch(batches(datamodule, split, device), split, tell)
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
    cls=Verb,
    context_settings={'ignore_unknown_options': True, 'allow_extra_args': True},
    short_help='Evaluate the features of a backbone.',
    examples=(
        'torchgeo-hsi probe --config data.yaml --weights last.ckpt --report scores.json',
        'torchgeo-hsi probe --config data.yaml --model spec_vit_small --pool avg',
        'torchgeo-hsi probe --config data.yaml --weights last.ckpt --baseline pca --json',
    ),
)
@config_option('the data, as for "torchgeo fit"', required=True)
@model_option('that of the checkpoint by default')
@set_option('img_size=64', of='backbone')
@click.option(
    '--weights', metavar='NAME|FILE', help='Weights of the backbone; random without.'
)
@branch_option
@click.option(
    '--pool',
    type=click.Choice(['token', 'avg']),
    help='Pooling of a vision transformer; avg for our masked autoencoders.',
)
@click.option(
    '--knn',
    type=click.IntRange(min=0),
    default=20,
    show_default=True,
    metavar='K',
    help='Nearest neighbours; 0 for no kNN.',
)
@click.option(
    '--linear/--no-linear',
    default=True,
    show_default=True,
    help='Fit a linear probe, too.',
)
@click.option(
    '--pixels',
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    metavar='N',
    help='Pixels of each image with a mask.',
)
@click.option(
    '--shots',
    type=click.IntRange(min=1),
    metavar='N',
    help='Labels of each class to learn from; all by default.',
)
@click.option(
    '--seeds',
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar='N',
    help='Do all of it so many times, from --seed on, and show mean and deviation.',
)
@click.option(
    '--baseline',
    'baselines',
    multiple=True,
    type=click.Choice(['random', 'pca']),
    help='Probe random weights, or principal components of the spectra, too.',
)
@click.option(
    '--components',
    type=click.IntRange(min=1),
    default=30,
    show_default=True,
    metavar='N',
    help='Principal components.',
)
@click.option(
    '--on',
    type=click.Choice(['val', 'test']),
    default='test',
    show_default=True,
    help='What to evaluate on.',
)
@seed_option
@device_option
@report_option
@json_option
@quiet_option
@click.argument('args', nargs=-1, type=click.UNPROCESSED, metavar='[ARGS]')
def probe(
    config: str,
    model: str | None,
    settings: Sequence[str],
    weights: str | None,
    knn: int,
    linear: bool,
    seeds: int,
    baselines: tuple[str, ...],
    report: str | None,
    as_json: bool,
    args: tuple[str, ...],
    **options: Any,
) -> None:
    """Evaluate the features of a frozen backbone by nearest neighbours and linearly.

    Takes the data of a configuration of "torchgeo fit"; more ARGS change them, e.g.
    "--data.root FOLDER". Images with one or several labels or with numbers are probed
    as a whole; of images with a mask some pixels are.
    """
    from ..io._whole import write_json
    from ..models.backbones.checkpoint_backbone import find_architecture

    start = time.monotonic()
    options['device'] = check_device(options['device'])
    architecture = find_architecture(weights, model, read_settings(settings))
    datamodule = make_datamodule(config, args)
    datamodule.prepare_data()
    runs = []
    for seed in range(options['seed'], options['seed'] + seeds):
        own = options | {'seed': seed}
        features = _features(
            datamodule, architecture, weights, list(dict.fromkeys(baselines)), own
        )
        runs.append(_probe(features, knn, linear, own))
    scores, spread = _summary(runs)
    content = {
        'model': architecture.model,
        'weights': weights,
        'config': config,
        **_sizes(*features['']),
        'seeds': seeds,
        **options,
        'scores': scores,
    }
    if spread:
        content |= {'std': spread, 'runs': runs}
    if report is not None:
        write_json(report, content)
    if as_json:
        echo_json(content)
    elif not is_quiet():
        _show(content, scores, spread)
        if report is not None:
            echo_done('Scores written', report, time.monotonic() - start)


def _sizes(train: 'ProbeFeatures', test: 'ProbeFeatures') -> dict[str, Any]:
    """Say what was probed, and how much of it."""
    return {
        'kind': train.kind,
        'features': train.features.shape[1],
        'train_samples': len(train.features),
        'samples': len(test.features),
    }


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
