# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Low rank along the bands, total variation along rows and columns."""

import math

import torch
from torch import Tensor

from ...api import register_model
from ._spectral_scene import SpectralSceneModel, in_gaps

#: Weight of the splitting; it changes how fast the method is, not where it ends.
_PENALTY = 0.5


class LowRankTV(SpectralSceneModel):
    r"""Denoise a cube that has low rank, few edges and few gross errors.

    With spectra *Y* divided by the noise of their bands, it looks for a basis *U*,
    images *Z* and a sparse *S* with the smallest

    .. math:: \tfrac12 \|Y - U Z - S\|^2 + \tau\,\mathrm{TV}(Z) + \lambda \|S\|_1

    where TV is the isotropic total variation, one part after the other. That is a
    method of the type of LRTV, https://doi.org/10.1109/TGRS.2015.2452812, with the
    total variation of a few images instead of all bands, a weight for each band, and a
    bound on the rank instead of a nuclear norm.

    The noise is that of the whole scene, see
    :class:`~torchgeo_hsi.layers.SceneModel`; the basis is that of each input.

    Example:
        >>> model = LowRankTV()
        >>> model(torch.rand(1, 50, 32, 32)).shape
        torch.Size([1, 50, 32, 32])
    """

    def __init__(
        self,
        rank: int = 8,
        smoothness: float = 1.0,
        sparsity: float = 1.5,
        iterations: int = 20,
        passes: int = 5,
    ) -> None:
        r"""Initialize a new LowRankTV instance.

        Args:
            rank: Number of images.
            smoothness: Weight of the total variation, :math:`\tau`, in standard
                deviations of the noise.
            sparsity: From how many standard deviations on an error is gross,
                :math:`\lambda`.
            iterations: Iterations for the images.
            passes: How often basis, images and errors take turns.

        Raises:
            ValueError: If a number is not positive.
        """
        super().__init__()
        numbers = (rank, smoothness, sparsity, iterations, passes)
        if min(numbers) <= 0:
            raise ValueError(
                'Expected a positive rank, smoothness, sparsity and numbers of '
                f'iterations and passes, got {", ".join(map(str, numbers))}.'
            )
        self.rank = rank
        self.smoothness = smoothness
        self.sparsity = sparsity
        self.iterations = iterations
        self.passes = passes

    def forward(
        self,
        image: Tensor,
        sigma: float | Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Denoise a batch.

        Args:
            image: Images of shape ``(B, C, H, W)``.
            sigma: Standard deviation of the noise, times 255: a number, or those of the
                bands, shape ``(C,)`` or ``(B, C)``; estimated by default.
            valid: True for pixels with data, shape ``(B, H, W)``; all by default. The
                others stay as they are.

        Returns:
            Images of the same shape.

        Raises:
            BandMismatchError: If shapes do not fit, or the method has settled on a scene
                with other bands.
            EmptyDataError: If an image has no valid pixel.
            UnitError: If *sigma* is not positive.
        """
        moments = self.moments(image, valid)
        scale = self.noise(moments, sigma)[..., None, None]
        filled = in_gaps(image, moments.mean.to(image)[..., None, None], valid)
        white = (filled.double() / scale).to(
            torch.promote_types(image.dtype, torch.float32)
        )
        result = (self._solve(white) * scale).to(image.dtype)
        return in_gaps(result, image, valid)

    def _solve(self, white: Tensor) -> Tensor:
        """Find the low-rank part of cubes with noise of standard deviation 1."""
        sparse = torch.zeros_like(white)
        low = white
        smoother = _Smoother(white, self.smoothness)
        for _ in range(self.passes):
            basis = _basis(white - sparse, self.rank)
            stack = torch.einsum('bck,bchw->bkhw', basis, white - sparse)
            stack = smoother.solve(stack, self.iterations)
            low = torch.einsum('bck,bkhw->bchw', basis, stack)
            errors = white - low
            sparse = errors.sign() * (errors.abs() - self.sparsity).clamp_min(0)
        return low


class _Smoother:
    """Total variation of images.

    Args:
        like: A tensor of the rows, columns, type and device of the images.
        strength: Weight of the total variation.
    """

    def __init__(self, like: Tensor, strength: float) -> None:
        height, width = like.shape[-2:]
        self._rows, self._columns = (_cosines(n).to(like) for n in (height, width))
        self._divisor = 1 + _PENALTY * _laplacian(height, width).to(like)
        self._step = strength / _PENALTY

    def solve(self, stack: Tensor, iterations: int) -> Tensor:
        """Minimize half the squared distance to images plus their total variation."""
        clean = stack
        down, right = _differences(clean)
        dual_down, dual_right = torch.zeros_like(down), torch.zeros_like(right)
        for _ in range(iterations):
            right_side = stack + _PENALTY * _adjoint(
                down - dual_down, right - dual_right
            )
            spectrum = self._rows @ right_side @ self._columns.T / self._divisor
            clean = self._rows.T @ spectrum @ self._columns
            d_down, d_right = _differences(clean)
            down, right = d_down + dual_down, d_right + dual_right
            length = (down.square() + right.square()).sqrt()
            gain = (1 - self._step / length.clamp_min(1e-12)).clamp_min(0)
            down, right = down * gain, right * gain
            dual_down = dual_down + d_down - down
            dual_right = dual_right + d_right - right
        return clean


def _basis(cube: Tensor, rank: int) -> Tensor:
    """Return the strongest directions of spectra, shape (B, C, K)."""
    spectra = cube.flatten(2)
    matrix = (spectra @ spectra.mT).double()
    basis: Tensor = torch.linalg.eigh(matrix).eigenvectors[..., -rank:].to(cube)
    return basis


def _differences(cube: Tensor) -> tuple[Tensor, Tensor]:
    """Subtract each pixel from the one below, and the one to the right; 0 at the end."""
    down, right = torch.zeros_like(cube), torch.zeros_like(cube)
    down[..., :-1, :] = cube[..., 1:, :] - cube[..., :-1, :]
    right[..., :-1] = cube[..., 1:] - cube[..., :-1]
    return down, right


def _adjoint(down: Tensor, right: Tensor) -> Tensor:
    """Apply the adjoint of the differences."""
    cube = torch.zeros_like(down)
    cube[..., 1:, :] += down[..., :-1, :]
    cube[..., :-1, :] -= down[..., :-1, :]
    cube[..., 1:] += right[..., :-1]
    cube[..., :-1] -= right[..., :-1]
    return cube


def _cosines(size: int) -> Tensor:
    """Matrix of the orthonormal cosine transform, which has the differences' borders."""
    steps = torch.arange(size, dtype=torch.float64)
    angle = math.pi * (2 * steps + 1) * steps[:, None] / (2 * size)
    matrix = angle.cos() * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix


def _laplacian(height: int, width: int) -> Tensor:
    """Eigenvalues of the differences and their adjoint, for the cosine transform."""
    rows, columns = (
        2 - 2 * (math.pi * torch.arange(n, dtype=torch.float64) / n).cos()
        for n in (height, width)
    )
    return rows[:, None] + columns


@register_model
def lrtv(
    rank: int = 8,
    smoothness: float = 1.0,
    sparsity: float = 1.5,
    iterations: int = 20,
    passes: int = 5,
) -> LowRankTV:
    r"""Build :class:`LowRankTV`.

    Args:
        rank: Number of images.
        smoothness: Weight of the total variation, in standard deviations of the noise.
        sparsity: From how many standard deviations on an error is gross.
        iterations: Iterations for the images.
        passes: How often basis, images and errors take turns.

    Returns:
        The method.
    """
    return LowRankTV(rank, smoothness, sparsity, iterations, passes)
