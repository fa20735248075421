# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What methods of pansharpening share, and how they see scenes larger than memory."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import BandMismatchError, EmptyDataError
from ...physics.gaps import fill_gaps
from ...physics.pixel_moments import PixelMoments
from ...physics.resampling.decimate import repeat_pixels
from ...physics.resampling.interpolate import REACH, Edge, Method
from .pair import Margins, Pair, Views, find_ratio

#: Measured moments by name.
type Moments = dict[str, PixelMoments]

#: What follows from them by name; the first dimension is that of the batch.
type Numbers = dict[str, Tensor]


class Pansharpener(nn.Module):
    """A network or method that sharpens a cube with a panchromatic image (PAN).

    Subclasses implement :meth:`sharpen`. Nothing else of them has to know about nodata,
    about shapes that do not fit, or about tiles.

    The pixel ``(i, j)`` of the cube lies on the sample ``(ratio * i + ratio // 2, ratio *
    j + ratio // 2)`` of the PAN.

    Example:
        >>> class Interpolate(Pansharpener):
        ...     def sharpen(self, pair):
        ...         return pair.up
        >>> Interpolate()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    #: Whether tiles of a scene depend on the others, see :class:`MeasuringPansharpener`.
    needs_scene: bool = False

    #: How often a scene has to be seen before it can be sharpened.
    passes: int = 0

    #: Coarse pixels around a tile that change it.
    context: int = REACH + 4

    #: Coarse pixels of which each tile, with its margins, has to begin at a multiple.
    alignment: int = 1

    #: Whether :meth:`sharpen` cuts the margins of a tile off itself.
    knows_margins: bool = False

    #: Band centers in micrometres, for methods that ask for them. Tasks and
    #: :func:`~torchgeo_hsi.scenes.sharpen_scene` set them where they are None.
    wavelength: Sequence[float] | None = None

    def __init__(
        self,
        gain: float = 0.3,
        pan_gain: float = 0.2,
        interpolation: Method = 'ideal',
        boundary: Edge = 'symmetric',
    ) -> None:
        """Initialize a new Pansharpener instance.

        Args:
            gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
            pan_gain: The same of the panchromatic sensor, where its image is reduced
                like the cube (BDSD).
            interpolation: ``'ideal'`` or ``'bicubic'``, see
                :func:`~torchgeo_hsi.physics.resampling.interpolate`.
            boundary: What it finds beyond the border: ``'symmetric'``, or ``'circular'``
                as published.
        """
        super().__init__()
        self.views = Views(gain, pan_gain, interpolation, boundary)

    @abstractmethod
    def sharpen(self, pair: Pair) -> Tensor:
        """Sharpen images without gaps.

        Args:
            pair: Cube and PAN.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """

    def forward(
        self,
        cube: Tensor,
        pan: Tensor,
        *,
        valid: Tensor | None = None,
        pan_valid: Tensor | None = None,
        up: Tensor | None = None,
        margins: Margins | None = None,
    ) -> Tensor:
        """Sharpen a batch.

        Args:
            cube: Cubes of shape ``(B, C, h, w)``.
            pan: PANs of shape ``(B, 1, H, W)``, a whole number of times as large.
            valid: True for pixels of the cube with data, shape ``(B, h, w)``; all by
                default. Gaps are filled with the nearest pixel, and count in no
                statistic; what comes out for them means nothing.
            pan_valid: The same for the PAN, shape ``(B, H, W)``.
            up: The interpolated cube of shape ``(B, C, H, W)``, where a data set brings
                it; computed by default.
            margins: Coarse pixels at the edges that are context only, and are cut off
                the result.

        Returns:
            Cubes of shape ``(B, C, H, W)``.

        Raises:
            BandMismatchError: If the shapes do not fit.
            EmptyDataError: If an image has no valid pixel.
        """
        return self.sharpen_pair(
            self.make_pair(cube, pan, valid, pan_valid, up, margins)
        )

    def sharpen_pair(self, pair: Pair) -> Tensor:
        """Sharpen what :meth:`make_pair` has made.

        Args:
            pair: Cube and PAN.

        Returns:
            Cubes of shape ``(B, C, H, W)``, without margins.
        """
        if self.knows_margins:
            return self.sharpen(pair)
        return pair.crop(self.sharpen(pair.whole))

    def make_pair(
        self,
        cube: Tensor,
        pan: Tensor,
        valid: Tensor | None = None,
        pan_valid: Tensor | None = None,
        up: Tensor | None = None,
        margins: Margins | None = None,
        counting: Tensor | None = None,
    ) -> Pair:
        """Fill the gaps of a cube and a PAN.

        Args:
            cube: Cubes of shape ``(B, C, h, w)``.
            pan: PANs of shape ``(B, 1, H, W)``.
            valid: True for pixels of the cube with data, shape ``(B, h, w)``.
            pan_valid: The same for the PAN, shape ``(B, H, W)``.
            up: The interpolated cube of shape ``(B, C, H, W)``, if there is one.
            margins: Coarse pixels at the edges that are context only.
            counting: True for pixels that count, of those that are valid, shape ``(B, H,
                W)``.

        Returns:
            The pair.

        Raises:
            BandMismatchError: If the shapes do not fit.
            EmptyDataError: If an image has no valid pixel.
        """
        ratio = find_ratio(cube, pan)
        cube, cube_known = fill_gaps(cube, valid)
        pan, pan_known = fill_gaps(pan, pan_valid)
        masks = [] if counting is None else [counting.to(cube.device, torch.bool)]
        if cube_known is not None:
            masks.append(repeat_pixels(cube_known, ratio))
            # what was interpolated has gaps where the cube has
            up = None
        if pan_known is not None:
            masks.append(pan_known)
        every = torch.stack(masks).all(0) if masks else None
        return Pair(cube, pan, counting=every, margins=margins, views=self.views, up=up)


class MeasuringPansharpener(Pansharpener):
    """A method with statistics of the whole scene: measure, solve, sharpen.

    Subclasses implement :meth:`measure`, which takes moments of images; :meth:`solve`,
    which makes the numbers of the method of them; and :meth:`inject`. Moments of tiles
    add up to those of the scene, so a scene is sharpened like this:

    .. code-block:: python

        for _ in range(model.passes):
            for cube, pan, margins in tiles:
                model.observe(cube, pan, margins=margins)
            model.settle()
        sharpened = [model(cube, pan, margins=margins) for cube, pan, margins in tiles]
        model.forget()

    Without, the statistics are those of each image.

    Example:
        >>> class AddDetails(MeasuringPansharpener):
        ...     def measure(self, pair, found):
        ...         return {'all': PixelMoments.of(pair.up, pair.pan, pair.counting)}
        ...
        ...     def solve(self, moments, found):
        ...         spread = moments['all'].std
        ...         return {'factor': spread[:, :-1] / spread[:, -1:]}
        ...
        ...     def inject(self, pair, found):
        ...         factor = found['factor'][..., None, None].to(pair.pan)
        ...         return pair.up + factor * (pair.pan - pair.pan_low)
        >>> AddDetails()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    needs_scene = True
    passes = 1
    knows_margins = True

    _moments: Moments
    _found: Numbers
    _bands: int | None
    _left: int

    def __init__(
        self,
        gain: float = 0.3,
        pan_gain: float = 0.2,
        interpolation: Method = 'ideal',
        boundary: Edge = 'symmetric',
    ) -> None:
        """Initialize a new MeasuringPansharpener instance.

        Args:
            gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
            pan_gain: The same of the panchromatic sensor.
            interpolation: ``'ideal'`` or ``'bicubic'``.
            boundary: ``'symmetric'``, or ``'circular'`` as published.
        """
        super().__init__(gain, pan_gain, interpolation, boundary)
        self.forget()

    @abstractmethod
    def measure(self, pair: Pair, found: Numbers) -> Moments:
        """Measure what the method needs.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: What passes before have found; empty in the first one.

        Returns:
            Moments by name.
        """

    @abstractmethod
    def solve(self, moments: Moments, found: Numbers) -> Numbers:
        """Make the numbers of the method.

        Args:
            moments: What :meth:`measure` gave.
            found: What passes before have found; empty in the first one.

        Returns:
            Numbers by name, which are added to *found*; the first dimension is that of
            the batch.
        """

    @abstractmethod
    def inject(self, pair: Pair, found: Numbers) -> Tensor:
        """Sharpen with the numbers of all passes.

        Args:
            pair: Cube and PAN, or a tile of them.
            found: The numbers.

        Returns:
            Cubes of shape ``(B, C, H, W)``.
        """

    def sharpen(self, pair: Pair) -> Tensor:
        """Sharpen images with the statistics of the scene, if it has settled on one.

        Args:
            pair: Cube and PAN.

        Returns:
            Cubes of shape ``(B, C, H, W)``.

        Raises:
            BandMismatchError: If it has settled on a scene with other bands.
        """
        if self._bands is not None and self._bands != pair.cube.shape[1]:
            raise BandMismatchError(
                f'The method has settled on a scene with {self._bands} bands, got '
                f'{pair.cube.shape[1]}. Call forget() first.'
            )
        if self._left <= 0:
            return self.inject(pair, self._found)
        found: Numbers = {}
        for _ in range(self.passes):
            found |= self.solve(self.measure(pair, found), found)
        return self.inject(pair, found)

    @property
    def is_settled(self) -> bool:
        """Whether the statistics of a scene are used instead of those of each input."""
        return self._left <= 0

    def observe(
        self,
        cube: Tensor,
        pan: Tensor,
        *,
        valid: Tensor | None = None,
        pan_valid: Tensor | None = None,
        counting: Tensor | None = None,
        margins: Margins | None = None,
        **inputs: Any,
    ) -> None:
        """Take a tile into the statistics of the scene.

        Args:
            cube: Cubes of shape ``(B, C, h, w)``.
            pan: PANs of shape ``(B, 1, H, W)``.
            valid: True for pixels of the cube with data, shape ``(B, h, w)``.
            pan_valid: The same for the PAN, shape ``(B, H, W)``.
            counting: True for pixels on the PAN's grid that no tile before has brought,
                shape ``(B, H, W)``; all by default.
            margins: Coarse pixels at the edges that do not count.
            **inputs: Other arguments of ``forward``, not used.

        Raises:
            BandMismatchError: If the shapes do not fit.
            EmptyDataError: If an image has no valid pixel.
        """
        pair = self.make_pair(
            cube, pan, valid, pan_valid, margins=margins, counting=counting
        )
        with torch.no_grad():
            for name, moments in self.measure(pair, self._found).items():
                pooled, before = moments.pooled(), self._moments.get(name)
                self._moments[name] = pooled if before is None else before.merge(pooled)
        self._bands = cube.shape[1]

    def settle(self) -> None:
        """Use what was observed from now on; after the last pass, to sharpen.

        Raises:
            EmptyDataError: If no valid pixel was observed.
        """
        counts = [int(moments.count) for moments in self._moments.values()]
        if not counts or not min(counts):
            raise EmptyDataError(
                'The method has observed no valid pixel of the scene. Call observe() '
                'with its tiles before settle().'
            )
        self._found = self._found | self.solve(self._moments, self._found)
        self._moments = {}
        self._left -= 1

    def forget(self) -> None:
        """Go back to the statistics of each input, the default."""
        self._moments = {}
        self._found = {}
        self._bands = None
        self._left = self.passes


def divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Divide, but by nothing that is 0 up to rounding.

    Args:
        numerator: Numbers.
        denominator: Numbers, such as variances.

    Returns:
        Quotients; 0 where the denominator is 0.
    """
    tiny = torch.finfo(denominator.dtype).tiny
    usable = denominator.abs() > tiny
    return torch.where(usable, numerator / denominator.masked_fill(~usable, 1), 0.0)


def per_band(values: Tensor, like: Tensor) -> Tensor:
    """Make numbers of bands fit to images.

    Args:
        values: Numbers of shape ``(B, C)``.
        like: Images whose type and device are taken.

    Returns:
        Numbers of shape ``(B, C, 1, 1)``.
    """
    return values.to(like)[..., None, None]
