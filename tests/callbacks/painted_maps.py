# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""Maps, and pictures that were drawn."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from torchgeo_hsi.datasets.plotting import NODATA_GRAY

GRAY = np.array(to_rgb(NODATA_GRAY))


def pictures(fig: Figure) -> list[np.ndarray]:
    return [np.asarray(ax.images[0].get_array()) for ax in fig.axes]
