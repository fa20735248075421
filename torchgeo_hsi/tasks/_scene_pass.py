# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The first pass over the tiles of ``predict``, for networks that need whole scenes."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from numpy.typing import NDArray
from torch import Tensor

from .._compat import new_predict_loaders
from ..errors import MetadataError

#: Side of the squares in which is kept what was seen.
_SIDE = 512


class SeenPixels:
    """Which pixels of a grid have been seen, wherever on it tiles lie."""

    def __init__(self) -> None:
        """Initialize a new SeenPixels instance."""
        self._squares: dict[tuple[int, int], NDArray[np.bool_]] = {}
        self._origin: tuple[float, float] | None = None

    def locate(self, y: float, x: float) -> tuple[int, int]:
        """Find the row and column of a tile, counted from the first one.

        Args:
            y: Upper edge in pixels, downwards.
            x: Left edge in pixels.

        Returns:
            Row and column; both may be negative.
        """
        # from a tile and not from 0: map coordinates come in float32, and half a pixel
        # would be rounded to either side
        self._origin = self._origin or (y, x)
        return round(y - self._origin[0]), round(x - self._origin[1])

    def add(self, row: int, col: int, height: int, width: int) -> NDArray[np.bool_]:
        """See a tile.

        Args:
            row: Its first row.
            col: Its first column.
            height: Rows.
            width: Columns.

        Returns:
            True for pixels that were not seen before, shape ``(height, width)``.
        """
        new = np.empty((height, width), bool)
        for i in range(row // _SIDE, (row + height - 1) // _SIDE + 1):
            for j in range(col // _SIDE, (col + width - 1) // _SIDE + 1):
                square = self._squares.setdefault((i, j), np.zeros((_SIDE,) * 2, bool))
                r, c = i * _SIDE, j * _SIDE
                top, left = max(row, r), max(col, c)
                bottom, right = (
                    min(row + height, r + _SIDE),
                    min(col + width, c + _SIDE),
                )
                own = square[top - r : bottom - r, left - c : right - c]
                new[top - row : bottom - row, left - col : right - col] = ~own
                own[:] = True
        return new


def run_scene_pass(
    task: LightningModule,
    model: Any,
    inputs: Callable[[dict[str, Any]], dict[str, Any]] | None = None,
    passes: int = 1,
) -> None:
    """Show all tiles of ``predict`` to a network that needs the scene.

    Call it in ``on_predict_start`` of a task, and ``model.forget()`` in
    ``on_predict_end``. It does nothing for networks that are local. Tiles may overlap:
    each pixel counts once, as far as ``transform`` or ``bounds`` say where tiles lie.

    Args:
        task: The task, attached to a trainer.
        model: The network, a :class:`~torchgeo_hsi.layers.SceneModel`.
        inputs: Makes more arguments of the network from a batch; ``valid`` is left out.
        passes: How often the tiles are shown.

    Raises:
        MetadataError: If several processes predict, each of which would see a part of
            the scene only.
    """
    if not getattr(model, 'needs_scene', False):
        return

    def show(batch: dict[str, Any], new: Tensor) -> None:
        valid = valid_pixels(batch) & new
        if valid.any():
            more = {} if inputs is None else dict(inputs(batch))
            # those of the pixels that count are known better here
            more.pop('valid', None)
            model.observe(batch['image'], valid, **more)

    show_scene(task, model, show, passes=passes)


def show_scene(
    task: LightningModule,
    model: Any,
    show: Callable[[dict[str, Any], Tensor], None],
    *,
    key: str = 'image',
    passes: int = 1,
) -> None:
    """Show all tiles of ``predict`` to a network or method, in its own way.

    Args:
        task: The task, attached to a trainer.
        model: The network or method, with ``forget`` and ``settle``.
        show: Takes a batch, and True for pixels that no tile before has shown, shape
            ``(B, H, W)``.
        key: Entry of the batch on whose grid the pixels are counted.
        passes: How often the tiles are shown.

    Raises:
        MetadataError: If several processes predict, each of which would see a part of
            the scene only.
    """
    trainer = task.trainer
    if trainer.world_size > 1:
        raise MetadataError(
            f'{type(model).__name__} looks at the whole scene, of which each of '
            f'{trainer.world_size} processes would see a part. Predict with devices: 1.'
        )
    model.forget()
    was_training = model.training
    model.eval()
    with torch.no_grad():
        for _ in range(passes):
            seen = SeenPixels()
            for batch in _batches(trainer):
                show(batch, _new_pixels(batch, seen, key))
            model.settle()
    model.train(was_training)


def _batches(trainer: Trainer) -> Any:
    """Yield the batches of ``predict`` as the task will get them."""
    limits = trainer.predict_loop.max_batches
    for number, loader in enumerate(new_predict_loaders(trainer)):
        for index, batch in enumerate(loader):
            if limits and index >= limits[number]:
                break
            batch = trainer.precision_plugin.convert_input(batch)
            yield trainer.strategy.batch_to_device(batch, dataloader_idx=number)


def valid_pixels(batch: Mapping[str, Any]) -> Tensor:
    """Return which pixels of a batch count, shape ``(B, H, W)``."""
    image: Tensor = batch['image']
    valid = batch.get('valid')
    if valid is None:
        return image.new_ones((len(image), *image.shape[-2:]), dtype=torch.bool)
    found: Tensor = valid.bool()
    return found


def _new_pixels(batch: dict[str, Any], seen: SeenPixels, key: str) -> Tensor:
    """Return which pixels no tile before has shown, shape ``(B, H, W)``."""
    image: Tensor = batch[key]
    height, width = image.shape[-2:]
    new = []
    for place in _places(batch, len(image)):
        if place is None:
            new.append(np.ones((height, width), bool))
        else:
            new.append(seen.add(*seen.locate(*place), height, width))
    return torch.from_numpy(np.stack(new)).to(image.device)


def _places(batch: dict[str, Any], count: int) -> list[tuple[float, float] | None]:
    """Return where each tile begins, downwards and to the right, in pixels."""
    values = batch.get('transform')
    if isinstance(values, Tensor) and values.shape[:1] == (count,):
        # a, b, c, d, e, f
        rows = values.flatten(1).cpu().double().tolist()
        return [(r[5] / r[4], r[2] / r[0]) for r in rows]
    values = batch.get('bounds')
    if isinstance(values, Tensor) and values.shape[:1] == (count,):
        # left, right, resolution; bottom, top, resolution
        rows = values.cpu().double().tolist()
        return [(-b[4] / b[5], b[0] / b[2]) for b in rows]
    return [None] * count
