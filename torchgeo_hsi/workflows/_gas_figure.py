# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A picture of a scene and of the gas above it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rasterio.windows import Window
from torchgeo.datasets import RGBBandsMissingError

from .._typing import PathLike
from ..callbacks._figure_file import save_figure
from ..datasets.plotting import NODATA_GRAY, TRUE_COLOR, true_color
from ..io import CubeReader, open_cube
from ..io.geotiff import open_raster
from .gas_report import GasReport

#: Pixels along a side of a picture of the scene, and rows that are read at once.
_MOST, _ROWS = 800, 256

#: Standard errors at which the colors of the map begin and end.
_COLORS = (0.0, 6.0)


def draw_gas(
    scene: PathLike,
    path: PathLike,
    report: GasReport,
    options: Mapping[str, Any] | None = None,
) -> Figure:
    """Draw a scene, the enhancement of a gas above it, and how far that stands out.

    Args:
        scene: The scene.
        path: The map.
        report: What is told about it.
        options: Options of :func:`~torchgeo_hsi.io.open_cube`.

    Returns:
        The figure. Close it with ``matplotlib.pyplot.close``.
    """
    (column, error), step = _thinned(path)
    with open_cube(scene, **(options or {})) as reader:
        view = _view(reader, step)
    tall = column.shape[0] / column.shape[1]
    figure, axes = plt.subplots(
        1, 3, figsize=(12, min(3.6 * tall + 1.2, 12)), layout='constrained'
    )
    axes[0].imshow(view, interpolation='nearest')
    axes[0].set_title('scene', fontsize=10)
    known = column[np.isfinite(column)]
    top = 5 * report.error
    if known.size:
        top = max(float(np.quantile(known, 0.999, method='nearest')), top)
    panels = (
        ('enhancement (ppm m)', column, 0.0, top),
        ('enhancement / standard error', column / error, *_COLORS),
    )
    for axis, (title, values, low, high) in zip(axes[1:], panels, strict=True):
        axis.set_facecolor(NODATA_GRAY)
        drawn = axis.imshow(
            values, vmin=low, vmax=high, cmap='inferno', interpolation='nearest'
        )
        figure.colorbar(drawn, ax=axis, shrink=0.8)
        axis.set_title(title, fontsize=10)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    figure.suptitle(
        f'{report.gas}, {report.background} background: standard error '
        f'{report.error:.0f} ppm m (median)',
        fontsize=10,
    )
    return figure


def save_gas(
    scene: PathLike,
    path: Path,
    report: GasReport,
    picture: Path,
    options: Mapping[str, Any],
) -> None:
    """Draw a scene and its map, and write the picture.

    Args:
        scene: The scene.
        path: The map.
        report: What is told about it.
        picture: File to write; folders are created.
        options: Options of :func:`~torchgeo_hsi.io.open_cube`.

    Raises:
        OutputError: If the picture cannot be written.
    """
    figure = draw_gas(scene, path, report, options)
    try:
        save_figure(figure, picture, 'the figure')
    finally:
        plt.close(figure)


def _thinned(path: PathLike) -> tuple[NDArray[np.float32], int]:
    """Read every n-th pixel of a map, shape ``(2, h, w)``, and n."""
    with open_raster(str(path)) as src:
        height, width = src.shape
        step = math.ceil(max(height, width) / _MOST)
        count = step * max(_ROWS // step, 1)
        # strip by strip: a whole map may be larger than the memory
        parts = [
            src.read(window=Window(0, row, width, min(count, height - row)))[
                :, ::step, ::step
            ]
            for row in range(0, height, count)
        ]
    return np.concatenate(parts, axis=1), step


def _view(reader: CubeReader, step: int) -> NDArray[np.float32]:
    """Make a true-color view, or a gray one where no band is visible."""
    _, height, width = reader.info.shape
    bands = reader.info.bands
    assert bands is not None
    try:
        chosen = bands.indices(TRUE_COLOR)
    except ValueError:
        chosen = [len(bands) // 2] * 3
    parts = []
    for row in range(0, height, step * max(_ROWS // step, 1)):
        count = min(step * max(_ROWS // step, 1), height - row)
        values, mask = reader.read(chosen, Window(0, row, width, count))
        parts.append((values[:, ::step, ::step], mask.all(0)[::step, ::step]))
    image = np.concatenate([part[0] for part in parts], 1)
    valid = np.concatenate([part[1] for part in parts])
    try:
        return true_color(image, bands.wavelength[chosen], valid)
    except RGBBandsMissingError:
        low, high = (
            np.quantile(image[0][valid], (0.02, 0.98)) if valid.any() else (0, 1)
        )
        gray = np.clip((image[0] - low) / max(high - low, 1e-9), 0, 1)
        gray[~valid] = int(NODATA_GRAY[1:3], 16) / 255
        view: NDArray[np.float32] = np.repeat(gray[..., None], 3, 2).astype(np.float32)
        return view
