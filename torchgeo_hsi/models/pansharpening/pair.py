# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A cube and a panchromatic image, and what methods derive from them."""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from ...errors import BandMismatchError
from ...physics.resampling import (
    atrous_lowpass,
    decimate,
    gaussian_lowpass,
    imresize_down,
    imresize_up,
    mtf_decimate,
)
from ...physics.resampling._axes import apply_axes
from ...physics.resampling.interpolate import Edge, Method, interpolation_matrix


class Margins(NamedTuple):
    """Coarse pixels at the edges of a tile that are there for its filters only.

    Args:
        top: Rows before the first one that counts.
        bottom: Rows behind the last one.
        left: Columns before the first one.
        right: Columns behind the last one.

    Example:
        >>> Margins(top=40).slices(6)
        (slice(240, None, None), slice(0, None, None))
    """

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    def slices(self, factor: int = 1) -> tuple[slice, slice]:
        """Return rows and columns of what is left without the margins.

        Args:
            factor: Pixels of the image for each coarse one.

        Returns:
            Rows and columns, with negative or no ends.
        """
        return (
            slice(factor * self.top, -factor * self.bottom or None),
            slice(factor * self.left, -factor * self.right or None),
        )


@dataclass(frozen=True)
class Views:
    """How methods look at a pair.

    Args:
        gain: Gain of the cube's sensor at its Nyquist frequency.
        pan_gain: The same of the panchromatic sensor, seen from its own reduced grid.
        interpolation: Method of :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: What lies beyond the border for it.
    """

    gain: float = 0.3
    pan_gain: float = 0.2
    interpolation: Method = 'ideal'
    boundary: Edge = 'symmetric'


class Pair:
    """A cube and a panchromatic image (PAN), and what methods derive from them.

    Each image is computed when it is first asked for, and kept. Of a tile with margins,
    all are those of its inner part, computed with the help of the margins.

    Args:
        cube: Cubes of shape ``(B, C, h, w)``, without gaps.
        pan: PANs of shape ``(B, 1, H, W)``, without gaps, ``ratio`` times as large.
        counting: True for pixels of the PAN's grid that count in statistics, shape
            ``(B, H, W)``; all by default.
        margins: Coarse pixels at the edges that are context only.
        views: Gains and interpolation.
        up: The interpolated cube of shape ``(B, C, H, W)``, if there is one already.

    Raises:
        BandMismatchError: If the shapes do not fit.

    Example:
        >>> pair = Pair(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48))
        >>> pair.ratio, pair.up.shape
        (6, torch.Size([1, 5, 48, 48]))
    """

    def __init__(
        self,
        cube: Tensor,
        pan: Tensor,
        *,
        counting: Tensor | None = None,
        margins: Margins | None = None,
        views: Views | None = None,
        up: Tensor | None = None,
    ) -> None:
        """Initialize a new Pair instance; see the class for the arguments."""
        self.ratio = find_ratio(cube, pan)
        self.margins = margins or Margins()
        self.views = views or Views()
        self._cube, self._pan, self._counting, self._up = cube, pan, counting, up

    @property
    def gain(self) -> float:
        """Gain of the cube's sensor at its Nyquist frequency."""
        return self.views.gain

    @property
    def pan_gain(self) -> float:
        """Gain of the panchromatic sensor at the Nyquist frequency of a coarser one."""
        return self.views.pan_gain

    @cached_property
    def whole(self) -> 'Pair':
        """The pair with its margins as a part of it."""
        if not any(self.margins):
            return self
        return Pair(
            self._cube,
            self._pan,
            counting=self._counting,
            views=self.views,
            up=self._up,
        )

    def crop(self, image: Tensor) -> Tensor:
        """Cut the margins off an image on the PAN's grid.

        Args:
            image: Images of shape ``(..., H, W)``.

        Returns:
            Their inner part.
        """
        return image[(..., *self.margins.slices(self.ratio))]

    def crop_low(self, image: Tensor) -> Tensor:
        """Cut the margins off an image on the cube's grid.

        Args:
            image: Images of shape ``(..., h, w)``.

        Returns:
            Their inner part.
        """
        return image[(..., *self.margins.slices())]

    def interpolate(self, image: Tensor) -> Tensor:
        """Bring an image on the cube's grid, with margins, to the inner PAN's grid.

        Args:
            image: Images of shape ``(..., h, w)``.

        Returns:
            Images on the PAN's grid, without margins.
        """
        views = self.views
        matrices = [
            interpolation_matrix(n, self.ratio, views.interpolation, views.boundary)
            for n in image.shape[-2:]
        ]
        rows, cols = self.margins.slices(self.ratio)
        return apply_axes(image, matrices[0][rows], matrices[1][cols])

    @cached_property
    def cube(self) -> Tensor:
        """The cube, shape ``(B, C, h, w)``."""
        return self.crop_low(self._cube)

    @cached_property
    def pan(self) -> Tensor:
        """The panchromatic image, shape ``(B, 1, H, W)``."""
        return self.crop(self._pan)

    @cached_property
    def counting(self) -> Tensor | None:
        """Which pixels count in statistics, shape ``(B, H, W)``; None for all."""
        return None if self._counting is None else self.crop(self._counting)

    @cached_property
    def low_counting(self) -> Tensor | None:
        """Coarse pixels whose fine ones all count, shape ``(B, h, w)``."""
        if self.counting is None:
            return None
        gaps = (~self.counting).to(self._pan.dtype)[:, None]
        return F.max_pool2d(gaps, self.ratio)[:, 0] == 0

    @cached_property
    def up(self) -> Tensor:
        """The interpolated cube, shape ``(B, C, H, W)``."""
        if self._up is not None:
            return self.crop(self._up)
        return self.interpolate(self._cube)

    @cached_property
    def pan_decimated(self) -> Tensor:
        """The PAN as the cube's sensor would see it, shape ``(B, 1, h, w)``."""
        return self.crop_low(self._pan_decimated)

    @cached_property
    def _pan_decimated(self) -> Tensor:
        return mtf_decimate(self._pan, self.gain, self.ratio)

    @cached_property
    def pan_low(self) -> Tensor:
        """The PAN without details that the cube cannot have, shape ``(B, 1, H, W)``.

        Blurred like the cube, decimated and interpolated: the low-pass of the generalized
        Laplacian pyramid.
        """
        return self.interpolate(self._pan_decimated)

    @cached_property
    def pan_smooth(self) -> Tensor:
        """The PAN, blurred by a Gaussian filter, shape ``(B, 1, H, W)``."""
        return self.crop(gaussian_lowpass(self._pan, self.gain, self.ratio))

    @cached_property
    def pan_bicubic(self) -> Tensor:
        """The PAN, made smaller and larger again, shape ``(B, 1, H, W)``."""
        small = imresize_down(self._pan, self.ratio)
        return self.crop(imresize_up(small, self.ratio))

    @cached_property
    def _pan_atrous(self) -> Tensor:
        return atrous_lowpass(self._pan, self.ratio)

    @cached_property
    def pan_atrous(self) -> Tensor:
        """The PAN without its wavelet details, shape ``(B, 1, H, W)``."""
        return self.crop(self._pan_atrous)

    @cached_property
    def pan_atrous_decimated(self) -> Tensor:
        """The same on the cube's grid, shape ``(B, 1, h, w)``."""
        return self.crop_low(decimate(self._pan_atrous, self.ratio))


def find_ratio(cube: Tensor, pan: Tensor) -> int:
    """Find how many pixels of a PAN there are for one of a cube.

    Args:
        cube: Cubes of shape ``(B, C, h, w)``.
        pan: PANs of shape ``(B, 1, H, W)``.

    Returns:
        The ratio of their pixel sizes.

    Raises:
        BandMismatchError: If the shapes do not fit.
    """
    if cube.ndim != 4 or pan.ndim != 4 or len(cube) != len(pan) or pan.shape[1] != 1:
        raise BandMismatchError(
            'Expected a cube of shape (B, C, h, w) and a PAN of shape (B, 1, H, W), got '
            f'{tuple(cube.shape)} and {tuple(pan.shape)}.'
        )
    (height, width), (rows, cols) = cube.shape[2:], pan.shape[2:]
    ratio = rows // max(height, 1)
    if ratio < 2 or (rows, cols) != (ratio * height, ratio * width):
        near = max(2, round(rows / max(height, 1)))
        raise BandMismatchError(
            'Expected a PAN whose rows and columns are the same whole number of times '
            f'(2 or more) those of the cube, {height} x {width}, got {rows} x {cols}. '
            f'Crop both to what they share, such as {near * height} x {near * width} '
            'pixels of the PAN, or resample one of them.'
        )
    return ratio
