# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP-CDL: crops of the United States."""

from .downstream import SpectralEarthDownstream


class SpectralEarthCDL(SpectralEarthDownstream, product='cdl'):
    """EnMAP-CDL: 1600 patches with 14 crops of the United States.

    Codes and colors are those of the Cropland Data Layer.

    Sample, layout and splits: see :class:`SpectralEarthDownstream`.

    Images: EnMAP data licence of DLR. Labels: Cropland Data
    Layer, USDA NASS, public domain.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    * https://www.nass.usda.gov/Research_and_Science/Cropland/

    Example:
        .. code-block:: python

            dataset = SpectralEarthCDL('data', split='train', split_by='scene')
            sample = dataset[0]
            dataset.plot(sample)
    """
