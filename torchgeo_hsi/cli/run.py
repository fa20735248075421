# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi run``: fit, test and predict with one configuration."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

import click

from .lightning import hand_over

#: What each stage gets beside the user's own arguments: the weights that fit saved.
STAGES = {
    'fit': (),
    'test': ('--ckpt_path', 'last'),
    'predict': ('--ckpt_path', 'last'),
}


class _Lines(logging.Handler):
    """Keeps the lines that callbacks report."""

    def __init__(self) -> None:
        super().__init__(level=logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
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


@click.command(
    'run',
    context_settings={'ignore_unknown_options': True, 'allow_extra_args': True},
    short_help='Fit, test and predict with one configuration.',
)
@click.option('--config', required=True, type=click.Path(exists=True, dir_okay=False))
@click.argument('args', nargs=-1, type=click.UNPROCESSED)
def run(config: str, args: tuple[str, ...]) -> None:
    """Fit, test and predict with one configuration, in one process.

    Same as "fit", then "test" and "predict" with "--ckpt_path last": the
    configuration needs a ModelCheckpoint with save_last. All other ARGS go to each of
    the three, e.g. "--trainer.max_epochs 2".
    """
    seconds = {}
    with _collect() as lines:
        for stage, extra in STAGES.items():
            click.secho(f'\n== {stage}', bold=True)
            start = time.perf_counter()
            hand_over(stage, ['--config', config, *args, *extra])
            seconds[stage] = time.perf_counter() - start
    click.secho('\n== done', bold=True)
    click.echo(', '.join(f'{k} {v:.0f} s' for k, v in seconds.items()))
    for line in dict.fromkeys(lines):
        click.echo(line)


COMMANDS = (run,)
