# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Quality layers of EMIT: the file ``EMIT_L2A_MASK_*.nc``."""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from .._typing import BoolArray
from ..errors import MetadataError
from ._files import siblings
from ._hdf5 import damaged, misleading, open_hdf5, text
from ._swath import LookupTable, gather

#: Quality layers by name, and the band of the mask, reduced to letters and digits.
LAYERS: dict[str, str] = {
    'cloud': 'cloudflag',
    'cirrus': 'cirrusflag',
    'water': 'waterflag',
    'spacecraft': 'spacecraftflag',
    'dilated_cloud': 'dilatedcloudflag',
    'aggregate': 'aggregateflag',
    'spectf_cloud': 'spectfcloudflag',
}

#: Layer from the bits that tell which bands of a pixel were interpolated.
INTERPOLATED = 'interpolated'

_NAME = re.compile(
    r'EMIT_L2A_(?P<part>RFL|RFLUNCERT|MASK)_(?P<version>\d{3})_(?P<scene>\d{8}T\d{6}'
    r'_\d+_\d+)\.nc$',
    re.IGNORECASE,
)

#: Rows of the mask that are read at a time.
_ROWS = 256


def find_mask(path: str) -> str | None:
    """Find the mask of a scene beside it.

    Args:
        path: File with the reflectance, under its own name.

    Returns:
        The mask of the same orbit and scene, of the highest version; None if there is
        none.
    """
    own = _NAME.search(path)
    if own is None:
        return None
    found = {}
    for file in siblings(path).values():
        match = _NAME.search(file)
        if match and match['part'].upper() == 'MASK' and match['scene'] == own['scene']:
            found[match['version']] = file
    return found[max(found)] if found else None


def is_part(path: str, part: str) -> bool:
    """Tell by its name whether a file is a certain part of a product.

    Args:
        path: The file.
        part: ``'RFL'``, ``'RFLUNCERT'`` or ``'MASK'``.
    """
    match = _NAME.search(path)
    return match is not None and match['part'].upper() == part


class EMITMask:
    """The quality layers of one scene.

    Args:
        path: File of the mask.
        swath: Rows and columns that it has to have.
        bands: Bands of the reflectance.

    Raises:
        CorruptFileError: If the file is empty, truncated or not HDF5.
        MetadataError: If it is no mask of EMIT, or that of another scene.
    """

    def __init__(self, path: str, swath: tuple[int, int], bands: int = 0) -> None:
        """Initialize a new EMITMask instance."""
        self.path = path
        self._file = open_hdf5(path)
        try:
            with misleading(path):
                self._mask, positions = self._check(swath, bands)
        except Exception:
            self._file.close()
            raise
        #: Position in the mask of each layer, in the order of the table.
        self._positions = {
            name: positions[band] for name, band in LAYERS.items() if band in positions
        }
        self._flags: NDArray[np.uint8] | None = None

    def _check(self, swath: tuple[int, int], bands: int) -> tuple[Any, dict[str, int]]:
        names = 'sensor_band_parameters/mask_bands'
        if 'mask' not in self._file or names not in self._file:
            raise MetadataError(
                f'Expected the arrays mask and {names} in {self.path}. It is no '
                'EMIT_L2A_MASK file: leave it out of mask=.'
            )
        mask = self._file['mask']
        others = [self._file['band_mask']] if 'band_mask' in self._file else []
        for array in (mask, *others):
            if array.ndim != 3 or array.shape[:2] != swath:
                raise MetadataError(
                    f'Expected {swath} rows and columns in {self.path}, as in the '
                    f'reflectance, got {array.shape[:2]}. It belongs to another scene: '
                    'leave it out of mask=, or copy the right one.'
                )
        if any(8 * array.shape[2] < bands for array in others):
            raise MetadataError(
                f'Expected bits for {bands} bands in band_mask of {self.path}, got '
                f'{8 * others[0].shape[2]}. It belongs to another scene: leave it out '
                'of mask=, or copy the right one.'
            )
        words = (text(word) or '' for word in self._file[names][:])
        return mask, {
            re.sub('[^a-z0-9]', '', word.lower()): i for i, word in enumerate(words)
        }

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers that the file has."""
        packed = (INTERPOLATED,) if 'band_mask' in self._file else ()
        return (*self._positions, *packed)

    def read(
        self, name: str, table: LookupTable, window: Window, indexes: list[int]
    ) -> BoolArray:
        """Read a layer.

        Args:
            name: Name of the layer, one of :attr:`layers`.
            table: Where the map finds its pixels.
            window: Window that lies inside the map.
            indexes: Bands that ``'interpolated'`` looks at.

        Returns:
            True where it flags a pixel, shape ``(H, W)``.

        Raises:
            CorruptFileError: If the file is damaged.
        """
        with damaged(self.path):
            if name == INTERPOLATED:
                return self._read_bits(table, window, indexes)
            if self._flags is None:
                self._flags = self._load()
        pixels = table.pixels(window)
        flagged = np.zeros(pixels.shape, dtype=bool)
        bit = np.uint8(1 << list(self._positions).index(name))
        found = self._flags[pixels.rows, pixels.columns] & bit
        flagged.ravel()[pixels.target] = found > 0
        return flagged

    def _load(self) -> NDArray[np.uint8]:
        """Pack all flags of the scene into one byte for each pixel."""
        mask = self._mask
        flags = np.zeros(mask.shape[:2], dtype=np.uint8)
        step = max(_ROWS, mask.chunks[0] if mask.chunks else 1)
        for top in range(0, len(mask), step):
            # the file has far fewer layers than bands, so that a row is short
            part = np.asarray(mask[top : top + step])
            for bit, position in enumerate(self._positions.values()):
                set_here = (part[..., position] > 0).astype(np.uint8)
                flags[top : top + step] |= set_here << np.uint8(bit)
        return flags

    def _read_bits(
        self, table: LookupTable, window: Window, indexes: list[int]
    ) -> BoolArray:
        """Tell which pixels have one of the bands interpolated."""
        # the first band is the highest bit of the first number
        bits: dict[int, int] = {}
        for index in indexes:
            bits[index // 8] = bits.get(index // 8, 0) | 0x80 >> index % 8
        stored = gather(self._file['band_mask'], table, window, list(bits), 0)
        wanted = np.array(list(bits.values()), dtype=stored.dtype)
        found: BoolArray = ((stored & wanted[:, None, None]) != 0).any(axis=0)
        return found

    def close(self) -> None:
        """Close the file; further reads fail."""
        self._file.close()
        self._flags = None
