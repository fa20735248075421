# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi fit|validate|test|predict``: torchgeo's own verbs, plugins loaded."""

import sys
from collections.abc import Sequence
from importlib import import_module

import click

from ..plugins import get_plugin_manager

_HELP = {
    'fit': 'Train a task (options of "torchgeo fit").',
    'validate': 'Evaluate on the validation data (options of "torchgeo validate").',
    'test': 'Evaluate on the test data (options of "torchgeo test").',
    'predict': 'Predict, e.g. write maps (options of "torchgeo predict").',
}


class _HandOver(click.Command):
    """A verb that parses nothing: every argument goes to torchgeo as it is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep all arguments, ``--help`` and ``--`` included.

        Args:
            ctx: Context of the verb.
            args: Arguments after the verb.

        Returns:
            The same arguments.
        """
        ctx.args = list(args)
        return ctx.args


def hand_over(verb: str, args: Sequence[str]) -> None:
    """Load all plugins, then run a verb of torchgeo in this process.

    Args:
        verb: ``'fit'``, ``'validate'``, ``'test'`` or ``'predict'``.
        args: Its arguments.

    Raises:
        NameClashError: If two plugins register the same name.
    """
    # short names are looked up among the classes that are imported by then
    get_plugin_manager().load_all()
    import_module('torchgeo_hsi.callbacks')
    torchgeo_main = import_module('torchgeo.main').main
    before = sys.argv
    # through sys.argv and not as an argument, because the workers of a distributed
    # run repeat this command from there
    sys.argv = [before[0], verb, *args]
    try:
        torchgeo_main()
    finally:
        sys.argv = before


def _run(ctx: click.Context) -> None:
    hand_over(str(ctx.info_name), ctx.args)


COMMANDS = tuple(
    _HandOver(
        name,
        callback=click.pass_context(_run),
        short_help=text,
        help=text,
        add_help_option=False,
    )
    for name, text in _HELP.items()
)
