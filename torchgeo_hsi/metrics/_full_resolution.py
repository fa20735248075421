# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What metrics of sharpened cubes without a truth share."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from .._precision import full_precision
from ..errors import BandMismatchError
from ..physics.resampling import mtf_decimate
from ..physics.resampling.decimate import repeat_pixels
from ._blocks import check_block
from ._images import Cubes, Scores, pixel_mask
from ._mean_score import MeanScore

#: How far the weight of the valid pixels under a kernel may be from all of it.
_LACK = 0.1


class Scene(NamedTuple):
    """Checked images: nothing but zeros where they are not valid."""

    #: Sharpened cubes of shape (B, C, H, W).
    fused: Tensor
    #: Cubes of shape (B, C, h, w).
    cube: Tensor
    #: PAN of shape (B, 1, H, W); of no pixels where none was given.
    pan: Tensor
    #: Pixels of the cube that count, shape (B, 1, h, w).
    valid: Tensor
    #: Sharpened pixels that count, shape (B, 1, H, W).
    fine: Tensor
    #: Size of a pixel of the cube over that of a sharpened one.
    ratio: int


def ratio_of(fused: Tensor, cube: Tensor) -> int:
    """Find the ratio of two pixel sizes.

    Args:
        fused: Sharpened cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        cube: Cubes of shape ``(B, C, h, w)`` or ``(C, h, w)``.

    Returns:
        The ratio, 2 or more.

    Raises:
        BandMismatchError: If the shapes do not fit.
    """
    fits = fused.ndim == cube.ndim and cube.ndim in (3, 4)
    fits = fits and fused.shape[:-2] == cube.shape[:-2] and 0 not in cube.shape[-2:]
    ratio = fused.shape[-1] // cube.shape[-1] if fits else 0
    if ratio < 2 or [ratio * n for n in cube.shape[-2:]] != list(fused.shape[-2:]):
        raise BandMismatchError(
            'Expected a sharpened cube of shape (B, C, r h, r w) and a cube of shape '
            '(B, C, h, w), or both without B, for a whole number r of 2 or more, got '
            f'{tuple(fused.shape)} and {tuple(cube.shape)}. Crop both to whole pixels '
            'of the cube.'
        )
    return ratio


def _check_pan(pan: Tensor, fused: Tensor) -> None:
    shape = (*fused.shape[:-3], 1, *fused.shape[-2:])
    if pan.shape != shape:
        raise BandMismatchError(
            f'Expected a PAN of shape {shape}, as the sharpened cube of shape '
            f'{tuple(fused.shape)}, got {tuple(pan.shape)}.'
        )


def prepare_scene(
    fused: Tensor,
    cube: Tensor,
    pan: Tensor | None = None,
    valid: Tensor | None = None,
    pan_valid: Tensor | None = None,
) -> Scene:
    """Check images, and put zeros where they are not valid.

    Args:
        fused: Sharpened cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
        cube: Cubes of shape ``(B, C, h, w)`` or ``(C, h, w)``.
        pan: PAN of shape ``(B, 1, H, W)`` or ``(1, H, W)``, or None.
        valid: Pixels of the cube that count, shape ``(B, h, w)`` or ``(h, w)``.
        pan_valid: Pixels of the PAN that count, shape ``(B, H, W)`` or ``(H, W)``.

    Returns:
        Images with a batch dimension, float32 or float64. A sharpened pixel counts if
        the PAN is valid there, and the pixel of the cube that covers it.

    Raises:
        BandMismatchError: If the shapes do not fit.
    """
    ratio = ratio_of(fused, cube)
    known = pixel_mask(valid, cube)
    covered = repeat_pixels(known, ratio)
    fine = pixel_mask(pan_valid, fused, 'pan_valid') & covered.to(fused.device)
    dtype = torch.promote_types(fused.dtype, cube.dtype)
    dtype = dtype if dtype == torch.float64 else torch.float32
    if pan is None:
        pan = fused.new_zeros(*fused.shape[:-3], 1, 0, 0)
    else:
        _check_pan(pan, fused)
        pan = pan.to(fused.device, dtype).masked_fill(~fine, 0)
    fused = fused.to(dtype).masked_fill(~fine, 0)
    known = known.to(fused.device)
    cube = cube.to(fused.device, dtype).masked_fill(~known, 0)
    if fused.ndim == 3:
        return Scene(fused[None], cube[None], pan[None], known[None], fine[None], ratio)
    return Scene(fused, cube, pan, known, fine, ratio)


def sensed(scene: Scene, gain: float | Tensor) -> Cubes:
    """Look at sharpened cubes with the sensor of the cube.

    Where pixels are missing, the others under the kernel take their weight. If more than
    a tenth of the weight is missing, the coarse pixel does not count.

    Args:
        scene: Checked images.
        gain: Gain of the sensor at the Nyquist frequency of the cube, one or one for
            each band.

    Returns:
        The decimated cubes as the prediction, and the cubes as the target.
    """
    image = mtf_decimate(scene.fused, gain, scene.ratio)
    if scene.fine.all():
        return Cubes(image, scene.cube, scene.valid)
    weight = scene.fine.to(image.dtype)
    if isinstance(gain, Tensor) and gain.numel() > 1:
        weight = weight.expand_as(scene.fused)
    part = mtf_decimate(weight, gain, scene.ratio)
    part = part / mtf_decimate(torch.ones_like(weight), gain, scene.ratio)
    valid = scene.valid & whole(part).all(1, keepdim=True)
    image = (image / part.masked_fill(~valid, 1)).masked_fill(~valid, 0)
    return Cubes(image, scene.cube.masked_fill(~valid, 0), valid)


def whole(part: Tensor) -> Tensor:
    """Tell where enough of the weight of a kernel lies on valid pixels.

    Args:
        part: Weight of the valid pixels over all of the weight.

    Returns:
        True where they differ by a tenth at most.
    """
    return (part - 1).abs() <= _LACK


class FullResolutionMetric(MeanScore, ABC):
    """Mean over images of a score of sharpened cubes without a truth."""

    is_differentiable = False

    #: Whether the PAN is looked at.
    needs_pan = False

    @abstractmethod
    def score(self, scene: Scene) -> Scores:
        """Score each image.

        Args:
            scene: The checked images.

        Returns:
            Their scores.
        """

    def update(
        self,
        fused: Tensor,
        cube: Tensor,
        pan: Tensor | None = None,
        valid: Tensor | None = None,
        pan_valid: Tensor | None = None,
    ) -> None:
        """Take a batch into account.

        Args:
            fused: Sharpened cubes of shape ``(B, C, H, W)`` or ``(C, H, W)``.
            cube: Cubes that were sharpened, shape ``(B, C, h, w)`` or ``(C, h, w)``.
                ``H / h`` and ``W / w`` are the ratio, a whole number.
            pan: PAN of shape ``(B, 1, H, W)`` or ``(1, H, W)``. Metrics that do not
                need it do not look at it.
            valid: True for pixels of the cube that count, shape ``(B, h, w)`` or ``(h,
                w)``; all by default.
            pan_valid: True for pixels of the PAN that count, shape ``(B, H, W)`` or
                ``(H, W)``; all by default. A sharpened pixel counts if both do.

        Raises:
            BandMismatchError: If the shapes do not fit.
            ValueError: If a PAN is needed and there is none.
        """
        if self.needs_pan and pan is None:
            raise ValueError(
                f'{type(self).__name__} compares the sharpened cube with the PAN: pass '
                'pan, of shape (B, 1, H, W).'
            )
        pan = pan if self.needs_pan else None
        with torch.no_grad(), full_precision(cube.device):
            scores = self.score(prepare_scene(fused, cube, pan, valid, pan_valid))
        self._add(*scores)


class SensedQ2nMetric(FullResolutionMetric):
    """Base of metrics with Q2n between the cube and what its sensor would see."""

    def __init__(
        self, gain: float | Tensor = 0.3, block: int = 32, rounded: bool = False
    ) -> None:
        """Initialize a new instance.

        Args:
            gain: Gain of the sensor at the Nyquist frequency of the cube, one or one for
                each band.
            block: Pixels of the cube along a side of a block of Q2n.
            rounded: Whether to round values to integers for Q2n, as the toolbox does.

        Raises:
            ValueError: If a block has fewer than 2 pixels along a side.
        """
        super().__init__()
        check_block(block)
        self.gain = gain
        self.block = block
        self.rounded = rounded
