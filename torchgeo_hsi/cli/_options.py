# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Options that several verbs share: one name, one meaning, one default."""

import os
from typing import Any

import click
from click.shell_completion import CompletionItem

from ..errors import UnknownNameError
from ._arguments import Decorator, with_options
from ._complete import begin, complete_devices, complete_gases, complete_models
from ._configs import find_config, list_configs
from ._output import quiet

#: What a GeoTIFF can be compressed by, as ``torchgeo_hsi.io`` knows it.
COMPRESSIONS = ('deflate', 'zstd', 'lzw', 'lzma', 'none')


def _set_quiet(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        quiet(ctx)


def parse_ignore(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    """Read a code, or that there is none.

    Args:
        ctx: Not used.
        param: Not used.
        value: What the user wrote.

    Returns:
        The code, or None.

    Raises:
        click.BadParameter: If it is neither.
    """
    if value.lower() == 'none':
        return None
    try:
        return int(value)
    except ValueError:
        raise click.BadParameter(
            f'Expected a whole number or none, got {value!r}.'
        ) from None


class ConfigFile(click.Path):
    """A configuration by its path, or a shipped one by its name."""

    def __init__(self) -> None:
        """Initialize a new ConfigFile instance."""
        super().__init__(exists=True, dir_okay=False)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Find the file.

        Args:
            value: What the user wrote.
            param: The option.
            ctx: Context of the verb.

        Returns:
            Path of the file.
        """
        try:
            # a folder of that name is told by the type above
            found = value if os.path.exists(value) else find_config(value)
        except UnknownNameError as error:
            self.fail(f'{value!r} does not exist. {error}', param, ctx)
        return super().convert(found, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete names of shipped configurations, and of files.

        Args:
            ctx: Context of the verb.
            param: The option.
            incomplete: What is typed.

        Returns:
            Names and a mark for files.
        """
        files = super().shell_complete(ctx, param, incomplete)
        return [*begin(list_configs(), incomplete), *files]


# what a verb says

json_option = click.option(
    '--json', 'as_json', is_flag=True, help='Print JSON and nothing else.'
)

quiet_option = click.option(
    '--quiet',
    '-q',
    is_flag=True,
    expose_value=False,
    callback=_set_quiet,
    help='Show neither progress nor a summary; errors and warnings stay.',
)

dry_run_option = click.option(
    '--dry-run',
    is_flag=True,
    help='Say what would be read and written, how large, and whether the disk has '
    'room; write nothing.',
)

# what a verb writes

overwrite_option = click.option(
    '--overwrite', is_flag=True, help='Replace what is at the output already.'
)

report_option = click.option(
    '--report',
    type=click.Path(dir_okay=False),
    metavar='FILE',
    help='JSON file to write, too; one that exists is replaced.',
)

figure_option = click.option(
    '--figure',
    type=click.Path(dir_okay=False),
    metavar='FILE',
    help='Picture to write, too (.png, .pdf ...); one that exists is replaced.',
)

compress_option = click.option(
    '--compress',
    default='deflate',
    show_default=True,
    metavar='NAME',
    type=click.Choice(COMPRESSIONS, case_sensitive=False),
    help='Compression of the GeoTIFF: deflate, zstd, lzw, lzma or none.',
)

#: The end of a verb whose scores are worth a file, and a picture.
outcome_options = with_options(
    (
        report_option,
        figure_option,
        overwrite_option,
        dry_run_option,
        json_option,
        quiet_option,
    )
)


def output_option(what: str, folder: bool = False) -> Decorator:
    """Return the option of a verb whose inputs are as many as one likes.

    Args:
        what: What is written.
        folder: Whether it is a folder.

    Returns:
        Decorator of the verb, which gets *output*.
    """
    return click.option(
        '--output',
        '-o',
        required=True,
        type=click.Path(dir_okay=folder, file_okay=not folder),
        metavar='FOLDER' if folder else 'FILE',
        help=f'{what}.',
    )


# how a verb works

seed_option = click.option(
    '--seed',
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar='N',
    help='Seed of all random numbers.',
)

device_option = click.option(
    '--device',
    metavar='NAME',
    shell_complete=complete_devices,
    help='cpu, cuda, cuda:1 ...; a GPU by default, if there is one.',
)


def set_option(example: str, of: str = 'method') -> Decorator:
    """Return the option for arguments of a method or model.

    Args:
        example: Arguments, for the help.
        of: What they are of.

    Returns:
        Decorator of the verb, which gets *settings*.
    """
    return click.option(
        '--set',
        'settings',
        multiple=True,
        metavar='KEY=VALUE',
        help=f'More arguments of the {of}, e.g. {example}.',
    )


def method_option(kind: str, default: str) -> Decorator:
    """Return the option that names a method among the models.

    Args:
        kind: What it has to be, as ``torchgeo-hsi models`` says it.
        default: Its name by default.

    Returns:
        Decorator of the verb, which gets *method*.
    """
    return click.option(
        '--method',
        default=default,
        show_default=True,
        metavar='NAME',
        shell_complete=complete_models(kind),
        help=f'A {kind} of "torchgeo-hsi models"; another name lists them.',
    )


weights_option = click.option(
    '--weights', metavar='NAME|FILE', help='Weights of a network.'
)


def model_option(why: str) -> Decorator:
    """Return the option that names a backbone.

    Args:
        why: When it is needed.

    Returns:
        Decorator of the verb, which gets *model*.
    """
    return click.option(
        '--model',
        metavar='NAME',
        shell_complete=complete_models('backbone'),
        help=f'Backbone of timm, e.g. spec_vit_small; {why}.',
    )


branch_option = click.option(
    '--branch',
    type=click.Choice(['auto', 'student', 'teacher']),
    default='auto',
    show_default=True,
    help='Which of two networks; auto is the teacher of DINO, the student of others.',
)


def gas_option(default: str | None, what: str) -> Decorator:
    """Return the option that names a gas.

    Args:
        default: Its name by default.
        what: What is done with it.

    Returns:
        Decorator of the verb, which gets *gas*.
    """
    return click.option(
        '--gas',
        default=default,
        show_default=default is not None,
        metavar='NAME',
        shell_complete=complete_gases,
        help=f'{what}: methane or carbon_dioxide.',
    )


# what a verb reads


def open_option(source: str, example: str = 'key=data for a .mat file') -> Decorator:
    """Return the option for options of the reader.

    Args:
        source: What the verb calls its scene.
        example: One of the options, for the help.

    Returns:
        Decorator of the verb, which gets *opening*.
    """
    return click.option(
        '--open',
        'opening',
        multiple=True,
        metavar='KEY=VALUE',
        help=f'Options to read {source}, e.g. {example}.',
    )


def config_option(what: str, required: bool = False, ships: bool = True) -> Decorator:
    """Return the option that names a configuration.

    Args:
        what: What the file holds.
        required: Whether it has to be given.
        ships: Whether there are such files among those that ship.

    Returns:
        Decorator of the verb, which gets *config*.
    """
    shipped = '; or one that ships, e.g. demo' if ships else ''
    return click.option(
        '--config',
        required=required,
        type=ConfigFile(),
        metavar='FILE|NAME',
        help=f'YAML file with {what}{shipped}.',
    )


match_option = click.option(
    '--match', metavar='PATTERN', help='Only scenes with such a name, e.g. "ENMAP*".'
)

asset_option = click.option(
    '--asset', metavar='KEY', help='Asset of STAC items that is the image.'
)

label_key_option = click.option(
    '--label-key', metavar='NAME', help='Name of the label map in a .mat or HDF5 file.'
)

ignore_option = click.option(
    '--ignore',
    default='0',
    show_default=True,
    metavar='CODE|none',
    callback=parse_ignore,
    help='Code of pixels without a label, or none.',
)

#: How a label map is read: the verb gets *label_key* and *ignore*.
label_options = with_options((label_key_option, ignore_option))

column_option = click.option(
    '--column', metavar='NAME', help='Column of a vector file that names the class.'
)

window_option = click.option(
    '--window',
    type=click.IntRange(min=1),
    metavar='PIXELS',
    help='Rows and columns around a pixel that a classifier looks at.',
)

guard_option = click.option(
    '--guard',
    type=click.IntRange(min=0),
    metavar='PIXELS',
    help='Pixels left out on either side of a border between training and test '
    '(window // 2; of classify at least 4).',
)

least_option = click.option(
    '--least',
    type=click.IntRange(min=1),
    metavar='N',
    help='Pixels of a class that a split needs (5; 1 for patches).',
)
