# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Refuse networks that have no layers or channels."""


def check_positive(**numbers: object) -> None:
    """Check numbers of layers, channels and the like.

    Args:
        **numbers: The numbers by their names.

    Raises:
        ValueError: If one is no whole number from 1.
    """
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise ValueError(f'Expected a whole {name} from 1, got {number!r}.')
