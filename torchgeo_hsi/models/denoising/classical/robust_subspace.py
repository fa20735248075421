# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Denoising of the images of a subspace where some measurements are wrong."""

from typing import Any

import torch
from torch import Tensor, nn

from ...._typing import PathLike
from ....errors import BandMismatchError, EmptyDataError
from ....layers import SceneModel
from ...api import register_model
from ._robust_fit import RobustSpace, fit_space, outlier_weights, solve_coefficients
from ._spectral_scene import SIGMA_SCALE, check_image, given_noise
from .collaborative_filter import CollaborativeFilter
from .eigen_image_denoisers import build_denoiser, denoise_images

#: Spectra from which the subspace is found.
_SAMPLE = 8192

#: Fits of the coefficients, each with the weights of the one before.
_FITS = 6

#: Offsets of columns count from so many of their standard errors on.
_OFFSET = 4.0

#: Share of wrong measurements that does not matter.
_FEW = 1e-3

#: Rows that a column needs at least to have an offset.
_ROWS = 16


class RobustSubspaceDenoiser(SceneModel):
    """Denoise a few images instead of hundreds of bands, where some bands are wrong.

    As :class:`SubspaceDenoiser`, but a spectrum is not projected on the subspace: its
    coefficients are fitted, and what does not agree with the rest of the spectrum
    counts little or not at all. So a pixel that is wrong in some bands is told from the
    others, and impulses, dead columns and stripes go together with the Gaussian noise:

    * Values that many pixels of a band have exactly (dead, saturated or flipped
      elements) are no measurements.
    * The subspace and the noise of each band follow from a weighted factorization of
      8,192 spectra, in which large residuals count little.
    * Offsets of whole columns are estimated from their residuals and taken out.
    * Coefficients are fitted, denoised, and judged again by the result.

    The model of the noise is that of methods such as L1HyMixDe,
    https://doi.org/10.1109/JSTARS.2020.2979801; the way is another one.

    Stripes have to run along the columns of the image, as in products that have not
    been resampled to a map. In pure Gaussian noise, :class:`SubspaceDenoiser` is a
    little better; in noise that has been clipped to a range it is much better, because
    clipped numbers look like saturated ones.

    Example:
        >>> model = RobustSubspaceDenoiser()
        >>> model(torch.rand(1, 50, 32, 32)).shape
        torch.Size([1, 50, 32, 32])
    """

    needs_scene = True

    def __init__(
        self,
        denoiser: nn.Module | None = None,
        rank: int | None = None,
        passes: int = 3,
    ) -> None:
        """Initialize a new RobustSubspaceDenoiser instance.

        Args:
            denoiser: Module that takes eigen-images of shape ``(B, K, H, W)`` and the
                standard deviation of their noise, times 255, of shape ``(B, K)``, and
                returns them without noise, see :class:`SubspaceDenoiser`;
                :class:`CollaborativeFilter` by default.
            rank: Dimension of the subspace; found by default.
            passes: How often the measurements are judged by the denoised image.

        Raises:
            ValueError: If *rank* or *passes* is not positive.
        """
        super().__init__()
        if passes < 1 or (rank is not None and rank < 1):
            raise ValueError(
                f'Expected a positive rank and number of passes, got {rank}, {passes}.'
            )
        self.denoiser = CollaborativeFilter() if denoiser is None else denoiser
        self.rank = rank
        self.passes = passes
        self._space: RobustSpace | None = None
        self._sample: Tensor | None = None
        self._sigma: Tensor | None = None
        self._keys = torch.empty(0)
        self._rng = torch.Generator()
        self.forget()

    @property
    def is_settled(self) -> bool:
        """Whether the statistics of a scene are used instead of those of each input."""
        return self._space is not None

    def observe(
        self, image: Tensor, valid: Tensor | None = None, **inputs: Any
    ) -> None:
        """Take spectra of a tile into the sample of the scene.

        Args:
            image: Tiles of shape ``(B, C, H, W)``.
            valid: True for pixels that count, shape ``(B, H, W)``; all by default.
            **inputs: More arguments of ``forward``: *sigma* is that of the scene.

        Raises:
            BandMismatchError: If shapes do not fit.
        """
        check_image(image)
        spectra = _spectra(image, valid)
        if inputs.get('sigma') is not None:
            self._sigma = given_noise(inputs['sigma'], image)[0] / SIGMA_SCALE
        keys = torch.rand(spectra.shape[1], generator=self._rng)
        if self._sample is not None:
            if len(self._sample) != len(spectra):
                raise _other_bands(len(self._sample), len(spectra))
            spectra = torch.cat([self._sample, spectra], 1)
            keys = torch.cat([self._keys, keys])
        # the smallest keys of all pixels are a random sample of the scene
        keys, chosen = keys.topk(min(_SAMPLE, len(keys)), largest=False)
        self._sample, self._keys = spectra[:, chosen.to(spectra.device)], keys

    def settle(self) -> None:
        """Use what was observed from now on.

        Raises:
            EmptyDataError: If no valid pixel was observed.
        """
        if self._sample is None or self._sample.shape[1] == 0:
            raise EmptyDataError(
                'The method has observed no valid pixel of the scene. Call observe() '
                'with its tiles before settle().'
            )
        space = fit_space(self._sample.double(), self.rank, self._sigma)
        self.forget()
        self._space = space

    def forget(self) -> None:
        """Go back to the statistics of each input, the default."""
        self._space = self._sample = self._sigma = None
        self._keys = torch.empty(0)
        # the same tiles give the same sample
        self._rng = torch.Generator().manual_seed(0)

    def forward(
        self,
        image: Tensor,
        sigma: float | Tensor | None = None,
        valid: Tensor | None = None,
    ) -> Tensor:
        """Denoise a batch.

        Args:
            image: Images of shape ``(B, C, H, W)``.
            sigma: Standard deviation of the Gaussian noise, times 255: a number, or
                those of the bands, shape ``(C,)`` or ``(B, C)``; estimated by default.
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
        check_image(image)
        levels = [None] * len(image)
        if sigma is not None:
            given = given_noise(sigma, image).expand(len(image), -1) / SIGMA_SCALE
            levels = list(given)
        result = []
        for index, cube in enumerate(image):
            mask = None if valid is None else valid[index : index + 1]
            space = self._space_of(cube[None], mask, levels[index])
            result.append(self._restore(cube, space, mask))
        return torch.stack(result)

    def _space_of(
        self, image: Tensor, valid: Tensor | None, sigma: Tensor | None
    ) -> RobustSpace:
        if self._space is not None:
            space = RobustSpace(*(part.to(image.device) for part in self._space))
            if len(space.sigma) != image.shape[1]:
                raise _other_bands(len(space.sigma), image.shape[1])
            return space
        spectra = _spectra(image, valid)
        if spectra.shape[1] == 0:
            raise EmptyDataError(
                'An image has no valid pixel to estimate the noise from. Leave it out, '
                'or let the method observe the scene before.'
            )
        if spectra.shape[1] > _SAMPLE:
            rng = torch.Generator().manual_seed(0)
            chosen = torch.randperm(spectra.shape[1], generator=rng)[:_SAMPLE]
            spectra = spectra[:, chosen.to(spectra.device)]
        return fit_space(spectra.double(), self.rank, sigma)

    def _restore(
        self, cube: Tensor, space: RobustSpace, valid: Tensor | None
    ) -> Tensor:
        """Denoise one image of shape (C, H, W)."""
        spectra = cube.flatten(1).double()
        present = space.measured(spectra)
        if valid is not None:
            present &= valid.flatten()
            spectra = spectra.masked_fill(~valid.flatten(), 0)
        weight, scale = present.double(), space.sigma.unsqueeze(1)
        white = spectra / scale
        code = white.new_zeros(space.basis.shape[1], white.shape[1])
        for _ in range(_FITS):
            code = solve_coefficients(space, weight, white)
            weight = present * outlier_weights(white - space.basis @ code)
        for step in range(self.passes):
            residual = white - space.basis @ code
            offset = _column_offsets(residual, present, cube.shape[1:])
            weight = present * outlier_weights(residual - offset)
            # what is missing is as the last result says
            code = code + space.basis.T @ (weight * (residual - offset))
            share = space.basis.square().T
            # at first, what is missing is as noisy as the rest
            variance = share @ weight.square() if step else 1 / (share @ weight + 1e-3)
            code = self._denoise(code, variance, valid, cube.shape[1:], space)
            # nothing was wrong, so there is nothing to judge again
            if not bool(offset.any()) and (weight < 0.5).double().mean() < _FEW:
                break
        result = ((space.basis @ code) * scale).to(cube.dtype).view_as(cube)
        return result if valid is None else torch.where(valid, result, cube)

    def _denoise(
        self,
        code: Tensor,
        variance: Tensor,
        valid: Tensor | None,
        shape: torch.Size,
        space: RobustSpace,
    ) -> Tensor:
        if valid is not None:
            known = valid.flatten()
            mean = code[:, known].mean(1, keepdim=True).nan_to_num(0)
            code, variance = torch.where(known, code, mean), variance[:, known]
        sigma = SIGMA_SCALE * variance.mean(1).nan_to_num(1).sqrt().clamp_min(1e-3)
        stack = code.float().view(1, -1, *shape)
        moments = space.center[None], space.power[None]
        clean = denoise_images(self.denoiser, stack, sigma.float()[None], *moments)
        return clean.flatten(2)[0].double()


def _spectra(image: Tensor, valid: Tensor | None) -> Tensor:
    """Return the spectra of the valid pixels of images, shape (C, N)."""
    spectra = image.transpose(0, 1).flatten(1)
    if valid is None:
        return spectra
    shape = (image.shape[0], *image.shape[-2:])
    if valid.shape != shape:
        raise BandMismatchError(
            f'Expected valid of shape {shape}, as the image of shape '
            f'{tuple(image.shape)}, got {tuple(valid.shape)}.'
        )
    return spectra[:, valid.flatten()]


def _column_offsets(residual: Tensor, present: Tensor, shape: torch.Size) -> Tensor:
    """Estimate what all pixels of a column have in common beyond chance.

    Args:
        residual: Residuals of shape ``(C, N)`` in units of the noise.
        present: True for measurements, same shape.
        shape: Height and width of the image.

    Returns:
        Offsets of shape ``(C, N)``.
    """
    bands = len(residual)
    known = present.view(bands, *shape)
    number = known.sum(1)
    values = torch.where(known, residual.view(bands, *shape), torch.nan)
    offset = values.nanmedian(1).values.nan_to_num(0)
    error = 1.2533 / number.clamp_min(1).sqrt()
    # what the subspace does not hold makes columns differ as well
    usual = 1.4826 * (offset / error).abs().median(1, keepdim=True).values
    sure = (offset.abs() > _OFFSET * error * usual.clamp_min(1)) & (number >= _ROWS)
    offset = torch.where(sure, offset, 0)
    return offset.unsqueeze(1).expand(bands, *shape).reshape(bands, -1)


def _other_bands(known: int, got: int) -> BandMismatchError:
    return BandMismatchError(
        f'The method has seen a scene of {known} bands, got {got}. Give it images with '
        'the bands of that scene, or call forget() first.'
    )


@register_model
def robust_subspace(
    denoiser: str | list[str] | nn.Module = 'collaborative',
    weights: PathLike | None = None,
    rank: int | None = None,
    ensemble: bool = False,
) -> RobustSubspaceDenoiser:
    """Build :class:`RobustSubspaceDenoiser`.

    Args:
        denoiser: ``'collaborative'`` (:class:`CollaborativeFilter`), ``'wavelet'``
            (:class:`WaveletShrinkage`), ``'bm3d'`` (:class:`BM3D`), the name of a
            network such as ``'man_s'`` (:class:`EigenImageNetwork`), a list of these
            (:class:`MeanDenoiser`), or a module.
        weights: Weights of the network, if there is one by name.
        rank: Dimension of the subspace; found by default.
        ensemble: Whether a network sees the images in eight positions.

    Returns:
        The method.

    Raises:
        UnknownNameError: If neither a denoiser nor a network has this name.
        ValueError: If *weights* are given for something else than the name of a network.
    """
    return RobustSubspaceDenoiser(build_denoiser(denoiser, weights, ensemble), rank)
