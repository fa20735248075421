# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Which patches belong to which split: the authors' lists, and splits by scene."""

import csv
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray
from torchgeo.datasets.utils import download_url

from ..._typing import PathLike
from ...errors import CorruptFileError, DownloadError, EmptyDataError
from ...physics._text import read_text

__all__ = (
    'SPLITS',
    'download_splits',
    'find_split',
    'label_efficient',
    'read_split',
    'scene_leakage',
    'scene_of',
    'scene_splits',
)

#: Names of the splits.
SPLITS = ('train', 'val', 'test')

#: The authors' repository at the commit that the checksums belong to. It has no
#: license, so its files are downloaded by the user and never part of this package.
URL = (
    'https://raw.githubusercontent.com/AABNassim/spectral_earth/'
    '5084a29411945bdd0872fad93d98b48f41e1f3eb/data/splits/'
)

_SEED = 42


@cache
def official_files() -> dict[str, tuple[int, str]]:
    """List the split files of the authors.

    Returns:
        Number of samples and SHA-256 of each file, by ``'<data set>/<file name>'``.
    """
    text = (files(__package__) / 'split_files.csv').read_text(encoding='utf-8')
    rows = csv.DictReader(row for row in text.splitlines() if not row.startswith('#'))
    return {row['file']: (int(row['samples']), row['sha256']) for row in rows}


def find_split(
    root: PathLike, name: str, file: str, split_dir: PathLike | None = None
) -> Path | None:
    """Look for a split file.

    Args:
        root: Folder of the data set.
        name: Name of the data set, e.g. ``'enmap_cdl'``.
        file: Name of the file, e.g. ``'train.txt'``.
        split_dir: Folder to look in instead of the usual ones.

    Returns:
        The file, or None. Folders are ``<split_dir>``, or else ``<root>/splits`` and the
        one beside *root*; in each, ``<name>`` is looked into first, then the name without
        ``enmap_``.
    """
    root = Path(root)
    # cdl is EnMAP-CDL where names leave out the sensor, and never that of another one
    names = [name, name.removeprefix('enmap_')]
    if split_dir is not None:
        folders = [Path(split_dir) / part for part in (*names, '')]
    else:
        parents = [root / 'splits', root.parent / 'splits']
        folders = [parent / part for parent in parents for part in names]
        # {root}/splits of an extracted archive may hold the files without a folder
        folders.append(root / 'splits')
    return next((f / file for f in folders if (f / file).is_file()), None)


def get_split(
    root: PathLike,
    name: str,
    file: str,
    split_dir: PathLike | None,
    download: bool,
    advice: str,
) -> Path:
    """Find a split file, or download it if that is allowed.

    Args:
        root: Folder of the data set.
        name: Name of the data set, e.g. ``'enmap_cdl'``.
        file: Name of the file, e.g. ``'train.txt'``.
        split_dir: Folder to look in instead of the usual ones.
        download: Whether to download the files of the authors.
        advice: How to get along without the file.

    Returns:
        The file.

    Raises:
        FileNotFoundError: If there is no such file.
        DownloadError: If it cannot be downloaded.
    """
    path = find_split(root, name, file, split_dir)
    if path is None and download and split_dir is None:
        download_splits(root, name)
        path = find_split(root, name, file)
    if path is None:
        place = split_dir or Path(root) / 'splits' / name
        raise FileNotFoundError(f'There is no {file} of {name} in {place}. {advice}')
    return path


def download_splits(root: PathLike, name: str) -> list[Path]:
    """Download the split files of a data set from the authors' repository.

    Files that are there already and have the right checksum are left alone.

    Args:
        root: Folder of the data set; the files go to ``<root>/splits/<name>/``.
        name: Name of the data set, e.g. ``'enmap_cdl'``.

    Returns:
        The files.

    Raises:
        DownloadError: If a file cannot be read from there.
        CorruptFileError: If a file is not the one of the fixed commit.
    """
    folder = Path(root) / 'splits' / name
    got = []
    for file, (_, sha256) in official_files().items():
        if file.split('/')[0] == name:
            path = folder / file.split('/')[1]
            try:
                download_url(URL + file, folder, path.name, sha256=sha256)
            except URLError as error:
                raise DownloadError(
                    f'{URL}{file} cannot be read: {error.reason}. Copy it to {path} by '
                    'hand, or use split_by="scene".'
                ) from error
            except RuntimeError as error:
                raise CorruptFileError(
                    f'{URL}{file} has not the checksum of the published file. Try '
                    'again, and look at the file if that does not help.'
                ) from error
            got.append(path)
    return got


def read_split(path: PathLike) -> list[str]:
    """Read a list of patches.

    Args:
        path: Text file with one name such as ``0004740/00004.tif`` in each line.

    Returns:
        The names, in the order of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        EmptyDataError: If there are none.
        CorruptFileError: If a line is no such name, or a name repeats.
    """
    lines = read_text(path, 'Copy or download it again.').splitlines()
    names = [line.strip().replace('\\', '/') for line in lines if line.strip()]
    if not names:
        raise EmptyDataError(f'{path} lists no patches. Copy or download it again.')
    for name in names:
        parts = name.split('/')
        inside = len(parts) == 2 and all(parts) and '..' not in parts
        if not inside or '\0' in name or not name.lower().endswith('.tif'):
            raise CorruptFileError(
                f'Expected lines such as 0004740/00004.tif in {path}, got '
                f'{name[:60]!r}. Copy or download it again.'
            )
    if len(set(names)) != len(names):
        raise CorruptFileError(
            f'{path} lists a patch more than once. Copy or download it again.'
        )
    return names


def label_efficient(
    split: str, train: Sequence[str], val: Sequence[str], fraction: float
) -> list[str]:
    """Take the subset of the label-efficiency experiments.

    The rule of the authors: of ``n = int((len(train) + len(val)) * fraction)`` samples,
    80 % train where *fraction* is below 0.5, else 70 %; the rest validates. Neither is
    larger than its split. Samples are drawn by ``random.Random(42).sample``.

    * https://doi.org/10.1109/JSTARS.2025.3581451

    Args:
        split: ``'train'`` or ``'val'``.
        train: All training samples, in the order of their list.
        val: All validation samples.
        fraction: Share of the labels, more than 0 and less than 1.

    Returns:
        The samples of the split that remain.

    Raises:
        ValueError: If *fraction* or *split* is out of range.
        EmptyDataError: If nothing would remain.
    """
    if not 0 < fraction < 1 or split not in ('train', 'val'):
        raise ValueError(
            'Expected a fraction between 0 and 1 of "train" or "val", got '
            f'{fraction} of {split!r}.'
        )
    total = int((len(train) + len(val)) * fraction)
    num_train = int(total * (0.8 if fraction < 0.5 else 0.7))
    wanted = num_train if split == 'train' else total - num_train
    samples = list(train if split == 'train' else val)
    if not (wanted and samples):
        raise EmptyDataError(
            f'fraction={fraction} leaves no sample of {split!r} out of {len(samples)}. '
            'Use a larger one.'
        )
    return random.Random(_SEED).sample(samples, min(len(samples), wanted))


def scene_of(file: str) -> str:
    """Name the scene that a patch was cut from.

    Args:
        file: Name of the patch, ``<patch>/<scene>.tif``.

    Returns:
        The scene.
    """
    return Path(file).stem


def scene_leakage(
    train_files: Sequence[str],
    test_files: Sequence[str],
    scene: Callable[[str], str] = scene_of,
) -> float:
    """Measure which share of the test samples has a scene in common with training.

    Args:
        train_files: Patches of the training split.
        test_files: Patches of the test split.
        scene: Names the scene of a patch.

    Returns:
        Share of *test_files*, from 0 (disjoint scenes) to 1.

    Raises:
        EmptyDataError: If there are no test samples.

    Example:
        >>> scene_leakage(['01/7.tif', '02/8.tif'], ['03/8.tif', '04/9.tif'])
        0.5
    """
    if not test_files:
        raise EmptyDataError('Expected at least one test sample, got none.')
    seen = {scene(file) for file in train_files}
    return sum(scene(file) in seen for file in test_files) / len(test_files)


def scene_splits(
    samples: Sequence[str],
    shares: Mapping[str, float],
    counts: NDArray[np.integer] | None = None,
    scene: Callable[[str], str] = scene_of,
) -> dict[str, list[str]]:
    """Split samples so that no scene is in two splits.

    Nothing is drawn, so the same files always give the same splits:

    1. With class *counts*: from the class in the fewest scenes to that in the most,
       each split that lacks the class gets a scene with it. Among those that fit into
       what the split still needs, it is the one nearest to the split's share of the
       pixels of the class; if none fits, the smallest one.
    2. The other scenes, from the largest to the smallest, go to the split that is
       furthest from its share of the samples.

    So a class in as many scenes as there are splits, or in more, is lost in none of
    them, unless rarer classes took its scenes first.

    Args:
        samples: Names of the samples.
        shares: Share of each split; scaled to a sum of 1.
        counts: How often each class is in each sample, shape ``(N, K)``.
        scene: Names the scene of a sample.

    Returns:
        Samples of each split, sorted by name.

    Raises:
        EmptyDataError: If there are fewer scenes than splits.
    """
    names = [scene(sample) for sample in samples]
    scenes = sorted(set(names))
    if len(scenes) < len(shares):
        raise EmptyDataError(
            f'Expected at least {len(shares)} scenes, one for each split, got '
            f'{len(scenes)}. Use split_by="official".'
        )
    number = {name: i for i, name in enumerate(scenes)}
    index = np.array([number[name] for name in names])
    sizes = np.bincount(index, minlength=len(scenes))
    totals = np.zeros((len(scenes), 0 if counts is None else counts.shape[1]))
    if counts is not None:
        np.add.at(totals, index, counts)
    share = np.array(list(shares.values()), dtype=float)
    chosen = _assign(sizes, totals, share / share.sum())
    return {
        split: sorted(s for s, i in zip(samples, index, strict=True) if chosen[i] == k)
        for k, split in enumerate(shares)
    }


def _assign(
    sizes: NDArray[np.integer],
    totals: NDArray[np.floating],
    share: NDArray[np.floating],
) -> NDArray[np.integer]:
    """Give each scene the number of a split."""
    chosen = np.full(len(sizes), -1)
    need = share * sizes.sum()

    def give(scene: int, split: int) -> None:
        chosen[scene] = split
        need[split] -= sizes[scene]

    def open_to(split: int) -> bool:
        # each of the last scenes is for a split that has none yet
        empty = np.bincount(chosen[chosen >= 0], minlength=len(share)) == 0
        return bool(empty[split] or (chosen < 0).sum() > empty.sum())

    present = totals > 0
    for k in np.argsort(present.sum(axis=0), kind='stable'):
        for split in range(len(share)):
            if present[chosen == split, k].any() or not open_to(split):
                continue
            free = np.flatnonzero(present[:, k] & (chosen < 0))
            fits = free[sizes[free] <= need[split]]
            if fits.size:
                wanted = share[split] * totals[:, k].sum()
                give(int(fits[np.abs(totals[fits, k] - wanted).argmin()]), split)
            elif free.size:
                give(int(free[sizes[free].argmin()]), split)
    for scene in np.argsort(-sizes, kind='stable'):
        if chosen[scene] < 0:
            gap = need / (share * sizes.sum())
            may = [open_to(split) for split in range(len(share))]
            give(int(scene), int(np.where(may, gap, -np.inf).argmax()))
    return chosen
