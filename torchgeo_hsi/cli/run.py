# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi run``: fit, test and predict with one configuration."""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import click

from ..errors import MetadataError
from ._options import config_option
from ._output import say_time
from ._verb import Verb
from .lightning import hand_over

#: What each stage gets beside the user's own arguments: the weights that fit saved.
STAGES = {
    'fit': (),
    'test': ('--ckpt_path', 'last'),
    'predict': ('--ckpt_path', 'last'),
}

#: What Lightning says when it finds no weights for "--ckpt_path last".
_NO_WEIGHTS = 'there is no last checkpoint available'


class _Lines(logging.Handler):
    """Keeps the lines that callbacks report."""

    def __init__(self) -> None:
        super().__init__(level=logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # scores of a fit without validation: the line says nothing
        if isinstance(record.args, tuple) and '' in record.args:
            return
        self.lines.append(record.getMessage())


@contextmanager
def _collect() -> Iterator[list[str]]:
    """Keep what callbacks report, to repeat it where the user looks last."""
    handler = _Lines()
    logger = logging.getLogger('torchgeo_hsi.callbacks')
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


@contextmanager
def _no_untrained_network() -> Iterator[None]:
    """Stop where Lightning would only warn, and go on with random weights."""
    with warnings.catch_warnings():
        warnings.filterwarnings('error', message=f'.*{_NO_WEIGHTS}')
        try:
            yield
        except Warning as warning:
            if _NO_WEIGHTS not in str(warning):
                raise
            raise MetadataError(
                'fit left no weights for test and predict: the configuration has no '
                'WholeCheckpoint (or ModelCheckpoint) with save_last. Add one to '
                'trainer.callbacks, with init_args: {save_last: true}.'
            ) from warning


@click.command(
    'run',
    cls=Verb,
    context_settings={'ignore_unknown_options': True, 'allow_extra_args': True},
    short_help='Fit, test and predict with one configuration.',
    examples=(
        'torchgeo-hsi run --config demo.yaml',
        'torchgeo-hsi run --config demo.yaml --trainer.max_epochs 2',
    ),
)
@config_option('the task and its data, as for "torchgeo fit"', required=True)
@click.argument('args', nargs=-1, type=click.UNPROCESSED, metavar='[ARGS]')
def run(config: str, args: tuple[str, ...]) -> None:
    """Fit, test and predict with one configuration, in one process.

    Same as "fit", then "test" and "predict" with "--ckpt_path last": the
    configuration needs a WholeCheckpoint (or ModelCheckpoint) with save_last. All
    other ARGS go to each of the three, e.g. "--trainer.max_epochs 2".
    """
    seconds = {}
    with _collect() as lines:
        try:
            for stage, extra in STAGES.items():
                click.secho(f'\n== {stage}', bold=True)
                start = time.perf_counter()
                with _no_untrained_network() if extra else nullcontext():
                    hand_over(stage, ['--config', config, *args, *extra])
                seconds[stage] = time.perf_counter() - start
            click.secho('\n== done', bold=True)
            click.echo(', '.join(f'{k} {say_time(v)}' for k, v in seconds.items()))
        finally:
            # what is written is there, even if a later stage fails
            for line in dict.fromkeys(lines):
                click.echo(line)


COMMANDS = (run,)
