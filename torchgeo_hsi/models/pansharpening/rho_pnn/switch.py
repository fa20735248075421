# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""When the spatial loss of rho-PNN counts, and how much."""

from collections.abc import Callable

from .options import Control


class Switch:
    """The weight of the spatial loss, steered by the spectral one.

    As long as there is no :attr:`weight`, the spatial loss counts nothing. Then, with
    ``'switch'``, it counts from the moment when the spectral loss falls below the lower
    threshold until it exceeds the upper one. With ``'proportional'``, it counts the more,
    the lower the spectral loss is between them.

    Args:
        lower: Lower threshold.
        upper: Upper threshold.
        control: ``'switch'`` or ``'proportional'``.
        weight: Weight of the spatial loss, if it is known already.

    Example:
        >>> switch = Switch(0.585, 0.65, weight=2.0)
        >>> [switch.update(loss) for loss in (0.6, 0.58, 0.64, 0.66, 0.6)]
        [0.0, 2.0, 2.0, 0.0, 0.0]
    """

    def __init__(
        self,
        lower: float,
        upper: float,
        control: Control = 'switch',
        weight: float | None = None,
    ) -> None:
        """Initialize a new Switch instance; see the class for the arguments."""
        self.lower, self.upper, self.control = lower, upper, control
        self.weight = weight
        self.value = 0.0

    def is_reached(self, share: float) -> bool:
        """Tell whether the spectral loss is where the weight begins to matter.

        Args:
            share: The spectral loss as a fraction of that of the interpolated band.

        Returns:
            Whether it is below the lower threshold; with ``'proportional'``, which keeps
            it from getting there, below the upper one.
        """
        return share < (self.upper if self.control == 'proportional' else self.lower)

    def update(self, share: float) -> float:
        """Take a new value of the spectral loss into account.

        Args:
            share: The spectral loss as a fraction of that of the interpolated band.

        Returns:
            The weight of the spatial loss from now on.
        """
        if self.weight is None:
            return 0.0
        if self.control == 'proportional':
            room = (self.upper - share) / (self.upper - self.lower)
            self.value = self.weight * min(max(room, 0.0), 1.0)
        elif share < self.lower:
            self.value = self.weight
        elif share > self.upper:
            self.value = 0.0
        return self.value


def search_weight(
    first: float,
    tolerance: float,
    halvings: int,
    before: float,
    attempt: Callable[[float], float],
) -> float:
    """Find a weight of the spatial loss that the spectral one can bear.

    Args:
        first: First weight; it is halved until it fits.
        tolerance: Factor by which the spectral loss may grow.
        halvings: How often at most; the last weight is taken without an attempt.
        before: The spectral loss before.
        attempt: Makes two steps with a weight, undoes them, and returns the spectral loss
            behind them.

    Returns:
        The weight.

    Example:
        >>> search_weight(2.0, 1.007, 3, 0.5, lambda weight: 0.5 + 0.002 * weight)
        1.0
    """
    weight = first
    for _ in range(halvings):
        if attempt(weight) <= tolerance * before:
            break
        weight /= 2
    return weight
