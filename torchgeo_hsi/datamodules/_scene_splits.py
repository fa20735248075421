# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which pixels of a labelled scene are trained on, validated and tested."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError

from .._typing import PathLike
from ..datasets.labelled_scenes.scene import UNLABELLED, LabelledScene
from ..datasets.splits import (
    SHARES,
    PixelSplit,
    block_pixel_split,
    random_pixel_split,
    region_pixel_split,
)
from ..datasets.splits.few_labels import few_labels
from ..datasets.splits.folds import pixel_folds
from ..datasets.splits.official import official_pixel_split
from ..errors import BandMismatchError, CorruptFileError, EmptyDataError, MetadataError
from ..io._gdal import unplaced

#: Kinds of splits that are made; anything else is a file.
KINDS = ('block', 'region', 'random', 'official', 'all')


def make_split(
    scene: LabelledScene,
    kind: str | PixelSplit = 'block',
    window: int = 9,
    shares: Mapping[str, float] | None = None,
    guard: int | None = None,
    block_size: int | None = None,
    shots: int | None = None,
    folds: int | None = None,
    fold: int = 0,
    seed: int = 0,
    least: int = 5,
    trials: int = 200,
    val_split_pct: float = 0.0,
) -> PixelSplit:
    """Split the labelled pixels of a scene.

    Args:
        scene: The scene.
        kind: ``'block'``, ``'region'``, ``'random'`` or ``'official'``; ``'all'`` to
            train on all labels and test nothing; or the raster that ``torchgeo-hsi
            split`` wrote; or a split, from which only *shots* are drawn.
        window: Rows and columns of the windows of the classifier.
        shares: Share of each split; 60, 20 and 20 % by default.
        guard: Pixels left out on either side of a border; ``window // 2`` by default.
        block_size: Rows and columns of a block.
        shots: Training pixels of each class; all by default. With random pixels, the
            others are tested, as in most papers; else they are left out.
        folds: Number of folds of a cross-validation, of which this is one.
        fold: Number of the fold, from 0.
        seed: Seed of the split and of *shots*.
        least: How many pixels of each class each split needs.
        trials: Assignments of blocks or regions to draw.
        val_split_pct: Share of official training pixels to validate with.

    Returns:
        The split; its labels are those of the scene, -1 where nothing is known.

    Raises:
        ValueError: If options contradict each other, or a number is out of its range.
        MetadataError: If the scene has no official split.
        EmptyDataError: If a split would be empty.
        FileNotFoundError: If *kind* is no kind and no file.
        CorruptFileError: If it is no raster of splits of this scene.
        BandMismatchError: If it is a split of a scene of another size.
    """
    generator = torch.Generator().manual_seed(seed)
    _check_options(kind, shares, guard, block_size, folds, fold, val_split_pct)
    around: dict[str, Any] = {'ignore_index': UNLABELLED, 'generator': generator}
    if kind != 'random':
        around |= {'guard': guard, 'least': least, 'trials': trials}
    if kind == 'block':
        around['block_size'] = block_size
    if isinstance(kind, PixelSplit):
        found = kind
        if found.codes.shape != scene.labels.shape:
            raise BandMismatchError(
                f'Expected a split of {scene.labels.shape} pixels, as {scene.name} has, '
                f'got {found.codes.shape}.'
            )
    elif folds is not None:
        found = pixel_folds(scene.labels, folds, window, kind, **around)[fold]  # type: ignore[arg-type]
    elif kind in ('block', 'region', 'random'):
        make = {
            'block': block_pixel_split,
            'region': region_pixel_split,
            'random': random_pixel_split,
        }[kind]
        found = make(scene.labels, window, shares or SHARES, **around)  # type: ignore[operator]
    elif kind == 'all':
        found = _all(scene, window)
    elif kind == 'official':
        found = _official(scene, window, val_split_pct, generator)
    else:
        found = read_pixel_split(kind, scene, window)
    if shots is not None:
        rest = 'test' if kind == 'random' and folds is None else 'drop'
        found = few_labels(found, shots, generator, rest)  # type: ignore[arg-type]
    return found


def _check_options(
    kind: str | PixelSplit,
    shares: Mapping[str, float] | None,
    guard: int | None,
    block_size: int | None,
    folds: int | None,
    fold: int,
    val_split_pct: float,
) -> None:
    """Refuse options that a kind of split does not have."""
    # a split that was made before has no options any more
    name = 'a PixelSplit' if isinstance(kind, PixelSplit) else repr(kind)
    kind = '' if isinstance(kind, PixelSplit) else kind
    made = kind in ('block', 'region', 'random')
    wrong = {
        'shares': shares is not None and (not made or folds is not None),
        'guard': guard is not None and kind not in ('block', 'region'),
        'block_size': block_size is not None and kind != 'block',
        'folds': folds is not None and not made,
        'val_split_pct': bool(val_split_pct) and kind != 'official',
    }
    for option, is_wrong in wrong.items():
        if is_wrong:
            more = ' with folds' if made and option == 'shares' else ''
            raise ValueError(
                f'split={name}{more} has no {option}. Leave it out, or choose another '
                'kind of split.'
            )
    if not 0 <= fold < (folds or 1):
        raise ValueError(
            f'Expected a fold from 0 to {(folds or 1) - 1}, got {fold}. '
            'folds= says how many there are.'
        )


def _all(scene: LabelledScene, window: int) -> PixelSplit:
    labelled = scene.labels != UNLABELLED
    codes = np.where(labelled, 0, -1).astype(np.int8)
    return PixelSplit(('train',), codes, scene.labels, labelled, window, 'all')


def _official(
    scene: LabelledScene, window: int, val_split_pct: float, generator: torch.Generator
) -> PixelSplit:
    if not scene.official:
        raise MetadataError(
            f"{scene.name} has no official split. Use split='block', or the raster of "
            'a split.'
        )
    return official_pixel_split(
        scene.labels, scene.official, window, UNLABELLED, val_split_pct, generator
    )


def read_pixel_split(path: PathLike, scene: LabelledScene, window: int) -> PixelSplit:
    """Read the split that ``torchgeo-hsi split`` wrote.

    Args:
        path: The raster: 0 for no split, then 1, 2 ...
        scene: The scene that it is for.
        window: Rows and columns of the windows of the classifier.

    Returns:
        The split.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFileError: If it is no raster, has another size, or other codes.
        EmptyDataError: If a split has no labelled pixel.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(
            f'Expected a split {", ".join(map(repr, KINDS))}, or a raster made by '
            f'"torchgeo-hsi split", got {str(path)!r}, which is no file.'
        )
    codes, tags = _read_codes(path)
    if codes.shape != scene.labels.shape:
        raise CorruptFileError(
            f'Expected a split of {scene.labels.shape} pixels, as {scene.name} has, '
            f'got {codes.shape} in {path}.'
        )
    number = int(codes.max())
    names = [name for name in tags.get('splits', '').split(',') if name]
    names = names or (['train', 'test'] if number == 2 else ['train', 'val', 'test'])
    if not 2 <= number <= len(names) or codes.min() < 0:
        raise CorruptFileError(
            f'Expected 0 and codes 1, 2 ... for {", ".join(names)} in {path}, got '
            f'{codes.min()} to {number}.'
        )
    labelled = scene.labels != UNLABELLED
    found = np.where(labelled, codes - 1, -1).astype(np.int8)
    for k, name in enumerate(names):
        if not (found == k).any():
            raise EmptyDataError(f'{path} has no labelled pixel in {name}.')
    return PixelSplit(
        tuple(names),
        found,
        scene.labels,
        labelled,
        window,
        tags.get('method', 'file'),
        int(tags.get('guard', 0)),
    )


def _read_codes(path: PathLike) -> tuple[NDArray[np.int64], dict[str, str]]:
    """Read the codes of a raster, and what else it says."""
    try:
        with unplaced(), rasterio.open(path) as src:
            return src.read(1).astype(np.int64), src.tags()
    except RasterioIOError as error:
        raise CorruptFileError(
            f'{path} is no raster: {error}. A split is made by "torchgeo-hsi split".'
        ) from error
