# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A map of a gas above a scene."""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .. import __version__
from .._typing import PathLike
from ..errors import OutputError
from ..io import CubeReader, CubeWriter, open_cube
from ..io._gdal import gdal_cache
from ..physics.gases import GasAbsorption, MatchedFilter, get_gas
from ..physics.gases.matched_filter import Background
from ..scenes._output import check_output, completed, is_product
from ..scenes._runner import CACHE_MB, silent
from ._figure import check_picture
from ._gas_bands import check_windows, find_sun
from ._gas_figure import save_gas
from ._gas_scene import GasScene
from .gas_report import GasReport, Tally

#: Kinds of ground by default.
_CLUSTERS = 8

#: Options of the filter that go through.
_OPTIONS = ('albedo', 'passes', 'shrinkage', 'threshold', 'darkest')


def map_gas(
    scene: PathLike,
    output: PathLike,
    gas: str = 'methane',
    *,
    background: Background = 'trimmed',
    sun_zenith: float | None = None,
    view_zenith: float = 0.0,
    windows: Sequence[tuple[float, float]] | None = None,
    quality: Sequence[str] | None = None,
    clusters: int | None = None,
    columns: int | None = None,
    seed: int = 0,
    figure: PathLike | None = None,
    compress: str = 'deflate',
    overwrite: bool = False,
    device: str | torch.device = 'cpu',
    reader_options: Mapping[str, Any] | None = None,
    progress: Callable[[str, float], None] | None = None,
    **options: Any,
) -> GasReport:
    """Map how much more of a gas there is above each pixel than above the scene.

    Kinds of ground are found first, each of which has a background of its own
    (:class:`~torchgeo_hsi.physics.gases.SpectralClusters`); of a kind with too few
    pixels nothing is known. The scene is read strip by strip, once for each look of the
    :class:`~torchgeo_hsi.physics.gases.MatchedFilter` at the background and once for the
    map, so memory does not grow with it. The output has two bands, enhancement and
    standard error in ppm m, on the pixels of the scene, NaN where there is no result. It
    appears when it is complete.

    A high number is no plume yet: look at what lies below it. See the page on gases.

    Args:
        scene: Whatever :func:`~torchgeo_hsi.io.open_cube` opens: radiance or
            reflectance, with wavelengths and widths of bands.
        output: GeoTIFF to write.
        gas: ``'methane'`` or ``'carbon_dioxide'``.
        background: See :class:`~torchgeo_hsi.physics.gases.MatchedFilter`.
        sun_zenith: Zenith angle of the sun in degrees; that in the metadata of an EnMAP
            product by default.
        view_zenith: Zenith angle of the view in degrees.
        windows: Lowest and highest wavelength of each range in micrometres; what suits
            the gas by default.
        quality: Quality layers that leave pixels out; clouds and their shadows by
            default, where the product has them.
        clusters: Kinds of ground; 8 by default, or 1 with *columns*.
        columns: Columns of the image that share a background, instead of kinds of ground,
            for scenes as the sensor saw them, whose columns are detectors of their own.
        seed: Seed of the search for kinds of ground.
        figure: Picture of scene and map to write.
        compress: Compression, see :class:`~torchgeo_hsi.io.CubeWriter`.
        overwrite: Whether an existing output may be replaced.
        device: Where to compute.
        reader_options: Options of :func:`~torchgeo_hsi.io.open_cube`.
        progress: Is told what is being done and which share of it is done.
        **options: ``albedo``, ``passes``, ``shrinkage``, ``threshold`` and ``darkest`` of
            the filter.

    Returns:
        What was found.

    Raises:
        BandMismatchError: If too few bands see the gas.
        EmptyDataError: If there is too little data.
        MetadataError: If wavelengths, widths or the height of the sun are not known.
        OutputError: If an output exists or cannot be written.
        UnknownNameError: If there is no such gas.
        ValueError: If an option is not understood.

    Example:
        .. code-block:: python

            report = map_gas('enmap_scene/', 'methane.tif', figure='methane.png')
            print(report.error, report.above)
    """
    start, tell = time.monotonic(), progress or silent
    found, path = get_gas(gas), Path(output)
    ranges = check_windows(gas, windows)
    kinds = _check(options, clusters, columns)
    _check_paths(scene, path, figure)
    reading = reader_options or {}
    with ExitStack() as stack:
        stack.enter_context(gdal_cache(CACHE_MB))
        reader = stack.enter_context(open_cube(scene, **reading))
        check_output(reader, scene, path, overwrite)
        angles = find_sun(reader, sun_zenith), view_zenith
        seen = GasScene(reader, found, ranges, quality, columns, kinds, device)
        made = _filter(found, seen, angles, background, options)
        seen.learn_ground(seed, tell)
        _look(made, seen, tell)
        writer = _open(reader, path, found, made, compress, overwrite)
        with completed(writer, tell):
            counts = _write(made, seen, writer, tell).summary()
    names = seen.bands.names, seen.left_out
    report = GasReport(
        gas, background, *names, ranges, *angles, **counts, output=str(path)
    )
    if figure is not None:
        save_gas(scene, path, report, Path(figure), reading)
    return replace(report, seconds=round(time.monotonic() - start, 1))


def _filter(
    gas: GasAbsorption,
    seen: GasScene,
    angles: tuple[float, float],
    background: Background,
    options: Mapping[str, Any],
) -> MatchedFilter:
    """Make the filter of a scene, with zenith angles of sun and view."""
    absorption = gas.absorption_coefficients(
        seen.bands, sun_zenith=angles[0], view_zenith=angles[1]
    )
    return MatchedFilter(
        absorption, background=background, groups=seen.groups, **options
    )


def _check(
    options: Mapping[str, Any], clusters: int | None, columns: int | None
) -> int:
    """Refuse options that nobody knows, and return the number of kinds of ground."""
    unknown = [name for name in options if name not in _OPTIONS]
    if unknown:
        raise ValueError(
            f'Expected options of the filter, {", ".join(_OPTIONS)}, got '
            f'{", ".join(unknown)}.'
        )
    if columns is not None and columns < 1:
        raise ValueError(f'Expected at least 1 column in a group, got {columns}.')
    if clusters is None:
        return _CLUSTERS if columns is None else 1
    if clusters < 1:
        raise ValueError(f'Expected at least 1 kind of ground, got {clusters}.')
    if clusters > 1 and columns is not None:
        raise ValueError(
            'Expected a background for kinds of ground (clusters) or for columns, got '
            'both: such groups would have too few pixels.'
        )
    return clusters


def _check_paths(scene: PathLike, path: Path, figure: PathLike | None) -> None:
    """Refuse outputs that are no raster and no picture, or lie in the scene."""
    if is_product(path):
        raise OutputError(f'{path} is no .tif file, and maps are GeoTIFFs.')
    if figure is None:
        return
    picture, seen = Path(figure).resolve(), Path(scene).resolve()
    check_picture(picture)
    if picture == path.resolve():
        raise OutputError(f'{path} cannot be the map and its picture.')
    if picture == seen or (seen.is_dir() and seen in picture.parents):
        raise OutputError(f'{figure} is, or lies in, the scene. Name a path elsewhere.')
    if picture.is_dir():
        raise OutputError(f'{figure} is a folder. Name a file in it.')


def _look(
    made: MatchedFilter, seen: GasScene, tell: Callable[[str, float], None]
) -> None:
    """Show the scene to the filter as often as it needs."""
    for number in range(made.passes):
        for strip in seen.strips():
            made.observe(strip.image, strip.valid, strip.groups)
            tell('Observing', (number + strip.share) / made.passes)
        made.settle()


def _open(
    reader: CubeReader,
    path: Path,
    gas: GasAbsorption,
    made: MatchedFilter,
    compress: str,
    overwrite: bool,
) -> CubeWriter:
    """Open the map."""
    info = reader.info
    tags = {
        'TIFFTAG_SOFTWARE': f'torchgeo-hsi {__version__}',
        'gas': gas.name,
        'method': f'matched filter, {made.background} background',
        'units': 'ppm m',
        'source': os.path.basename(info.path),
    }
    if info.start is not None:
        tags['start_time'] = info.start
    path.parent.mkdir(parents=True, exist_ok=True)
    return CubeWriter(
        path,
        (2, *info.shape[1:]),
        'float32',
        info.crs,
        info.transform,
        math.nan,
        descriptions=[f'{gas.title} enhancement (ppm m)', 'Standard error (ppm m)'],
        tags=tags,
        compress=compress,
        overwrite=overwrite,
    )


def _write(
    made: MatchedFilter,
    seen: GasScene,
    writer: CubeWriter,
    tell: Callable[[str, float], None],
) -> Tally:
    """Filter the scene strip by strip."""
    tally = Tally()
    for strip in seen.strips():
        found = made(strip.image, strip.valid, strip.groups)
        tally.add(found, int(strip.window.row_off))
        writer.write(strip.window, torch.stack(found).cpu().numpy())
        tell('Mapping', strip.share)
    return tally
