# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Denoising of the images of a subspace."""

import torch
from torch import Tensor, nn

from ...._typing import PathLike
from ....errors import UnknownNameError
from ....physics.subspace import RankRule, Subspace, signal_subspace
from ...api import register_model
from ._spectral_scene import SIGMA_SCALE, SpectralSceneModel, in_gaps
from .eigen_image_denoisers import DENOISERS, build_denoiser, denoise_images
from .wavelet_shrinkage import WaveletShrinkage


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
        self, denoiser: nn.Module | None = None, rank: int | RankRule = 'edge'
    ) -> None:
        """Initialize a new SubspaceDenoiser instance.

        Args:
            denoiser: Module that takes eigen-images of shape ``(B, K, H, W)`` and the
                standard deviation of their noise, times 255, and returns them without
                noise; by default, they stay as they are. The noise of each is 1. With
                an attribute ``needs_range`` that is true, it also gets the mean and
                the standard deviation of the images, of shape ``(B, K)`` each.
            rank: Dimension of the subspace, or how to find it, see
                :func:`~torchgeo_hsi.physics.signal_subspace`.
        """
        super().__init__()
        self.denoiser = denoiser
        self.rank = rank

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
        stack = in_gaps(stack, center.to(stack)[..., None, None], valid)
        stack = self._denoise(stack, center, space)
        result = torch.einsum('bkhw,bck->bchw', stack, back.expand(len(image), -1, -1))
        return in_gaps(result, image, valid)

    def _denoise(self, stack: Tensor, center: Tensor, space: Subspace) -> Tensor:
        if self.denoiser is None:
            return stack
        return denoise_images(self.denoiser, stack, SIGMA_SCALE, center, space.power)


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
    denoiser: str | list[str] | nn.Module = 'collaborative',
    weights: PathLike | None = None,
    rank: int | RankRule = 'edge',
    ensemble: bool = False,
) -> SubspaceDenoiser:
    """Build :class:`SubspaceDenoiser` with any denoiser.

    Args:
        denoiser: A name as for :func:`fasthyde`, the name of a network that has an
            option ``noise_map``, such as ``'man_s'`` (:class:`EigenImageNetwork`), a
            list of these (:class:`MeanDenoiser`), or a module.
        weights: Weights of the network, if there is one by name.
        rank: Dimension of the subspace, or how to find it.
        ensemble: Whether a network sees the images in eight positions.

    Returns:
        The method. A network in it can be trained.

    Raises:
        UnknownNameError: If neither a denoiser nor a network has this name.
        ValueError: If *weights* are given for something else than the name of a network.
    """
    return SubspaceDenoiser(build_denoiser(denoiser, weights, ensemble), rank)
