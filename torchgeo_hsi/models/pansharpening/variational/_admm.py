# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The alternating direction method of multipliers for HySURE."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ._differences import differences, differences_adjoint
from ._sensors import Sensors


class Terms(NamedTuple):
    """What is minimized.

    Args:
        offset: Sample of the first coarse pixel.
        margin: Coarse pixels without data between the last and the first row and column.
        weight: Weight of the total variation.
        pan_weight: Weight of the difference to the PAN.
        step: Weight of the constraints.
    """

    offset: int
    margin: int
    weight: float
    pan_weight: float
    step: float


class Solver(NamedTuple):
    """The alternating direction method of multipliers, for images of coefficients.

    Args:
        cube: Coefficients that would explain the cube alone, shape ``(B, P, h, w)``.
        shrink: What is left of a misfit of the cube in one step, shape ``(B, P, P)``.
        pan: The PAN, shape ``(B, 1, H, W)``, with a margin.
        response: Share of each endmember in it, shape ``(B, P, 1, 1)``.
        pull: Share of a misfit of the PAN that one step corrects, shape ``(B, 1, 1, 1)``.
        blur: Blur and decimation.
        inverse: Transfer function of the least squares, shape ``(B, 1, H, W // 2 + 1)``.
        threshold: Length of gradients that vanish in one step.
    """

    cube: Tensor
    shrink: Tensor
    pan: Tensor
    response: Tensor
    pull: Tensor
    blur: 'Blur'
    inverse: Tensor
    threshold: float

    @classmethod
    def build(
        cls, cube: Tensor, pan: Tensor, sensors: Sensors, basis: Tensor, terms: Terms
    ) -> 'Solver':
        """Compute what does not change from step to step.

        Args:
            cube: Cubes of shape ``(B, C, h, w)``.
            pan: PANs of shape ``(B, 1, H, W)``.
            sensors: Response and blur.
            basis: Endmembers of shape ``(B, C, P)``.
            terms: Weights and places.

        Returns:
            The solver.
        """
        ratio, step = pan.shape[-1] // cube.shape[-1], terms.step
        padded = F.pad(pan, (0, terms.margin * ratio) * 2, mode='replicate')
        blur = Blur(sensors.kernel.to(cube), ratio, terms.offset, cube.shape[-2:])
        size = padded.shape[-2:]
        transfer = blur.transfer(size).abs().square()
        transfer = transfer + _difference_power(size).to(transfer) + 1
        gram = basis.mT @ basis
        same = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        inverse = torch.linalg.inv(gram + step * same)
        target = inverse @ basis.mT @ cube.flatten(2).double()
        response = torch.einsum('bcp,bc->bp', basis, sensors.response)
        power = response.square().sum(1)
        pull = terms.pan_weight / (step + terms.pan_weight * power)
        return cls(
            target.unflatten(2, cube.shape[-2:]).to(cube),
            (step * inverse).to(cube),
            padded,
            response[..., None, None].to(cube),
            pull[:, None, None, None].to(cube),
            blur,
            transfer.reciprocal(),
            terms.weight / step,
        )

    def solve(self, iterations: int) -> Tensor:
        """Take steps.

        Each variable ``v`` stands for a linear map of the image, ``A x``, and has a sum
        of misfits ``d = v - (A x - d)``. The image solves least squares of all ``v + d``
        with the transfer function; written as a correction of the last image, what it
        needs of each variable is ``2 d - d_before``, which is zero wherever a variable
        is not bound by data.

        Args:
            iterations: Number of steps.

        Returns:
            Images of coefficients of shape ``(B, P, H, W)``.
        """
        size, fine = self.pan.shape[-2:], self.pan
        count = self.cube.shape[1]
        image = fine.new_zeros(len(fine), count, *size)
        coarse, scalar = torch.zeros_like(self.cube), torch.zeros_like(fine)
        across, down = torch.zeros_like(image), torch.zeros_like(image)
        for _ in range(iterations):
            # the cube
            seen = self.blur.down(image) - coarse
            before, coarse = coarse, self.cube - seen
            coarse = coarse + torch.einsum('bpq,bqhw->bphw', self.shrink, seen)
            move = self.blur.back(2 * coarse - before, size)
            # the PAN, which corrects along its response only
            misfit = fine - (self.response * image).sum(1, keepdim=True)
            power = self.response.square().sum(1, keepdim=True)
            before, scalar = scalar, self.pull * (misfit + power * scalar)
            move += self.response * (2 * scalar - before)
            # few edges
            steps = differences(image, circular=True)
            change = self._edges(steps[0] - across, steps[1] - down)
            move += differences_adjoint(
                2 * change[0] - across, 2 * change[1] - down, circular=True
            )
            across, down = change
            image = image + torch.fft.irfft2(
                torch.fft.rfft2(move) * self.inverse, s=size
            )
        height, width = self.blur.shape
        ratio = self.blur.ratio
        return image[..., : height * ratio, : width * ratio]

    def _edges(self, across: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
        """Return what shortens gradients by the threshold, all images together."""
        length = (across.square() + down.square()).sum(1, keepdim=True).sqrt()
        share = -(self.threshold / length.clamp_min(1e-30)).clamp_max(1)
        return across * share, down * share


class Blur:
    """Blur of a periodic image and decimation.

    Args:
        kernel: Kernels of shape ``(B, K, K)``; element ``K // 2`` lies on the sample.
        ratio: Ratio of pixel sizes.
        offset: Sample of the first coarse pixel.
        shape: Coarse rows and columns; beyond them, the image has no coarse pixels.
    """

    def __init__(
        self, kernel: Tensor, ratio: int, offset: int, shape: Sequence[int]
    ) -> None:
        """Initialize a new Blur instance; see the class for the arguments."""
        self.kernel, self.ratio, self.offset = kernel, ratio, offset
        self.shape = (shape[0], shape[1])

    def down(self, image: Tensor) -> Tensor:
        """Look at an image.

        Args:
            image: Images of shape ``(B, P, H, W)``.

        Returns:
            Images of shape ``(B, P, h, w)``.
        """
        rows, cols = self._places(image.shape[-2:])
        batch, count = image.shape[:2]
        flat = image[..., rows[:, None], cols].transpose(0, 1)
        found = F.conv2d(flat, self.kernel[:, None], stride=self.ratio, groups=batch)
        return found.transpose(0, 1).reshape(batch, count, *self.shape)

    def back(self, image: Tensor, size: Sequence[int]) -> Tensor:
        """Apply the adjoint.

        Args:
            image: Images of shape ``(B, P, h, w)``.
            size: Rows and columns of the fine image.

        Returns:
            Images of shape ``(B, P, H, W)``.
        """
        rows, cols = self._places(size)
        batch, count = image.shape[:2]
        flat = F.conv_transpose2d(
            image.transpose(0, 1), self.kernel[:, None], stride=self.ratio, groups=batch
        ).transpose(0, 1)
        total = image.new_zeros(batch, count, size[0], len(cols))
        total = total.index_add(2, rows.to(image.device), flat)
        whole = image.new_zeros(batch, count, *size)
        return whole.index_add(3, cols.to(image.device), total)

    def transfer(self, size: Sequence[int]) -> Tensor:
        """Return the transfer function of the blur.

        Args:
            size: Rows and columns of the fine image.

        Returns:
            Numbers of shape ``(B, 1, H, W // 2 + 1)``.
        """
        length = self.kernel.shape[-1]
        whole = self.kernel.new_zeros(len(self.kernel), size[0], size[1])
        places = [(torch.arange(length) - length // 2).remainder(s) for s in size]
        # of a kernel larger than the image, elements fall on the same place
        wide = whole.new_zeros(len(whole), size[0], length)
        wide = wide.index_add(1, places[0].to(whole.device), self.kernel)
        whole = whole.index_add(2, places[1].to(whole.device), wide)
        found: Tensor = torch.fft.rfft2(whole)
        return found[:, None]

    def _places(self, size: Sequence[int]) -> list[Tensor]:
        """Return the rows and columns that any coarse pixel looks at."""
        length = self.kernel.shape[-1]
        start = self.offset - length // 2
        return [
            (torch.arange((coarse - 1) * self.ratio + length) + start).remainder(fine)
            for coarse, fine in zip(self.shape, size, strict=True)
        ]


def _difference_power(size: Sequence[int]) -> Tensor:
    """Return the squared transfer functions of both differences."""
    rows = 2 * torch.pi * torch.fft.fftfreq(size[0], dtype=torch.float64)
    cols = 2 * torch.pi * torch.fft.rfftfreq(size[1], dtype=torch.float64)
    power: Tensor = (2 - 2 * rows.cos())[:, None] + (2 - 2 * cols.cos())
    return power
