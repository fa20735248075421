# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is shown of a file of results."""

from typing import NamedTuple

from results import Table


class Shown(NamedTuple):
    """What is shown of a file.

    Args:
        baseline: What it is compared with.
        headline: One line with the ratio or score that counts.
        tables: All else.
    """

    baseline: str
    headline: str
    tables: tuple[Table, ...]
