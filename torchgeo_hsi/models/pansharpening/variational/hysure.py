# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Pansharpening in a subspace, with vector total variation."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from ....errors import BandMismatchError, EmptyDataError
from ....physics.endmembers import vertex_component_analysis
from ....physics.panchromatic import PanRange, pan_bands
from ...api import register_model
from ..base import Pansharpener
from ..pair import Pair
from ._admm import Solver, Terms
from ._sensors import estimate_sensors

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
        solver = Solver.build(
            cube,
            pan,
            sensors,
            basis,
            Terms(
                offset=offset,
                # the image is periodic, so a margin without data parts its borders
                margin=0 if self.as_published else -(-self.support // pair.ratio) + 1,
                weight=self.weight,
                pan_weight=self.pan_weight,
                step=self.step,
            ),
        )
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
        space: Tensor = torch.linalg.eigh(flat @ flat.mT)[1][..., -count:]
        if self.basis == 'svd':
            return space
        generator = torch.Generator().manual_seed(self.seed)
        found = [
            vertex_component_analysis(spectra, count, generator, self.restarts)[0]
            for spectra in flat
        ]
        projected: Tensor = space @ (space.mT @ torch.stack(found))
        return projected


@register_model
def hysure(**options: Any) -> HySURE:
    """Build :class:`HySURE`.

    Args:
        **options: Arguments of :class:`HySURE`.

    Returns:
        The method.
    """
    return HySURE(**options)
