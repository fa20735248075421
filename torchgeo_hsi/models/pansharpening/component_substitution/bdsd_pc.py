# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Band-dependent spatial details with physical constraints."""

import torch
from torch import Tensor

from ....physics.resampling.interpolate import Edge, Method
from ...api import register_model
from .._regression import solve_nonnegative
from .bdsd import BDSD


class BDSDPC(BDSD):
    """Details that the panchromatic image adds and the bands take away.

    As :class:`BDSD`, but no weight of the PAN is negative and none of a band positive.
    Most weights come out as 0, so it is fit for hundreds of bands, too.
    https://doi.org/10.1109/TGRS.2019.2906073

    Example:
        >>> BDSDPC()(torch.rand(1, 5, 8, 8), torch.rand(1, 1, 48, 48)).shape
        torch.Size([1, 5, 48, 48])
    """

    def fit(self, matrix: Tensor, right: Tensor) -> Tensor:
        """Solve for the weights with the constraints.

        Args:
            matrix: Equations for the weights of PAN and bands, shape ``(B, N, C + 1)``.
            right: What they are to come to for each band, shape ``(B, N, C)``.

        Returns:
            Solutions of shape ``(B, C + 1, C)``.
        """
        sign = -torch.ones_like(matrix[:1, :1])
        sign[..., 0] = 1
        return sign.mT * solve_nonnegative(matrix * sign, right)


@register_model
def bdsd_pc(
    gain: float = 0.3,
    pan_gain: float = 0.2,
    interpolation: Method = 'ideal',
    boundary: Edge = 'symmetric',
) -> BDSDPC:
    """Build :class:`BDSDPC`.

    Args:
        gain: Gain of the cube's sensor at its Nyquist frequency, 0 to 1.
        pan_gain: The same of the panchromatic sensor, whose image is reduced, too.
        interpolation: ``'ideal'`` or ``'bicubic'``, see
            :func:`~torchgeo_hsi.physics.resampling.interpolate`.
        boundary: ``'symmetric'``, or ``'circular'`` as published.

    Returns:
        The method.
    """
    return BDSDPC(
        gain=gain, pan_gain=pan_gain, interpolation=interpolation, boundary=boundary
    )
