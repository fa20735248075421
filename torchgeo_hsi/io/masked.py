# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""A window of a cube with masks that are the same for all bands."""

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from .._typing import BoolArray


@dataclass(frozen=True)
class MaskedCube:
    """A window of a cube, with masks that do not take memory for every band.

    Args:
        values: Numbers of shape ``(C, H, W)``, 0 where a band has no data.
        every: True where every band has data, shape ``(H, W)``.
        some: True where any band has data, shape ``(H, W)``.
        filled: Whether a band has data anywhere, shape ``(C,)``.
    """

    values: NDArray[Any]
    every: BoolArray
    some: BoolArray
    filled: BoolArray
