# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""The matched filter: how much more of a gas there is above a pixel than elsewhere."""

import math
from typing import Any, Literal, NamedTuple, Self, get_args

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ...errors import BandMismatchError, EmptyDataError, UnitError
from ._background import GroupFilters, GroupMoments

#: How the background is found.
type Background = Literal['plain', 'trimmed', 'sparse']

#: Looks at the scene by default.
PASSES: dict[str, int] = {'plain': 1, 'trimmed': 5, 'sparse': 5}

#: Pixels that are worked on at once.
_CHUNK = 1 << 16

#: Largest absorption by 1 ppm m that is plausible; the strongest band of methane at
#: 3.3 um has less.
_MOST = 0.1


class GasRetrieval(NamedTuple):
    """What a matched filter finds.

    Args:
        enhancement: Column of gas above that of the background, in the unit of the
            filter (ppm m), shape ``(..., H, W)``; NaN where there is no data.
        error: Its standard error, likewise.
    """

    enhancement: Tensor
    error: Tensor

    @property
    def significance(self) -> Tensor:
        """Enhancement in standard errors, shape ``(..., H, W)``."""
        return self.enhancement / self.error


class MatchedFilter:
    r"""Column of a gas above the background, from the spectra of a scene alone.

    A thin column of gas changes the spectrum of a pixel by :math:`\alpha t` with
    :math:`t = -k \mu`, where :math:`\alpha` is the column, :math:`k` the absorption by
    one unit of it and :math:`\mu` the mean spectrum. With the covariance :math:`C` of
    the background the best linear estimate is

    .. math:: \hat\alpha = \frac{(x - \mu)^T C^{-1} t}{r\, t^T C^{-1} t}

    where :math:`r = k^T x / k^T \mu` is the brightness of the pixel (*albedo*): dark
    ground loses less light to the same column. It counts where the gas absorbs; the
    published :math:`x^T \mu / \mu^T \mu` is much the same in a narrow window, and wrong
    by a tenth for leaves where other bands help. Without albedo, :math:`r = 1`. Radiance
    and reflectance are the same for it, in any unit. Columns add up along the way of the
    light down and up, which *absorption* has to hold.

    Plumes are in the statistics, too, and hide themselves. ``'trimmed'`` measures the
    background again without the pixels that stand out, in either direction.
    ``'sparse'`` subtracts the gas that was found, and asks for a map that is positive
    and 0 nearly everywhere, by a penalty on columns whose weight is one over the column:
    what is below two standard errors becomes 0, and what is a little above is pulled
    down. The published algorithm reweights once for each look at the scene; here the
    fixed point of that, :math:`(\hat\alpha + \sqrt{\hat\alpha^2 - 4 \sigma^2}) / 2`, is
    taken at once.

    The error is that of a background which is as the statistics say, for one pixel.
    Real ground has pixels of its own kind (roofs, quarries, panels), which show larger
    values than any error says; look at the scene below an enhancement before believing
    it. The filter is linear: columns that take away more than a few percent of the
    light are underestimated.

    Groups with fewer pixels than twice the number of bands, or with a band that holds
    one number only, have no result.

    See a scene part by part (:meth:`observe`, then :meth:`settle`, for each of
    *passes*), or at once (:meth:`fit`), then call the filter.

    * https://doi.org/10.5194/amt-8-4383-2015 (the filter for methane)
    * https://doi.org/10.1109/TGRS.2020.2976888 (albedo, sparsity)

    Args:
        absorption: Absorption by one unit of gas in each band that is used, shape
            ``(K,)``, positive: ``-d ln(signal) / d column``, in 1 / (ppm m).
        background: ``'plain'``, ``'trimmed'`` or ``'sparse'``.
        albedo: Whether to correct for the brightness of pixels.
        passes: Looks at the scene; 1, or 5 for the other two kinds, by default. The more gas
            there is, the more looks it takes to get rid of it.
        groups: Number of groups of pixels with a background of their own, such as
            columns of the detector.
        shrinkage: Share of the residual variance of each band (what other bands do not
            explain) that is added to the covariance; bands / pixels by default.
        threshold: Standard errors from which on ``'trimmed'`` leaves pixels out.
        darkest: Brightness, as a share of the mean of all groups, below which there is no
            result.

    Raises:
        BandMismatchError: If *absorption* is no list of two or more numbers.
        UnitError: If no band absorbs, one is negative, or all of it is implausible.
        ValueError: If an option is out of range.

    Example:
        >>> import torch
        >>> rng = torch.Generator().manual_seed(0)
        >>> image = 1000 + 5 * torch.randn(4, 50, 50, generator=rng)
        >>> absorption = torch.tensor([0.0, 1e-5, 2e-5, 0.0])
        >>> image[:, 20, 20] *= torch.exp(-2000 * absorption)
        >>> found = MatchedFilter(absorption).fit(image)(image)
        >>> round(found.significance[20, 20].item())
        10
    """

    def __init__(
        self,
        absorption: ArrayLike | Tensor,
        *,
        background: Background = 'plain',
        albedo: bool = True,
        passes: int | None = None,
        groups: int = 1,
        shrinkage: float | None = None,
        threshold: float = 3.0,
        darkest: float = 0.1,
    ) -> None:
        """Initialize a new MatchedFilter instance; see the class for the arguments."""
        self.absorption = _check_absorption(absorption)
        _check(background, passes, groups, shrinkage, threshold, darkest)
        self.background, self.albedo = background, albedo
        #: Looks at the scene.
        self.passes = PASSES[background] if passes is None else passes
        self.groups, self.shrinkage = groups, shrinkage
        self.threshold, self.darkest = threshold, darkest
        self._moments = GroupMoments(groups)
        self._filters: GroupFilters | None = None

    @property
    def mean(self) -> Tensor:
        """Mean spectrum of each group, shape ``(G, K)``; NaN for those without filter.

        Raises:
            EmptyDataError: If nothing was observed and settled.
        """
        return self._settled().mean

    def observe(
        self, image: Tensor, valid: Tensor | None = None, groups: Tensor | None = None
    ) -> None:
        """Take a part of the scene into account.

        Args:
            image: Radiance or reflectance of shape ``(..., K, H, W)``.
            valid: True for pixels with data, shape ``(..., H, W)``; all by default.
                Numbers that are not finite never count, nor do pixels without light.
            groups: Group of each pixel, from 0, shape ``(..., H, W)``; negative for
                pixels without one.

        Raises:
            BandMismatchError: If a shape or a group does not fit.
        """
        spectra, number, _ = self._pixels(image, valid, groups)
        for part, own in _chunks(spectra, number):
            values = part.double()
            if self._filters is not None and self.background != 'plain':
                values, own = self._background_of(values, own)
            self._moments.add(values, own)

    def settle(self) -> None:
        """End a look at the scene: make the filters from what was observed.

        Raises:
            EmptyDataError: If there are too few pixels with data.
            BandMismatchError: If a band has the same number everywhere, in each group.
        """
        self._filters = GroupFilters.of(self._moments, self.absorption, self.shrinkage)
        self._moments = GroupMoments(self.groups)

    def fit(
        self, image: Tensor, valid: Tensor | None = None, groups: Tensor | None = None
    ) -> Self:
        """Look at a whole scene as often as needed.

        Args:
            image: See :meth:`observe`.
            valid: See :meth:`observe`.
            groups: See :meth:`observe`.

        Returns:
            The filter itself.

        Raises:
            BandMismatchError: If a shape, group or band does not fit.
            EmptyDataError: If there are too few pixels with data.
        """
        self._filters, self._moments = None, GroupMoments(self.groups)
        for _ in range(self.passes):
            self.observe(image, valid, groups)
            self.settle()
        return self

    def __call__(
        self, image: Tensor, valid: Tensor | None = None, groups: Tensor | None = None
    ) -> GasRetrieval:
        """Find the gas.

        Args:
            image: See :meth:`observe`.
            valid: See :meth:`observe`.
            groups: See :meth:`observe`.

        Returns:
            Enhancement and standard error, float32.

        Raises:
            BandMismatchError: If a shape or group does not fit.
            EmptyDataError: If nothing was observed and settled.
        """
        self._settled()
        spectra, number, counting = self._pixels(image, valid, groups)
        found = torch.full((2, counting.numel()), torch.nan, device=image.device)
        parts = [self._find(p.double(), g) for p, g in _chunks(spectra, number)]
        if parts:
            column, error, _ = (
                torch.cat(values) for values in zip(*parts, strict=True)
            )
            if self.background == 'sparse':
                column = _sparse(column, error)
            found[:, counting.flatten()] = torch.stack([column, error]).float()
        return GasRetrieval(*found.view(2, *counting.shape))

    def _settled(self) -> GroupFilters:
        if self._filters is None:
            raise EmptyDataError(
                'The matched filter has not seen a scene. Call fit(image), or '
                'observe(part) for each part and then settle().'
            )
        return self._filters

    def _background_of(
        self, spectra: Tensor, groups: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Take away what the last look found: pixels, or the gas in them."""
        column, error, brightness = self._find(spectra, groups)
        if self.background == 'sparse':
            gas = (brightness * _sparse(column, error)).nan_to_num(0.0)
            target = _of(self._settled().target, groups)
            # groups without a filter have no target either
            return spectra - (gas[:, None] * target).nan_to_num(0.0), groups
        # pixels without a result are not known to be gas
        kept = ~((column / error).abs() > self.threshold)
        return spectra[kept], None if groups is None else groups[kept]

    def _find(
        self, spectra: Tensor, groups: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return column, error and brightness of spectra, each of shape ``(N,)``."""
        filters = self._settled()
        # products of the filter with the mean, and its light, of each group
        base = (filters.weight * filters.mean).sum(-1)
        dark = filters.mean @ self.absorption
        if groups is None:
            column = spectra @ filters.weight[0] - base[0]
        else:
            column = torch.einsum('nk,nk->n', spectra, filters.weight[groups])
            column = column - base[groups]
        error = _of(filters.variance, groups).sqrt().expand_as(column)
        brightness = torch.ones_like(column)
        if self.albedo:
            light = spectra @ self.absorption
            bright = light > self.darkest * filters.light
            brightness = torch.where(bright, light / _of(dark, groups), torch.nan)
        # no error without a result
        return column / brightness, error / brightness, brightness

    def _pixels(
        self, image: Tensor, valid: Tensor | None, groups: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return spectra with data, shape ``(N, K)``, their groups, and where they are."""
        bands = len(self.absorption)
        if image.ndim < 3 or image.shape[-3] != bands:
            raise BandMismatchError(
                f'Expected an image of shape (..., {bands}, H, W), a band for each number '
                f'of absorption, got {tuple(image.shape)}.'
            )
        shape = (*image.shape[:-3], *image.shape[-2:])
        for name, mask in (('valid', valid), ('groups', groups)):
            if mask is not None and mask.shape != shape:
                raise BandMismatchError(
                    f'Expected {name} of shape {shape}, got {tuple(mask.shape)}.'
                )
        if (groups is None) != (self.groups == 1):
            raise BandMismatchError(
                f'Expected {"no groups" if self.groups == 1 else "groups of pixels"}, '
                f'because the filter has groups={self.groups}.'
            )
        if groups is not None and int(groups.max()) >= self.groups:
            raise BandMismatchError(
                f'Expected groups from 0 to {self.groups - 1}, got {int(groups.max())}.'
            )
        self._move(image.device)
        if not image.is_floating_point():
            image = image.float()
        # no light at all is no data, whatever the file says; both are faster than to ask
        # each number
        exact = torch.promote_types(image.dtype, torch.float32)
        counting = image.sum(-3, dtype=exact).isfinite() & (image.amax(-3) > 0)
        if valid is not None:
            counting = counting & valid.to(counting)
        if groups is not None:
            counting = counting & (groups >= 0)
        number = None if groups is None else groups[counting].long()
        return image.movedim(-3, -1)[counting], number, counting

    def _move(self, device: torch.device) -> None:
        """Bring the filter to where the image is."""
        self.absorption = self.absorption.to(device)
        if self._filters is not None and self._filters.mean.device != device:
            parts = vars(self._filters).values()
            self._filters = GroupFilters(*(part.to(device) for part in parts))


def _sparse(column: Tensor, error: Tensor) -> Tensor:
    """Return where reweighting ``a = max(column - error^2 / a, 0)`` ends."""
    inside = (column.square() - 4 * error.square()).clamp_min(0).sqrt()
    kept = (column + inside) / 2
    return torch.where(column < 2 * error, torch.zeros_like(column), kept)


def _of(values: Tensor, groups: Tensor | None) -> Tensor:
    """Take the numbers of the group of each pixel."""
    return values[:1] if groups is None else values[groups]


def _chunks(
    spectra: Tensor, groups: Tensor | None
) -> list[tuple[Tensor, Tensor | None]]:
    if not len(spectra):
        return []
    parts = torch.split(spectra, _CHUNK)
    if groups is None:
        return [(part, None) for part in parts]
    return list(zip(parts, torch.split(groups, _CHUNK), strict=True))


def _check_absorption(absorption: Any) -> Tensor:
    """Return the absorption as float64."""
    values = torch.as_tensor(absorption, dtype=torch.float64).detach().clone()
    if values.ndim != 1 or len(values) < 2:
        raise BandMismatchError(
            'Expected the absorption in each of two or more bands, got shape '
            f'{tuple(values.shape)}.'
        )
    if not values.isfinite().all() or (values < 0).any() or not values.any():
        raise UnitError(
            'Expected absorption of 0 and more, above 0 in at least one band, got '
            f'{values.min():g} to {values.max():g}. It is -d ln(signal) / d column; '
            'choose bands that see the gas.'
        )
    if values.max() > _MOST:
        raise UnitError(
            f'Expected absorption by 1 ppm m, below {_MOST:g}, got {values.max():g}. '
            'Divide that of a thicker column by the column.'
        )
    return values


def _check(
    background: str,
    passes: int | None,
    groups: int,
    shrinkage: float | None,
    threshold: float,
    darkest: float,
) -> None:
    kinds = get_args(Background.__value__)
    if background not in kinds:
        raise ValueError(
            f'Expected background as one of {", ".join(kinds)}, got {background!r}.'
        )
    if passes is not None and passes < 1:
        raise ValueError(f'Expected at least 1 pass, got {passes}.')
    if passes is not None and passes > 1 and background == 'plain':
        raise ValueError(
            'A plain background needs one pass. Choose trimmed or sparse for more.'
        )
    if groups < 1:
        raise ValueError(f'Expected at least 1 group, got {groups}.')
    numbers = {'shrinkage': shrinkage or 0.0, 'darkest': darkest}
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise ValueError(f'Expected {name} of 0 or more, got {value}.')
    if not 0 < threshold < math.inf:
        raise ValueError(f'Expected a positive threshold, got {threshold}.')
