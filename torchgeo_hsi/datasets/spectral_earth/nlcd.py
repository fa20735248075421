# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP-NLCD: land cover of the United States."""

from .downstream import SpectralEarthDownstream


class SpectralEarthNLCD(SpectralEarthDownstream, product='nlcd'):
    """EnMAP-NLCD: 13 500 patches with 15 land cover classes of the United States.

    Codes and colors are those of the National Land Cover Database. Code 12, perennial
    ice and snow, is not used.

    Sample, layout and splits: see :class:`SpectralEarthDownstream`.

    Images: EnMAP data licence of DLR. Labels: National Land
    Cover Database, USGS, public domain.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    * https://www.mrlc.gov

    Example:
        .. code-block:: python

            dataset = SpectralEarthNLCD('data', split='train', split_by='scene')
            sample = dataset[0]
            dataset.plot(sample)
    """
