# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""How a network sees a scene tile by tile, and how the tiles become one again."""

from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from rasterio.windows import Window
from torch import Tensor, nn

from .._typing import BoolArray, PathLike
from ..errors import OutputError
from ..io import CubeReader
from ..io._tiles import Span, tile_weights
from ..io._whole import free_space
from ._numbers import SceneNumbers
from ._strip import Strip

#: Is told what is being done, and which share of it is done.
type Tell = Callable[[str, float], None]

#: Bound of GDAL's cache: neighboring tiles share blocks of the file.
CACHE_MB = 256


def silent(what: str, share: float) -> None:
    """Tell nobody."""


class SceneRunner:
    """A network that is set to one scene.

    Args:
        model: The network.
        reader: The open scene.
        numbers: How its numbers become those of the network.
        device: Device of the network; where its parameters are if None.
    """

    def __init__(
        self,
        model: nn.Module,
        reader: CubeReader,
        numbers: SceneNumbers,
        device: str | torch.device | None,
    ) -> None:
        """Initialize a new SceneRunner instance; see the class for the arguments."""
        self.model = model
        first = next(model.parameters(), None)
        self.device = torch.device(device or 'cpu') if first is None else first.device
        # the network may have been made for half or double precision
        self.dtype = next(
            (p.dtype for p in model.parameters() if p.is_floating_point()),
            torch.float32,
        )
        self.reader = reader
        self.numbers = numbers
        #: More arguments of the network.
        self.inputs: dict[str, Tensor] = {}
        self._was_training = model.training

    @property
    def _needs_scene(self) -> bool:
        return bool(getattr(self.model, 'needs_scene', False))

    def __enter__(self) -> Self:
        """Set the network to evaluation."""
        self.model.eval()
        if self._needs_scene:
            self.model.forget()  # type: ignore[operator]
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the network as it was."""
        if self._needs_scene:
            self.model.forget()  # type: ignore[operator]
        self.model.train(self._was_training)

    def read(self, rows: Span, cols: Span) -> tuple[Tensor, BoolArray]:
        """Read a tile.

        Args:
            rows: Its rows.
            cols: Its columns.

        Returns:
            The tile of shape ``(1, C, h, w)``, and which of its pixels have data, shape
            ``(h, w)``.
        """
        image, valid = self.numbers.read(self.reader, window_of(rows, cols))
        return torch.from_numpy(image)[None].to(self.device), valid

    def observe(self, spans: list[list[Span]], passes: int, tell: Tell) -> None:
        """Show the scene to a network that looks at all of it.

        Args:
            spans: Rows and columns of the tiles.
            passes: How often.
            tell: Is told how far the work is.
        """
        if not self._needs_scene:
            return
        model: Any = self.model
        for number in range(passes):
            for image, mask, share in self.new_pixels(spans):
                with torch.inference_mode():
                    model.observe(image.to(self.dtype), mask, **self.inputs)
                tell('Observing', (number + share) / passes)
            model.settle()

    def new_pixels(
        self, spans: list[list[Span]]
    ) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Read all tiles.

        Args:
            spans: Rows and columns of the tiles.

        Yields:
            Tiles, which pixels no tile before had, and the share that is done.
        """
        total = len(spans[0]) * len(spans[1])
        for number, (rows, cols) in enumerate(product(*spans), start=1):
            image, valid = self.read(rows, cols)
            valid[: rows.new - rows.start] = False
            valid[:, : cols.new - cols.start] = False
            # the last one says that all is done
            if valid.any() or number == total:
                mask = torch.from_numpy(valid)[None].to(self.device)
                yield image, mask, number / total


def window_of(rows: Span, cols: Span) -> Window:
    """Return the place of a tile.

    Args:
        rows: Its rows.
        cols: Its columns.

    Returns:
        The window.
    """
    return Window(
        cols.start, rows.start, cols.stop - cols.start, rows.stop - rows.start
    )


def blend_tiles(
    compute: Callable[[Span, Span], NDArray[np.float32] | None],
    spans: list[list[Span]],
    overlap: int,
    margin: int,
    bands: int,
    output: PathLike,
    tell: Tell,
    scale: int = 1,
) -> Iterator[tuple[Window, NDArray[np.float32]]]:
    """Compute tiles one after the other, and fade them into each other.

    Args:
        compute: Takes rows and columns of a tile, and returns numbers of shape ``(C,
            scale * h, scale * w)``, or None for 0 everywhere.
        spans: Rows and columns of the tiles.
        overlap: Rows and columns that they share at least.
        margin: Rows and columns at each end of a tile that count only where no other
            tile is.
        bands: Number of bands.
        output: What is written; a temporary file lies next to it.
        tell: Is told how far the work is.
        scale: How many rows and columns come out for one.

    Yields:
        Windows that cover what comes out, whole numbers of *scale*, and its numbers.

    Raises:
        OutputError: If the folder has no room.
    """
    fine = [[Span(*(scale * n for n in span)) for span in axis] for axis in spans]
    weights = [tile_weights(axis, scale * overlap, scale * margin) for axis in fine]
    height = max(span.stop - span.start for span in fine[0])
    folder = Path(output).absolute().parent
    with _strip(folder, (bands, height, fine[1][-1].stop)) as strip:
        for i, rows in enumerate(fine[0]):
            for j, cols in enumerate(fine[1]):
                tile = compute(spans[0][i], spans[1][j])
                if tile is not None:
                    strip.add(tile * np.outer(weights[0][i], weights[1][j]), cols.start)
                tell('Restoring', (i + (j + 1) / len(fine[1])) / len(fine[0]))
            last = i + 1 == len(fine[0])
            done = (rows.stop if last else fine[0][i + 1].start) - rows.start
            for col, width in strip.columns(done, scale):
                window = Window(col, rows.start, width, done)
                yield window, strip.take(done, col, width)


def _strip(folder: Path, shape: tuple[int, int, int]) -> Strip:
    try:
        return Strip(folder, shape)
    except OSError as error:
        raise OutputError(
            f'The tiles cannot be kept in {folder}: {error}. '
            f'{free_space(folder / "tiles")}. Free some space, or write to another '
            'folder.'
        ) from error
