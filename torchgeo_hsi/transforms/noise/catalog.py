# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Noises by name, with the levels of the literature."""

import inspect
import re
from collections.abc import Callable
from typing import Any

from ..._registry import Registry
from ...physics.noise import NoiseCurve
from ...physics.noise.draw import Level, Source
from .band_gaussian import LEVELS, BandGaussianNoise
from .base import NoiseTransform
from .choice import NoiseChoice
from .correlated import CorrelatedNoise
from .deadline import DeadlineNoise
from .gaussian import GaussianNoise
from .impulse import ImpulseNoise
from .mixture import MixtureNoise
from .pushbroom import PushbroomStriping
from .sensor import SensorNoise
from .sequence import NoiseSequence
from .stripe import StripeNoise

_NOISES: Registry[Callable[..., NoiseTransform]] = Registry('noise')

_LEVEL = re.compile(r'gaussian_(\d+(?:\.\d+)?)')


def get_noise(name: str, **options: Any) -> NoiseTransform:
    """Make a noise by its name.

    ===================  ==============================================================
    ``gaussian_30``      Gaussian of one level; 50, 70, or any other number
    ``gaussian_blind``   one level for each image, from 10 to 70
    ``gaussian_levels``  10, 30, 50, 70 in turn, or at random with ``cyclic=False``
    ``non_iid``          one of these levels for each band
    ``impulse``          ``non_iid``, and salt and pepper in a third of the bands
    ``stripe``           ``non_iid``, and stripes in a third of the bands
    ``deadline``         ``non_iid``, and dead columns in a third of the bands
    ``complex``          these four in turn, or at random with ``cyclic=False``
    ``mixture``          ``non_iid``, and all three, in a third of the bands each
    ``t3sc_constant``    Gaussian of level 25, or of another ``sigma``
    ``t3sc_uniform_15``  a level from 0 to 15 for each band; also 55, 95
    ``t3sc_correlated``  a bell curve of levels
    ``t3sc_stripes``     Gaussian of level 25, and stripes in 33 % of the bands
    ``sensor``           as EnMAP: signal-dependent noise, striping, dead elements
    ===================  ==============================================================

    The names without a prefix are those of QRNN3D
    (https://doi.org/10.1109/TNNLS.2020.2978756), HSDT, MAN and SERT, the others those
    of T3SC (https://arxiv.org/abs/2111.09708) and SSUMamba.

    Args:
        name: One of :func:`list_noises`, or ``gaussian_`` and a level.
        **options: Options of the noise: ``clip``, ``peak`` and ``generator`` for all of
            them, ``sigma`` for those with Gaussian noise.

    Returns:
        A transform of samples and batches.

    Raises:
        UnknownNameError: If no noise has this name.
        TypeError: If the noise has no such option.

    Example:
        >>> get_noise('gaussian_25')
        GaussianNoise(clip=False, peak=1.0, sigma=25.0, cyclic=False)
    """
    level = _LEVEL.fullmatch(name)
    if level and name not in _NOISES:
        return get_noise('gaussian_30', **{'sigma': float(level[1]), **options})
    build = _NOISES.get(name)
    known = inspect.signature(build).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise TypeError(
            f'The noise {name!r} has no option {", ".join(unknown)}. It has '
            f'{", ".join(known)}.'
        )
    return build(**options)


def list_noises(pattern: str = '*') -> list[str]:
    """List the names of noises.

    Args:
        pattern: Shell-style wildcard that the names have to match.

    Returns:
        The names, sorted.

    Example:
        >>> list_noises('gaussian_*')
        ['gaussian_30', 'gaussian_50', 'gaussian_70', 'gaussian_blind', 'gaussian_levels']
    """
    return _NOISES.list(pattern)


def _gaussian(level: Level) -> Callable[..., NoiseTransform]:
    def build(
        sigma: Level = level,
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> NoiseTransform:
        return GaussianNoise(sigma, clip=clip, peak=peak, generator=generator)

    return build


def _uniform(highest: float) -> Callable[..., NoiseTransform]:
    def build(
        sigma: Level = (0.0, highest),
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> NoiseTransform:
        return BandGaussianNoise(sigma, clip=clip, peak=peak, generator=generator)

    return build


def _levels(
    sigma: list[float] = list(LEVELS),  # noqa: B006
    cyclic: bool = True,
    clip: bool = False,
    peak: float = 1.0,
    generator: Source = None,
) -> NoiseTransform:
    return GaussianNoise(sigma, cyclic, clip=clip, peak=peak, generator=generator)


def _with_bands(other: type[NoiseTransform]) -> Callable[..., NoiseTransform]:
    def build(
        sigma: Level = list(LEVELS),  # noqa: B006
        clip: bool = False,
        peak: float = 1.0,
        generator: Source = None,
    ) -> NoiseTransform:
        noises = [BandGaussianNoise(sigma, peak=peak), other(peak=peak)]
        return NoiseSequence(noises, clip=clip, generator=generator)

    return build


def _complex(
    sigma: Level = list(LEVELS),  # noqa: B006
    cyclic: bool = True,
    clip: bool = False,
    peak: float = 1.0,
    generator: Source = None,
) -> NoiseTransform:
    names = ('non_iid', 'impulse', 'stripe', 'deadline')
    cases = [get_noise(name, sigma=sigma, peak=peak) for name in names]
    return NoiseChoice(cases, cyclic, clip=clip, generator=generator)


def _t3sc_stripes(
    sigma: Level = 25.0, clip: bool = False, peak: float = 1.0, generator: Source = None
) -> NoiseTransform:
    noises = [GaussianNoise(sigma, peak=peak), StripeNoise(0.33, peak=peak)]
    return NoiseSequence(noises, clip=clip, generator=generator)


def _sensor(
    curve: NoiseCurve | str = 'enmap',
    level: Level = (0.5, 4.0),
    reflectance: float | None = None,
    clip: bool = False,
    peak: float = 1.0,
    generator: Source = None,
) -> NoiseTransform:
    # products are on a map, turned by the track of the satellite
    angle = (-15.0, 15.0)
    grain = SensorNoise(curve, level, reflectance, angle, peak=peak)
    stripes = PushbroomStriping(
        gain=(0.0, 0.005),
        offset_of_noise=(0.0, 0.7),
        dead=(0.0, 0.002),
        angle=angle,
        peak=peak,
    )
    return NoiseSequence([grain, stripes], clip=clip, generator=generator)


_BUILDERS: dict[str, Callable[..., NoiseTransform]] = {
    'gaussian_30': _gaussian(30.0),
    'gaussian_50': _gaussian(50.0),
    'gaussian_70': _gaussian(70.0),
    'gaussian_blind': _gaussian((10.0, 70.0)),
    'gaussian_levels': _levels,
    'non_iid': BandGaussianNoise,
    'impulse': _with_bands(ImpulseNoise),
    'stripe': _with_bands(StripeNoise),
    'deadline': _with_bands(DeadlineNoise),
    'complex': _complex,
    'mixture': MixtureNoise,
    't3sc_constant': _gaussian(25.0),
    't3sc_uniform_15': _uniform(15.0),
    't3sc_uniform_55': _uniform(55.0),
    't3sc_uniform_95': _uniform(95.0),
    't3sc_correlated': CorrelatedNoise,
    't3sc_stripes': _t3sc_stripes,
    'sensor': _sensor,
}
for _name, _builder in _BUILDERS.items():
    _NOISES.add(_name, _builder, owner=__name__)
