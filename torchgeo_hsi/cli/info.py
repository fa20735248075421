# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""``torchgeo-hsi info``: what a hyperspectral file holds."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ._opening import check_path, read_opening
from ._options import json_option, open_option
from ._output import echo_fields, echo_json
from ._plan import cube_bytes
from ._progress import show_stages
from ._verb import Verb

if TYPE_CHECKING:
    from ..io import CubeInfo, CubeReader

#: Bytes of values and masks that are held at a time.
_BUDGET = 64 * 1024**2

#: Rows that are read at a time: about one block of the usual tiled files.
_ROWS = 256


def _filled_bands(reader: 'CubeReader', rows: int) -> list[int]:
    """Find the bands with at least one valid pixel.

    Each band is read only until its first valid pixel, so that usually one block of
    rows is enough for all but the empty ones.
    """
    empty = list(range(reader.info.shape[0]))
    for window, step in _windows(reader, rows):
        found: set[int] = set()
        for start in range(0, len(empty), step):
            chunk = empty[start : start + step]
            _, valid = reader.read(chunk, window)
            found.update(b for b, ok in zip(chunk, valid, strict=True) if ok.any())
        empty = [band for band in empty if band not in found]
        if not empty:
            break
    return [band for band in range(reader.info.shape[0]) if band not in set(empty)]


def _windows(reader: 'CubeReader', rows: int) -> Any:
    """Yield blocks of rows, each with the number of bands that fit the budget."""
    from rasterio.windows import Window

    count, height, width = reader.info.shape
    if reader.pixel_interleaved:
        # few rows with all bands instead of many rows once for each group of bands
        rows = max(1, min(rows, _BUDGET // (5 * count * width)))
    for top in range(0, height, rows):
        size = min(rows, height - top)
        # a float32 value and its mask take five bytes
        yield Window(0, top, width, size), max(1, _BUDGET // (5 * size * width))


def nodata_share(
    reader: 'CubeReader',
    rows: int = _ROWS,
    progress: Callable[[str, float], None] = lambda what, share: None,
) -> tuple[float, list[int]]:
    """Measure how much of a cube holds no data, in bounded memory.

    Bands without a single valid pixel are told apart, because they would make every
    pixel look empty.

    Args:
        reader: The open file.
        rows: Rows to read at a time.
        progress: Is told what is done, and which share of it.

    Returns:
        The share of pixels that lack data in any of the other bands (1 if there are
        no other bands), and the positions of the empty bands.
    """
    filled = _filled_bands(reader, rows)
    count, height, width = reader.info.shape
    empty = sorted(set(range(count)) - set(filled))
    if not filled:
        return 1.0, empty
    complete = 0
    for window, step in _windows(reader, rows):
        whole = None
        for start in range(0, len(filled), step):
            _, valid = reader.read(filled[start : start + step], window)
            all_valid = valid.all(axis=0)
            whole = all_valid if whole is None else whole & all_valid
        complete += 0 if whole is None else int(whole.sum())
        progress('Reading', (window.row_off + window.height) / height)
    return 1 - complete / (height * width), empty


def _spectral_facts(info: 'CubeInfo') -> dict[str, Any]:
    bands = info.bands
    facts: dict[str, Any] = {
        'wavelength_um': None,
        'fwhm_um': None,
        'bad_bands': [],
        'spectral_source': info.spectral_source,
    }
    if bands is not None:
        low, high = float(bands.wavelength.min()), float(bands.wavelength.max())
        facts['wavelength_um'] = [round(low, 6), round(high, 6)]
        facts['bad_bands'] = [
            name for name, good in zip(bands.names, bands.good, strict=True) if not good
        ]
        if bands.fwhm is not None:
            narrow, wide = float(bands.fwhm.min()), float(bands.fwhm.max())
            facts['fwhm_um'] = [round(narrow, 6), round(wide, 6)]
    return facts


def _spatial_facts(info: 'CubeInfo') -> dict[str, Any]:
    facts: dict[str, Any] = {
        'crs': None if info.crs is None else info.crs.to_string(),
        'resolution': None,
        'bounds': None,
    }
    if info.transform is not None:
        from rasterio.transform import array_bounds

        transform = info.transform
        # lengths of the two pixel edges, also where the grid is rotated
        facts['resolution'] = [
            (transform.a**2 + transform.d**2) ** 0.5,
            (transform.b**2 + transform.e**2) ** 0.5,
        ]
        facts['bounds'] = list(array_bounds(*info.shape[1:], transform))
    return facts


def _facts(reader: 'CubeReader', scan: bool) -> dict[str, Any]:
    """Collect everything that is shown about a file."""
    info = reader.info
    facts: dict[str, Any] = {
        'path': str(info.path),
        'sensor': info.sensor,
        'start': info.start,
        'bands': info.shape[0],
        **_spectral_facts(info),
        'height': info.shape[1],
        'width': info.shape[2],
        'dtype': info.dtype,
        'nodata': info.nodata,
        **_spatial_facts(info),
    }
    if scan:
        with show_stages(lambda: cube_bytes(info)) as progress:
            share, empty = nodata_share(reader, progress=progress)
        names = info.bands.names if info.bands is not None else None
        facts['nodata_share'] = share
        facts['empty_bands'] = [names[i] if names else f'B{i + 1}' for i in empty]
    return facts


def _span(values: list[float] | None, factor: float, unit: str) -> str:
    if values is None:
        return 'unknown'
    low, high = (value * factor for value in values)
    return f'{low:.1f} {unit}' if low == high else f'{low:.1f} to {high:.1f} {unit}'


def _listing(names: list[str]) -> str:
    return f'{len(names)}: {", ".join(names)}' if names else 'none'


def _fields(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Put the facts into words."""
    resolution = facts['resolution']
    bounds = facts['bounds']
    fields = [
        ('file', facts['path']),
        ('sensor', facts['sensor']),
        ('acquired', facts['start'] or 'unknown'),
        ('bands', str(facts['bands'])),
        ('wavelengths', _span(facts['wavelength_um'], 1e3, 'nm')),
        ('FWHM', _span(facts['fwhm_um'], 1e3, 'nm')),
        ('wavelengths from', facts['spectral_source']),
        ('bad bands', _listing(facts['bad_bands'])),
        ('size', f'{facts["height"]} rows x {facts["width"]} columns'),
        ('data type', facts['dtype']),
        ('nodata value', 'none' if facts['nodata'] is None else f'{facts["nodata"]:g}'),
        ('CRS', facts['crs'] or 'none'),
        ('pixel size', ' x '.join(f'{r:.10g}' for r in resolution or ()) or 'unknown'),
        ('bounds', ', '.join(f'{b:.10g}' for b in bounds or ()) or 'unknown'),
    ]
    if 'nodata_share' in facts:
        fields += [
            ('empty bands', _listing(facts['empty_bands'])),
            ('pixels with nodata', f'{facts["nodata_share"]:.2%} (other bands)'),
        ]
    return fields


@click.command(
    cls=Verb,
    short_help='Show what a file or product holds.',
    examples=(
        'torchgeo-hsi info enmap_product',
        'torchgeo-hsi info scene.hdr --json --no-scan',
        'torchgeo-hsi info cube.mat --open key=data --open wavelength_unit=nm',
    ),
)
@click.argument('source', metavar='IN', callback=check_path)
@open_option('IN')
@click.option(
    '--scan/--no-scan',
    default=True,
    show_default=True,
    help='Read all pixels to measure the share of nodata.',
)
@json_option
def info(source: str, opening: Sequence[str], scan: bool, as_json: bool) -> None:
    """Show what IN holds: sensor, bands, wavelengths, nodata, size and place.

    IN is any file or product folder that torchgeo_hsi.io.open_cube reads. All options of
    its reader are given by --open, as for the verbs that work on it.
    """
    from ..io import open_cube

    reading = read_opening(source, opening)
    with open_cube(source, **reading) as reader:
        facts = _facts(reader, scan)
    if as_json:
        echo_json(facts)
    else:
        echo_fields(_fields(facts))


COMMANDS = (info,)
