# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi fit|validate|test|predict``: torchgeo's own verbs, plugins loaded."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

import click

from ..errors import UnknownNameError
from ..plugins import get_plugin_manager
from ._configs import find_config
from ._verb import Verb

#: Verb -> its summary, what it does, and an example.
_VERBS = {
    'fit': (
        'Train a task.',
        'Trains the model of a configuration on its data, and saves checkpoints.',
        'torchgeo-hsi fit --config demo.yaml --trainer.max_epochs 2',
    ),
    'validate': (
        'Evaluate on the validation data.',
        'Computes the metrics of a task on the validation split.',
        'torchgeo-hsi validate --config demo.yaml --ckpt_path last.ckpt',
    ),
    'test': (
        'Evaluate on the test data.',
        'Computes the metrics of a task on the test split.',
        'torchgeo-hsi test --config demo.yaml --ckpt_path last.ckpt',
    ),
    'predict': (
        'Predict, e.g. write maps.',
        'Runs a task on the data to predict; its callbacks write what comes out.',
        'torchgeo-hsi predict --config demo.yaml --ckpt_path last.ckpt',
    ),
}

_SHARED = """All arguments go to TorchGeo's own command of this name, whose help follows; a
configuration of "torchgeo" works unchanged. Besides, all classes of this package and of
its plugins are known by their short names."""


class _HandOver(Verb):
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
    sys.argv = [before[0], verb, *_find_configs(args)]
    try:
        torchgeo_main()
    finally:
        sys.argv = before


def _find_configs(args: Sequence[str]) -> list[str]:
    """Put the paths of shipped configurations where their names stand."""
    found = list(args)
    for place, word in enumerate(found):
        option, equals, value = word.partition('=')
        if option not in ('--config', '-c'):
            continue
        # what there is not is told by torchgeo
        with suppress(UnknownNameError):
            if equals:
                found[place] = f'{option}={find_config(value)}'
            elif place + 1 < len(found):
                found[place + 1] = find_config(found[place + 1])
    return found


def _run(ctx: click.Context) -> None:
    if ctx.args in (['--help'], ['-h']):
        click.echo(ctx.get_help() + '\n')
    hand_over(str(ctx.info_name), ctx.args)


COMMANDS = tuple(
    _HandOver(
        name,
        callback=click.pass_context(_run),
        short_help=f'{summary[:-1]} (options of "torchgeo {name}").',
        help=f'{summary}\n\n{what} {_SHARED}',
        examples=(example,),
        add_help_option=False,
    )
    for name, (summary, what, example) in _VERBS.items()
)
