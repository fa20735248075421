# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi completion``: verbs, options and names by the tabulator key."""

import click
from click.shell_completion import get_completion_class

from ._verb import Verb

#: Variable by which click's completion calls the command.
_VARIABLE = '_TORCHGEO_HSI_COMPLETE'


@click.command(
    cls=Verb,
    short_help='Print what makes a shell complete verbs, options and names.',
    examples=(
        'torchgeo-hsi completion bash >> ~/.bashrc',
        'torchgeo-hsi completion zsh >> ~/.zshrc',
        'torchgeo-hsi completion fish > ~/.config/fish/completions/torchgeo-hsi.fish',
    ),
)
@click.argument('shell', type=click.Choice(['bash', 'zsh', 'fish']))
def completion(shell: str) -> None:
    """Print the lines that make SHELL complete what is typed after torchgeo-hsi.

    Verbs, options, their choices, and the names of models, datasets, gases and devices
    are completed, without importing torch. Append the lines to the start-up file of the
    shell, as below, and open a new one.
    """
    found = get_completion_class(shell)
    # which click has for all of the choices
    assert found is not None
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, 'torchgeo-hsi', _VARIABLE).source())


COMMANDS = (completion,)
