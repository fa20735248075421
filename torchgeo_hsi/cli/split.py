# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi split``: splits that do not leak, for a label map or for patches."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._arguments import with_options
from ._output import check_not_inputs, json_option, option_words
from ._splits import (
    count_labels,
    find_patches,
    read_boxes,
    read_labels,
    show_report,
    write_split,
    write_whole,
)

if TYPE_CHECKING:
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
    click.option(
        '--window',
        type=click.IntRange(min=1),
        help='Window of the classifier in pixels.',
    ),
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
        help='What goes to a split as a whole; random leaks, for comparison.',
    ),
    click.option(
        '--block-size',
        type=click.FloatRange(min=0, min_open=True),
        help='Side of a block: pixels of a map, units of the CRS for patches.',
    ),
    click.option(
        '--guard',
        type=click.IntRange(min=0),
        help='Pixels of a map left out on either side of a border (window // 2).',
    ),
    click.option(
        '--gap',
        type=click.FloatRange(min=0),
        help='Least distance of patches of different splits, in units of the CRS.',
    ),
    click.option(
        '--regions',
        type=click.Path(exists=True),
        help='Polygons (any vector file) for patches and --by region.',
    ),
    click.option('--column', help='Column that names the region of a polygon.'),
    click.option(
        '--labels',
        type=click.Path(exists=True, file_okay=False),
        help='Folder with the label map of each patch, by the same name.',
    ),
    click.option('--key', help='Name of the label map in a .mat or HDF5 file.'),
    click.option(
        '--ignore', type=int, default=0, help='Code of pixels without a label (0).'
    ),
    click.option(
        '--least', type=click.IntRange(min=1), help='Pixels of a class a split needs.'
    ),
    click.option('--seed', type=click.IntRange(min=0), default=0, help='Seed (0).'),
    click.option(
        '--report', type=click.Path(dir_okay=False), help='JSON file to write.'
    ),
    click.option('--figure', type=click.Path(dir_okay=False), help='Picture to write.'),
)


@click.command
@click.argument('source', metavar='LABELS', type=click.Path(exists=True))
@click.argument('target', metavar='OUT', type=click.Path())
@with_options(_OPTIONS)
@json_option
def split(
    source: str,
    target: str,
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
    check_not_inputs([target, report, figure], [source])
    check_not_inputs([report, figure], [target])
    with option_words(['shares', 'block_size', 'guard', 'gap', 'column'], source):
        work = _split_patches if os.path.isdir(source) else _split_map
        found = work(source, target, **options)
    show_report(found, report, figure, as_json)


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
    labels, place = read_labels(source, options['key'])
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
    import geopandas
    import torch

    from ..datasets import block_patch_split, leak_report, region_patch_split

    _refuse(options, ('window', 'guard', 'key'), 'a folder of patches')
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
        polygons = geopandas.read_file(options['regions'])
        polygons = polygons.to_crs(_crs_of(source, names))
        found = region_patch_split(boxes, polygons, column=options['column'], **words)
    for name in found.names:
        lines = ''.join(f'{names[i]}\n' for i in found.indices(name))
        path = os.path.join(target, f'{name}.txt')
        write_whole(path, partial(Path.write_text, data=lines, encoding='utf-8'))
    return leak_report(found, least=options['least'] or 1)


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
