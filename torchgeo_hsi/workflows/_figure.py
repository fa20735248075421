# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A picture of a map, of the labels it comes from, and of its scores."""

import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray
from torchgeo.datasets import RGBBandsMissingError

from ..callbacks._figure_file import picture_complaint, save_figure
from ..datasets.labelled_scenes.scene import UNLABELLED, LabelledScene
from ..datasets.plotting import NODATA_GRAY, class_map, true_color
from ..errors import OutputError
from ..io.geotiff import open_raster
from ..metrics.classification_report import ClassificationReport

#: Pixels along a side of a picture of the scene.
_MOST = 800

#: Classes whose numbers still fit into the cells of a confusion matrix.
_WRITTEN = 12


def check_picture(path: Path) -> None:
    """Check that a picture can be written, before anything is fitted.

    Args:
        path: The picture.

    Raises:
        OutputError: If its suffix is that of no picture.
    """
    complaint = picture_complaint(path, needs_suffix=True)
    if complaint:
        raise OutputError(complaint)


def draw_classification(
    scene: LabelledScene,
    report: ClassificationReport,
    path: Path,
    title: str | None = None,
) -> Figure:
    """Draw a scene, its labels, the map, and the confusion matrix.

    Args:
        scene: The scene.
        report: The report of the cross-validation.
        path: The map.
        title: Title of the figure; the line with the split by default.

    Returns:
        The figure. Close it with ``matplotlib.pyplot.close``.
    """
    step = math.ceil(max(scene.shape[1:]) / _MOST)
    valid = scene.valid[::step, ::step]
    labels = scene.labels[::step, ::step]
    with open_raster(str(path)) as src:
        codes = src.read(1)[::step, ::step]
        table = src.colormap(1)
    colors = {
        code: '#{:02x}{:02x}{:02x}'.format(*table[code][:3])
        for code in np.unique(codes[valid]).tolist()
    }
    known = labels != UNLABELLED
    pictures = {
        'scene': _view(scene, step),
        'labels': class_map(labels, known, dict(enumerate(scene.class_colors))),
        'map': class_map(codes, valid, colors),
    }
    wide = valid.shape[1] > 1.6 * valid.shape[0]
    figure = plt.figure(figsize=_size(valid.shape, wide), layout='constrained')
    parts: Any = figure.subfigures(2, 1, height_ratios=(1.15 if wide else 1, 1))
    maps, below = parts
    axes = maps.subplots(*((3, 1) if wide else (1, 3)))
    for axis, (name, picture) in zip(axes, pictures.items(), strict=True):
        axis.imshow(picture, interpolation='nearest')
        axis.set_title(name, fontsize=10)
        axis.axis('off')
    left, right = below.subplots(1, 2, width_ratios=(1.2, 1))
    _draw_confusion(left, report)
    _draw_legend(right, scene, report)
    figure.suptitle(title or f'{report.method}: {report.split_line()}', fontsize=10)
    return figure


def save_classification(
    scene: LabelledScene, report: ClassificationReport, path: Path, picture: Path
) -> None:
    """Draw a scene, its labels, the map and the scores, and write the picture.

    Args:
        scene: The scene.
        report: The report of the cross-validation.
        path: The map.
        picture: File to write; folders are created.

    Raises:
        OutputError: If the picture cannot be written.
    """
    figure = draw_classification(scene, report, path)
    try:
        save_figure(figure, picture, 'the figure')
    finally:
        plt.close(figure)


def _size(shape: tuple[int, ...], wide: bool) -> tuple[float, float]:
    """Return width and height in inches."""
    tall = shape[0] / shape[1]
    if wide:
        return 9.6, min(3 * 9.0 * tall, 9.0) + 5.0
    return 9.6, float(np.clip(3.1 * tall, 2.0, 6.0)) + 4.8


def _view(scene: LabelledScene, step: int) -> NDArray[np.float32]:
    """Make a true-color view, or one of three bands where no band is visible."""
    image, valid = scene.image[:, ::step, ::step], scene.valid[::step, ::step]
    if scene.bands is not None:
        try:
            return true_color(image, scene.bands.wavelength, valid)
        except RGBBandsMissingError:
            pass
    # early in the spectrum of most sensors, red behind blue
    chosen = np.linspace(len(image) // 4, 0, 3).astype(int)
    values = image[chosen].astype(np.float32)
    low, high = np.quantile(values[:, valid], (0.02, 0.98), axis=1)[..., None, None]
    shown = np.clip((values - low) / np.maximum(high - low, 1e-9), 0, 1)
    shown[:, ~valid] = int(NODATA_GRAY[1:3], 16) / 255
    view: NDArray[np.float32] = np.moveaxis(shown, 0, -1).astype(np.float32)
    return view


def _draw_confusion(axis: Axes, report: ClassificationReport) -> None:
    """Draw which share of each class is taken for which."""
    counts = report.counts.sum(0)
    tested = counts.sum(1, keepdims=True)
    shares = counts / np.maximum(tested, 1)
    axis.imshow(shares, vmin=0, vmax=1, cmap='Blues')
    size = len(counts)
    if size <= _WRITTEN:
        for (row, column), share in np.ndenumerate(shares):
            if tested[row, 0] and share >= 0.005:
                color = 'white' if share > 0.5 else '0.2'
                words: dict[str, Any] = {'ha': 'center', 'va': 'center', 'fontsize': 7}
                axis.text(column, row, f'{share:.0%}', color=color, **words)
    names = [str(name) for name in report.class_names]
    axis.set_xticks(range(size), names, rotation=60, ha='right', fontsize=7)
    axis.set_yticks(range(size), names, fontsize=7)
    axis.set_xlabel('map', fontsize=8)
    axis.set_ylabel('label', fontsize=8)


def _draw_legend(
    axis: Axes, scene: LabelledScene, report: ClassificationReport
) -> None:
    """List classes with their F1 scores, and the scores of all."""
    axis.axis('off')
    scores = '   '.join(
        f'{name} {np.nanmean(values):.3f}' for name, values in report.scores().items()
    )
    tested = report.counts.sum((0, 2)) > 0
    rows = []
    for k, (name, color) in enumerate(
        zip(scene.class_names, scene.class_colors, strict=True)
    ):
        score = f'F1 {np.nanmean(report.f1[:, k]):.2f}' if tested[k] else 'not tested'
        rows.append(Patch(facecolor=color, edgecolor='0.3', label=f'{name}  ({score})'))
    axis.legend(
        handles=rows,
        title=scores,
        loc='upper left',
        fontsize=8,
        title_fontsize=8,
        frameon=False,
        ncols=1 if len(rows) <= _WRITTEN else 2,
    )
