# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EO1-CDL: crops of the United States, seen by EO-1 Hyperion."""

from .downstream import SpectralEarthDownstream


class EO1CDL(SpectralEarthDownstream, product='cdl', sensor='eo1', table='eo1_cdl'):
    """EO1-CDL: 550 patches of 198 Hyperion bands with 14 crops of the United States.

    The bands are the calibrated ones, B8 to B57 and B77 to B224, in this order. Codes
    and colors are those of the Cropland Data Layer; the classes are not those of
    :class:`SpectralEarthCDL`. What the numbers of the images mean is not
    published.

    Sample, layout and splits: see :class:`SpectralEarthDownstream`.

    Images: EO-1, USGS, public domain. Labels: Cropland Data Layer, USDA NASS,
    public domain.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    * https://www.nass.usda.gov/Research_and_Science/Cropland/

    Example:
        .. code-block:: python

            dataset = EO1CDL('data', split='train', split_by='scene')
            sample = dataset[0]
            dataset.plot(sample)
    """
