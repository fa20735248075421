# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Scores of a method on pixels of a scene that it was not fitted to."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..datamodules._scene_splits import make_split
from ..datasets.labelled_scenes.scene import UNLABELLED, LabelledScene
from ..datasets.splits import PixelSplit, leak_report
from ..datasets.splits.folds import pixel_folds
from ..errors import BandMismatchError, EmptyDataError, HSIWarning
from ..metrics.classification_report import RANDOM_NOTE, ClassificationReport
from ._fit import Fitter, known_classes, list_names
from .methods import DEFAULT_METHOD, find_recipe

#: Kinds of splits that make folds.
_FOLDED = ('block', 'region', 'random')

#: What is said where no pixel can be tested.
_NO_SCORES = (
    'there are no scores: every class has its labels in one place, so nothing is left to '
    'learn it from while that is tested. How good a map is remains unknown; label each '
    'class in two places at least'
)

#: Window that blocks and guard are for at least. Neighbours are alike, whether or not a
#: method looks at them: blocks of a few pixels would test little else than random ones.
LEAST_WINDOW = 9


def cross_validate(
    scene: LabelledScene,
    method: str = DEFAULT_METHOD,
    *,
    window: int | None = None,
    split: str | Sequence[PixelSplit] = 'block',
    folds: int = 5,
    guard: int | None = None,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    device: str | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> ClassificationReport:
    """Score a method on pixels of a scene that it was not fitted to.

    The labelled pixels are cut into as many parts as there are folds; each part is
    tested once, by the method fitted to the others. Where the scene does not give as
    many parts, fewer are taken, and the report says so. Pixels of a class of which a
    fold has none to learn from are left out of its scores: they would be wrong whatever
    the method. The report names such classes.

    Args:
        scene: The scene.
        method: Name of a method, see :data:`~torchgeo_hsi.workflows.METHODS`.
        window: Rows and columns around a pixel that it looks at; those of its recipe by
            default.
        split: ``'block'`` (square blocks with a guard between them), ``'region'``
            (connected areas of a class) or ``'random'`` (which leaks, for comparison);
            ``'official'`` or the raster of a split, which are a single fold; or splits
            of the scene, training first and the test last.
        folds: Number of folds.
        guard: Pixels left out on either side of a border; ``window // 2`` by default,
            and 4 at least: pixels nearby are alike, whether or not a method looks at
            them.
        seed: Seed of folds and method.
        options: Changes of the recipe and arguments of the model.
        device: Device of networks; a GPU by default, if there is one.
        progress: Is told what is being done and which share of it is done.

    Returns:
        The report, one run for each fold.

    Raises:
        BandMismatchError: If splits are those of another scene.
        EmptyDataError: If not even two parts can be made, or a fold has fewer than two
            classes to learn from.
        UnknownNameError: If there is no such method.
        ValueError: If an option is not understood.

    Example:
        >>> rows, columns = np.mgrid[:64, :64] // 16
        >>> labels = (rows + columns) % 2
        >>> image = np.stack([labels, 1 - labels]).astype('float32')
        >>> valid = np.ones(labels.shape, bool)
        >>> scene = LabelledScene(image, valid, labels, ('a', 'b'), ('#000', '#fff'))
        >>> report = cross_validate(scene, 'random_forest', window=3, folds=2)
        >>> report.split, report.guard, bool(report.overall_accuracy.min() > 0.9)
        ('block', 4, True)
    """
    recipe = find_recipe(method, window, options)
    fitter = Fitter(scene, method, recipe, seed, device)
    return validate(fitter, split, folds, guard, progress)


def validate(
    fitter: Fitter,
    split: str | Sequence[PixelSplit],
    folds: int,
    guard: int | None,
    progress: Callable[[str, float], None] | None,
) -> ClassificationReport:
    """Score what a fitter makes; see :func:`cross_validate`.

    Args:
        fitter: Fits the method to labelled pixels.
        split: Kind of the split, a raster of one, or splits.
        folds: Number of folds.
        guard: Pixels left out on either side of a border.
        progress: Is told what is being done and which share of it is done.

    Returns:
        The report.
    """
    scene, window = fitter.scene, fitter.recipe.window
    if isinstance(split, str):
        splits, notes = make_folds(scene, split, folds, window, guard, fitter.seed)
    else:
        splits, notes = list(split), []
    _check_splits(splits, scene)
    labelled = scene.labels != UNLABELLED
    matrices, touching = [], []
    lost: dict[int, int] = {}
    for number, fold in enumerate(splits):
        # training is the first one, whatever it is called
        train, test = (fold.mask(fold.names[k]) & labelled for k in (0, -1))
        fitted = fitter.fit(train)
        matrix = _confusion(fitted.pixels, scene, test)
        # the classes that could be learned, of all that are tested
        missing = ~known_classes(scene, train)
        for k in np.flatnonzero(missing & (matrix.sum(1) > 0)):
            lost[int(k)] = lost.get(int(k), 0) + int(matrix[k].sum())
        matrix[missing] = 0
        matrices.append(matrix)
        leaks = leak_report({'train': fitted.used, 'test': test}, window)
        touching.append(leaks.touching['test'])
        if progress is not None:
            progress('Cross-validating', (number + 1) / len(splits))
    first = splits[0]
    if not any(matrix.any() for matrix in matrices):
        warnings.warn(f'{_NO_SCORES[0].upper()}{_NO_SCORES[1:]}.', HSIWarning, 2)
        notes.append(_NO_SCORES)
    return ClassificationReport(
        np.stack(matrices),
        scene.class_names,
        first.method,
        touching=touching,
        guard=None if first.method == 'random' else first.guard,
        window=window,
        mode=fitter.mode,
        method=fitter.method,
        seeds=range(len(splits)),
        notes=[*notes, *_notes(scene, first.method, lost), *fitter.notes()],
    )


def make_folds(
    scene: LabelledScene,
    kind: str,
    folds: int,
    window: int,
    guard: int | None,
    seed: int,
) -> tuple[list[PixelSplit], list[str]]:
    """Make folds, as many as the scene allows.

    Args:
        scene: The scene.
        kind: Kind of the split, or the raster of one.
        folds: Number of folds.
        window: Rows and columns of a window.
        guard: Pixels left out on either side of a border.
        seed: Seed.

    Returns:
        The folds, and what is to be said about them.

    Raises:
        EmptyDataError: If not even two can be made.
        ValueError: If an option is not understood.
    """
    if kind not in _FOLDED:
        return [make_split(scene, kind, window, guard=guard, seed=seed)], []
    if folds < 2:
        raise ValueError(f'Expected folds=2 or more, got {folds}.')
    if kind == 'random' and guard is not None:
        raise ValueError("split='random' has no guard. Leave it out, or choose blocks.")
    _check_classes(scene)
    reason = ''
    for width in dict.fromkeys((max(window, LEAST_WINDOW), window)):
        for number in range(folds, 1, -1):
            words = {} if kind == 'random' else {'guard': guard}
            try:
                found = _folds(scene, kind, number, width, seed, words)
            except EmptyDataError as error:
                reason = str(error)
                continue
            notes = []
            if number < folds:
                notes.append(
                    f'{number} folds instead of {folds}: the labels do not give more '
                    'parts that are apart'
                )
            if width < LEAST_WINDOW and kind != 'random':
                notes.append(
                    'the labels lie so close together that test and training are next '
                    'to each other, so these scores hardly hold for other places'
                )
            return [replace(fold, window=window) for fold in found], notes
    advice = 'Label more pixels.'
    if kind != 'random':
        advice = (
            "Label more places, or pass a smaller window= or guard=. split='random' "
            'needs no more than two pixels of a class, but neighbours of training pixels '
            'are tested then, and the scores are too high.'
        )
    raise EmptyDataError(
        f'The labels of {scene.name} cannot be tested by split={kind!r}, not even in two '
        f'parts: {reason} {advice}'
    )


def _check_classes(scene: LabelledScene) -> None:
    """Refuse labels that leave nothing to tell apart."""
    there = known_classes(scene, scene.labels != UNLABELLED)
    if there.sum() < 2:
        names = np.asarray(scene.class_names, dtype=object)
        none = f', and none {" or ".join(map(repr, names[~there]))}' * bool(
            (~there).any()
        )
        raise EmptyDataError(
            f'All labels of {scene.name} are {names[there][0]!r}{none}, so there is '
            'nothing to tell apart. Label another class: the rest of the world, for '
            'example.'
        )


def _check_splits(splits: Sequence[PixelSplit], scene: LabelledScene) -> None:
    """Refuse splits that are not of a scene."""
    if not splits:
        raise ValueError('Expected at least one split, got none.')
    for split in splits:
        if len(split.names) < 2:
            raise EmptyDataError(
                f'Expected splits with training and test, got {split.names[0]} alone.'
            )
        if split.codes.shape != scene.labels.shape:
            raise BandMismatchError(
                f'Expected splits of {scene.labels.shape} pixels, as {scene.name} has, '
                f'got {split.codes.shape}.'
            )


def _folds(
    scene: LabelledScene,
    kind: str,
    number: int,
    window: int,
    seed: int,
    words: dict[str, Any],
) -> list[PixelSplit]:
    """Make folds, each with two classes at least to learn from."""
    generator = torch.Generator().manual_seed(seed)
    words |= {'ignore_index': UNLABELLED, 'generator': generator}
    found = pixel_folds(scene.labels, number, window, kind, **words)  # type: ignore[arg-type]
    if any(known_classes(scene, f.mask('train')).sum() < 2 for f in found):
        raise EmptyDataError('One part has nearly all classes for itself alone.')
    return found


def _confusion(
    classify: Callable[..., NDArray[np.float32]],
    scene: LabelledScene,
    test: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """Count what the pixels of the test are taken for."""
    rows, columns = np.nonzero(test)
    found = classify(scene, rows, columns).argmax(1)
    size = scene.num_classes
    pairs = scene.labels[rows, columns] * size + found
    return np.bincount(pairs, minlength=size**2).reshape(size, size)


def _notes(scene: LabelledScene, kind: str, lost: Mapping[int, int]) -> list[str]:
    """Say what the scores do not tell."""
    notes = []
    if kind == 'random':
        notes.append(RANDOM_NOTE)
    if lost:
        listed = list_names(
            f'{scene.class_names[k]} ({lost[k]} px)' for k in sorted(lost)
        )
        notes.append(f'not tested where no other part has them to learn from: {listed}')
    return notes
