# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Helpers of data sets made of patches."""

import os
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..._typing import PathLike, Sample
from ...errors import MetadataError
from ...io import TIFFInfo
from ...physics import BandSet
from .._place import place_of
from .splits import SPLITS


def check_options(split: str, split_by: str, fraction: float) -> None:
    """Check the options that say which samples are taken.

    Args:
        split: Name of the split.
        split_by: How the splits are made.
        fraction: Share of the labels.

    Raises:
        ValueError: If one of them is not allowed.
    """
    if split not in SPLITS:
        raise ValueError(f'Expected split to be one of {SPLITS}, got {split!r}.')
    if split_by not in ('official', 'scene'):
        raise ValueError(
            f'Expected split_by to be "official" or "scene", got {split_by!r}.'
        )
    if not 0 < fraction <= 1:
        raise ValueError(f'Expected a fraction above 0 and up to 1, got {fraction}.')


def list_patches(folder: Path) -> list[str]:
    """List the patches in a folder.

    Args:
        folder: Folder with ``<patch>/<scene>.tif``.

    Returns:
        The names, sorted.
    """
    return sorted(
        f'{patch.name}/{file}'
        for patch in os.scandir(folder)
        if patch.is_dir()
        for file in os.listdir(patch.path)
        if file.lower().endswith('.tif')
    )


def missing_patches(folders: Sequence[Path], files: Sequence[str]) -> list[str]:
    """List the patches that are not in all folders.

    Args:
        folders: Folders of images and labels.
        files: Names of the patches.

    Returns:
        Names of those that lack a file.
    """
    return [
        file
        for file in files
        if not all(os.path.isfile(os.path.join(folder, file)) for folder in folders)
    ]


def is_unfinished(root: PathLike, name: str) -> bool:
    """Tell whether an archive is still there, so that extracting it may go on.

    Args:
        root: Folder of the archive.
        name: Name of the data set.

    Returns:
        True if the archive or a part of it is there.
    """
    archive = Path(root) / f'{name}.tar.gz'
    return archive.is_file() or archive.with_name(f'{archive.name}.part').is_file()


def own_bands(info: TIFFInfo) -> BandSet | None:
    """Return the bands that the tags of an image describe.

    Args:
        info: Header of the image.

    Returns:
        The bands, or None if the image does not describe all of its bands.
    """
    try:
        own = info.bands
    except MetadataError:
        # wavelengths without a unit say less than the table of the sensor
        return None
    return own if own is not None and len(own) == info.shape[0] else None


def place(info: TIFFInfo) -> Sample:
    """Return bounds and transform in the form of torchgeo.

    Args:
        info: Header of the image.

    Returns:
        ``bounds`` and ``transform``, NaN for an image without a georeference.
    """
    if info.transform is None:
        # the first file has a place; without one, samples could not be stacked
        nan = torch.full((9,), torch.nan)
        return {'bounds': nan, 'transform': nan.clone()}
    return dict(place_of(info.transform, info.shape[1:]))


def short_names(names: Sequence[str], width: int = 21) -> list[str]:
    """Shorten names between words, so that a legend leaves room for its picture.

    Args:
        names: Names of classes.
        width: Most letters of a name.

    Returns:
        The names.
    """
    short = [
        textwrap.shorten(name, width, placeholder=' …', break_on_hyphens=False)
        for name in names
    ]
    return [name.replace(' / …', ' …') for name in short]


def tensor(values: Any) -> Tensor:
    """Make a float32 tensor.

    Args:
        values: Numbers.

    Returns:
        The tensor.
    """
    return torch.tensor(values, dtype=torch.float32)
