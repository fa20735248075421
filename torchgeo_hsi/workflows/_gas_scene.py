# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The bands of a scene that matter for a gas, strip by strip."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from rasterio.windows import Window
from torch import Tensor

from .._typing import BoolArray
from ..io import CubeReader
from ..physics import BandSet
from ..physics.gases import GasAbsorption, SpectralClusters
from ..scenes._runner import Tell
from ._gas_bands import gas_bands, ground_bands, spectral_axis

#: Quality layers that leave pixels out by default, where a product has them.
HIDDEN = ('cloud', 'cloudshadow')

#: Numbers of a strip of the scene, as float32, that are in memory at a time.
_NUMBERS = 2**22

#: Pixels that the kinds of ground are found from.
_SAMPLE = 20_000


class Strip(NamedTuple):
    """A part of the scene.

    Args:
        window: Where it is.
        image: Numbers of the bands that see the gas, shape ``(K, h, W)``.
        valid: True for pixels that count, shape ``(h, W)``.
        groups: Group of each pixel, shape ``(h, W)``; None for one group.
        share: Share of the scene that is done with it.
    """

    window: Window
    image: Tensor
    valid: Tensor
    groups: Tensor | None
    share: float


class GasScene:
    """A scene, seen through the bands that matter for a gas.

    Args:
        reader: The open scene.
        gas: The gas.
        windows: Lowest and highest wavelength of each range in micrometres.
        quality: Quality layers that leave pixels out; those that hide the ground if
            None.
        columns: Columns of the image that share a background; all if None.
        clusters: Number of kinds of ground with a background of their own.
        device: Where the numbers go.

    Raises:
        MetadataError: If the scene has no wavelengths or widths, or not those layers.
        BandMismatchError: If too few of its bands see the gas or the ground.
        EmptyDataError: If there is no data in them.
    """

    def __init__(
        self,
        reader: CubeReader,
        gas: GasAbsorption,
        windows: Sequence[tuple[float, float]],
        quality: Sequence[str] | None = None,
        columns: int | None = None,
        clusters: int = 1,
        device: str | torch.device = 'cpu',
    ) -> None:
        """Initialize a new GasScene instance; see the class for the arguments."""
        self.reader, self.columns = reader, columns
        self.device = torch.device(device)
        wanted = [name for name in HIDDEN if name in reader.quality_layers]
        self.quality = wanted if quality is None else list(quality)
        # refuses layers that the product does not have
        reader._check_layers(self.quality)
        self.positions, self.left_out = gas_bands(reader, gas, windows)
        self.bands: BandSet = spectral_axis(reader, gas).select(self.positions)
        self._count = clusters
        self._ground = ground_bands(reader, gas, self.positions) if clusters > 1 else []
        self._clusters: SpectralClusters | None = None

    @property
    def groups(self) -> int:
        """Number of groups of pixels with a background of their own."""
        if self.columns is not None:
            return math.ceil(self.reader.info.shape[2] / self.columns)
        return self._count

    def learn_ground(self, seed: int, tell: Tell) -> None:
        """Find the kinds of ground from a sample of all pixels, if there are several.

        Args:
            seed: Seed of the sample and of the start of the search.
            tell: Is told how far the work is.

        Raises:
            EmptyDataError: If there are too few different pixels.
        """
        if self._count == 1:
            return
        generator = torch.Generator().manual_seed(seed)
        _, height, width = self.reader.info.shape
        chance = min(1.0, _SAMPLE / (height * width))
        sample = []
        for window, share in self._windows(len(self._ground)):
            values, valid = self._read(self._ground, window)
            drawn = torch.rand(valid.shape, generator=generator) < chance
            sample.append(values[:, valid & drawn].mT)
            tell('Grouping', share)
        self._clusters = SpectralClusters.fit(torch.cat(sample), self._count, generator)

    def strips(self) -> Iterator[Strip]:
        """Read the scene from top to bottom.

        Yields:
            Its strips.
        """
        both = self.positions + self._ground
        seen = len(self.positions)
        for window, share in self._windows(len(both)):
            values, valid = self._read(both, window, needed=seen)
            sizes = [seen, len(both) - seen]
            image, ground = torch.split(values.to(self.device), sizes)
            groups = None
            if self._clusters is not None:
                groups = self._clusters(ground)
            elif self.columns is not None:
                row = torch.arange(window.width, device=self.device) // self.columns
                groups = row.expand(window.height, window.width)
            yield Strip(window, image, valid.to(self.device), groups, share)

    def _windows(self, bands: int) -> Iterator[tuple[Window, float]]:
        """Divide the scene into strips, with the share that is done after each."""
        _, height, width = self.reader.info.shape
        step = max(1, _NUMBERS // (bands * width))
        for start in range(0, height, step):
            rows = min(step, height - start)
            yield Window(0, start, width, rows), (start + rows) / height

    def _read(
        self, positions: list[int], window: Window, needed: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Read bands, and where all of them have data.

        Quality layers of single bands look at the first *needed* of them, or at all.
        """
        values, mask = self.reader.read(positions, window)
        valid: BoolArray = mask.all(0)
        if self.quality:
            hidden = self.reader.read_quality(
                self.quality, window, positions[: needed or len(positions)]
            )
            valid &= ~hidden
        return torch.from_numpy(values), torch.from_numpy(valid)
