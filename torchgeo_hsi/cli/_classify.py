# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Options of ``torchgeo-hsi classify``: classes, bands, and arguments of methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ._arguments import argument_kinds, convert_pairs, read_pairs
from ._output import check_not_inputs
from ._places import check_apart

#: Methods of ``torchgeo_hsi.workflows``, which takes seconds to import.
METHODS = (
    'svm',
    'random_forest',
    'spectral_cnn',
    'hybridsn',
    'spectralformer',
    'lola_specvit',
    'window_classifier',
    'graph',
)


def parse_list(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> list[int | str] | None:
    """Read codes and names between commas.

    Args:
        ctx: Not used.
        param: Not used.
        value: What the user wrote.

    Returns:
        Codes as numbers, names as text; None if nothing was written.

    Raises:
        click.BadParameter: If an entry is empty.
    """
    if value is None:
        return None
    words = [word.strip() for word in value.split(',')]
    if not all(words):
        raise click.BadParameter(f'Expected words between commas, got {value!r}.')
    return [int(word) if _is_whole(word) else word for word in words]


def parse_names(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> list[str] | dict[int, str] | None:
    """Read names between commas, or names of codes.

    Args:
        ctx: Not used.
        param: Not used.
        value: What the user wrote.

    Returns:
        Names, or names by code; None if nothing was written.

    Raises:
        click.BadParameter: If an entry is empty or of another form than the others.
    """
    words = parse_list(ctx, param, value)
    if words is None:
        return None
    texts = [str(word) for word in words]
    pairs = [text.partition('=') for text in texts]
    if not any(equals for _, equals, _ in pairs):
        return texts
    if not all(_is_whole(code) and name for code, _, name in pairs):
        raise click.BadParameter(f'Expected CODE=NAME,CODE=NAME ..., got {value!r}.')
    return {int(code): name for code, _, name in pairs}


def keep_bands(
    source: str, bands: str | None, bad_bands: str | None, opening: Mapping[str, Any]
) -> list[Any] | None:
    """Choose the bands of a scene.

    Args:
        source: The scene.
        bands: Bands to take, as the user wrote them.
        bad_bands: Positions of bands to leave out.
        opening: Options of the reader, among others.

    Returns:
        Positions, names and wavelengths; None for the default.

    Raises:
        click.BadParameter: If there is no such form, or nothing is left.
    """
    chosen = None if bands is None else _read_bands(bands, '--bands')
    if bad_bands is None:
        return chosen
    bad = _read_bands(bad_bands, '--bad-bands')
    if not all(isinstance(band, int) for band in bad):
        raise click.BadParameter(
            f'Expected positions from 0, such as 103-107,149, got {bad_bands!r}.',
            param_hint='--bad-bands',
        )
    from ..datasets.labelled_scenes.open import select_bands
    from ..io import open_cube
    from ..io.open import known_options

    known = known_options(source)
    words = {name: value for name, value in opening.items() if name in known}
    if 'key' in opening and 'variable' in known:
        words['variable'] = opening['key']
    with open_cube(source, **words) as reader:
        positions, _ = select_bands(reader.info, chosen)
        count = reader.info.shape[0]
    if not all(0 <= band < count for band in bad):
        raise click.BadParameter(
            f'Expected positions from 0 to {count - 1}, got {bad_bands!r}.',
            param_hint='--bad-bands',
        )
    kept = [band for band in positions if band not in set(bad)]
    if not kept:
        raise click.BadParameter('No band is left.', param_hint='--bad-bands')
    return kept


def read_options(method: str, settings: Sequence[str]) -> dict[str, Any]:
    """Read arguments of a method.

    Args:
        method: Name of the method.
        settings: Arguments as the user wrote them.

    Returns:
        Changes of the recipe and arguments of the model.

    Raises:
        click.BadParameter: If one is unknown or of another kind.
    """
    if not settings:
        return {}
    from ..workflows.methods import RECIPE_OPTIONS, Recipe, model_builder

    pairs = read_pairs(settings, '--set')
    recipe = {name: argument_kinds(Recipe)[name] for name in RECIPE_OPTIONS}
    model = argument_kinds(model_builder(method))
    own = ('return', 'in_channels', 'num_classes', 'window')
    kinds = {name: kind for name, kind in model.items() if name not in own} | recipe
    unknown = [name for name in pairs if name not in kinds or name == 'window']
    if unknown:
        raise click.BadParameter(
            f'{method} has no argument {", ".join(unknown)}. It knows: '
            f'{", ".join(name for name in kinds if name != "window")}.',
            param_hint='--set',
        )
    return convert_pairs(pairs, kinds, '--set')


def check_files(
    source: str,
    labels: str,
    output: str,
    probabilities: bool,
    report: str | None,
    figure: str | None,
) -> None:
    """Refuse files that would replace each other.

    Args:
        source: The scene.
        labels: The labels.
        output: The map.
        probabilities: Whether probabilities go beside it.
        report: JSON file.
        figure: Picture.

    Raises:
        OutputError: If a file is read or written as something else.
    """
    maps = [output]
    if probabilities:
        maps.append(str(probability_path(Path(output))))
    check_not_inputs([*maps, report, figure], [source, labels])
    beside = dict.fromkeys(maps[1:], 'the probabilities beside OUT')
    named = {'--report': report, '--figure': figure}
    check_apart({name: path for path, name in beside.items()} | named)


def probability_path(output: Path) -> Path:
    """Return where the probabilities beside a map go; see ``workflows``.

    Args:
        output: The map.

    Returns:
        The file beside it.
    """
    # which takes seconds to import
    from ..workflows._scene_map import probability_path as beside

    return beside(output)


def write_results(content: Mapping[str, Any], path: str | None) -> None:
    """Write what was found as JSON, if asked to.

    Args:
        content: The report.
        path: File to write.

    Raises:
        OutputError: If that fails.
    """
    if path is not None:
        from ..io._whole import write_json

        write_json(path, content)


def _read_bands(text: str, option: str) -> list[Any]:
    """Read positions, ranges of positions, wavelengths and names."""
    found: list[Any] = []
    for word in (part.strip() for part in text.split(',')):
        first, dash, last = word.partition('-')
        if not word:
            raise click.BadParameter(
                f'Expected bands between commas, got {text!r}.', param_hint=option
            )
        if dash and first.isdecimal() and last.isdecimal():
            if int(last) < int(first):
                raise click.BadParameter(
                    f'{word} is no range from lower to higher.', param_hint=option
                )
            found += range(int(first), int(last) + 1)
        elif _is_whole(word):
            found.append(int(word))
        else:
            try:
                found.append(float(word))
            except ValueError:
                found.append(word)
    return found


def _is_whole(word: str) -> bool:
    return word.removeprefix('-').isdecimal()
