# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Super-resolution of the images of a subspace, for any number of bands."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..._precision import full_precision
from ..._typing import PathLike
from ...errors import BandMismatchError
from ...layers import self_ensemble
from ...physics.resampling import imresize_up
from ...physics.subspace import signal_subspace
from ..api import register_model
from ..denoising.classical._spectral_scene import SpectralSceneModel
from ._networks import build_network, check_local
from .base import SuperResolver, without_gaps

#: Least standard deviation of an eigen-image: in units of the noise, and as a share of
#: that of the strongest one. What is below are the last digits of its numbers.
_LEAST, _SHARE = 0.5, 1e-4

#: What stands for the noise where it is not known: last digits, as a share of the image.
_DIGITS = 1e-6

#: Fewest bands that tell noise from ground.
_LEAST_BANDS = 4


class _Frame(NamedTuple):
    """The way from bands to eigen-images, and back.

    Args:
        mean: Mean spectra, shape ``(B, C)``.
        there: From spectra without their mean to eigen-images, shape ``(B, K, C)``.
        back: From eigen-images to spectra, shape ``(B, C, K)``.
    """

    mean: Tensor
    there: Tensor
    back: Tensor


class SubspaceSuperResolver(SuperResolver, SpectralSceneModel):
    r"""Enlarge a few images instead of hundreds of bands.

    Spectra of a scene lie close to a subspace of a few dimensions. A network of
    super-resolution gets the images of the coefficients, called eigen-images, strongest
    first, each with mean 0 and standard deviation 1. What it makes better than
    interpolation is brought back to the bands; all else of a spectrum is interpolated:

    .. math:: Y = \uparrow X + V (f(U X) - \uparrow U X)

    So a network that only interpolates changes nothing, a network can be trained on one
    sensor and used on others, and it is as fast for 200 bands as for 50.

    Spectra are first divided by the noise of their bands, estimated as for
    :class:`SubspaceDenoiser`, so that no eigen-image is spent on the noise of a bad
    band. The sign of an eigen-image means nothing; in training it is drawn at random.

    Subspace, means and deviations are those of the whole scene, see
    :class:`~torchgeo_hsi.layers.SceneModel`; no gradient goes through them.

    Example:
        >>> from torchgeo_hsi.models import get_model
        >>> model = SubspaceSuperResolver(get_model('bicubic', scale=2), rank=6)
        >>> model(torch.rand(1, 50, 16, 16)).shape
        torch.Size([1, 50, 32, 32])
    """

    def __init__(
        self,
        network: SuperResolver,
        rank: int | None = None,
        whiten: bool = True,
        ensemble: bool = False,
    ) -> None:
        """Initialize a new SubspaceSuperResolver instance.

        Args:
            network: Enlarges the eigen-images.
            rank: Number of eigen-images; the bands of the network by default, or 8 if
                it takes any.
            whiten: Whether spectra are divided by the noise of their bands. Images with
                fewer than four bands never are.
            ensemble: Whether the result is the mean over the eight turns and
                reflections of the images, except in training. It takes eight times as
                long.

        Raises:
            BandMismatchError: If the network takes another number of images.
            ValueError: If *rank* is not positive, or the network looks at whole scenes.
        """
        super().__init__(network.scale)
        check_local(network)
        if rank is None:
            rank = network.in_channels or 8
        if rank < 1:
            raise ValueError(f'Expected at least 1 eigen-image, got {rank}.')
        if network.in_channels not in (None, rank):
            raise BandMismatchError(
                f'Expected a network for {rank} eigen-images, got one for '
                f'{network.in_channels} bands. Build it with in_channels={rank}.'
            )
        self.network = network
        self.context = max(network.context, 2)
        self.rank = rank
        self.whiten = whiten
        self.ensemble = ensemble

    def forward(self, image: Tensor, valid: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """Enlarge a batch.

        Args:
            image: Images of shape ``(B, C, h, w)``.
            valid: True for pixels with data, shape ``(B, h, w)``; all by default. The
                others do not count in the subspace, and are filled with the nearest
                pixel; what comes out for them means nothing.

        Returns:
            Images of shape ``(B, C, scale * h, scale * w)``.

        Raises:
            BandMismatchError: If shapes do not fit, or the method has settled on a scene
                with other bands.
            EmptyDataError: If an image has no valid pixel.
            UnitError: If valid pixels hold NaN.
        """
        self.check(image)
        frame = self._frame(image, valid)
        if valid is not None:
            image = without_gaps(image, valid)
        return self._enlarge(image, frame)

    def enlarge(self, image: Tensor) -> Tensor:
        """Enlarge images without gaps.

        Args:
            image: Images of shape ``(B, C, h, w)``.

        Returns:
            Images of shape ``(B, C, scale * h, scale * w)``.
        """
        return self._enlarge(image, self._frame(image, None))

    @torch.no_grad()
    def _frame(self, image: Tensor, valid: Tensor | None) -> _Frame:
        """Find the subspace of images, or that of the scene."""
        moments = self.moments(image, valid)
        if self.whiten and image.shape[1] >= _LEAST_BANDS:
            noise = self.noise(moments, None)
        else:
            power = moments.correlation.diagonal(dim1=1, dim2=2).mean(1, keepdim=True)
            noise = (_DIGITS * power.sqrt()).clamp_min(1e-30).expand_as(moments.mean)
        mean = moments.mean
        covariance = moments.correlation - mean.unsqueeze(2) * mean.unsqueeze(1)
        space = signal_subspace(covariance, noise, moments.number, self.rank)
        spread = space.power.clamp_min(0).sqrt()
        spread = torch.maximum(spread, (_SHARE * spread[:, :1]).clamp_min(_LEAST))
        there = (space.basis / noise.unsqueeze(2) / spread.unsqueeze(1)).mT
        back = space.basis * noise.unsqueeze(2) * spread.unsqueeze(1)
        # the same on every machine
        sign = torch.where(back.sum(1) < 0, -1.0, 1.0)
        if self.training:
            shape = len(image), sign.shape[1]
            sign = 2.0 * torch.randint(2, shape, device=image.device) - 1
        parts = moments.mean, sign.unsqueeze(2) * there, sign.unsqueeze(1) * back
        return _Frame(
            *(part.to(image).expand(len(image), *part.shape[1:]) for part in parts)
        )

    def _enlarge(self, image: Tensor, frame: _Frame) -> Tensor:
        # in half precision, small differences of large numbers would be lost
        with full_precision(image.device):
            spectra = image.flatten(2) - frame.mean.unsqueeze(2)
            stack = (frame.there @ spectra).view(len(image), -1, *image.shape[2:])
            plain = imresize_up(stack, self.scale)
            result = imresize_up(image, self.scale)
        # fewer bands than eigen-images
        lacking = self.rank - stack.shape[1]
        whole = F.pad(stack, (0, 0, 0, 0, 0, lacking)) if lacking else stack
        fine = self._fine_images(whole)[:, : stack.shape[1]]
        with full_precision(image.device):
            change = (fine.to(plain) - plain).flatten(2)
            return torch.baddbmm(result.flatten(2), frame.back, change).view_as(result)

    def _fine_images(self, stack: Tensor) -> Tensor:
        # a network has a precision of its own
        like = next(
            (p for p in self.network.parameters() if p.is_floating_point()), stack
        )
        stack = stack.to(like.dtype)
        if self.training or not self.ensemble:
            fine: Tensor = self.network(stack)
            return fine
        return self_ensemble(self.network, stack)


@register_model
def subspace_superresolution(
    network: str | SuperResolver = 'essaformer',
    weights: PathLike | None = None,
    rank: int = 8,
    scale: int = 2,
    dim: int | None = 32,
    whiten: bool = True,
    ensemble: bool = False,
    dropout: float = 0.0,
) -> SubspaceSuperResolver:
    """Build :class:`SubspaceSuperResolver`.

    Args:
        network: Name of a network, or the network itself. By name, it adds its result to
            the interpolated images (``residual=True``) if it knows how to.
        weights: Its weights, see :func:`load_restoration_weights`; random ones by
            default.
        rank: Number of eigen-images.
        scale: Factor of rows and columns, unless the network itself is given.
        dim: Channels of the network (``dim`` or ``n_feats``); its own default if None.
        whiten: Whether spectra are divided by the noise of their bands.
        ensemble: Whether the network sees the images in eight positions.
        dropout: Share of the channels that a network with dropout leaves out in
            training; small ones need all.

    Returns:
        The method. The network in it can be trained.

    Raises:
        UnknownNameError: If there is no such network.
        ValueError: If *weights* are given for something that has none.
    """
    words: dict[str, Any] = {'in_channels': rank, 'scale': scale}
    words |= {'residual': True, 'dropout': dropout}
    inside = build_network(network, weights, dim, **words)
    return SubspaceSuperResolver(inside, rank, whiten, ensemble)
