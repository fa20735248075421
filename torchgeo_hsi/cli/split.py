# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi split``: splits that do not leak, for a label map or for patches."""

import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import MetadataError, OutputError
from ._arguments import FiniteRange, with_options
from ._opening import check_path
from ._options import (
    column_option,
    guard_option,
    label_options,
    least_option,
    outcome_options,
    seed_option,
    window_option,
)
from ._output import check_free, check_not_inputs, echo_done
from ._plan import show_plan
from ._splits import (
    count_labels,
    find_patches,
    read_boxes,
    read_labels,
    show_report,
    write_split,
)
from ._verb import Verb

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

    from ..datasets.splits import LeakReport


def _parse_shares(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> dict[str, float] | None:
    """Read ``NAME=SHARE``."""
    shares = {}
    for item in value:
        name, equals, number = item.partition('=')
        try:
            shares[name] = float(number)
        except ValueError:
            equals = ''
        if not (name and equals and name.isidentifier()):
            raise click.BadParameter(
                f'Expected NAME=SHARE, such as test=0.3, got {item}.'
            )
    return shares or None


_OPTIONS = (
    window_option,
    click.option(
        '--share',
        'shares',
        multiple=True,
        metavar='NAME=SHARE',
        callback=_parse_shares,
        help='Share of a split, training first (train=0.6 val=0.2 test=0.2).',
    ),
    click.option(
        '--by',
        type=click.Choice(['block', 'region', 'random']),
        default='block',
        show_default=True,
        help='What goes to a split as a whole; random leaks, for comparison.',
    ),
    click.option(
        '--block-size',
        type=FiniteRange(min=0, min_open=True),
        metavar='SIZE',
        help='Side of a block: pixels of a map, units of the CRS for patches.',
    ),
    guard_option,
    click.option(
        '--gap',
        type=FiniteRange(min=0),
        metavar='DISTANCE',
        help='Least distance of patches of different splits, in units of the CRS.',
    ),
    click.option(
        '--regions',
        type=click.Path(exists=True),
        metavar='FILE',
        help='Polygons (any vector file) for patches and --by region.',
    ),
    column_option,
    click.option(
        '--labels',
        type=click.Path(exists=True, file_okay=False),
        metavar='FOLDER',
        help='Folder with the label map of each patch, by the same name.',
    ),
    label_options,
    least_option,
    seed_option,
    outcome_options,
)


@click.command(
    cls=Verb,
    short_help='Split a label map or patches so that the test says something.',
    examples=(
        'torchgeo-hsi split labels.tif split.tif --window 15 --figure split.png',
        'torchgeo-hsi split gt.mat split.tif --label-key gt --window 9',
        'torchgeo-hsi split patches lists --labels masks --gap 3840',
    ),
)
@click.argument('source', metavar='LABELS', callback=check_path)
@click.argument('output', metavar='OUT', type=click.Path(), callback=check_path)
@with_options(_OPTIONS)
def split(
    source: str,
    output: str,
    report: str | None,
    figure: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Split a label map, or a folder of patches, so that the test says something.

    LABELS is a label map (GeoTIFF, .mat, .npy ...): OUT becomes a GeoTIFF with 1 for the
    first split, 2 for the second, and 0 for none. Or LABELS is a folder of georeferenced
    patches: OUT becomes a folder with a list of names for each split.
    """
    start = time.monotonic()
    check_not_inputs([output, report, figure], [source])
    if not os.path.exists(source):
        raise FileNotFoundError(f'There is nothing at {source}. Check the path.')
    overwrite, dry_run = options.pop('overwrite'), options.pop('dry_run')
    if os.path.isfile(source) and os.path.isdir(output):
        raise OutputError(f'{output} is a folder. Name a file in it.')
    outputs = _outputs(source, output, options['shares'])
    if dry_run:
        # a byte for each pixel, which are no more than bytes of most label maps
        sizes = dict.fromkeys(outputs)
        show_plan([source], sizes, overwrite, as_json)
        return
    check_free(outputs, overwrite)
    work = _split_patches if os.path.isdir(source) else _split_map
    found = work(source, output, **options)
    show_report(found, report, figure, as_json)
    if not as_json:
        echo_done('Split written', output, time.monotonic() - start)


def _outputs(source: str, output: str, shares: Mapping[str, float] | None) -> list[str]:
    """List what is written."""
    if not os.path.isdir(source):
        return [output]
    names = shares or ('train', 'val', 'test')
    return [os.path.join(output, f'{name}.txt') for name in names]


def _given(options: dict[str, Any], **names: str) -> dict[str, Any]:
    """Pick the options that were given, by the names of the library."""
    return {
        name: options[option]
        for option, name in names.items()
        if options[option] is not None
    }


def _refuse(options: dict[str, Any], names: tuple[str, ...], kind: str) -> None:
    for name in names:
        if options[name] is not None:
            raise click.UsageError(f'--{name.replace("_", "-")} is not for {kind}.')


def _split_map(source: str, target: str, **options: Any) -> 'LeakReport':
    """Split the pixels of a label map."""
    import torch

    from ..datasets import (
        block_pixel_split,
        leak_report,
        random_pixel_split,
        region_pixel_split,
    )

    _refuse(options, ('gap', 'regions', 'column', 'labels'), 'a label map')
    if options['window'] is None:
        raise click.UsageError('A label map needs --window.')
    if options['by'] != 'block':
        _refuse(options, ('block_size',), f'--by {options["by"]}')
    if options['by'] == 'random':
        _refuse(options, ('guard', 'least'), '--by random')
    methods: dict[str, Callable[..., Any]] = {
        'block': block_pixel_split,
        'region': region_pixel_split,
        'random': random_pixel_split,
    }
    size = options['block_size']
    if size is not None and not float(size).is_integer():
        raise click.UsageError('--block-size of a label map is a number of pixels.')
    words = _given(options, shares='shares', guard='guard', least='least')
    words |= {} if size is None else {'block_size': int(size)}
    labels, place = read_labels(source, options['label_key'])
    found = methods[options['by']](
        labels,
        options['window'],
        ignore_index=options['ignore'],
        generator=torch.Generator().manual_seed(options['seed']),
        **words,
    )
    write_split(target, found, place)
    return leak_report(found, least=options['least'] or 5)


def _split_patches(source: str, target: str, **options: Any) -> 'LeakReport':
    """Split the patches of a folder."""
    import torch

    from ..datasets import block_patch_split, leak_report, region_patch_split
    from ..io._whole import write_whole

    _refuse(options, ('window', 'guard', 'label_key'), 'a folder of patches')
    if options['by'] == 'random':
        raise click.UsageError('Patches are split by block or by region.')
    if (options['by'] == 'region') != (options['regions'] is not None):
        raise click.UsageError('--by region and --regions need each other.')
    names = find_patches(source)
    boxes = read_boxes(source, names)
    words = _given(options, shares='shares', gap='gap', least='least')
    words['generator'] = torch.Generator().manual_seed(options['seed'])
    if options['labels'] is not None:
        words['counts'] = count_labels(options['labels'], names, options['ignore'])[0]
    if options['by'] == 'block':
        _refuse(options, ('column',), '--by block')
        words |= _given(options, block_size='block_size')
        found = block_patch_split(boxes, **words)
    else:
        _refuse(options, ('block_size',), '--by region')
        polygons = _read_regions(
            options['regions'], options['column'], _crs_of(source, names)
        )
        found = region_patch_split(boxes, polygons, column=options['column'], **words)
    for name in found.names:
        lines = ''.join(f'{names[i]}\n' for i in found.indices(name))
        path = os.path.join(target, f'{name}.txt')
        write_whole(path, partial(Path.write_text, data=lines, encoding='utf-8'))
    return leak_report(found, least=options['least'] or 1)


def _read_regions(path: str, column: str | None, crs: Any) -> 'GeoDataFrame':
    """Read the polygons of regions, in the CRS of the patches."""
    from ..datasets.labelled_scenes._label_vectors import open_features

    polygons = open_features(path, column)
    if column is not None and column not in polygons.columns:
        listed = ', '.join(map(str, polygons.columns.drop(polygons.geometry.name)))
        raise MetadataError(
            f'There is no column {column!r} in {path}. Choose one of its columns: '
            f'{listed or "none"}.'
        )
    try:
        return polygons.to_crs(crs)
    # pyproj's, of which it has several
    except Exception as error:
        raise MetadataError(
            f'The regions of {path} cannot be put on the map of the patches '
            f'({type(error).__name__}: {error}). Save them in the CRS of the patches.'
        ) from error


def _crs_of(folder: str, names: list[str]) -> Any:
    """Return the CRS of the boxes of patches."""
    from ..io.geotiff import open_raster
    from ._splits import _WORLD

    systems = set()
    for name in names:
        with open_raster(os.path.join(folder, name), complete=False) as src:
            systems.add(src.crs)
    return systems.pop() if len(systems) == 1 else _WORLD


COMMANDS = (split,)
