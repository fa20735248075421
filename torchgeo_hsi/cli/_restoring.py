# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What all verbs of ``restore`` share: their options, and the way they go."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._arguments import Decorator, read_pairs, with_options
from ._methods import METHODS, Kind, build_method, check_device
from ._opening import read_opening
from ._options import (
    compress_option,
    device_option,
    dry_run_option,
    json_option,
    method_option,
    open_option,
    overwrite_option,
    quiet_option,
    set_option,
    weights_option,
)
from ._output import check_not_inputs, echo_done, echo_json, size_of
from ._plan import check_written, cube_bytes, read_info, show_plan
from ._progress import show_stages
from ._sizes import image_bytes

if TYPE_CHECKING:
    from ..io import CubeInfo

#: What a number is for the method.
scaling_option = click.option(
    '--scaling',
    default='percentile',
    show_default=True,
    metavar='KIND|NUMBER',
    help='What is 0 and 1 for the method: min_max, percentile, reflectance, or a number '
    'that becomes 1.',
)


def tiling_options(
    tile: int, overlap: int | None, least: int, unit: str
) -> tuple[Decorator, ...]:
    """Return the options of tiles that overlap.

    Args:
        tile: Rows and columns of a tile by default.
        overlap: Rows and columns that tiles share by default; None for a verb that
            finds them itself.
        least: Fewest rows and columns of a tile.
        unit: What the numbers are, for the help.

    Returns:
        Decorators of a verb, which gets *tile_size* and *overlap*.
    """
    tiles = click.option(
        '--tile-size',
        type=click.IntRange(min=least),
        default=tile,
        show_default=True,
        metavar='PIXELS',
        help=f'Rows and columns of a tile, {unit}.',
    )
    if overlap is None:
        return (tiles,)
    shared = click.option(
        '--overlap',
        type=click.IntRange(min=0),
        default=overlap,
        show_default=True,
        metavar='PIXELS',
        help=f'Rows and columns that tiles share, {unit}.',
    )
    return tiles, shared


def restoring(
    kind: Kind, example: str, *own: Decorator, source: str = 'IN'
) -> Decorator:
    """Give a verb the options of all verbs of ``restore``.

    Args:
        kind: What its methods are.
        example: Arguments of a method, for the help.
        *own: Options that only this verb has.
        source: What the verb calls the scene.

    Returns:
        Decorator of the function, which gets what :class:`Restoration` takes.
    """
    return with_options(
        (
            method_option(kind, METHODS[kind]),
            weights_option,
            set_option(example),
            *own,
            open_option(source),
            device_option,
            compress_option,
            overwrite_option,
            dry_run_option,
            json_option,
            quiet_option,
        )
    )


class Restoration:
    """One run of a verb of ``restore``.

    Args:
        kind: What its methods are.
        scenes: What is read, the scene that decides about the output first.
        output: What is written.
        options: Options of the verb; those that are not shared stay in *options*.
    """

    def __init__(
        self, kind: Kind, scenes: Sequence[str], output: str, options: dict[str, Any]
    ) -> None:
        """Initialize a new Restoration instance; see the class for the arguments."""
        self.start = time.monotonic()
        self.kind, self.scenes, self.output = kind, list(scenes), output
        # networks that denoise have strides
        self.step = 8 if kind == 'denoiser' else 1
        self.method: str = options.pop('method')
        self.weights: str | None = options.pop('weights')
        self.settings = read_pairs(options.pop('settings'), '--set')
        self.opening: Sequence[str] = options.pop('opening')
        self.is_dry: bool = options.pop('dry_run')
        self.as_json: bool = options.pop('as_json')
        self.overwrite: bool = options['overwrite']
        options['device'] = check_device(options['device'])
        self.options = options

    def build(self, optional: Mapping[str, str] | None = None) -> Any:
        """Build the method.

        Args:
            optional: More arguments, which it gets if it knows them.

        Returns:
            The module.
        """
        return build_method(
            self.method, self.settings, self.weights, self.kind, optional
        )

    def reading(self) -> dict[str, Any]:
        """Read the options of the reader of the scene.

        Returns:
            Options of :func:`~torchgeo_hsi.io.open_cube`.
        """
        return read_opening(self.scenes[0], self.opening)

    def run(
        self,
        restore: Callable[..., Any],
        reading: Mapping[str, Any],
        what: str,
        finer: 'Callable[[CubeInfo], float]' = lambda info: 1,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the output, and say so; or say what would be written.

        Args:
            restore: Function of :mod:`torchgeo_hsi.scenes`, with its model and paths.
            reading: Options of the reader of the scene.
            what: What is done, for the last line.
            finer: Returns how many times more rows and columns the output has.
            facts: What else JSON says, known when the output is written.
        """
        scene = self.scenes[0]
        if self.is_dry:
            from ..scenes._output import is_product

            info = self._check(reading)
            most = image_bytes(info, self.options['compress'], finer(info))
            if is_product(self.output):
                # and all of the product besides its image
                most += (
                    size_of(scene if os.path.isdir(scene) else Path(scene).parent) or 0
                )
            plan = {self.output: most}
            show_plan(self.scenes, plan, self.overwrite, self.as_json)
            return
        with show_stages(lambda: cube_bytes(read_info(scene, reading))) as progress:
            restore(name=self._name(), progress=progress, **self.options)
        seconds = time.monotonic() - self.start
        report = {'output': self.output, 'method': self.method, **(facts or {})}
        report |= {'bytes': size_of(self.output), 'seconds': seconds}
        if self.as_json:
            echo_json(report)
        else:
            echo_done(f'{what} with {self.method}', self.output, seconds)

    def _check(self, reading: Mapping[str, Any]) -> 'CubeInfo':
        """Refuse what the run refuses before it reads the pixels."""
        from ..io._cog_options import check_cog_options
        from ..io._tiles import tile_spans
        from ..scenes._numbers import check_scaling
        from ..scenes._output import is_product

        options = self.options
        if not is_product(self.output):
            check_cog_options(options['compress'], 'average')
        if 'overlap' in options:
            tile_spans(1, options['tile_size'], options['overlap'], self.step)
            check_scaling(options['scaling'])
        info = check_written(
            self.scenes[0], reading, self.output, folder=self.kind == 'denoiser'
        )
        check_not_inputs([self.output], self.scenes)
        return info

    def _name(self) -> str:
        """Return what the output says about the method."""
        return (
            self.method if self.weights is None else f'{self.method} ({self.weights})'
        )
