# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi restore``: better images from the command line."""

import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from ._output import echo_json, json_option, option_words

#: Method of ``restore denoise`` where none is named.
METHOD = 'pretrained_subspace'

#: Seconds between lines of progress where there is no terminal.
_INTERVAL = 30.0

_ERASE = '\r\x1b[K'


@click.group(short_help='Restore images: remove noise.')
def restore() -> None:
    """Restore scenes of any size with networks or classical methods."""


@restore.command
@click.argument('source', metavar='IN')
@click.argument('output', metavar='OUT', type=click.Path())
@click.option(
    '--method',
    default=METHOD,
    show_default=True,
    metavar='NAME',
    help='A denoiser of "torchgeo-hsi models".',
)
@click.option('--weights', metavar='NAME|FILE', help='Weights of a network.')
@click.option(
    '--model',
    'arguments',
    multiple=True,
    metavar='KEY=VALUE',
    help='More arguments of the method.',
)
@click.option(
    '--sigma',
    type=click.FloatRange(min=0),
    help='Noise level for networks with a noise map: 255 times its standard deviation '
    'in scaled numbers.',
)
@click.option(
    '--scaling',
    default='percentile',
    show_default=True,
    help='What is 0 and 1 for the method: min_max, percentile, reflectance, or a number '
    'that becomes 1.',
)
@click.option(
    '--tile',
    type=click.IntRange(min=8),
    default=128,
    show_default=True,
    help='Rows and columns of a tile, a multiple of 8.',
)
@click.option(
    '--overlap',
    type=click.IntRange(min=0),
    default=32,
    show_default=True,
    help='Rows and columns that tiles share, a multiple of 8.',
)
@click.option(
    '--passes',
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help='How often methods that look at the whole scene see it before.',
)
@click.option('--device', help='cpu, cuda, cuda:1 ...; a GPU by default, if any.')
@click.option('--compress', default='deflate', show_default=True, help='Compression.')
@click.option(
    '--open',
    'opening',
    multiple=True,
    metavar='KEY=VALUE',
    help='Options to read IN, e.g. key=data for a .mat file.',
)
@click.option('--overwrite', is_flag=True, help='Replace OUT.')
@json_option
def denoise(
    source: str,
    output: str,
    method: str,
    weights: str | None,
    arguments: Sequence[str],
    opening: Sequence[str],
    device: str | None,
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Remove noise from a scene of any size.

    IN is a file or product folder: EnMAP, PRISMA, DESIS, EMIT, GeoTIFF, ENVI, .mat,
    NetCDF or a stored scene. OUT is a GeoTIFF (.tif) with the data type, scale, nodata,
    coordinates and wavelengths of IN; or, for an EnMAP product, a folder that becomes
    the same product with a denoised image.

    OUT appears when it is complete, and memory holds a few tiles, never the scene.
    """
    import torch

    from ..models import restore_scene

    start = time.monotonic()
    if device is None:
        device = 'cuda' if torch.cuda.is_available() else 'cpu'
    try:
        torch.device(device)
    except RuntimeError as error:
        raise click.BadParameter(str(error), param_hint='--device') from error
    words = _pairs(arguments, '--model')
    if weights is not None:
        words['weights'] = weights
    model = _build(method, words)
    with option_words(['overwrite'], output), _progress() as progress:
        restore_scene(
            model,
            source,
            output,
            device=device,
            overwrite=overwrite,
            reader_options=_pairs(opening, '--open'),
            name=method if weights is None else f'{method} ({weights})',
            progress=progress,
            **options,
        )
    seconds = time.monotonic() - start
    if as_json:
        echo_json({'output': output, 'method': method, 'seconds': seconds})
    else:
        click.echo(f'Denoised with {method} in {seconds:.0f} s: {output}')


def _build(method: str, arguments: dict[str, Any]) -> Any:
    """Build a method by its name."""
    from ..plugins import get_plugin_manager

    # methods of plugins, too
    builder = get_plugin_manager().registry('models').get(method)
    known = inspect.signature(builder).parameters
    is_open = any(word.kind is word.VAR_KEYWORD for word in known.values())
    unknown = [word for word in arguments if word not in known and not is_open]
    if unknown:
        raise click.UsageError(
            f'{method} has no argument {", ".join(unknown)}. It knows: '
            f'{", ".join(known) or "none"}.'
        )
    return builder(**arguments)


def _pairs(words: Sequence[str], option: str) -> dict[str, Any]:
    """Read ``KEY=VALUE``; values that are JSON are numbers, lists and so on."""
    found: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition('=')
        if not equals or not key.isidentifier():
            raise click.BadParameter(
                f'Expected KEY=VALUE, got {word!r}.', param_hint=option
            )
        try:
            found[key] = json.loads(text)
        except json.JSONDecodeError:
            found[key] = text
    return found


@contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Show what is being done, on standard error.

    A terminal shows one line that changes, a file gets a line now and then.

    Yields:
        A function that takes what is done and which share of it is.
    """
    is_terminal = sys.stderr.isatty()
    stage, start, shown = '', 0.0, 0.0

    def show(what: str, share: float) -> None:
        nonlocal stage, start, shown
        now = time.monotonic()
        is_new = what != stage
        if is_new:
            stage, start = what, now
        line = f'{what} {share:.0%}'
        if now - start > 1 and 0.02 < share < 1:
            line += f' ({(now - start) / share * (1 - share):.0f} s left)'
        if is_terminal:
            click.echo(_ERASE + line, nl=False, err=True)
        elif is_new or now - shown > _INTERVAL:
            click.echo(line, err=True)
            shown = now

    try:
        yield show
    finally:
        if is_terminal:
            click.echo(_ERASE, nl=False, err=True)


COMMANDS = (restore,)
