# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi classify``: a land-cover map of a scene from a few labels."""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ._arguments import with_options
from ._classify import (
    METHODS,
    check_files,
    keep_bands,
    parse_list,
    parse_names,
    probability_path,
    read_options,
    write_results,
)
from ._methods import check_device
from ._opening import check_path, read_opening
from ._options import (
    column_option,
    device_option,
    guard_option,
    label_options,
    open_option,
    outcome_options,
    seed_option,
    set_option,
    window_option,
)
from ._output import echo_done, echo_json, is_quiet
from ._plan import read_info, show_plan
from ._progress import show_stages
from ._sizes import geotiff_bytes
from ._verb import Verb

_OPTIONS = (
    click.option(
        '--method',
        type=click.Choice(METHODS),
        default='svm',
        show_default=True,
        help='How pixels are classified.',
    ),
    set_option('steps=800 or components=20'),
    window_option,
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
        metavar='N',
        help='Parts of the labels, each of which is tested once.',
    ),
    guard_option,
    column_option,
    label_options,
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
    open_option('SCENE', 'key=data or wavelength_unit=nm'),
    click.option(
        '--probabilities/--no-probabilities',
        default=True,
        show_default=True,
        help='Write the probability of each class beside OUT.',
    ),
    seed_option,
    device_option,
    outcome_options,
)


@click.command(
    cls=Verb,
    short_help='Map the classes of a scene from a few labels.',
    examples=(
        'torchgeo-hsi classify scene.tif fields.gpkg map.tif --column crop',
        'torchgeo-hsi classify scene.mat gt.mat map.tif --open key=cube --method hybridsn',
        'torchgeo-hsi classify scene.tif labels.tif map.tif --figure map.png --json',
    ),
)
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
    opening: Sequence[str],
    settings: Sequence[str],
    report: str | None,
    figure: str | None,
    dry_run: bool,
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
    check_files(source, labels, output, options['probabilities'], report, figure)
    options['device'] = check_device(options['device'])
    words = {name: value for name, value in options.items() if value is not None}
    reading = read_opening(source, opening)
    words |= {'ignore': options['ignore'], **reading}
    words['options'] = read_options(method, settings)
    chosen = keep_bands(source, bands, bad_bands, words)
    words |= {} if chosen is None else {'bands': chosen}
    if dry_run:
        _plan(source, labels, output, reading, words, as_json)
        return
    with show_stages() as progress:
        found = classify_scene(
            source, labels, output, method, progress=progress, figure=figure, **words
        )
    seconds = round(time.monotonic() - start, 1)
    content = found.to_dict() | {'output': output, 'seconds': seconds}
    write_results(content, report)
    if as_json:
        echo_json(content)
    elif not is_quiet():
        click.echo(str(found))
        echo_done('Map written', output, seconds)


def _plan(
    source: str,
    labels: str,
    output: str,
    reading: Mapping[str, Any],
    words: Mapping[str, Any],
    as_json: bool,
) -> None:
    """Say what would be read and written."""
    writes: dict[str, float | None] = {output: None}
    classes = len(words.get('classes') or ()) or None
    if words['probabilities']:
        writes[str(probability_path(Path(output)))] = None
    if not os.path.isdir(source):
        _, height, width = read_info(source, reading).shape
        writes[output] = geotiff_bytes(1, height, width, 'uint16')
        if words['probabilities'] and classes:
            size = geotiff_bytes(classes, height, width, 'uint8')
            writes[str(probability_path(Path(output)))] = size
    show_plan([source, labels], writes, words['overwrite'], as_json)


COMMANDS = (classify,)
