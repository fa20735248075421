# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi leaks``: how far training and test are apart."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import EmptyDataError, MetadataError
from ._options import (
    config_option,
    figure_option,
    ignore_option,
    json_option,
    label_key_option,
    least_option,
    quiet_option,
    report_option,
    seed_option,
    window_option,
)
from ._output import check_not_inputs, echo_done
from ._splits import count_labels, read_boxes, read_labels, read_split, show_report
from ._verb import Verb
from .probe import make_datamodule

if TYPE_CHECKING:
    from ..datasets.splits import LeakReport

#: Lists in a folder, training first.
_LISTS = ('train', 'val', 'test')


@click.command(
    cls=Verb,
    context_settings={'ignore_unknown_options': True},
    short_help='Report how far training and test are apart.',
    examples=(
        'torchgeo-hsi leaks split.tif --labels labels.tif --window 15',
        'torchgeo-hsi leaks lists --root patches --json',
        'torchgeo-hsi leaks --config scene.yaml --figure windows.png',
    ),
)
@click.argument('split', required=False, metavar='[SPLIT]', type=click.Path())
@config_option('a data module, which draws the windows')
@click.option(
    '--labels',
    type=click.Path(exists=True),
    metavar='FILE|FOLDER',
    help='Label map of the pixels, or folder of those of the patches.',
)
@click.option(
    '--root',
    type=click.Path(exists=True, file_okay=False),
    metavar='FOLDER',
    help='Folder of the patches that the lists name.',
)
@window_option
@label_key_option
@ignore_option
@least_option
@seed_option
@report_option
@figure_option
@json_option
@quiet_option
@click.argument('args', nargs=-1, type=click.UNPROCESSED, metavar='[ARGS]')
def leaks(
    split: str | None,
    config: str | None,
    labels: str | None,
    root: str | None,
    window: int | None,
    label_key: str | None,
    ignore: int | None,
    least: int | None,
    seed: int,
    report: str | None,
    figure: str | None,
    as_json: bool,
    args: tuple[str, ...],
) -> None:
    """Report how far training and test are apart, and which classes are lost.

    SPLIT is a raster with 1 for training, 2 for validation and so on, as "torchgeo-hsi
    split" writes it; or a folder with the lists train.txt, val.txt and test.txt of
    patches (with --root). Instead, --config takes the windows that a data module draws;
    --data.NAME VALUE changes its options.
    """
    start = time.monotonic()
    read = [path for path in (split, labels, config) if path is not None]
    check_not_inputs([report, figure], read)
    if config is not None:
        # the first word of options such as --data.root comes here, too
        if split is not None and not split.startswith('-'):
            raise click.UsageError('Expected SPLIT or --config, got both.')
        words = [*([] if split is None else [split]), *args]
        found = _of_config(config, words, seed)
    elif split is None or args:
        raise click.UsageError('Expected one SPLIT, or --config.')
    elif not os.path.exists(split):
        raise FileNotFoundError(f'There is nothing at {split}. Check the path.')
    elif os.path.isdir(split):
        found = _of_lists(split, root, labels, ignore, least or 1)
    else:
        found = _of_raster(split, window, labels, label_key, ignore, least or 5)
    show_report(found, report, figure, as_json)
    for what, path in (('Report', report), ('Figure', figure)):
        if path is not None and not as_json:
            echo_done(f'{what} written', path, time.monotonic() - start)


def _of_config(config: str, args: list[str], seed: int) -> 'LeakReport':
    """Report on the windows of a data module."""
    import torch

    from ..callbacks._evaluation import EVALUATION
    from ..datamodules import datamodule_leaks

    # random crops: the same command reports the same
    torch.manual_seed(seed)
    datamodule = make_datamodule(config, args)
    datamodule.trainer = EVALUATION
    return datamodule_leaks(datamodule)


def _of_raster(
    split: str,
    window: int | None,
    labels: str | None,
    key: str | None,
    ignore: int | None,
    least: int,
) -> 'LeakReport':
    """Report on splits of pixels."""
    from ..datasets import leak_report

    masks, known = read_split(split)
    if window is None and known is None:
        raise MetadataError(f'{split} does not say the window. Pass --window.')
    codes = None if labels is None else read_labels(labels, key)[0]
    return leak_report(masks, window or known, codes, ignore_index=ignore, least=least)


def _of_lists(
    folder: str, root: str | None, labels: str | None, ignore: int | None, least: int
) -> 'LeakReport':
    """Report on lists of patches."""
    from ..datasets import leak_report
    from ..physics._text import read_text

    if root is None:
        raise click.UsageError('Lists of patches need --root, where these are.')
    lists = {name: Path(folder) / f'{name}.txt' for name in _LISTS}
    names = {
        name: [line.strip() for line in read_text(file).splitlines() if line]
        for name, file in lists.items()
        if file.is_file()
    }
    if 'train' not in names or len(names) < 2:
        raise EmptyDataError(
            f'Expected train.txt and val.txt or test.txt in {folder}, got '
            f'{", ".join(names) or "none"}.'
        )
    every = [name for part in names.values() for name in part]
    missing = [name for name in every if not (Path(root) / name).is_file()]
    if missing:
        raise EmptyDataError(
            f'{len(missing)} of {len(every)} patches are not in {root}, such as '
            f'{missing[0]}. Check --root.'
        )
    boxes = read_boxes(root, every)
    counts = None if labels is None else count_labels(labels, every, ignore)[0]
    places, tables, start = {}, {}, 0
    for name, part in names.items():
        places[name] = boxes[start : start + len(part)]
        if counts is not None:
            tables[name] = counts[start : start + len(part)]
        start += len(part)
    return leak_report(places, counts=tables or None, least=least)


COMMANDS = (leaks,)
