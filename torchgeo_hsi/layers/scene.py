# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Statistics of whole scenes in networks that see one tile after the other.

Some denoisers look at the whole image: HSDT and MAN v1 pool features over all pixels,
subspace methods need the covariance of all spectra. Of a scene that is cut into tiles,
each tile would have statistics of its own, and neighboring tiles would not agree. So a
scene is passed through twice: the first time to collect the statistics, the second time
to use them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._precision import full_precision
from ..errors import BandMismatchError, EmptyDataError


class ScenePool(nn.Module):
    """Mean over rows and columns: of the input, or of a whole scene once that is known.

    Used like ``x.mean((-2, -1))``, and the same until :meth:`SceneModel.settle` is
    called. Nothing of it is part of the state dict.

    Example:
        >>> pool = ScenePool()
        >>> pool(torch.tensor([[[1.0, 3.0]]]))
        tensor([2.])
    """

    mean: Tensor | None

    def __init__(self) -> None:
        """Initialize a new ScenePool instance."""
        super().__init__()
        self.register_buffer('mean', None, persistent=False)
        self._weight: Tensor | None = None
        self._sum: Tensor | None = None
        self._total = 0.0
        self._dtype = torch.float32

    def forward(self, x: Tensor) -> Tensor:
        """Pool.

        Args:
            x: Features of shape ``(B, ..., H, W)``.

        Returns:
            Means of shape ``(B, ...)``, all the same after settling.

        Raises:
            BandMismatchError: If a mean of features of another shape has been settled.
        """
        if self._weight is not None:
            self._collect(x, self._weight)
        if self.mean is None:
            return x.mean((-2, -1))
        if self.mean.shape != x.shape[1:-2]:
            raise BandMismatchError(
                'The network has settled on a scene with features of shape '
                f'{tuple(self.mean.shape)}, got {tuple(x.shape[1:-2])}. Give it images '
                'with the bands of that scene, or call forget() first.'
            )
        return self.mean.to(x).expand(x.shape[:-2])

    def _collect(self, x: Tensor, weight: Tensor) -> None:
        """Add the features of a tile to those of the scene."""
        # bfloat16 of a mixed precision would lose the small tiles
        dtype = torch.promote_types(x.dtype, torch.float32)
        weight = weight.to(x.device, dtype)
        share = _shrink(weight, x.shape[-2:]).flatten(1)
        with full_precision(x.device):
            features = x.to(dtype).reshape(len(x), -1, share.shape[1])
            sums = torch.bmm(features, share.unsqueeze(2)).squeeze(2).double()
        shares, totals = share.sum(1).double(), weight.sum((1, 2)).double()
        seen = shares > 0
        means = (sums[seen] / shares[seen, None]).reshape(-1, *x.shape[1:-2])
        total = means.movedim(0, -1) @ totals[seen]
        if self._sum is None:
            self._sum = torch.zeros_like(total)
        self._sum += total
        self._dtype = dtype
        self._total += float(totals[seen].sum())

    def observe(self, weight: Tensor | None) -> None:
        """Count each pixel of what follows with a weight, or nothing any more.

        Args:
            weight: Weights of shape ``(B, H, W)`` of the images of the network, or
                None.
        """
        self._weight = weight

    def settle(self) -> None:
        """Give the mean of all that was observed from now on, if there is any."""
        if self._sum is not None and self._total > 0:
            self.mean = (self._sum / self._total).to(self._dtype)
        self._sum, self._total = None, 0.0

    def forget(self) -> None:
        """Give the mean of each input from now on."""
        self.mean = self._weight = self._sum = None
        self._total = 0.0


class SceneModel(nn.Module):
    """What networks share that look at the whole scene.

    A scene is denoised tile by tile like this; for a model with ``needs_scene`` False,
    the first loop changes nothing and can be left out:

    .. code-block:: python

        for tile in tiles:
            model.observe(tile)
        model.settle()
        denoised = [model(tile) for tile in tiles]
        model.forget()

    By default, the statistics are those of all :class:`ScenePool` of the network.
    Methods with other statistics override the four methods. Statistics are those of
    one scene: nothing of them is part of the state dict.

    Example:
        >>> class WithoutMean(SceneModel):
        ...     needs_scene = True
        ...
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.pool = ScenePool()
        ...
        ...     def forward(self, image):
        ...         return image - self.pool(image)[..., None, None]
        >>> dark, bright = torch.zeros(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
        >>> model = WithoutMean()
        >>> model.observe(dark)
        >>> model.observe(bright)
        >>> model.settle()
        >>> model(bright).unique()
        tensor([0.5000])
    """

    #: Whether tiles of a scene depend on the others; False if the network is local.
    needs_scene: bool = False

    def __init__(self) -> None:
        """Initialize a new SceneModel instance."""
        super().__init__()

    @property
    def is_settled(self) -> bool:
        """Whether the statistics of a scene are used instead of those of each input."""
        return any(pool.mean is not None for pool in self._pools())

    def observe(
        self, image: Tensor, valid: Tensor | None = None, **inputs: Any
    ) -> None:
        """Take a tile of the first pass into the statistics of the scene.

        After :meth:`settle` it may be called for all tiles again: the statistics of
        deeper layers are then those of features that have already been computed with
        the statistics of the scene, so each further pass brings them closer to those of
        the whole scene at once.

        Args:
            image: Tiles of shape ``(B, C, H, W)``.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default. Where
                tiles overlap, pixels that an earlier tile has brought may be left out.
            **inputs: More arguments of ``forward``.

        Raises:
            BandMismatchError: If *valid* has not the rows and columns of *image*.
        """
        pools = self._pools()
        if not self.needs_scene or not pools:
            return
        shape = (image.shape[0], *image.shape[-2:])
        if valid is None:
            valid = image.new_ones(shape, dtype=torch.bool)
        if valid.shape != shape:
            raise BandMismatchError(
                f'Expected valid of shape {shape}, as the image of shape '
                f'{tuple(image.shape)}, got {tuple(valid.shape)}.'
            )
        was_training = self.training
        self.eval()
        try:
            for pool in pools:
                pool.observe(valid)
            with torch.no_grad():
                self(image, **inputs)
        finally:
            for pool in pools:
                pool.observe(None)
            self.train(was_training)

    def settle(self) -> None:
        """Use what was observed from now on.

        Raises:
            EmptyDataError: If the network needs a scene and has seen no valid pixel.
        """
        pools = self._pools()
        for pool in pools:
            pool.settle()
        if self.needs_scene and pools and not self.is_settled:
            raise EmptyDataError(
                'The network has observed no valid pixel of the scene. Call observe() '
                'with its tiles before settle().'
            )

    def forget(self) -> None:
        """Go back to the statistics of each input, the default."""
        for pool in self._pools():
            pool.forget()

    def _pools(self) -> list[ScenePool]:
        return [module for module in self.modules() if isinstance(module, ScenePool)]


def _shrink(weight: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """Bring weights of pixels to a layer, whose steps are a power of two."""
    height, width = weight.shape[-2:]
    step = 1
    while height > size[0] * step or width > size[1] * step:
        step *= 2
    # what pads an image to the divisor of the network does not count
    right, down = size[1] * step - width, size[0] * step - height
    return F.avg_pool2d(F.pad(weight, (0, right, 0, down)), step) * step**2
