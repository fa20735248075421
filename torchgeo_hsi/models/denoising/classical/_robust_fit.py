# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A subspace that ignores outliers: weighted factorization of a sample of spectra."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ....physics.subspace import band_noise, signal_subspace, usual_noise
from ._spectral_scene import check_finite, check_noise_estimate

#: Residuals of so many standard deviations count a quarter.
_CUT = 6.0

#: A pixel all of whose weights are larger counts fully: nothing is beyond 4 deviations.
_PLAIN = 0.47

#: Steps of the factorization, and dimensions that are looked for at first.
_STEPS, _FIRST = 6, 8

#: Dimensions that are added at a time where these are not enough, and most of them.
_MORE, _MOST = 16, 64

#: Steps of the factorization after more were added.
_FEW_STEPS = 2

#: Dimensions that noise is given to find its strongest direction.
_EDGE = 3

# the noise of the bands is a little too low, for what the first fit explains of it
_MARGIN = 1.25

#: Numbers are at most so many standard deviations from the median at the start.
_TAME = 4.0

#: A value is suspicious if so many of the pixels of a band have it.
_REPEATED = 0.01

#: ... and so many times as many as have the values next to it.
_TIMES = 10

#: Bands among which a missing measurement has to be an exception.
_AROUND = 25

#: Values that are suspicious in one band, at most.
_VALUES = 4

# no band may decide alone on a direction: it would explain its own noise
_LEVERAGE = 0.5


class RobustSpace(NamedTuple):
    """Where the signal is.

    Args:
        basis: Orthonormal basis of whitened spectra, shape ``(C, K)``.
        power: Mean square of the coefficients, shape ``(K,)``.
        center: Mean of the coefficients, shape ``(K,)``.
        sigma: Standard deviation of the noise of the bands, shape ``(C,)``.
        repeated: Values that stand for no measurement, shape ``(C, V)``; NaN for none.
    """

    basis: Tensor
    power: Tensor
    center: Tensor
    sigma: Tensor
    repeated: Tensor

    def measured(self, spectra: Tensor) -> Tensor:
        """Tell which numbers of spectra ``(C, N)`` are measurements.

        Products clip dark water to 0 in most bands. That is what is known of it: only
        what is alone among its neighbors in the spectrum stands for no measurement.
        """
        same = (spectra.unsqueeze(1) == self.repeated.to(spectra).unsqueeze(2)).any(1)
        if not bool(same.any()):
            return ~same
        share = F.avg_pool1d(
            same.T.float(), _AROUND, 1, _AROUND // 2, count_include_pad=False
        )
        return ~same | (share.T > 0.5)


def find_repeated(spectra: Tensor) -> Tensor:
    """Find values that far more pixels have than others: dead, saturated, flipped.

    Args:
        spectra: Numbers of shape ``(C, N)``.

    Returns:
        Up to four values of each band, shape ``(C, 4)``; NaN for none.
    """
    found = spectra.new_full((len(spectra), _VALUES), torch.nan)
    for band, values in zip(found, spectra, strict=True):
        value, number = values.unique(return_counts=True)
        # a constant band is what it is
        if len(number) <= _VALUES:
            continue
        top = number.topk(_VALUES)
        usual = torch.maximum(number.double().median(), _beside(number)[top.indices])
        many = (top.values > _REPEATED * len(values)) & (top.values > _TIMES * usual)
        band[:] = torch.where(many, value[top.indices], torch.nan)
    return found


def _beside(number: Tensor) -> Tensor:
    """Return how often the values next to each one occur; whole numbers repeat, too."""
    ends = F.pad(number.double()[None, None], (2, 2), value=torch.nan)[0, 0]
    near = torch.stack([ends[:-4], ends[1:-3], ends[3:-1], ends[4:]])
    return near.nanmean(0)


def outlier_weights(residual: Tensor) -> Tensor:
    """Weigh residuals, in units of the noise (Geman and McClure)."""
    return 1 / (1 + (residual / _CUT).square()).square()


def solve_coefficients(space: RobustSpace, weight: Tensor, white: Tensor) -> Tensor:
    """Fit spectra by weighted least squares.

    Coefficients are expected to be as large as they usually are. That matters where so
    many measurements of a pixel are missing that it says nothing about a direction.

    Args:
        space: The subspace.
        weight: Weights of shape ``(C, N)``.
        white: Whitened spectra of shape ``(C, N)``.

    Returns:
        Coefficients of shape ``(K, N)``.
    """
    basis, prior = space.basis, 1 / space.power.clamp_min(1e-6)
    code = (basis.T @ white) / (1 + prior).unsqueeze(1)
    rest = ~_is_plain(weight)
    if bool(rest.any()):
        weight, white = weight[:, rest], white[:, rest]
        matrix = _normal(basis, weight.T) + torch.diag(prior)
        right = (weight * white).T @ basis
        code[:, rest] = torch.linalg.solve(matrix, right).T
    return code


def _is_plain(weight: Tensor) -> Tensor:
    """Tell which pixels have no outlier, shape ``(N,)``: they need no weights."""
    return (weight > _PLAIN).all(0)


def _solve_basis(code: Tensor, weight: Tensor, white: Tensor) -> Tensor:
    """Fit the basis ``(C, K)`` to coefficients ``(K, N)`` by weighted least squares."""
    plain = _is_plain(weight)
    shared = code[:, plain]
    matrix = (shared @ shared.T).expand(len(white), -1, -1)
    right = white[:, plain] @ shared.T
    if not bool(plain.all()):
        code, weight, white = code[:, ~plain], weight[:, ~plain], white[:, ~plain]
        matrix = matrix + _normal(code.T, weight)
        right = right + (weight * white) @ code.T
    eye = torch.eye(len(code), dtype=code.dtype, device=code.device)
    size = matrix.diagonal(dim1=1, dim2=2).mean().clamp_min(1e-12)
    basis: Tensor = torch.linalg.solve(matrix + 1e-8 * size * eye, right)
    return basis


def _normal(factor: Tensor, weight: Tensor) -> Tensor:
    """Compute weighted sums of the outer products of the rows of a factor.

    Args:
        factor: Rows of shape ``(N, K)``.
        weight: Weights of shape ``(M, N)``.

    Returns:
        Matrices of shape ``(M, K, K)``.
    """
    size = factor.shape[1]
    row, col = torch.triu_indices(size, size, device=factor.device)
    packed = weight @ (factor[:, row] * factor[:, col])
    matrix = packed.new_empty(len(packed), size, size)
    matrix[:, row, col] = packed
    matrix[:, col, row] = packed
    return matrix


def _balance(basis: Tensor, code: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Make a basis orthonormal, its directions in the order of their power."""
    basis, mix = torch.linalg.qr(basis)
    code = mix @ code
    power, turn = torch.linalg.eigh(code @ code.T / code.shape[1])
    power, turn = power.flip(0), turn.flip(1)
    return basis @ turn, turn.T @ code, power


def _factorize(
    spectra: Tensor,
    measured: Tensor,
    space: RobustSpace,
    known: bool,
    steps: int = _STEPS,
) -> RobustSpace:
    """Improve a subspace, and the noise unless it is known."""
    basis, power, sigma = space.basis, space.power, space.sigma
    present = measured.double()
    weight = present
    for _ in range(steps):
        white = spectra / sigma.unsqueeze(1)
        code = solve_coefficients(space, weight, white)
        basis, code, power = _balance(_solve_basis(code, weight, white), code)
        residual = white - basis @ code
        weight = present * outlier_weights(residual)
        if not known:
            factor = _noise_factor(residual, measured, basis)
            better = usual_noise(sigma * factor)
            basis = torch.linalg.qr(basis * (sigma / better).unsqueeze(1)).Q
            sigma = better
        space = space._replace(basis=basis, power=power, sigma=sigma)
    return space


def _noise_factor(residual: Tensor, measured: Tensor, basis: Tensor) -> Tensor:
    """Compute by what the noise of bands has been under- or overestimated."""
    spread = torch.where(measured, residual.abs(), torch.nan)
    middle = 1.4826 * spread.nanmedian(1).values.nan_to_num(1)
    leverage = basis.square().sum(1)
    factor = middle / (1 - leverage.clamp_max(0.8)).sqrt()
    factor = factor.clamp_min(1e-3)
    # what a band explains of itself alone says nothing about its noise
    limit = _LEVERAGE + (1 - _LEVERAGE) * basis.shape[1] / basis.shape[0]
    return factor * (leverage / factor.square() / limit).sqrt().clamp_min(1)


def fit_space(
    spectra: Tensor, rank: int | None = None, sigma: Tensor | None = None
) -> RobustSpace:
    """Find the subspace and the noise of spectra with outliers.

    The dimension is the number of directions that are stronger than the strongest one
    that is found, in the same way, in noise with the same gaps.

    Args:
        spectra: Spectra of shape ``(C, N)``, in float64.
        rank: Dimension of the subspace; found by default.
        sigma: Standard deviation of the noise of shape ``(C,)``; estimated by default.

    Returns:
        The subspace.
    """
    bands, number = spectra.shape
    check_finite(spectra)
    if sigma is None:
        check_noise_estimate(bands)
    repeated = find_repeated(spectra.detach())
    empty = spectra.new_empty(0)
    space = RobustSpace(empty, empty, empty, empty, repeated)
    measured = space.measured(spectra)
    filled = _tamed(spectra, measured)
    matrix = filled @ filled.T / number
    known = sigma is not None
    noise = sigma if sigma is not None else band_noise(matrix, number)
    first = min(rank or _FIRST, bands, number)
    start = signal_subspace(matrix, noise, number, first)
    space = RobustSpace(start.basis, start.power, empty, noise, repeated)
    space = _factorize(spectra, measured, space, known)
    if rank is None and first > 1:
        rng = torch.Generator().manual_seed(0)
        random = torch.randn(bands, number, generator=rng, dtype=spectra.dtype)
        random = random.to(spectra.device) * space.sigma.unsqueeze(1)
        edge = _factorize(random, measured, _cut(space, _EDGE), True).power[0]
        if bool((space.power > _MARGIN * edge).all()):
            space = _grown(spectra, measured, space, known)
        rank = int((space.power > _MARGIN * edge).sum())
        space = _factorize(spectra, measured, _cut(space, max(rank, 1)), known)
    white = filled / space.sigma.unsqueeze(1)
    return space._replace(center=(space.basis.T @ white).mean(1))


def _grown(
    spectra: Tensor, measured: Tensor, space: RobustSpace, known: bool
) -> RobustSpace:
    """Add directions to a subspace until what it leaves has none in common."""
    bands, number = spectra.shape
    most = min(_MOST, bands // 2, number // 4)
    while space.basis.shape[1] < most:
        more = _missing(spectra, measured, space)[:, : most - space.basis.shape[1]]
        if not more.shape[1]:
            break
        basis = torch.linalg.qr(torch.cat([space.basis, more], 1)).Q
        power = torch.cat([space.power, space.power.new_ones(more.shape[1])])
        space = space._replace(basis=basis, power=power)
        space = _factorize(spectra, measured, space, known, _FEW_STEPS)
    return space


def _missing(spectra: Tensor, measured: Tensor, space: RobustSpace) -> Tensor:
    """Find directions that several bands of the residuals have in common."""
    white = spectra / space.sigma.unsqueeze(1)
    code = solve_coefficients(space, measured.double(), white)
    residual = white - space.basis @ code
    residual = residual * measured * outlier_weights(residual).sqrt()
    matrix = residual @ residual.T / residual.shape[1]
    power, basis = torch.linalg.eigh(matrix / matrix.diagonal().mean())
    edge = (1 + (len(white) / white.shape[1]) ** 0.5) ** 2
    # one band alone is not the signal
    shared = basis.square().amax(0) < _LEVERAGE
    found: Tensor = basis[:, (power > _MARGIN * edge) & shared]
    return found.flip(1)[:, :_MORE]


def _tamed(spectra: Tensor, measured: Tensor) -> Tensor:
    """Fill gaps of spectra with the median of the band, and limit what is far from it."""
    known = torch.where(measured, spectra, torch.nan)
    middle = known.nanmedian(1, keepdim=True).values.nan_to_num(0)
    spread = (known - middle).abs().nanmedian(1, keepdim=True).values.nan_to_num(0)
    limit = _TAME * 1.4826 * spread
    filled = torch.where(measured, spectra, middle)
    return filled.clamp(middle - limit, middle + limit)


def _cut(space: RobustSpace, rank: int) -> RobustSpace:
    return space._replace(basis=space.basis[:, :rank], power=space.power[:rank])
