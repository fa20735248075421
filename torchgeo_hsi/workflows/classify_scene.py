# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A land-cover map of a scene from a few labels, with scores that can be trusted."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._typing import PathLike
from ..datamodules._scene_source import load_scene
from ..datasets.labelled_scenes.label_map import is_vector, read_label_map
from ..datasets.labelled_scenes.scene import UNLABELLED, LabelledScene
from ..datasets.splits import PixelSplit
from ..errors import HSIWarning
from ..io import CubeInfo
from ..metrics.classification_report import ClassificationReport
from ._cross_validation import validate
from ._figure import check_picture, save_classification
from ._fit import Fitter
from ._scene_map import check_maps, map_codes, write_maps
from .methods import DEFAULT_METHOD, find_recipe


def classify_scene(
    scene: Any,
    labels: Any,
    output: PathLike,
    method: str = DEFAULT_METHOD,
    *,
    window: int | None = None,
    split: str | Sequence[PixelSplit] = 'block',
    folds: int = 5,
    guard: int | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    probabilities: bool = True,
    figure: PathLike | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: Callable[[str, float], None] | None = None,
    **labelling: Any,
) -> ClassificationReport:
    """Map the classes of a scene from labels of some of its pixels.

    The method is first scored by cross-validation
    (:func:`~torchgeo_hsi.workflows.cross_validate`), then fitted to all labels, then
    run over the scene strip by strip, so that the numbers of its windows never lie in
    memory all together.

    Two Cloud Optimized GeoTIFFs come out, on the pixels of the scene. *output* holds
    one code for each pixel, with colors and names; 0 where there is no data. Codes are
    those of the label map if that is a raster and all are from 1 to 65535, else 1, 2 ...
    in the order of the classes. The file beside it, whose name ends with ``_probabilities``,
    holds the probability of each class in steps of 1 / 250; 255 where there is no data.
    Both appear when they are complete.

    Args:
        scene: What :func:`~torchgeo_hsi.io.open_cube` opens, or GeoTIFF tiles; or a
            dataset such as :class:`~torchgeo_hsi.datasets.Salinas`, or a
            :class:`~torchgeo_hsi.datasets.LabelledScene`, without *labels*.
        labels: A label map, or a vector file with polygons or points; None if *scene*
            has its own labels.
        output: GeoTIFF to write.
        method: Name of a method, see :data:`~torchgeo_hsi.workflows.METHODS`.
        window: Rows and columns around a pixel that it looks at; those of its recipe by
            default.
        split: Kind of the cross-validation: ``'block'``, ``'region'``, ``'random'``,
            ``'official'``, the raster of a split, or splits.
        folds: Number of folds.
        guard: Pixels left out on either side of a border; ``window // 2`` by default,
            and 4 at least.
        seed: Seed of folds and method.
        options: Changes of the recipe and arguments of the model.
        probabilities: Whether to write the probability of each class.
        figure: Picture of the scene, the labels, the map and the scores to write.
        overwrite: Whether existing maps may be replaced.
        device: Device of networks; a GPU by default, if there is one.
        progress: Is told what is being done and which share of it is done.
        **labelling: Options of :func:`~torchgeo_hsi.datasets.open_labelled_scene`, such
            as ``column='crop'``.

    Returns:
        The report of the cross-validation.

    Raises:
        EmptyDataError: If labels and scene do not meet, or cannot be tested.
        OutputError: If an output exists or cannot be written.
        UnknownNameError: If there is no such method.
        ValueError: If an option is not understood.

    Example:
        .. code-block:: python

            report = classify_scene('scene.tif', 'fields.gpkg', 'map.tif', column='crop')
            print(report)
    """
    recipe = find_recipe(method, window, options)
    path, tell = Path(output), progress or _silent
    check_maps(path, probabilities, overwrite)
    if figure is not None:
        check_picture(Path(figure))
    if labels is None:
        found = load_scene(scene, options=labelling)
    else:
        found = load_scene(None, scene, labels, labelling)
    if labelling.get('classes'):
        _warn_of_absent(found)
    codes = map_codes(label_codes(found, labels, labelling), found.num_classes)
    fitter = Fitter(found, method, recipe, seed, device)
    tell('Cross-validating', 0.0)
    report = validate(fitter, split, folds, guard, tell)
    tell('Fitting', 0.0)
    fitted = fitter.fit(found.labels != UNLABELLED)
    tell('Fitting', 1.0)
    words: dict[str, Any] = {'probabilities': probabilities, 'overwrite': overwrite}
    write_maps(fitted, found, path, codes, tell=tell, **words)
    if figure is not None:
        save_classification(found, report, path, Path(figure))
    return report


def _warn_of_absent(scene: LabelledScene) -> None:
    """Name the classes that were asked for, and of which there is no label."""
    counts = np.bincount(scene.labels[scene.labels != UNLABELLED])
    counts = np.pad(counts, (0, scene.num_classes - len(counts)))
    absent = [n for n, k in zip(scene.class_names, counts, strict=True) if not k]
    if absent and len(absent) < scene.num_classes - 1:
        warnings.warn(
            f'No label of {scene.name} is {" or ".join(map(repr, absent))}, so the map '
            'will not have it. Check classes=.',
            HSIWarning,
            stacklevel=3,
        )


def label_codes(
    scene: LabelledScene, labels: Any, labelling: Mapping[str, Any]
) -> list[int] | None:
    """Find the code that each class has in a label map.

    Args:
        scene: The scene with these labels.
        labels: The label map, a vector file, or None.
        labelling: Options that it was read with.

    Returns:
        The codes; None if the labels are no raster, or a class has several codes.
    """
    if labels is None:
        return None
    several = isinstance(labels, Sequence) and not isinstance(labels, str)
    if not several and is_vector(labels):
        return None
    grid = CubeInfo(
        scene.name,
        'unknown',
        scene.shape,
        str(scene.image.dtype),
        None,
        None,
        crs=scene.crs,
        transform=scene.transform,
    )
    key, ignore = labelling.get('label_key'), labelling.get('ignore', 0)
    codes = read_label_map(labels, key=key, ignore=ignore, like=grid).codes
    found = [np.unique(codes[scene.labels == k]) for k in range(scene.num_classes)]
    if any(len(some) != 1 for some in found):
        # a class without a pixel has a code that nobody can see here
        wanted = list(labelling.get('classes') or ())
        return wanted if wanted and all(isinstance(c, int) for c in wanted) else None
    return [int(some[0]) for some in found]


def _silent(what: str, share: float) -> None:
    """Tell nobody."""
