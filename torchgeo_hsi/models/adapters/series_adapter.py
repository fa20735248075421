# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""An adapter for the bands of any sensor: spectra as series of fixed windows."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from ..._precision import full_precision
from ...errors import BandMismatchError, UnitError
from ...physics.series import Chebyshev
from ...physics.series._windows import Window, normal_equations
from ._bands import BandConditioned
from .spectral_adapter import SpectralAdapter
from .wavelength_adapter import USUAL_FWHM, band_weights, kernel_maps

#: Windows in micrometres between the bands of water vapour. Imaging spectrometers see
#: all of each, so that their coefficients can be compared: who sees more of a window
#: than others did in training gets other coefficients. EnMAP's usual bands set the ends.
WINDOWS = ((0.41, 1.29), (1.52, 1.74), (1.97, 2.45))

#: Number of coefficients of each of them: one for 14 nm, then for 18 and 20 nm.
TERMS = (64, 12, 24)

#: How far the series go on behind the windows, in micrometres.
_MARGIN = 0.02

#: Where there are no bands, spectra return to the mean of the data within this many
#: times the smoothness.
_RETURN = 20.0

#: Coefficients fall with their number; what the layer gets is about as large for all.
_GROWTH = 0.5


class SeriesAdapter(BandConditioned):
    r"""Spectral adapter for any set of bands: 128 feature maps of any sensor.

    As :class:`WavelengthAdapter`, it sees wavelengths, not positions; but what it sees
    of a spectrum are coefficients of Chebyshev series in fixed windows between the bands
    of water vapour, fitted to whatever bands there are by
    :class:`~torchgeo_hsi.physics.series.SpectrumSeries`' regularized least squares, with
    the widths of the bands taken into account. A pointwise layer, a nonlinearity, a
    normalization over the features of each pixel and another pointwise layer follow. The
    fit is linear, so it is one matrix product with the first layer for all pixels.

    The weights depend neither on the number of bands nor on the sensor. Bands come with
    the call, from :func:`use_bands`, or are set here. Bands outside of the windows are
    not used. In a window without bands the coefficients are 0, as if the pixel had the
    mean of the data there, and a learned offset says how much of each window is missing.
    Images should be standardized per band.

    Example:
        >>> import torch
        >>> adapter = SeriesAdapter()
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
        windows: Sequence[tuple[float, float]] = WINDOWS,
        terms: Sequence[int] = TERMS,
        smoothness: float = 0.01,
    ) -> None:
        """Initialize a new SeriesAdapter instance.

        Args:
            in_chans: Number of bands of images that come without wavelengths. They are
                then taken for the usual bands of the sensor that has so many (EnMAP for
                202), if there is just one.
            wavelength: Centres in micrometres of the bands of such images, ``(C,)``.
            fwhm: Their full widths at half maximum in micrometres, shape ``(C,)``; 10 nm
                where they are not known.
            windows: Lowest and highest wavelength of each window, in micrometres. Weights
                fit no other windows, and no other *terms*.
            terms: Number of coefficients of each window.
            smoothness: Length in micrometres below which features are suppressed; wide
                gaps between bands are bridged by smooth curves.

        Raises:
            BandMismatchError: If the numbers of bands, or of windows, differ.
            UnitError: If the values are no micrometres.
        """
        super().__init__()
        self.in_chans = in_chans
        self.set_default_bands(in_chans, wavelength, fwhm)
        self.windows = _check_windows(windows, terms)
        self.terms = [int(count) for count in terms]
        self.smoothness = float(smoothness)
        if not 0 < self.smoothness < 1:
            raise UnitError(
                'Expected a smoothness above 0 and less than 1, in micrometres, got '
                f'{smoothness}. Divide nanometres by 1000.'
            )
        count, maps = sum(self.terms), self.out_chans
        # what is missing of each window
        self.missing = nn.Linear(len(self.windows), maps, bias=False)
        self.coefficients = nn.Linear(count, maps)
        self.norm = nn.LayerNorm(maps)
        self.mix = nn.Linear(maps, maps)
        nn.init.zeros_(self.missing.weight)
        nn.init.normal_(self.coefficients.weight, std=1 / math.sqrt(count))
        # with it the norm keeps how bright a pixel is, and a mean spectrum is no noise
        nn.init.normal_(self.coefficients.bias, std=0.5)
        nn.init.kaiming_normal_(self.mix.weight, nonlinearity='relu')
        nn.init.zeros_(self.mix.bias)

    def fit_matrix(
        self, wavelength: Tensor, fwhm: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute the map from band values to coefficients.

        Matrices are kept, so the next call with the same bands costs nothing.

        Args:
            wavelength: Centres in micrometres, shape ``(..., C)``.
            fwhm: Full widths at half maximum in micrometres, same shape.

        Returns:
            Matrices of shape ``(..., terms, C)`` and the covered share of each window,
            0 to 1, ``(..., windows)``; both in the type of *wavelength*.
        """
        if fwhm is None:
            fwhm = torch.full_like(wavelength, USUAL_FWHM)
        spans = [limit for window in self.windows for limit in window]
        matrix, covered = _fit_series(
            wavelength, fwhm, spans, self.terms, self.smoothness
        )
        return matrix, covered

    def kernels(
        self, wavelength: Tensor, fwhm: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Compute what the spectrum is multiplied by, and what is added then.

        Args:
            wavelength: Centres in micrometres, shape ``(..., C)``.
            fwhm: Full widths at half maximum in micrometres, same shape.

        Returns:
            Kernels of shape ``(..., 128, C)``, and offsets of shape ``(..., 128)``.
        """
        matrix, covered = self.fit_matrix(wavelength, fwhm)
        like = self.mix.weight.dtype
        with full_precision(wavelength.device):
            kernels = self.coefficients.weight @ matrix.to(like)
            offset = self.missing((1 - covered).to(like)) + self.coefficients.bias
        return kernels, offset

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
        kernels, offset = self.kernels(*self.bands_of(x, wavelength, fwhm))
        return kernel_maps(x, kernels, offset, self.norm, self.mix)

    def extra_repr(self) -> str:
        """Describe the windows."""
        return ', '.join(
            f'{low:g} to {high:g} µm: {count} terms'
            for (low, high), count in zip(self.windows, self.terms, strict=True)
        )


@torch.library.custom_op(
    'torchgeo_hsi::fit_series',
    mutates_args=(),
    # torch 2.6 reads no annotations of collections.abc
    schema='(Tensor wavelength, Tensor fwhm, float[] spans, int[] terms, '
    'float smoothness) -> (Tensor, Tensor)',
)
def _fit_series(
    wavelength: Tensor,
    fwhm: Tensor,
    spans: Sequence[float],
    terms: Sequence[int],
    smoothness: float,
) -> tuple[Tensor, Tensor]:
    """Fit all windows, on the CPU; one operation for compilers, not thousands."""
    rows = [t.detach().cpu().double().contiguous() for t in (wavelength, fwhm)]
    first, second = (row.numpy().tobytes() for row in rows)
    shape = tuple(wavelength.shape)
    # whatever the default device is
    with torch.device('cpu'):
        matrix, covered = _fit(
            shape, first, second, tuple(spans), tuple(terms), smoothness
        )
    # what is kept must not be given away
    return matrix.to(wavelength, copy=True), covered.to(wavelength, copy=True)


@_fit_series.register_fake
def _(
    wavelength: Tensor,
    fwhm: Tensor,
    spans: Sequence[float],
    terms: Sequence[int],
    smoothness: float,
) -> tuple[Tensor, Tensor]:
    outer, count = wavelength.shape[:-1], wavelength.shape[-1]
    matrix = wavelength.new_empty(*outer, sum(terms), count)
    return matrix, wavelength.new_empty(*outer, len(terms))


@lru_cache(maxsize=64)
def _fit(
    shape: tuple[int, ...],
    wavelength: bytes,
    fwhm: bytes,
    spans: tuple[float, ...],
    terms: tuple[int, ...],
    smoothness: float,
) -> tuple[Tensor, Tensor]:
    """Fit all windows: matrices ``(..., terms, C)``, covered shares ``(..., windows)``.

    Bands count by the stretch of wavelengths that they stand for, so that the result
    depends little on the sampling.
    """
    centre, width = (
        torch.frombuffer(bytearray(part), dtype=torch.float64).reshape(shape)
        for part in (wavelength, fwhm)
    )
    stretch = band_weights(centre.log(), width / centre) * centre
    parts, shares = [], []
    for low, high, count in zip(spans[::2], spans[1::2], terms, strict=True):
        window = Window(low, high, count, Chebyshev(), _MARGIN)
        weights = stretch * window.contains(centre)
        penalty = smoothness**4 * window.roughness() + _RETURN**-4 * window.power()
        normal, right = normal_equations(window.basis(centre, width), weights, penalty)
        growth = (1 + torch.arange(count, dtype=torch.float64)) ** _GROWTH
        parts.append(growth[:, None] * torch.linalg.solve(normal, right))
        shares.append((weights.sum(-1) / (high - low)).clamp(max=1))
    return torch.cat(parts, dim=-2), torch.stack(shares, dim=-1)


def _check_windows(
    windows: Sequence[tuple[float, float]], terms: Sequence[int]
) -> list[tuple[float, float]]:
    """Refuse windows that are none.

    Raises:
        BandMismatchError: If there is not one number of terms for each.
        UnitError: If they are no stretches of micrometres.
    """
    if len(windows) != len(terms) or not len(windows):
        raise BandMismatchError(
            f'Expected one number of terms for each window, got {len(windows)} windows '
            f'and {len(terms)} numbers.'
        )
    for (low, high), count in zip(windows, terms, strict=True):
        if not 0 < low < high < 100 or count < 2:
            raise UnitError(
                'Expected windows from low to high in micrometres with 2 or more terms, '
                f'got {low:g} to {high:g} with {count}.'
            )
    return [(float(low), float(high)) for low, high in windows]
