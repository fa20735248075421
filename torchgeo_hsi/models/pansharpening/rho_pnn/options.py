# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""All numbers of rho-PNN."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

#: How the weight of the spatial loss follows from the spectral one.
Control = Literal['switch', 'proportional']

#: Which correlations with the PAN are good.
Sign = Literal['any', 'band']

#: Numbers that the convolutions are computed with.
Precision = Literal['float32', 'bfloat16', 'auto']


@dataclass(frozen=True)
class RhoPNNOptions:
    """Options of :class:`RhoPNN`.

    The defaults are those published for full resolution. Presets are :meth:`full`,
    :meth:`reduced` and :meth:`fast`. Sizes are those of the cube's pixels, so that they
    hold for any ratio. *Spectral loss* is the mean absolute difference of the result, as
    the cube's sensor would see it, and the cube; thresholds are fractions of that of the
    interpolated band.

    * https://doi.org/10.1109/TGRS.2025.3583877

    Args:
        upper: Fraction of the spectral loss above which the spatial loss is switched off
            (gamma).
        lower_share: Fraction of *upper* below which it is switched on (gamma_l).
        beta: Weight of the spatial loss, or the first one in the search for it.
        search: Whether each band searches its weight when the spectral loss is first
            below the lower threshold, as published. Else *beta* is the weight from the
            first iteration on.
        tolerance: Factor by which two steps may raise the spectral loss, or else the
            weight is halved (epsilon).
        halvings: How often at most.
        on_steps: Steps of a band with the spatial loss on (n_s); then the band is done.
            Steps with a part of its weight count as such a part.
        base_steps: Most steps of a band that is like the one before (N1).
        spread: How many more times *base_steps* there are for a band whose correlation
            with the one before is like those of the others (eta).
        lr: Learning rate of Adam.
        decay: Share that the mean of the weights keeps in a step.
        patches: Number of patches that the network is tuned on, the most different ones;
            all if None.
        patch: Rows and columns of a patch, in the cube's pixels.
        pretrain_epochs: Epochs on the first band before the tuning; all thresholds are
            those of the bands.
        pretrain_patch: Rows and columns of a patch in it.
        pretrain_batch: Patches of a step in it.
        pretrain_beta: Weight of the spatial loss in it.
        pretrain_lr: Learning rate in it; that of the bands if None.
        pretrain_steps: Most steps in it; as many as the epochs have if None.
        pretrain_on_steps: Steps in it with the spatial loss on, after which it ends; if
            None, it takes all epochs.
        kernel_size: Rows and columns of the blur in the spectral loss, odd; if None, 10
            of the cube's pixels and one (61 for a ratio of 6). Pixels of the cube whose
            blur would leave the patch do not count, but in patches that would have too
            few others.
        control: ``'switch'`` turns the spatial loss on and off, with hysteresis, as
            published. ``'proportional'`` raises its weight from 0 at the upper threshold
            to that of the search at the lower one.
        sign: ``'any'`` takes the size of the correlation with the PAN, as published: where
            the first band holds little but noise, the network may learn to be the
            opposite of the PAN, and hands that on from band to band. ``'band'`` asks for
            the sign that the interpolated band has.
        group: Most bands that share one network while they are tuned, on another part
            of the patches in each step. 1 as published: each band has its own. Groups
            take as long, and their results are closer to the cube.
        group_correlation: Least correlation with the band before in a group.
        precision: Numbers of the convolutions: ``'bfloat16'`` takes half the time on
            processors that know it; losses and weights are always float32. ``'auto'``
            takes it where the processor does, so that numbers differ a little between
            machines.

    Raises:
        ValueError: If an option is out of its range.

    Example:
        >>> options = RhoPNNOptions.reduced(lr=2e-5)
        >>> round(options.lower, 3), options.base_steps, options.lr
        (0.558, 20, 2e-05)
    """

    upper: float = 0.65
    lower_share: float = 0.9
    beta: float = 2.0
    search: bool = True
    tolerance: float = 1.007
    halvings: int = 3
    on_steps: int = 20
    base_steps: int = 80
    spread: float = 30.0
    lr: float = 1e-5
    decay: float = 0.95
    patches: int | None = 4
    patch: int = 50
    pretrain_epochs: int = 300
    pretrain_patch: int = 20
    pretrain_batch: int = 4
    pretrain_beta: float = 0.5
    pretrain_lr: float | None = None
    pretrain_steps: int | None = None
    pretrain_on_steps: int | None = None
    kernel_size: int | None = None
    control: Control = 'switch'
    sign: Sign = 'any'
    group: int = 1
    group_correlation: float = 0.99
    precision: Precision = 'float32'

    def __post_init__(self) -> None:
        """Check all options."""
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f'Expected {name} of {least} or more, got {value}.')
        for name in ('upper', 'lower_share', 'decay'):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(
                    f'Expected {name} between 0 and 1, got {getattr(self, name)}.'
                )
        for name in ('beta', 'lr', 'pretrain_lr'):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f'Expected a positive {name}, got {value}.')
        if self.kernel_size is not None and self.kernel_size % 2 == 0:
            raise ValueError(f'Expected an odd kernel_size, got {self.kernel_size}.')
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f'Expected {name} to be one of {", ".join(known)}, got '
                    f'{getattr(self, name)!r}.'
                )

    @property
    def lower(self) -> float:
        """Fraction of the spectral loss below which the spatial loss is switched on."""
        return self.upper * self.lower_share

    @classmethod
    def full(cls, **changes: Any) -> 'RhoPNNOptions':
        """Return what is published for images at full resolution (``FR``).

        Args:
            **changes: Options that are to be others.

        Returns:
            The options.

        Raises:
            ValueError: If there is no such option, or it is out of its range.
        """
        return _changed(cls(), changes)

    @classmethod
    def reduced(cls, **changes: Any) -> 'RhoPNNOptions':
        """Return what is published for images at reduced resolution (``RR``).

        Args:
            **changes: Options that are to be others.

        Returns:
            The options.

        Raises:
            ValueError: If there is no such option, or it is out of its range.
        """
        options = cls(
            upper=0.62,
            beta=1.0,
            tolerance=1.003,
            on_steps=5,
            base_steps=20,
            patches=None,
            pretrain_patch=15,
        )
        return _changed(options, changes)

    @classmethod
    def fast(cls, **changes: Any) -> 'RhoPNNOptions':
        """Return options for a result as good in far less time.

        The pre-training learns ten times as fast, and goes on until the spatial loss has
        been on often enough; after that, a band needs a few steps only, with a weight
        that follows the spectral loss instead of being searched and switched.

        Args:
            **changes: Options that are to be others.

        Returns:
            The options.

        Raises:
            ValueError: If there is no such option, or it is out of its range.
        """
        # a weight that follows the loss holds it just below the upper threshold
        options = cls(
            upper=0.55,
            beta=1.0,
            search=False,
            on_steps=5,
            base_steps=20,
            lr=2e-5,
            patch=30,
            pretrain_lr=1e-4,
            pretrain_on_steps=100,
            control='proportional',
            sign='band',
            precision='auto',
        )
        return _changed(options, changes)

    def kernel(self, ratio: int) -> int:
        """Return rows and columns of the blur for a ratio of pixel sizes.

        Args:
            ratio: Pixel size of the cube over that of the PAN.

        Returns:
            An odd number.
        """
        return self.kernel_size or 10 * ratio + 1


#: What may be chosen.
_CHOICES: dict[str, tuple[str, ...]] = {
    'control': get_args(Control),
    'precision': get_args(Precision),
    'sign': get_args(Sign),
}

#: The least that some options may be.
_LEAST = {
    'tolerance': 1,
    'halvings': 0,
    'on_steps': 1,
    'base_steps': 1,
    'spread': 0,
    'patches': 1,
    'patch': 1,
    'pretrain_epochs': 0,
    'pretrain_patch': 1,
    'pretrain_batch': 1,
    'pretrain_beta': 0,
    'pretrain_steps': 0,
    'pretrain_on_steps': 1,
    'kernel_size': 3,
    'group': 1,
    'group_correlation': -1,
}


def _changed(options: RhoPNNOptions, changes: dict[str, Any]) -> RhoPNNOptions:
    names = [field.name for field in fields(options)]
    unknown = sorted(set(changes) - set(names))
    if unknown:
        raise ValueError(
            f'rho-PNN has no option {", ".join(unknown)}. Its options are '
            f'{", ".join(names)}.'
        )
    return replace(options, **changes)
