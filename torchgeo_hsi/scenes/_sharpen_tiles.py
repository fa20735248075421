# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Tiles of a cube and of the panchromatic image that lies on it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window
from torch import Tensor

from .._typing import BoolArray
from ..io import CubeReader
from ..models.pansharpening.pair import Margins
from ..physics.gaps import fill_gaps
from ..physics.shifting import move_image
from ._numbers import SceneNumbers, read_values
from ._overlay import Overlay

#: Pixels around a tile of the PAN that move into it if it is shifted.
_EDGE = 16

#: Share of the bands without which a pixel of a cube counts as one without data.
_ENOUGH = 0.5


@dataclass(frozen=True)
class SharpenTile:
    """A tile with what surrounds it.

    Args:
        cube: Cube of shape ``(1, C, h, w)``, with margins.
        pan: PAN of shape ``(1, 1, H, W)``, with margins.
        valid: True for pixels of the cube with data, shape ``(1, h, w)``.
        pan_valid: True for pixels of the PAN with data, shape ``(1, H, W)``.
        margins: Coarse pixels that are there for filters only.
        window: Rows and columns of the cube, without margins.
    """

    cube: Tensor
    pan: Tensor
    valid: Tensor
    pan_valid: Tensor
    margins: Margins
    window: Window

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to sharpen or to sharpen with."""
        return not (bool(self.valid.any()) and bool(self.pan_valid.any()))

    @property
    def inner_pan_valid(self) -> BoolArray:
        """True for pixels of the PAN with data, shape ``(H, W)``, without margins."""
        ratio = self.pan.shape[-1] // self.cube.shape[-1]
        inner = self.pan_valid[(0, *self.margins.slices(ratio))]
        found: BoolArray = inner.cpu().numpy()
        return found


class SharpenTiles:
    """All tiles of a scene.

    Args:
        cube: Reader of the cube.
        pan: Reader of the PAN.
        overlay: How the two lie on each other.
        numbers: Bands of the cube that are sharpened, and their means.
        tile_size: Rows and columns of a tile in pixels of the cube.
        context: Pixels of the cube around a tile.
        shift: How far the PAN's image lies down and to the right of where it should, in
            its pixels.
        device: Where tiles go.
        dtype: Their type.
    """

    def __init__(
        self,
        cube: CubeReader,
        pan: CubeReader,
        overlay: Overlay,
        numbers: SceneNumbers,
        *,
        tile_size: int,
        context: int,
        shift: tuple[float, float] = (0.0, 0.0),
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Initialize a new SharpenTiles instance; see the class for the arguments."""
        self._pan = pan
        #: Reader of the cube.
        self.reader = cube
        self._overlay, self._numbers = overlay, numbers
        self._tile, self._context, self._shift = tile_size, context, shift
        self._device, self._dtype = device, dtype

    def __len__(self) -> int:
        """Return the number of tiles."""
        sizes = self._overlay.height, self._overlay.width
        return int(np.prod([-(-size // self._tile) for size in sizes]))

    def __iter__(self) -> Iterator[SharpenTile]:
        """Read one tile after the other, row by row."""
        starts = (
            range(0, size, self._tile)
            for size in (self._overlay.height, self._overlay.width)
        )
        for row, col in product(*starts):
            height = min(self._tile, self._overlay.height - row)
            width = min(self._tile, self._overlay.width - col)
            yield self.read(Window(col, row, width, height))

    def read(self, inner: Window) -> SharpenTile:
        """Read a tile.

        Args:
            inner: Its rows and columns in pixels of the cube, from the first one that
                the PAN covers.

        Returns:
            The tile with its margins.
        """
        place, around, ratio = self._overlay, self._context, self._overlay.ratio
        margins = Margins(
            min(around, inner.row_off),
            min(around, place.height - inner.row_off - inner.height),
            min(around, inner.col_off),
            min(around, place.width - inner.col_off - inner.width),
        )
        row, col = inner.row_off - margins.top, inner.col_off - margins.left
        height = inner.height + margins.top + margins.bottom
        width = inner.width + margins.left + margins.right
        outer = Window(col + place.col, row + place.row, width, height)
        cube, valid = self._read_cube(outer)
        pan, pan_valid = self._read_pan(
            place.pan_row + ratio * row,
            place.pan_col + ratio * col,
            ratio * height,
            ratio * width,
        )
        return SharpenTile(
            cube,
            pan,
            valid,
            pan_valid,
            margins,
            Window(
                inner.col_off + place.col,
                inner.row_off + place.row,
                inner.width,
                inner.height,
            ),
        )

    def _read_cube(self, window: Window) -> tuple[Tensor, Tensor]:
        values, known = read_values(self.reader, self._numbers.bands, window)
        valid = known.mean(0) >= _ENOUGH
        if not known.all():
            # single bands may lack data where the others have them
            fill = self._numbers.fill * self._numbers.scale + self._numbers.offset
            np.copyto(values, fill[:, None, None].astype(values.dtype), where=~known)
        return self._tensor(values), torch.from_numpy(valid)[None].to(self._device)

    def _read_pan(
        self, row: int, col: int, height: int, width: int
    ) -> tuple[Tensor, Tensor]:
        down, right = (round(value) for value in self._shift)
        rest = self._shift[0] - down, self._shift[1] - right
        edge = _EDGE if any(rest) else 0
        window = Window(
            col + right - edge, row + down - edge, width + 2 * edge, height + 2 * edge
        )
        values, known = self._pan.read([0], window)
        image, valid = self._tensor(values), torch.from_numpy(known).to(self._device)
        if edge:
            # to the left and up by as much as it lies to the right and down
            filled = fill_gaps(image, valid)[0] if valid.any() else image
            image = move_image(filled, -rest[0], -rest[1])
            image = image[..., edge:-edge, edge:-edge]
            valid = valid[..., edge:-edge, edge:-edge]
        return image, valid

    def _tensor(self, values: NDArray[np.floating]) -> Tensor:
        return torch.from_numpy(values)[None].to(self._device, self._dtype)
