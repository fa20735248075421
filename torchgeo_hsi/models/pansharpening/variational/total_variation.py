# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pansharpening by total variation."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ....errors import BandMismatchError
from ....physics.resampling import mtf_decimate, mtf_decimate_adjoint
from ....physics.resampling._axes import apply_axes, cached_matrix, scatter_rows
from ...api import register_model
from .._regression import combine
from ..base import Pansharpener, divide
from ..pair import Pair
from ._differences import differences, differences_adjoint

#: How the sensor of the cube makes coarse pixels of fine ones.
type CubeBlur = Literal['bilinear', 'mtf']

#: First plane of vertical differences in the published code, for any number of bands.
_PUBLISHED_PLANE = 4


class TotalVariation(Pansharpener):
    """The image of least total variation that explains both the cube and the PAN.

    Minimizes the squared difference of the cube and the decimated result (times
    ``ratio`` squared: each coarse pixel stands for so many fine ones), plus that of the
    PAN and the sum of the bands with weights, plus the total variation of the bands, by
    majorization and minimization. https://doi.org/10.1109/LGRS.2013.2257669

    The weights of the PAN follow from how strong each band is where the PAN is bright, so
    all bands take part, also those that the PAN does not see; that is no model of the
    sensor, but gives details to every band. Statistics are those of each input, also of
    each tile of a scene.

    Example:
        >>> model = TotalVariation(iterations=5)
        >>> model(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    context = 12

    def __init__(
        self,
        alpha: float = 0.75,
        weight: float = 1e-3,
        damping: float = 8.0,
        iterations: int = 50,
        pan_weights: Sequence[float] | Tensor | None = None,
        blur: CubeBlur = 'bilinear',
        as_published: bool = False,
        **options: Any,
    ) -> None:
        """Initialize a new TotalVariation instance.

        Args:
            alpha: Inverse of the length of steps; made larger where they would diverge.
            weight: Weight of the total variation, in the unit of the images: twice the
                values need twice the weight. The default is the published one, for
                digital numbers of 16 bits, where it changes little.
            damping: Bound of the squared norm of differences, at least 8.
            iterations: Number of steps.
            pan_weights: Share of each band in the PAN, shape ``(C,)``, such as those of
                :func:`~torchgeo_hsi.physics.pan_weights`; estimated by default.
            blur: How coarse pixels are made: ``'bilinear'``, antialiased, as published,
                with pixels that lie half a fine one before those of all other methods if
                the ratio is even; or ``'mtf'``, as the sensor with the given *gain*.
            as_published: Whether to begin with zeros, to interpolate without regard to
                the border, and to read vertical differences of other bands, as the
                published code does.
            **options: Arguments of :class:`Pansharpener`.

        Raises:
            ValueError: If a number is out of its range, or *blur* unknown.
        """
        super().__init__(**options)
        if not alpha > 0 or weight < 0 or damping < 8 or iterations < 1:
            raise ValueError(
                'Expected alpha > 0, weight >= 0, damping >= 8 and at least one '
                f'iteration, got {alpha}, {weight}, {damping} and {iterations}.'
            )
        if blur not in ('bilinear', 'mtf'):
            raise ValueError(f'Expected the blur bilinear or mtf, got {blur!r}.')
        self.alpha, self.weight, self.damping = alpha, weight, damping
        self.iterations, self.blur = iterations, blur
        self.as_published = as_published
        self.pan_weights = (
            None
            if pan_weights is None
            else torch.as_tensor(pan_weights, dtype=torch.float64)
        )

    @torch.no_grad()
    def sharpen(self, pair: Pair) -> Tensor:
        """Minimize, beginning with the interpolated cube (as published: with nothing).

        Args:
            pair: Cube and PAN.

        Returns:
            Cubes of shape ``(B, C, H, W)``, without gradients.

        Raises:
            BandMismatchError: If there is another number of weights than of bands.
        """
        looks = self._looks(pair)
        weights = self._weights(pair, looks)
        shares = weights[..., None, None]
        alpha = torch.full_like(shares[:, :1], self.alpha)
        if not self.as_published:
            # half the squared norm of both looks, below which steps diverge
            least = 0.55 * (1.2 + shares.square().sum(1, keepdim=True))
            alpha = torch.maximum(alpha, least)
        image = torch.zeros_like(pair.up) if self.as_published else pair.up
        across, down = torch.zeros_like(image), torch.zeros_like(image)
        for _ in range(self.iterations):
            misfit = looks.back(pair.cube - looks.down(image))
            misfit += shares * (pair.pan - combine(image, weights))
            target = image + misfit / alpha
            steps = differences(image)
            scale = self._scale(steps[0].square() + steps[1].square(), alpha)
            remaining = target - self._adjoint(across, down)
            steps = differences(remaining)
            across = (self.damping * across + steps[0]) * scale
            down = (self.damping * down + steps[1]) * scale
            image = target - self._adjoint(across, down)
        return image

    def _scale(self, squares: Tensor, alpha: Tensor) -> Tensor:
        if self.weight == 0:
            return torch.zeros_like(squares)
        strength = 2 * alpha / self.weight
        return (strength * squares.sqrt() + self.damping).reciprocal()

    def _adjoint(self, across: Tensor, down: Tensor) -> Tensor:
        if self.as_published:
            planes = torch.cat([across, down], 1)
            down = planes[:, _PUBLISHED_PLANE : _PUBLISHED_PLANE + across.shape[1]]
        return differences_adjoint(across, down)

    def _looks(self, pair: Pair) -> 'Looks':
        ratio, gain = pair.ratio, pair.gain
        if self.blur == 'mtf':
            return Looks(
                lambda image: mtf_decimate(image, gain, ratio),
                lambda image: ratio**2 * mtf_decimate_adjoint(image, gain, ratio),
            )
        if self.as_published:
            return Looks(lambda image: bilinear_down(image, ratio), _resize_up(ratio))
        return Looks(
            lambda image: bilinear_down(image, ratio),
            lambda image: ratio**2 * bilinear_down_adjoint(image, ratio),
        )

    def _weights(self, pair: Pair, looks: 'Looks') -> Tensor:
        """Return the weights of the bands, shape ``(B, C)``."""
        bands = pair.cube.shape[1]
        if self.pan_weights is not None:
            if self.pan_weights.shape != (bands,):
                raise BandMismatchError(
                    f'Expected one weight of the PAN for each of {bands} bands, got '
                    f'{tuple(self.pan_weights.shape)}.'
                )
            return self.pan_weights.to(pair.cube).expand(len(pair.cube), -1)
        counting = pair.low_counting
        pan, cube = looks.down(pair.pan), pair.cube
        if counting is not None:
            pan = pan * counting[:, None]
        found = torch.einsum('bchw,bhw->bc', cube.double(), pan[:, 0].double())
        found = found.clamp_min(0)
        total = found.sum(1, keepdim=True)
        equal = torch.full_like(found, 1 / bands)
        return torch.where(total > 0, divide(found, total), equal).to(cube)


class Looks(NamedTuple):
    """How the cube's sensor sees a fine image, and the way back.

    Args:
        down: From shape ``(..., H, W)`` to ``(..., h, w)``.
        back: From shape ``(..., h, w)`` to ``(..., H, W)``: the adjoint, times the ratio
            squared.
    """

    down: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]


def bilinear_down(image: Tensor, ratio: int) -> Tensor:
    """Make an image smaller with a triangular kernel of twice a coarse pixel.

    Args:
        image: Images of shape ``(..., H, W)``.
        ratio: Ratio of pixel sizes.

    Returns:
        Images of shape ``(..., H / ratio, W / ratio)``, as of
        :func:`torch.nn.functional.interpolate` with ``mode='bilinear',
        antialias=True``.
    """
    rows, cols = (_triangles(length // ratio, ratio) for length in image.shape[-2:])
    return apply_axes(image, rows, cols)


def bilinear_down_adjoint(image: Tensor, ratio: int) -> Tensor:
    """Apply the adjoint of :func:`bilinear_down`.

    Args:
        image: Images of shape ``(..., h, w)``.
        ratio: Ratio of pixel sizes.

    Returns:
        Images of shape ``(..., h * ratio, w * ratio)``.
    """
    rows, cols = (_triangles(length, ratio) for length in image.shape[-2:])
    return apply_axes(image, rows.mT, cols.mT)


@cached_matrix
def _triangles(size: int, ratio: int) -> Tensor:
    center = (torch.arange(size, dtype=torch.float64) + 0.5) * ratio - 0.5
    index = center.floor().long()[:, None] + torch.arange(-ratio, ratio + 1)
    weights = (1 - (center[:, None] - index).abs() / ratio).clamp_min(0)
    # nothing lies beyond the border
    weights = weights * ((index >= 0) & (index < ratio * size))
    weights = weights / weights.sum(1, keepdim=True)
    return scatter_rows(index.clamp(0, ratio * size - 1), weights, ratio * size)


def _resize_up(ratio: int) -> Callable[[Tensor], Tensor]:
    return lambda image: F.interpolate(
        image, scale_factor=float(ratio), mode='bilinear', align_corners=False
    )


@register_model
def tv(**options: Any) -> TotalVariation:
    """Build :class:`TotalVariation`.

    Args:
        **options: Arguments of :class:`TotalVariation`.

    Returns:
        The method.
    """
    return TotalVariation(**options)
