# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi classify``: a land-cover map of a scene from a few labels."""

import time
from collections.abc import Sequence
from typing import Any

import click

from ._arguments import with_options
from ._classify import (
    METHODS,
    check_files,
    keep_bands,
    parse_ignore,
    parse_list,
    parse_names,
    read_options,
    write_results,
)
from ._methods import check_device
from ._opening import check_path, read_opening
from ._output import echo_json, json_option, option_words
from ._progress import show_stages

#: Arguments of the library that are options here, for messages.
_WORDS = (
    'bands',
    'classes',
    'class_names',
    'column',
    'folds',
    'guard',
    'ignore',
    'key',
    'label_key',
    'overwrite',
    'split',
    'window',
)

_OPTIONS = (
    click.option(
        '--method',
        type=click.Choice(METHODS),
        default='svm',
        show_default=True,
        help='How pixels are classified.',
    ),
    click.option(
        '--window',
        type=click.IntRange(min=1),
        help='Rows and columns around a pixel that are looked at; odd.',
    ),
    click.option(
        '--split',
        default='block',
        show_default=True,
        metavar='KIND|FILE',
        help='How scores are made: block, region, random (which leaks, for comparison), '
        'or a raster of "torchgeo-hsi split".',
    ),
    click.option(
        '--folds',
        type=click.IntRange(min=2),
        default=5,
        show_default=True,
        help='Parts of the labels, each of which is tested once.',
    ),
    click.option(
        '--guard',
        type=click.IntRange(min=0),
        help='Pixels left out between training and test (window // 2).',
    ),
    click.option('--seed', type=click.IntRange(min=0), default=0, help='Seed (0).'),
    click.option('--column', help='Column of a vector file with the class.'),
    click.option('--label-key', help='Name of the label map in a .mat or HDF5 file.'),
    click.option(
        '--ignore',
        default='0',
        show_default=True,
        callback=parse_ignore,
        help='Code of pixels without a label, or none.',
    ),
    click.option(
        '--classes',
        metavar='CODE|NAME,...',
        callback=parse_list,
        help='Classes, in this order; others count as unlabelled.',
    ),
    click.option(
        '--class-names',
        metavar='NAME,...',
        callback=parse_names,
        help='Name of each class, or CODE=NAME,...',
    ),
    click.option(
        '--bands',
        metavar='BAND,...',
        help='Bands by position (from 0; 3-20 is a range), name, or wavelength in '
        'micrometres (0.86).',
    ),
    click.option(
        '--bad-bands', metavar='BAND,...', help='Positions of bands to leave out.'
    ),
    click.option('--key', help='Name of the cube in a .mat or HDF5 file.'),
    click.option(
        '--open',
        'opening',
        multiple=True,
        metavar='KEY=VALUE',
        help='More options to read SCENE, e.g. wavelength_unit=nm.',
    ),
    click.option(
        '--set',
        'settings',
        multiple=True,
        metavar='KEY=VALUE',
        help='Arguments of the method, e.g. steps=800 or components=20.',
    ),
    click.option(
        '--probabilities/--no-probabilities',
        default=True,
        help='Write the probability of each class beside OUT (yes).',
    ),
    click.option('--device', help='cpu, cuda, cuda:1 ...; a GPU by default, if any.'),
    click.option(
        '--report', type=click.Path(dir_okay=False), help='JSON file to write.'
    ),
    click.option('--figure', type=click.Path(dir_okay=False), help='Picture to write.'),
    click.option('--overwrite', is_flag=True, help='Replace OUT.'),
    json_option,
)


@click.command(short_help='Map the classes of a scene from a few labels.')
@click.argument('source', metavar='SCENE', callback=check_path)
@click.argument('labels', metavar='LABELS', callback=check_path)
@click.argument('output', metavar='OUT', type=click.Path(), callback=check_path)
@with_options(_OPTIONS)
def classify(
    source: str,
    labels: str,
    output: str,
    method: str,
    bands: str | None,
    bad_bands: str | None,
    key: str | None,
    opening: Sequence[str],
    settings: Sequence[str],
    device: str | None,
    report: str | None,
    figure: str | None,
    probabilities: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Map the classes of a scene from labels of some of its pixels.

    SCENE is a file or product folder, or a folder of EnMAP tiles. LABELS is a label map
    (GeoTIFF, ENVI, .mat, .npy ...) or a vector file with polygons or points (GeoPackage,
    GeoJSON, Shapefile) in any CRS. OUT is a GeoTIFF (.tif) with one class for each
    pixel; a file beside it holds the probability of each class.

    Scores come first, of pixels that were not trained on, together with how far the
    test was apart from training. The map then comes from all labels.
    """
    from ..workflows import classify_scene

    start = time.monotonic()
    check_files(source, labels, output, probabilities, report, figure)
    device = check_device(device)
    words = {name: value for name, value in options.items() if value is not None}
    words['ignore'] = options['ignore']
    words |= read_opening(source, opening) if opening else {}
    words |= {} if key is None else {'key': key}
    words['options'] = read_options(method, settings)
    with option_words(_WORDS, source), show_stages() as progress:
        chosen = keep_bands(source, bands, bad_bands, words)
        words |= {} if chosen is None else {'bands': chosen}
        found = classify_scene(
            source,
            labels,
            output,
            method,
            probabilities=probabilities,
            device=device,
            progress=progress,
            figure=figure,
            **words,
        )
    seconds = round(time.monotonic() - start, 1)
    content = found.to_dict() | {'output': output, 'seconds': seconds}
    write_results(content, report)
    if as_json:
        echo_json(content)
        return
    click.echo(str(found))
    click.echo(f'Map written to {output} after {seconds:.0f} s')


COMMANDS = (classify,)
