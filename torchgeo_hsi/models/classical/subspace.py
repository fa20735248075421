# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Denoising of the images of a subspace."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..._typing import PathLike
from ...errors import UnknownNameError
from ...physics.subspace import RankRule, Subspace, signal_subspace
from ..api import get_model, register_model
from ._spectral_scene import SIGMA_SCALE, SpectralSceneModel
from .bm3d import BM3D
from .collaborative_filter import CollaborativeFilter
from .wavelet_shrinkage import WaveletShrinkage

#: Denoisers that need no training, by name.
DENOISERS: dict[str, Callable[[], nn.Module]] = {
    'bm3d': BM3D,
    'collaborative': CollaborativeFilter,
    'wavelet': WaveletShrinkage,
}

# a network for images in [0, 1] gets six standard deviations of an eigen-image
_SPREAD = 6.0


class SubspaceDenoiser(SpectralSceneModel):
    """Denoise a few images instead of hundreds of bands.

    Spectra of a scene lie close to a subspace of a few dimensions. They are divided by
    the noise of each band and projected on it; the images of the coefficients, called
    eigen-images, have independent noise of the same strength, so any denoiser for
    images can be applied to them; then the way back. That is FastHyDe,
    https://doi.org/10.1109/JSTARS.2018.2796570, with any denoiser. The noise is
    estimated from the image unless it is given.

    The noise has to be independent from band to band and from pixel to pixel. Stripes,
    dead columns and impulses are not; see :class:`RobustSubspaceDenoiser`.

    Noise and subspace are those of the whole scene, see
    :class:`~torchgeo_hsi.layers.SceneModel`.

    Example:
        >>> model = SubspaceDenoiser()
        >>> model(torch.rand(1, 50, 32, 32)).shape
        torch.Size([1, 50, 32, 32])
    """

    def __init__(
        self,
        denoiser: nn.Module | None = None,
        rank: int | RankRule = 'edge',
        unit_range: bool = False,
    ) -> None:
        """Initialize a new SubspaceDenoiser instance.

        Args:
            denoiser: Module that takes eigen-images of shape ``(B, K, H, W)`` and the
                standard deviation of their noise, times 255, a number or of shape
                ``(B, K)``, and returns them without noise; by default, they stay as
                they are.
            rank: Dimension of the subspace, or how to find it, see
                :func:`~torchgeo_hsi.physics.signal_subspace`.
            unit_range: Whether *denoiser* is made for numbers in [0, 1]: each
                eigen-image is brought there by its mean and standard deviation.
                Otherwise it gets noise of standard deviation 1, which is 255.
        """
        super().__init__()
        self.denoiser = denoiser
        self.rank = rank
        self.unit_range = unit_range

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
        noise = self.noise(moments, sigma)
        space = signal_subspace(moments.correlation, noise, moments.number, self.rank)
        spread = noise.unsqueeze(-1)
        center = ((moments.mean / noise).unsqueeze(1) @ space.basis).squeeze(1)
        there, back = (space.basis / spread).to(image), (space.basis * spread).to(image)
        stack = torch.einsum('bchw,bck->bkhw', image, there.expand(len(image), -1, -1))
        if valid is not None:
            gaps = ~valid.unsqueeze(1)
            stack = torch.where(gaps, center.to(stack)[..., None, None], stack)
        stack = self._denoise(stack, center, space)
        result = torch.einsum('bkhw,bck->bchw', stack, back.expand(len(image), -1, -1))
        return result if valid is None else torch.where(gaps, image, result)

    def _denoise(self, stack: Tensor, center: Tensor, space: Subspace) -> Tensor:
        if self.denoiser is None:
            return stack
        if not self.unit_range:
            clean: Tensor = self.denoiser(stack, SIGMA_SCALE)
            return clean
        spread = _SPREAD * (space.power - center.square()).clamp_min(1e-6).sqrt()
        low = (center - spread / 2).to(stack)[..., None, None]
        width = spread.to(stack).expand(stack.shape[:2])
        clean = self.denoiser(
            (stack - low) / width[..., None, None], SIGMA_SCALE / width
        )
        return clean * width[..., None, None] + low


def _denoiser(
    denoiser: str | nn.Module, weights: PathLike | None
) -> tuple[nn.Module, bool]:
    """Build a denoiser by name, and say whether it is made for numbers in [0, 1]."""
    if isinstance(denoiser, nn.Module):
        if weights is not None:
            raise ValueError(
                'Expected weights only with the name of a network, got a module. Load '
                'them into it before.'
            )
        return denoiser, False
    if denoiser in DENOISERS:
        if weights is not None:
            raise ValueError(
                f'The denoiser {denoiser!r} has no weights; leave them out.'
            )
        return DENOISERS[denoiser](), False
    network = get_model(denoiser, weights=weights, noise_map=True)
    return network.requires_grad_(False).eval(), True


@register_model
def svd(rank: int | RankRule = 'mdl') -> SubspaceDenoiser:
    """Build :class:`SubspaceDenoiser` that only projects spectra on the subspace.

    Args:
        rank: Dimension of the subspace, or how to find it.

    Returns:
        The method.
    """
    return SubspaceDenoiser(None, rank)


@register_model
def fasthyde(
    denoiser: str = 'collaborative', rank: int | RankRule = 'edge'
) -> SubspaceDenoiser:
    """Build :class:`SubspaceDenoiser` of the type of FastHyDe.

    Args:
        denoiser: ``'collaborative'`` (:class:`CollaborativeFilter`), ``'wavelet'``
            (:class:`WaveletShrinkage`), or ``'bm3d'`` (:class:`BM3D`, as published).
        rank: Dimension of the subspace, or how to find it.

    Returns:
        The method.

    Raises:
        UnknownNameError: If there is no such denoiser.
    """
    if denoiser not in DENOISERS:
        raise UnknownNameError('denoiser', denoiser, DENOISERS)
    return SubspaceDenoiser(DENOISERS[denoiser](), rank)


@register_model
def hyres(rank: int | RankRule = 'edge') -> SubspaceDenoiser:
    """Build :class:`SubspaceDenoiser` of the type of HyRes, with wavelets.

    Args:
        rank: Dimension of the subspace, or how to find it.

    Returns:
        The method.
    """
    return SubspaceDenoiser(WaveletShrinkage(), rank)


@register_model
def subspace(
    denoiser: str | nn.Module = 'collaborative',
    weights: PathLike | None = None,
    rank: int | RankRule = 'edge',
    unit_range: bool | None = None,
) -> SubspaceDenoiser:
    """Build :class:`SubspaceDenoiser` with any denoiser.

    Args:
        denoiser: A name as for :func:`fasthyde`, the name of a network that has an
            option ``noise_map``, such as ``'man_s'``, or a module that takes images and
            the strength of their noise.
        weights: Weights of the network, if it is given by its name.
        rank: Dimension of the subspace, or how to find it.
        unit_range: Whether the denoiser is made for numbers in [0, 1]; True for
            networks given by name, and False otherwise.

    Returns:
        The method.

    Raises:
        UnknownNameError: If neither a denoiser nor a network has this name.
        ValueError: If *weights* are given for something else than the name of a network.
    """
    module, is_network = _denoiser(denoiser, weights)
    unit_range = is_network if unit_range is None else unit_range
    return SubspaceDenoiser(module, rank, unit_range)
