# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pansharpening in a subspace, with vector total variation."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ....errors import BandMismatchError, EmptyDataError
from ....physics.endmembers import vertex_component_analysis
from ....physics.panchromatic import PanRange, pan_bands
from ...api import register_model
from ..base import Pansharpener
from ..pair import Pair
from ._differences import differences, differences_adjoint
from ._sensors import Sensors, estimate_sensors

#: What the spectra of a scene are combinations of.
type Basis = Literal['vca', 'svd']


class HySURE(Pansharpener):
    """The cube whose images in a subspace have the least total variation.

    Spectra are combinations of few ones (*endmembers*), so few images of coefficients are
    sought: those that, blurred and decimated, make the cube, and, weighted with the
    response of the PAN, the PAN, with few edges, which lie at the same places in all of
    them. Blur and response are estimated from the images. Solved by the alternating
    direction method of multipliers. https://doi.org/10.1109/TGRS.2014.2375320

    Subspace, response and blur are those of each input, also of each tile of a scene.

    Example:
        >>> model = HySURE(endmembers=3, iterations=5)
        >>> model(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    context = 12

    def __init__(
        self,
        endmembers: int = 10,
        smooth_response: float = 10.0,
        smooth_blur: float = 10.0,
        support: int = 10,
        weight: float = 1e-2,
        pan_weight: float = 1.0,
        step: float = 0.05,
        iterations: int = 200,
        overlap: Sequence[int] | Tensor | None = None,
        wavelength: Sequence[float] | Tensor | None = None,
        pan: PanRange = (0.4, 0.7),
        basis: Basis = 'vca',
        restarts: int = 20,
        seed: int = 0,
        as_published: bool = False,
        **options: Any,
    ) -> None:
        """Initialize a new HySURE instance.

        Args:
            endmembers: Dimension of the subspace; as many as there are bands at most.
            smooth_response: How smooth the response of the PAN is.
            smooth_blur: How smooth the blur of the cube is.
            support: Rows and columns of the blur, in pixels of the PAN.
            weight: Weight of the total variation, for cubes whose largest value is 1.
            pan_weight: Weight of the difference to the PAN; that to the cube is 1.
            step: Weight of the constraints of the solver; changes how fast it converges.
            iterations: Number of steps.
            overlap: Numbers of the bands that the PAN sees, or True for them, shape
                ``(C,)``; by default, those that *wavelength* says, or all.
            wavelength: Band centers in micrometres, shape ``(C,)``.
            pan: Name of the panchromatic band, or its first and last wavelength in
                micrometres; used with *wavelength*.
            basis: ``'vca'``, extreme spectra, or ``'svd'``, orthogonal directions.
            restarts: How often to look for extreme spectra; the best are taken.
            seed: Seed of the random directions for that.
            as_published: Whether to decimate with the offset 1 of the published code, and
                to take the image for periodic.
            **options: Arguments of :class:`Pansharpener`.

        Raises:
            UnitError: If wavelengths look like nanometres.
            ValueError: If a number is out of its range, or *basis* unknown.
        """
        super().__init__(**options)
        counts = (endmembers, support, iterations, restarts)
        if min(counts) < 1 or min(weight, pan_weight) < 0 or not step > 0:
            raise ValueError(
                'Expected at least one endmember, pixel of support, iteration and try, '
                f'weights >= 0 and a step > 0, got {counts}, {weight}, {pan_weight} and '
                f'{step}.'
            )
        if basis not in ('vca', 'svd'):
            raise ValueError(f'Expected the basis vca or svd, got {basis!r}.')
        self.endmembers, self.support, self.iterations = endmembers, support, iterations
        self.smooth_response, self.smooth_blur = smooth_response, smooth_blur
        self.weight, self.pan_weight, self.step = weight, pan_weight, step
        self.basis, self.restarts, self.seed = basis, restarts, seed
        self.as_published = as_published
        if overlap is None and wavelength is not None:
            overlap = pan_bands(wavelength, pan)
        self.overlap = None if overlap is None else torch.as_tensor(overlap)

    @torch.no_grad()
    def sharpen(self, pair: Pair) -> Tensor:
        """Estimate the sensors, then solve.

        Args:
            pair: Cube and PAN.

        Returns:
            Cubes of shape ``(B, C, H, W)``, without gradients.

        Raises:
            BandMismatchError: If the overlap is of other bands.
            EmptyDataError: If no band overlaps with the PAN.
        """
        top = pair.cube.flatten(1).amax(1)[:, None, None, None]
        scale = torch.where(top > 0, top, 1)
        cube, pan = pair.cube / scale, pair.pan / scale
        offset = 1 if self.as_published else pair.ratio // 2
        sensors = estimate_sensors(
            cube,
            pan,
            overlap=self._overlap(cube.shape[1]),
            size=self.support,
            offset=offset,
            smooth_response=self.smooth_response,
            smooth_kernel=self.smooth_blur,
        )
        basis = self._basis(cube)
        solver = _Solver.build(self, cube, pan, sensors, basis, offset)
        found = solver.solve(self.iterations)
        return torch.einsum('bcp,bphw->bchw', basis.to(found), found) * scale

    def _overlap(self, bands: int) -> Tensor:
        if self.overlap is None:
            return torch.ones(bands, dtype=torch.bool)
        if self.overlap.dtype == torch.bool:
            mask = self.overlap
            fits = mask.shape == (bands,)
        else:
            mask = torch.zeros(bands, dtype=torch.bool)
            number = self.overlap.long()
            fits = bool(((number >= -bands) & (number < bands)).all())
            if fits:
                mask[number] = True
        if not fits:
            raise BandMismatchError(
                f'Expected the overlap with the PAN for {bands} bands, got '
                f'{self.overlap.tolist()}.'
            )
        if not bool(mask.any()):
            raise EmptyDataError(
                'No band of the cube overlaps with the PAN, so its response cannot be '
                'estimated. Pass overlap, or the range of the PAN as pan.'
            )
        return mask

    def _basis(self, cube: Tensor) -> Tensor:
        """Return spectra that span the subspace, shape ``(B, C, P)``, float64."""
        flat = cube.double().flatten(2)
        count = min(self.endmembers, *flat.shape[1:])
        space = torch.linalg.eigh(flat @ flat.mT)[1][..., -count:]
        if self.basis == 'svd':
            return space
        generator = torch.Generator().manual_seed(self.seed)
        found = [
            vertex_component_analysis(spectra, count, generator, self.restarts)[0]
            for spectra in flat
        ]
        return space @ (space.mT @ torch.stack(found))


class _Solver(NamedTuple):
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
        cls,
        model: HySURE,
        cube: Tensor,
        pan: Tensor,
        sensors: Sensors,
        basis: Tensor,
        offset: int,
    ) -> '_Solver':
        """Compute what does not change from step to step.

        Args:
            model: The method.
            cube: Cubes of shape ``(B, C, h, w)``.
            pan: PANs of shape ``(B, 1, H, W)``.
            sensors: Response and blur.
            basis: Endmembers of shape ``(B, C, P)``.
            offset: Sample of the first coarse pixel.

        Returns:
            The solver.
        """
        ratio, step = pan.shape[-1] // cube.shape[-1], model.step
        # the image is periodic, so a margin without data parts its borders
        margin = 0 if model.as_published else -(-model.support // ratio) + 1
        padded = F.pad(pan, (0, margin * ratio) * 2, mode='replicate')
        blur = Blur(sensors.kernel.to(cube), ratio, offset, cube.shape[-2:])
        size = padded.shape[-2:]
        transfer = blur.transfer(size).abs().square()
        transfer = transfer + _difference_power(size).to(transfer) + 1
        gram = basis.mT @ basis
        same = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
        inverse = torch.linalg.inv(gram + step * same)
        target = inverse @ basis.mT @ cube.flatten(2).double()
        response = torch.einsum('bcp,bc->bp', basis, sensors.response)
        power = response.square().sum(1)
        pull = model.pan_weight / (step + model.pan_weight * power)
        return cls(
            target.unflatten(2, cube.shape[-2:]).to(cube),
            (step * inverse).to(cube),
            padded,
            response[..., None, None].to(cube),
            pull[:, None, None, None].to(cube),
            blur,
            transfer.reciprocal(),
            model.weight / step,
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
        return torch.fft.rfft2(whole)[:, None]

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
    return (2 - 2 * rows.cos())[:, None] + (2 - 2 * cols.cos())


@register_model
def hysure(**options: Any) -> HySURE:
    """Build :class:`HySURE`.

    Args:
        **options: Arguments of :class:`HySURE`.

    Returns:
        The method.
    """
    return HySURE(**options)
