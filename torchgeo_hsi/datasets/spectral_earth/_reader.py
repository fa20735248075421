# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Read the files of a tree of patches that should all be alike."""

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..._typing import Sample
from ...errors import BandMismatchError, EmptyDataError, HSIError
from ...io import TIFFInfo, read_tiff, read_tiff_float, tiff_info
from ...physics import BandSet
from ._patches import own_bands, tensor
from ._views import (
    View,
    check_integers,
    crop_window,
    integer_view,
    join_bands,
    stack_dates,
)
from .manifest import Manifest

#: What the products of EnMAP store where there is no data, for files without a tag.
_NODATA = -32768.0
#: Files that are tried before the whole tree is taken for a wrong one.
_FIRST = 100
_CHUNK = 256

_log = logging.getLogger(__name__)


class Date(NamedTuple):
    """One file as it was read.

    Args:
        info: Its header.
        view: Image and mask.
    """

    info: TIFFInfo
    view: View


class PatchReader:
    """Reads files of a tree; the first good one says how large all of them are."""

    def __init__(
        self,
        manifest: Manifest,
        every: BandSet,
        bands: BandSet,
        crop_size: int | None,
        dtype: str,
        first: Iterable[int],
    ) -> None:
        """Initialize a new PatchReader instance.

        Args:
            manifest: The files.
            every: Bands of a file.
            bands: Bands to read.
            crop_size: Rows and columns to read, None for all.
            dtype: Data type of the images.
            first: Numbers of files of which the first good one speaks for all.

        Raises:
            CorruptFileError: If none of the first files can be read.
            BandMismatchError: If they have other bands.
            MetadataError: If *dtype* is ``'int16'`` and they store other numbers.
            EmptyDataError: If *first* is empty.
        """
        self.manifest = manifest
        self.crop_size = crop_size
        self.dtype = dtype
        self._count = len(every)
        self._center, self._width = tensor(bands.wavelength), tensor(bands.fwhm)
        same = bands.names == every.names
        self._indexes = None if same else every.indices(bands.names)
        self._shape: tuple[int, int] | None = None
        info = self._first(first)
        self._has_bands = own_bands(info) is not None
        self._shape = (info.shape[1], info.shape[2])

    def _first(self, patches: Iterable[int]) -> TIFFInfo:
        problem: Exception = EmptyDataError(
            f'All files of {self.manifest.root} are known to be damaged.'
        )
        for _, patch in zip(range(_FIRST), patches, strict=False):
            try:
                return self.header(patch)
            except (HSIError, OSError) as error:
                problem = error
        raise problem

    def header(self, patch: int) -> TIFFInfo:
        """Read the header of a file and check that it fits to the others.

        Args:
            patch: Number of the file.

        Returns:
            The header.

        Raises:
            CorruptFileError: If the file is damaged.
            BandMismatchError: If it has other bands or another size.
            MetadataError: If it stores numbers that do not fit into the data type.
        """
        info = tiff_info(self.manifest.path(patch))
        if info.shape[0] != self._count:
            raise BandMismatchError(
                f'Expected the {self._count} bands of SpectralEarth in {info.path}, got '
                f'{info.shape[0]}.'
            )
        size = (info.shape[1], info.shape[2])
        least = (self.crop_size or 0,) * 2
        if min(size) < least[0]:
            raise BandMismatchError(
                f'Expected at least {least[0]} rows and columns for crop_size in '
                f'{info.path}, got {size[0]} x {size[1]}.'
            )
        if self.crop_size is None and self._shape not in (None, size):
            raise BandMismatchError(
                f'Expected the size of the first file, {self._shape}, in {info.path}, '
                f'got {size}. Pass crop_size= to use files of several sizes.'
            )
        if self.dtype == 'int16':
            check_integers(info.dtype, info.path)
        return info

    def load(self, patch: int, spot: tuple[float, float]) -> Date:
        """Read a file.

        Args:
            patch: Number of the file.
            spot: Where to crop, two numbers from 0 to less than 1.

        Returns:
            Header, image and mask.

        Raises:
            CorruptFileError: If the file is damaged.
            BandMismatchError: If it has other bands or another size.
            MetadataError: If it stores numbers that do not fit into the data type.
        """
        info = self.header(patch)
        window = crop_window((info.shape[1], info.shape[2]), self.crop_size, spot)
        nodata = _NODATA if info.nodata is None else info.nodata
        if self.dtype == 'float32':
            both = read_tiff_float(info.path, self._indexes, window, nodata)
            return Date(info, View(*both))
        raw = read_tiff(info.path, self._indexes, window)
        return Date(info, integer_view(raw, nodata))

    def _spectral(self, info: TIFFInfo) -> tuple[Tensor, Tensor]:
        """Return centers and widths of the selected bands of a file."""
        own = own_bands(info) if self._has_bands else None
        if own is None:
            return self._center, self._width
        index = self._indexes or list(range(len(own)))
        width = self._width if own.fwhm is None else tensor(own.fwhm[index])
        return tensor(own.wavelength[index]), width

    def sample(self, dates: list[Date], timestamps: str) -> Sample:
        """Make a sample of what was read.

        Args:
            dates: What was read, at least one file.
            timestamps: ``'pair'`` for two views in one image, ``'all'`` for a stack of
                all dates, anything else for the first.

        Returns:
            Image, mask and spectral axis.
        """
        if timestamps == 'pair' and len(dates) == 1:
            # read once, seen twice
            dates = dates * 2
        views = [date.view for date in dates]
        axes = [self._spectral(date.info) for date in dates]
        image, valid = views[0]
        center, width = axes[0]
        if timestamps in ('pair', 'all'):
            join = join_bands if timestamps == 'pair' else stack_dates
            image = join([view.image for view in views])
            valid = np.stack([view.valid for view in views])
        if timestamps == 'pair':
            center, width = (torch.cat(parts) for parts in zip(*axes, strict=True))
        return {
            'image': torch.from_numpy(image),
            'valid': torch.from_numpy(valid),
            'wavelength': center,
            'fwhm': width,
        }

    def find_damage(
        self, full: bool = False, num_threads: int = 8
    ) -> list[tuple[int, Exception]]:
        """Look at all files.

        Args:
            full: Whether to read the pixels, too.
            num_threads: Threads that read.

        Returns:
            Number of each bad file, and what is wrong with it.
        """

        def look(patches: tuple[int, ...]) -> list[tuple[int, Exception]]:
            bad: list[tuple[int, Exception]] = []
            for patch in patches:
                try:
                    info = self.header(patch)
                    if full:
                        read_tiff(info.path)
                except (HSIError, OSError) as error:
                    bad.append((patch, error))
            return bad

        found: list[tuple[int, Exception]] = []
        chunks = batched(range(len(self.manifest.files)), _CHUNK)
        with ThreadPoolExecutor(max(1, num_threads)) as pool:
            for number, bad in enumerate(pool.map(look, chunks), start=1):
                found += bad
                if number % 40 == 0:
                    _log.info('%d files looked at.', number * _CHUNK)
        return found
