# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""What is shown of each file in ``benchmarks/results``, by the page that shows it.

Words are written here; numbers are places in the file, such as ``infer/ms/fast:.0f``. A
file without an entry is shown as it is.
"""

from . import land_cover, networks, physics, reading, restoration, robustness
from .shown import Shown

SHOWN: dict[str, Shown] = {
    **reading.SHOWN,
    **networks.SHOWN,
    **restoration.SHOWN,
    **land_cover.SHOWN,
    **physics.SHOWN,
    **robustness.SHOWN,
}
