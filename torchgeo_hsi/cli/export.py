# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi export``: the backbone of a checkpoint, for others."""

import os
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import click

from ._arguments import convert_pairs, read_pairs
from ._opening import check_path
from ._options import (
    branch_option,
    dry_run_option,
    json_option,
    model_option,
    overwrite_option,
    quiet_option,
    set_option,
)
from ._output import check_free, check_not_inputs, echo_done, echo_json, size_of
from ._plan import show_plan
from ._verb import Verb


@click.command(
    cls=Verb,
    short_help='Save the backbone of a checkpoint for others.',
    examples=(
        'torchgeo-hsi export last.ckpt backbone.pth',
        'torchgeo-hsi export last.ckpt backbone.ckpt --layout torchgeo --branch teacher',
    ),
)
@click.argument('checkpoint', metavar='CHECKPOINT', callback=check_path)
@click.argument(
    'output', metavar='OUT', type=click.Path(dir_okay=False), callback=check_path
)
@click.option(
    '--layout',
    type=click.Choice(['official', 'timm', 'torchgeo']),
    default='official',
    show_default=True,
    help='Keys of the published files, of timm, or a checkpoint for tasks of torchgeo.',
)
@branch_option
@model_option('that of the checkpoint by default')
@set_option('img_size=64', of='backbone')
@click.option(
    '--in-channels',
    type=click.IntRange(min=1),
    metavar='N',
    help='Bands, if the checkpoint does not say how many.',
)
@overwrite_option
@dry_run_option
@json_option
@quiet_option
def export(
    checkpoint: str,
    output: str,
    layout: Any,
    branch: Any,
    model: str | None,
    settings: Sequence[str],
    in_channels: int | None,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Save the backbone of CHECKPOINT as the file OUT, without heads.

    CHECKPOINT is one of a task that learned without labels. OUT is what "weights=" of
    our tasks and of torchgeo's take, and "torchgeo-hsi probe --weights". For networks
    without a spectral adapter, "official" is a plain state dict with their own keys.
    """
    start = time.monotonic()
    check_not_inputs([output], [checkpoint])
    words = read_settings(settings)
    if not os.path.isfile(checkpoint):
        raise FileNotFoundError(f'There is no file {checkpoint}. Check the path.')
    check_free([output], overwrite or dry_run)
    from ..models import backbone_from_checkpoint, export_spectral_earth_weights
    from ..models.weights._backbone_search import has_adapter

    backbone = backbone_from_checkpoint(
        checkpoint, in_channels, branch=branch, model=model, model_kwargs=words
    )
    if dry_run:
        show_plan([checkpoint], {output: _size(backbone, layout)}, overwrite, as_json)
        return
    export_spectral_earth_weights(backbone, output, layout)
    if layout == 'official' and not has_adapter(backbone):
        layout = 'plain state dict'
    seconds = time.monotonic() - start
    name = type(backbone).__name__
    if as_json:
        report = {'output': output, 'backbone': name, 'layout': layout}
        echo_json(report | {'bytes': size_of(output), 'seconds': seconds})
    else:
        echo_done(f'{name} of {checkpoint} saved ({layout})', output, seconds)


def _size(backbone: Any, layout: Any) -> int | None:
    """Return how large the file will be, if it can be made at all.

    It is made elsewhere, and removed: then nothing is refused later.
    """
    from ..models import export_spectral_earth_weights

    with tempfile.TemporaryDirectory(prefix='torchgeo-hsi-') as folder:
        file = export_spectral_earth_weights(backbone, f'{folder}/weights', layout)
        return size_of(file)


def read_settings(settings: Sequence[str]) -> dict[str, Any] | None:
    """Read arguments of a backbone.

    Args:
        settings: Arguments as the user wrote them.

    Returns:
        The arguments, or None if there are none.

    Raises:
        click.BadParameter: If one is no KEY=VALUE.
    """
    return convert_pairs(read_pairs(settings, '--set'), {}, '--set') or None


COMMANDS = (export,)
