# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Random crops of cubes, and the sampler that draws them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .._typing import Sample
from ..errors import EmptyDataError
from ..samplers._epochs import EpochSampler
from ..samplers.window import draw_scenes
from ._cube_sources import LazyCubes
from ._cubes import Cube, check_bands, common_keys

#: What is indexed by the spectrum.
_SPECTRA = ('image', 'target', 'wavelength', 'fwhm', 'sigma')

#: Images without enough valid pixels that are passed over in a row.
_TRIES = 32


class Crop(NamedTuple):
    """What was drawn for a crop.

    Args:
        entry: Number of the cube at one of its scales.
        place: Where the crop lies among all places, from 0 to below 1.
        band: Where its bands begin, from 0 to below 1.
        turns: Quarter turns.
        flip: Whether columns are reversed.
        reverse: Whether bands are reversed.
    """

    entry: int
    place: float
    band: float
    turns: int
    flip: bool
    reverse: bool


class Places:
    """Where crops may start in a cube.

    Args:
        valid: Valid pixels of shape ``(H, W)``, not smaller than a crop.
        size: Rows and columns of a crop.
        min_valid: Least share of valid pixels.
    """

    def __init__(self, valid: Tensor, size: int, min_valid: float) -> None:
        """Initialize a new Places instance; see the class for the arguments."""
        shape = (valid.shape[0] - size + 1, valid.shape[1] - size + 1)
        self._columns = shape[1]
        self._spots: NDArray[np.int32] | None = None
        self.count = shape[0] * shape[1]
        if min_valid > 0 and not bool(valid.all()):
            table = np.zeros((valid.shape[0] + 1, valid.shape[1] + 1), np.int64)
            table[1:, 1:] = valid.numpy().cumsum(0, dtype=np.int64).cumsum(1)
            inside = table[size:, size:] - table[:-size, size:]
            inside += table[:-size, :-size] - table[size:, :-size]
            enough = inside >= min_valid * size**2
            self._spots = np.flatnonzero(enough).astype(np.int32)
            self.count = len(self._spots)

    def at(self, place: float) -> tuple[int, int]:
        """Return row and column of a place.

        Args:
            place: Number from 0 to below 1.
        """
        spot = min(int(place * self.count), self.count - 1)
        if self._spots is not None:
            spot = int(self._spots[spot])
        return divmod(spot, self._columns)


class CubeCrops(Dataset[Sample]):
    """Crops of cubes in memory at several scales; indexed by :class:`Crop`.

    Args:
        cubes: The cubes.
        size: Rows and columns of a crop.
        num_bands: Number of neighboring bands; all by default.
        scales: Factors of the rows and columns of the cubes.
        min_valid: Least share of valid pixels.
    """

    def __init__(
        self,
        cubes: Sequence[Cube],
        size: int,
        num_bands: int | None = None,
        scales: Sequence[float] = (1.0,),
        min_valid: float = 0.0,
    ) -> None:
        """Initialize a new CubeCrops instance; see the class for the arguments."""
        check_bands(cubes, num_bands, 'num_bands')
        self.size = size
        self.num_bands = num_bands
        self.cubes: list[Cube] = []
        self.places: list[Places] = []
        for cube in cubes:
            for scale in scales:
                if scale == 1 or min(cube.shape[1:]) * scale >= size:
                    self._add(cube, scale, min_valid)
        if not self.cubes:
            raise EmptyDataError(
                f'No crop of {size} x {size} pixels has {min_valid:.0%} valid pixels. '
                'Lower min_valid or patch_size, or add 1 to scales.'
            )
        # smaller scales know less: how strong the noise is
        self.keys = common_keys(self.cubes)
        # a mirrored edge gives a small cube more places, and nothing more to learn
        self.weights = [float(cube.valid.sum()) for cube in self.cubes]

    def _add(self, cube: Cube, scale: float, min_valid: float) -> None:
        scaled, places = _prepared(cube, scale, self.size, min_valid)
        if places.count:
            self.cubes.append(scaled)
            self.places.append(places)

    @property
    def cover(self) -> int:
        """About how many crops cover all cubes, at all scales."""
        return max(round(sum(self.weights) / self.size**2), 1)

    def __getitem__(self, crop: Crop) -> Sample:
        """Cut out a crop.

        Args:
            crop: What was drawn.

        Returns:
            The sample.
        """
        cube, places = self.cubes[crop.entry], self.places[crop.entry]
        return cut_crop(cube, places, crop, self.size, self.num_bands, self.keys)


class StreamedCrops(Dataset[Sample]):
    """Crops of images that are read when they are drawn; indexed by :class:`Crop`.

    Args:
        cubes: The images, of the same number of bands.
        size: Rows and columns of a crop.
        num_bands: Number of neighboring bands; all by default.
        scales: Factors of the rows and columns of the images.
        min_valid: Least share of valid pixels.
    """

    def __init__(
        self,
        cubes: LazyCubes,
        size: int,
        num_bands: int | None = None,
        scales: Sequence[float] = (1.0,),
        min_valid: float = 0.0,
    ) -> None:
        """Initialize a new StreamedCrops instance; see the class for the arguments."""
        first = [cubes.first]
        check_bands(first, num_bands, 'num_bands')
        self.cubes = cubes
        self.size = size
        self.num_bands = num_bands
        self.min_valid = min_valid
        least = min(first[0].shape[1:])
        self.scales = [s for s in scales if s == 1 or least * s >= size]
        if not self.scales:
            raise EmptyDataError(
                f'Images of {least} pixels are too small for crops of {size} at the '
                f'scales {list(scales)}. Lower patch_size, or add 1 to scales.'
            )
        self.keys = common_keys(
            [first[0] if s == 1 else first[0].resized(s) for s in self.scales]
        )
        self.weights = [s**2 for s in self.scales] * len(cubes)

    @property
    def cover(self) -> int:
        """Number of images."""
        return len(self.cubes)

    def __getitem__(self, crop: Crop) -> Sample:
        """Read an image and cut out a crop.

        Args:
            crop: What was drawn.

        Returns:
            The sample.

        Raises:
            EmptyDataError: If this image and those behind it hold too few valid pixels.
        """
        number, kind = divmod(crop.entry, len(self.scales))
        for step in range(_TRIES):
            try:
                cube = self.cubes[(number + step) % len(self.cubes)]
            except EmptyDataError:
                continue
            scale = self.scales[kind]
            cube, places = _prepared(cube, scale, self.size, self.min_valid)
            if places.count:
                return cut_crop(
                    cube, places, crop, self.size, self.num_bands, self.keys
                )
        raise EmptyDataError(
            f'{_TRIES} images in a row hold less than {self.min_valid:.0%} valid '
            f'pixels in crops of {self.size} x {self.size}. Lower min_valid.'
        )


def make_crops(
    cubes: Sequence[Cube],
    size: int,
    num_bands: int | None,
    scales: Sequence[float],
    min_valid: float,
) -> CubeCrops | StreamedCrops:
    """Make crops of cubes, in memory or not.

    Args:
        cubes: The cubes.
        size: Rows and columns of a crop.
        num_bands: Number of neighboring bands, or None for all.
        scales: Factors of the rows and columns of the cubes.
        min_valid: Least share of valid pixels.

    Returns:
        The crops.
    """
    if isinstance(cubes, LazyCubes):
        return StreamedCrops(cubes, size, num_bands, scales, min_valid)
    return CubeCrops(cubes, size, num_bands, scales, min_valid)


class CropSampler(EpochSampler[Crop]):
    """Draws crops: every valid pixel of every cube at every scale about as often.

    Args:
        crops: The crops.
        length: Crops per epoch.
        dihedral: Whether to flip and turn.
        reverse: Chance that the spectrum is reversed.
    """

    def __init__(
        self,
        crops: CubeCrops | StreamedCrops,
        length: int,
        dihedral: bool,
        reverse: float,
    ) -> None:
        """Initialize a new CropSampler instance; see the class for the arguments."""
        super().__init__(length)
        self._weights = crops.weights
        self._dihedral = dihedral
        self._reverse = reverse

    def draw(self, count: int, generator: torch.Generator) -> Sequence[Crop]:
        """Draw the crops of one epoch.

        Args:
            count: Number of crops.
            generator: Source of randomness.

        Returns:
            The crops.
        """
        entries = draw_scenes(self._weights, count, generator).tolist()
        numbers = torch.rand(count, 4, generator=generator, dtype=torch.float64)
        drawn = []
        for entry, row in zip(entries, numbers.tolist(), strict=True):
            place, band, moves, mirrored = row
            turns, flip = divmod(int(8 * moves), 2) if self._dihedral else (0, 0)
            reverse = mirrored < self._reverse
            drawn.append(Crop(entry, place, band, turns, bool(flip), reverse))
        return drawn


def cut_crop(
    cube: Cube,
    places: Places,
    crop: Crop,
    size: int,
    num_bands: int | None,
    keys: frozenset[str],
) -> Sample:
    """Cut a crop out of a cube.

    Args:
        cube: The cube.
        places: Where crops may start in it.
        crop: What was drawn.
        size: Rows and columns.
        num_bands: Number of bands, or None for all.
        keys: Entries of the sample.

    Returns:
        The sample.
    """
    row, column = places.at(crop.place)
    bands = slice(None)
    if num_bands is not None:
        start = int(crop.band * (cube.shape[0] - num_bands + 1))
        bands = slice(start, start + num_bands)
    rows, columns = (slice(start, start + size) for start in (row, column))
    sample = cube.cut(rows, columns, bands)
    return {k: _moved(k, value, crop) for k, value in sample.items() if k in keys}


def _prepared(
    cube: Cube, scale: float, size: int, min_valid: float
) -> tuple[Cube, Places]:
    """Bring a cube to a scale, and find where crops may start."""
    # no more is asked of a small cube than it has
    height, width = (min(n, size) for n in cube.shape[1:])
    share = min(min_valid, height * width / size**2)
    cube = cube.padded(size) if scale == 1 else cube.resized(scale)
    return cube, Places(cube.valid, size, share)


def _moved(key: str, value: Tensor, crop: Crop) -> Tensor:
    """Turn and flip an entry of a sample."""
    if crop.reverse and key in _SPECTRA:
        value = value.flip(0)
    if value.ndim < 2:
        return value
    if crop.turns:
        value = torch.rot90(value, crop.turns, (-2, -1))
    return (value.flip(-1) if crop.flip else value).contiguous()
