# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""An adapter for the bands of any sensor: kernels that are functions of wavelength."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ..._precision import full_precision
from ._bands import BandConditioned
from .spectral_adapter import SpectralAdapter

#: FWHM in micrometres of bands of which it is not known.
USUAL_FWHM = 0.01

#: Standard deviation of a Gaussian with a FWHM of 1.
_SIGMA = 1 / math.sqrt(8 * math.log(2))

#: How far a band stands for its neighbourhood, relative to its wavelength: half of a gap
#: up to twice as wide is filled by the bands on both sides of it.
_REACH = 0.2

#: Closer bands (natural logarithm of the wavelength) are at the same place.
_SAME = 1e-6

#: Number of frequencies, and their longest and shortest period, in the natural logarithm
#: of the wavelength: 0.05 is 28 nm at 0.55 µm and 110 nm at 2.2 µm.
_FREQUENCIES = 16
_PERIODS = (4.0, 0.05)

#: Amplitudes fall with the frequency to this power: spectra of the Earth are smooth, so
#: the share of fast kernels in the features would be noise and errors of sampling.
_DECAY = 0.75


def band_weights(position: Tensor, width: Tensor) -> Tensor:
    """Compute quadrature weights of bands: how much of the spectrum each stands for.

    A band stands for half of the distance to its neighbours on both sides, as in the
    trapezoidal rule, but in a gap at most for 20 % of its wavelength, and behind the
    outermost ones only for what it sees itself. Bands at the same place share. The
    order of the bands does not matter, and detectors may overlap.

    Args:
        position: Natural logarithms of the centres, shape ``(..., C)``.
        width: FWHMs relative to the centres, same shape.

    Returns:
        Weights in the unit of *position*, same shape.

    Example:
        >>> import torch
        >>> centre, fwhm = torch.tensor([0.52, 0.5, 0.51]), torch.full((3,), 0.02)
        >>> (band_weights(centre.log(), fwhm / centre) * centre).numpy().round(4)
        array([0.015, 0.015, 0.01 ], dtype=float32)
    """
    distance = position.unsqueeze(-2) - position.unsqueeze(-1)
    above = distance.masked_fill(distance <= _SAME, torch.inf).amin(-1)
    below = distance.neg().masked_fill(distance >= -_SAME, torch.inf).amin(-1)
    sharing = (distance.abs() <= _SAME).sum(-1)
    half = width / 2

    def side(gap: Tensor) -> Tensor:
        inside = torch.minimum(gap / 2, half + _REACH)
        return torch.where(gap.isinf(), half, inside)

    return (side(above) + side(below)) / sharing


def fourier_features(position: Tensor, width: Tensor) -> Tensor:
    r"""Compute sines and cosines of wavelengths, averaged over the responses of bands.

    The average of :math:`\sin \omega u` over a Gaussian response with the standard
    deviation :math:`\sigma` is :math:`e^{-\omega^2 \sigma^2 / 2} \sin \omega u`: wide
    bands do not see fast changes.

    Args:
        position: Natural logarithms of the centres, shape ``(..., C)``.
        width: FWHMs relative to the centres, same shape.

    Returns:
        Features of shape ``(..., C, 32)`` with a mean square of about 1, less for wide
        bands.
    """
    steps = torch.linspace(
        0, 1, _FREQUENCIES, dtype=position.dtype, device=position.device
    )
    # powers of the ratio of the shortest period to the longest
    period = _PERIODS[0] * torch.exp(steps * math.log(_PERIODS[1] / _PERIODS[0]))
    amplitude = (period / _PERIODS[0]) ** _DECAY
    amplitude = amplitude * (2 / amplitude.square().mean()).sqrt()
    omega = 2 * math.pi / period
    phase = position.unsqueeze(-1) * omega
    fade = torch.exp(-0.5 * (width.unsqueeze(-1) * _SIGMA * omega).square())
    waves = torch.cat([phase.sin(), phase.cos()], dim=-1)
    return waves * torch.cat([fade * amplitude] * 2, dim=-1)


def kernel_maps(
    x: Tensor, kernels: Tensor, offset: Tensor, norm: nn.Module, mix: nn.Module
) -> Tensor:
    """Turn spectra into feature maps by kernels, one matrix product for all pixels.

    Args:
        x: Images of shape ``(B, C, H, W)``.
        kernels: What spectra are multiplied by, shape ``(128, C)`` or ``(B, 128, C)``.
        offset: What is added then, shape ``(128,)`` or ``(B, 128)``.
        norm: Normalization over the features of each pixel.
        mix: Pointwise layer behind it.

    Returns:
        Feature maps of shape ``(B, 128, H, W)``.
    """
    pixels = x.flatten(2).transpose(1, 2)
    # pixels first: no layer below has to copy its input, as long as the batch is
    # not folded into the rows of one matrix
    kernels = kernels.to(x.dtype).mT.expand(len(x), -1, -1)
    maps = torch.baddbmm(offset.to(x.dtype).unsqueeze(-2), pixels, kernels)
    maps = mix(norm(F.relu(maps, inplace=True)))
    maps = F.relu(maps, inplace=True)
    return maps.transpose(1, 2).view(len(x), -1, *x.shape[-2:])


class WavelengthAdapter(BandConditioned):
    r"""Spectral adapter for any set of bands: 128 feature maps of any sensor.

    As :class:`SpectralAdapter`, but it sees wavelengths, not positions. Each feature is
    an integral :math:`\int k(\lambda) s(\lambda) \, d \ln \lambda` over the spectrum *s*
    of a pixel, where the kernel *k* is a function that a small network computes from
    sines and cosines of the wavelength, averaged over the response of the band. The
    integral is a sum over the bands with weights by their spacing, so that another
    sampling of the same spectrum gives nearly the same features, in any order of the
    bands; one matrix product for all images. A nonlinearity, a normalization over the
    features of each pixel and a pointwise layer follow. Where a sensor has no bands the
    integral misses a part, as if the pixel had the mean of the data there.

    The weights depend neither on the number of bands nor on the sensor. Bands come with
    the call, from :func:`use_bands`, or are set here. Images should be standardized per
    band.

    The idea of weights that are computed from the wavelength is from:

    * https://arxiv.org/abs/2403.15356

    Example:
        >>> import torch
        >>> adapter = WavelengthAdapter()
        >>> red_green_blue = [0.665, 0.56, 0.49]
        >>> adapter(torch.rand(2, 3, 16, 16), red_green_blue).shape
        torch.Size([2, 128, 16, 16])
    """

    #: Fewest bands that the adapter takes.
    min_bands = 1
    #: Number of feature maps that come out.
    out_chans = SpectralAdapter.out_chans

    def __init__(
        self,
        in_chans: int | None = None,
        wavelength: ArrayLike | None = None,
        fwhm: ArrayLike | None = None,
        hidden: int = 128,
    ) -> None:
        """Initialize a new WavelengthAdapter instance.

        Args:
            in_chans: Number of bands of images that come without wavelengths. They are
                then taken for the usual bands of the sensor that has so many (EnMAP for
                202), if there is just one.
            wavelength: Centres in micrometres of the bands of such images, ``(C,)``.
            fwhm: Their full widths at half maximum in micrometres, shape ``(C,)``; 10 nm
                where they are not known.
            hidden: Width of the network that computes the kernels.

        Raises:
            BandMismatchError: If the numbers of bands differ.
            UnitError: If the values are no micrometres.
        """
        super().__init__()
        self.in_chans = in_chans
        self.set_default_bands(in_chans, wavelength, fwhm)
        features, maps = 2 * _FREQUENCIES, self.out_chans
        # linear in the averages, so exact for bands of any width
        self.series = nn.Linear(features, maps, bias=False)
        self.generator = nn.Sequential(
            nn.Linear(features, hidden),
            nn.GELU(),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            nn.Linear(hidden, maps, bias=False),
        )
        self.bias = nn.Parameter(torch.empty(maps))
        self.norm = nn.LayerNorm(maps)
        self.mix = nn.Linear(maps, maps)
        self._init_weights()

    def _init_weights(self) -> None:
        """Initialize so that features of standardized images are about 1, and differ."""
        layers = [m for m in self.generator if isinstance(m, nn.Linear)]
        for layer in layers:
            nn.init.normal_(layer.weight, std=math.sqrt(2 / layer.in_features))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        scale = 1 / math.sqrt(self.series.in_features)
        # kernels of the generator are much alike at first, those of the series are not
        nn.init.normal_(layers[-1].weight, std=0.25 * scale)
        nn.init.normal_(self.series.weight, std=scale)
        # with it the norm keeps how bright a pixel is, and a mean spectrum is no noise
        nn.init.normal_(self.bias, std=0.5)
        nn.init.kaiming_normal_(self.mix.weight, nonlinearity='relu')
        nn.init.zeros_(self.mix.bias)

    def kernels(self, wavelength: Tensor, fwhm: Tensor | None = None) -> Tensor:
        """Compute what the spectrum is multiplied by.

        Args:
            wavelength: Centres in micrometres, shape ``(..., C)``.
            fwhm: Full widths at half maximum in micrometres, same shape.

        Returns:
            Kernels times quadrature weights, shape ``(..., 128, C)``.
        """
        if fwhm is None:
            fwhm = torch.full_like(wavelength, USUAL_FWHM)
        position, width = wavelength.log(), fwhm / wavelength
        like = self.bias.dtype
        # phases need all digits, and this is small
        with full_precision(wavelength.device):
            waves = fourier_features(position, width).to(like)
            kernels = self.series(waves) + self.generator(waves)
            weights = band_weights(position, width).to(like)
            found: Tensor = (kernels * weights.unsqueeze(-1)).transpose(-1, -2)
        return found

    def forward(self, x: Tensor, wavelength: Any = None, fwhm: Any = None) -> Tensor:
        """Turn spectra into feature maps.

        Args:
            x: Images of shape ``(B, C, H, W)``.
            wavelength: Centres in micrometres, shape ``(C,)``, or ``(B, C)`` where
                images differ; by default those of :func:`use_bands`, else the default
                bands.
            fwhm: Full widths at half maximum in micrometres, same shape.

        Returns:
            Feature maps of shape ``(B, 128, H, W)``.

        Raises:
            BandMismatchError: If nobody knows the wavelengths, or there is another
                number of them.
            UnitError: If the values are no micrometres.
        """
        kernels = self.kernels(*self.bands_of(x, wavelength, fwhm))
        return kernel_maps(x, kernels, self.bias, self.norm, self.mix)

    def extra_repr(self) -> str:
        """Describe the bands of images that come without any."""
        centres = self.default_wavelength
        if centres is None:
            return 'no default bands'
        low, high = float(centres.min()) / 1e9, float(centres.max()) / 1e9
        return f'default of {len(centres)} bands, {low:g} to {high:g} µm'
