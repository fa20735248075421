# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi benchmark pansharpening``: all methods, under both protocols."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ._complete import complete_models
from ._methods import build_method, check_device
from ._opening import read_opening
from ._options import (
    device_option,
    dry_run_option,
    json_option,
    open_option,
    output_option,
    overwrite_option,
    quiet_option,
)
from ._output import (
    check_free,
    check_outside,
    echo_done,
    echo_json,
    echo_table,
    is_quiet,
)
from ._plan import read_info, show_plan
from ._progress import show_stages
from ._verb import Verb

if TYPE_CHECKING:
    from ._sharpening_runs import Protocol, SharpeningRun

#: What is compared where nothing is named: quick, and without weights.
_DEFAULT = (
    'exp',
    *('brovey', 'gs', 'gsa', 'bt_h', 'bdsd', 'bdsd_pc', 'pracs'),
    *('awlp', 'mf', 'mtf_glp', 'mtf_glp_fs', 'mtf_glp_hpm', 'mtf_glp_hpm_h'),
    *('mtf_glp_hpm_r', 'mtf_glp_cbd', 'tv', 'sr_d', 'hysure'),
)


@click.command(
    cls=Verb,
    short_help='Compare methods of pansharpening.',
    examples=(
        'torchgeo-hsi benchmark pansharpening cube.tif -o report',
        'torchgeo-hsi benchmark pansharpening a.he5 b.he5 --pan own -o report',
    ),
)
@click.argument('cubes', metavar='CUBE...', nargs=-1, required=True)
@output_option('Folder for the tables, the pictures and the page', folder=True)
@click.option(
    '--pan',
    'pans',
    multiple=True,
    metavar='FILE',
    help='PAN of each CUBE, in their order, or "own" for those of PRISMA files; '
    'simulated from the bands of the cube by default.',
)
@click.option(
    '--method',
    'methods',
    multiple=True,
    metavar='NAME[:KEY=VALUE,...]',
    shell_complete=complete_models('pansharpener'),
    help='A method to run, e.g. rho_pnn or mtf_glp:gain=0.25; all classical ones by '
    'default. EXP always comes first.',
)
@click.option(
    '--protocol',
    type=click.Choice(['reduced', 'full', 'both']),
    default='both',
    show_default=True,
    help='Reduced resolution has a truth, full resolution has none.',
)
@click.option(
    '--ratio',
    type=click.IntRange(min=2),
    metavar='N',
    help='Ratio of pixel sizes; that of the PAN by default, or 6.',
)
@click.option(
    '--gain',
    type=float,
    metavar='GAIN',
    default=0.3,
    show_default=True,
    help='MTF gain.',
)
@click.option(
    '--size',
    type=click.IntRange(min=1),
    metavar='PIXELS',
    help='Largest number of rows and columns of a result, cut out of the middle.',
)
@click.option(
    '--border',
    type=click.IntRange(min=0),
    metavar='PIXELS',
    default=10,
    show_default=True,
    help='Pixels at each side that count in no score with a truth.',
)
@open_option('the cubes')
@device_option
@overwrite_option
@dry_run_option
@json_option
@quiet_option
def pansharpening(
    cubes: Sequence[str],
    output: str,
    pans: Sequence[str],
    methods: Sequence[str],
    protocol: str,
    ratio: int | None,
    gain: float,
    size: int | None,
    border: int,
    opening: Sequence[str],
    device: str | None,
    overwrite: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Compare methods of pansharpening on your own cubes.

    Each CUBE is sharpened by each method. At reduced resolution, cube and PAN are
    reduced by the blur of their sensors (Wald's protocol), and the cube itself is the
    truth. At full resolution, scores tell how consistent a result is with cube and PAN;
    where the PAN is simulated, this is the reduced pair without its truth.

    FOLDER gets results.json, results.csv, a picture with error maps for each cube and
    protocol, and index.html with everything.
    """
    if pans and tuple(pans) != ('own',) and len(pans) != len(cubes):
        raise click.UsageError(
            f'Expected one --pan for each of {len(cubes)} cubes, or --pan own, got '
            f'{len(pans)}.'
        )
    start = time.monotonic()
    device = check_device(device)
    check_outside(output, cubes)
    builders = _builders(methods)
    results = str(Path(output) / 'results.json')
    options = read_opening(cubes[0], opening)
    kinds: Any = ('reduced', 'full') if protocol == 'both' else (protocol,)
    words = {'ratio': ratio, 'gain': gain, 'border': border, 'device': device}
    for cube in cubes:
        # before there is a folder
        read_info(cube, options)
    if dry_run:
        inputs = [*cubes, *(pan for pan in pans if pan != 'own')]
        runs_ahead = len(builders) * len(cubes) * len(kinds)
        notes = [f'{runs_ahead} runs of {len(builders)} methods']
        show_plan(inputs, {results: None}, overwrite, as_json, notes)
        return
    check_free([results], overwrite)
    pairs = _checked(_pairs(cubes, pans, kinds, words, size, options))
    folder = Path(output)
    folder.mkdir(parents=True, exist_ok=True)
    runs = _compare(builders, pairs, words, folder, as_json or is_quiet())
    if as_json:
        echo_json([run.row() for run in runs])
    else:
        seconds = time.monotonic() - start
        echo_done('Comparison written', folder / 'index.html', seconds)


def _checked[T](pairs: Iterator[T]) -> Iterator[T]:
    """Make the first pair at once, so that what is wrong with it is told before."""
    return chain([next(pairs)], pairs)


def _compare(
    builders: Mapping[str, Callable[[], Any]],
    pairs: 'Iterator[tuple[str, Protocol, Mapping[str, Any]]]',
    words: Mapping[str, Any],
    folder: Path,
    quiet: bool,
) -> 'list[SharpeningRun]':
    """Run all methods on all pairs, and write what is known after each pair."""
    from ._sharpening_page import (
        draw,
        missing_notes,
        table_rows,
        write_page,
        write_tables,
    )

    runs: list[SharpeningRun] = []
    pictures: dict[tuple[str, str], str] = {}
    options = {name: words[name] for name in ('device', 'border', 'gain')}
    with show_stages() as tell:
        for name, kind, pair in pairs:
            own = _run_all(builders, pair, name, kind, tell, **options)
            picture = f'{name}_{kind}.png'
            draw(folder / picture, pair, own, kind, words['gain'])
            pictures[name, kind] = picture
            for run in own:
                run.image = None
            runs += own
            # what is done so far outlives whatever comes next
            write_tables(folder, runs, dict(words))
            write_page(folder, runs, pictures)
            if not quiet:
                click.echo(f'{name}, {kind} resolution')
                echo_table(*table_rows(own, kind))
                for note in missing_notes(own):
                    click.echo(note)
                click.echo()
    return runs


def _run_all(
    builders: Mapping[str, Callable[[], Any]],
    pair: Mapping[str, Any],
    cube: str,
    kind: 'Protocol',
    tell: Callable[[str, float], None],
    **options: Any,
) -> 'list[SharpeningRun]':
    from ._sharpening_runs import run_method

    runs = []
    for number, (name, build) in enumerate(builders.items()):
        tell(f'{cube}, {kind}: {name}', number / len(builders))
        runs.append(run_method(name, build, pair, cube, kind, **options))
    return runs


def _builders(methods: Sequence[str]) -> dict[str, Callable[[], Any]]:
    """Return functions that build the methods, EXP first."""
    builders: dict[str, Callable[[], Any]] = {}
    for word in dict.fromkeys(('exp', *(methods or _DEFAULT))):
        name, _, text = word.partition(':')
        pairs = dict(part.partition('=')[::2] for part in text.split(',') if part)
        build = partial(build_method, name, pairs, None, 'pansharpener')
        if methods:
            # whatever cannot be built is better known before the first one runs
            build()
        builders[word] = build
    return builders


def _pairs(
    cubes: Sequence[str],
    pans: Sequence[str],
    protocols: 'Sequence[Protocol]',
    words: Mapping[str, Any],
    size: int | None,
    options: Mapping[str, Any],
) -> 'Iterator[tuple[str, Protocol, Mapping[str, Any]]]':
    """Yield the name, the protocol and the sample of each pair."""
    from ..datasets import PanPairs
    from ._sharpening_runs import check_size

    stems = [
        Path(cube).name.split('.')[0] or f'cube_{i}' for i, cube in enumerate(cubes)
    ]
    for number, cube in enumerate(cubes):
        pan: Any = None
        if pans:
            pan = 'own' if tuple(pans) == ('own',) else pans[number]
        name = stems[number]
        if stems.count(name) > 1:
            name = f'{name}_{number + 1}'
        for kind in protocols:
            # of a simulated PAN there is no finer image than the truth
            resolution: Any = kind if pan is not None else 'reduced'
            ratio = words['ratio'] or (None if pan is not None else 6)
            pairs = PanPairs(
                cube, pan, resolution, ratio, gain=words['gain'], **options
            )
            pair = _middle(pairs[0], size, kind)
            check_size(pair, name, kind, words['border'])
            yield name, kind, pair


def _middle(
    sample: Mapping[str, Any], size: int | None, kind: 'Protocol'
) -> dict[str, Any]:
    """Cut out the middle of a pair, and leave the truth out where nobody may look."""
    image, pan = sample['image'], sample['pan']
    ratio = pan.shape[-1] // image.shape[-1]
    coarse, fine = [], []
    for length in image.shape[-2:]:
        kept = length if size is None else min(length, max(1, size // ratio))
        start = (length - kept) // 2
        coarse.append(slice(start, start + kept))
        fine.append(slice(ratio * start, ratio * (start + kept)))
    found = {}
    for key in ('image', 'valid'):
        if key in sample:
            found[key] = sample[key][(..., *coarse)]
    for key in ('pan', 'pan_valid', 'target'):
        if key in sample and not (key == 'target' and kind == 'full'):
            found[key] = sample[key][(..., *fine)]
    if 'wavelength' in sample:
        found['wavelength'] = sample['wavelength']
    return found
