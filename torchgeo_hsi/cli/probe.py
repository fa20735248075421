# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi probe``: what the features of a backbone know."""

import json
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from ..errors import EmptyDataError, MetadataError
from ..plugins import get_plugin_manager
from ._output import echo_fields, echo_json, echo_table, json_option

if TYPE_CHECKING:
    import torch

    from .._typing import Sample
    from ..tasks.probing import ProbeFeatures

#: What a data module asks its trainer: evaluation, so that nothing is augmented.
_EVALUATION = SimpleNamespace(
    training=False,
    validating=True,
    sanity_checking=False,
    testing=False,
    predicting=False,
    global_rank=0,
    world_size=1,
)


def make_datamodule(config: str, args: Sequence[str]) -> Any:
    """Build the data module of a configuration.

    Args:
        config: The YAML file; all of it but ``data`` is left alone.
        args: More options, such as ``--data.root=...``.

    Returns:
        The data module.

    Raises:
        MetadataError: If the file has no ``data``.
    """
    import yaml
    from jsonargparse import ArgumentParser
    from torchgeo.datamodules import BaseDataModule

    content = yaml.safe_load(Path(config).read_text(encoding='utf-8'))
    if not isinstance(content, dict) or 'data' not in content:
        raise MetadataError(
            f'Expected "data:" with a class_path in {config}, as "torchgeo fit" takes it.'
        )
    get_plugin_manager().load_all()
    parser = ArgumentParser(exit_on_error=True, prog='torchgeo-hsi probe')
    parser.add_subclass_arguments(BaseDataModule, 'data', required=True)
    given = parser.parse_args([f'--data={json.dumps(content["data"])}', *args])
    return parser.instantiate_classes(given)['data']


def _loader(datamodule: Any, split: str) -> Any:
    """Make the loader of a split, in order where its data have one."""
    from torch.utils.data import DataLoader
    from torchgeo.datamodules import GeoDataModule

    if isinstance(datamodule, GeoDataModule):
        return getattr(datamodule, f'{split}_dataloader')()
    dataset = getattr(datamodule, f'{split}_dataset', None)
    if dataset is None:
        raise EmptyDataError(
            f'{type(datamodule).__name__} has no {split} data. Choose with --on.'
        )
    return DataLoader(
        dataset,
        batch_size=datamodule.batch_size,
        num_workers=datamodule.num_workers,
        collate_fn=datamodule.collate_fn,
    )


def batches(datamodule: Any, split: str, device: 'torch.device') -> Iterator['Sample']:
    """Yield batches as a network gets them in evaluation.

    Args:
        datamodule: The data module.
        split: ``'train'``, ``'val'`` or ``'test'``.
        device: Where the batches go.

    Yields:
        Normalized batches.
    """
    datamodule.trainer = _EVALUATION
    datamodule.setup('test' if split == 'test' else 'fit')
    for batch in _loader(datamodule, split):
        moved = datamodule.transfer_batch_to_device(batch, device, 0)
        yield datamodule.on_after_batch_transfer(moved, 0)


def _scores(
    train: 'ProbeFeatures', test: 'ProbeFeatures', knn: int, linear: bool, seed: int
) -> dict[str, dict[str, float]]:
    """Run the probes that were asked for."""
    import torch

    from ..tasks import probing

    outputs = probing.count_classes(train, test)

    def score(prediction: 'torch.Tensor') -> dict[str, float]:
        return probing.score_probe(prediction, test.labels, test.kind, outputs)

    scores = {}
    if knn:
        found = probing.knn_predict(train, test.features, outputs, knn)
        scores[f'knn-{knn}'] = score(found)
    if linear:
        generator = torch.Generator().manual_seed(seed)
        penalty = probing.choose_penalty(train, outputs, generator=generator)
        found = probing.linear_predict(train, test.features, outputs, penalty)
        scores['linear'] = score(found)
    return scores


def _write(path: str, report: dict[str, Any]) -> None:
    """Write a report, whole or not at all."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name(f'.{target.name}.{os.getpid()}')
    scratch.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    scratch.replace(target)


def _features(
    datamodule: Any, model: str, weights: str | None, on: str, options: dict[str, Any]
) -> tuple['ProbeFeatures', 'ProbeFeatures']:
    """Compute the features of training and evaluation data."""
    import torch

    from ..models import load_spectral_earth_weights
    from ..models._features import make_backbone
    from ..tasks.probing import collect_features

    device = torch.device(options['device'])
    generator = torch.Generator().manual_seed(options['seed'])
    words = {k: options[k] for k in ('pool', 'pixels')}
    words['ignore_index'] = getattr(datamodule, 'ignore_index', None)
    # random weights, and the random windows of a scene
    torch.manual_seed(options['seed'])
    datamodule.prepare_data()
    backbone = None
    found = []
    for split in ('train', on):
        data = batches(datamodule, split, device)
        first = next(data, None)
        if first is None:
            raise EmptyDataError(f'The {split} data are empty.')
        if backbone is None:
            backbone = make_backbone(model, first['image'].shape[-3], None)
            if weights:
                load_spectral_earth_weights(backbone, weights)
            backbone = backbone.to(device)
        data = chain([first], data)
        found.append(collect_features(backbone, data, generator=generator, **words))
    return found[0], found[1]


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
@click.option('--model', required=True, help='Backbone of timm, e.g. spec_vit_small.')
@click.option('--weights', help='File or entry of its weights; random ones without.')
@click.option(
    '--pool',
    type=click.Choice(['token', 'avg']),
    help='Pooling of a vision transformer; avg for weights of masked autoencoders.',
)
@click.option(
    '--knn', default=20, show_default=True, help='Nearest neighbours; 0 for no kNN.'
)
@click.option('--linear/--no-linear', default=True, help='Fit a linear probe, too.')
@click.option(
    '--pixels', default=100, show_default=True, help='Pixels of each image with a mask.'
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
@click.option('--out', help='Write the scores to this JSON file.')
@json_option
@click.argument('args', nargs=-1, type=click.UNPROCESSED)
def probe(
    config: str,
    model: str,
    weights: str | None,
    knn: int,
    linear: bool,
    on: str,
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
    datamodule = make_datamodule(config, args)
    train, test = _features(datamodule, model, weights, on, options)
    report = {
        'model': model,
        'weights': weights,
        'config': config,
        'on': on,
        'kind': train.kind,
        'features': train.features.shape[1],
        'train_samples': len(train.features),
        'samples': len(test.features),
        **options,
        'scores': _scores(train, test, knn, linear, options['seed']),
    }
    if out:
        _write(out, report)
    if as_json:
        echo_json(report)
        return
    echo_fields([(k, str(v)) for k, v in report.items() if k != 'scores'])
    scores: dict[str, dict[str, float]] = report['scores']
    if scores:
        names = list(next(iter(scores.values())))
        rows = [
            (probe, *(f'{values[name]:.4f}' for name in names))
            for probe, values in scores.items()
        ]
        click.echo()
        echo_table(('probe', *names), rows)


COMMANDS = (probe,)
