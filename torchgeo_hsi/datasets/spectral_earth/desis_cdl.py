# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""DESIS-CDL: crops of the United States, seen by DESIS."""

from .downstream import SpectralEarthDownstream


class DESISCDL(
    SpectralEarthDownstream, product='cdl', sensor='desis', table='desis_cdl'
):
    """DESIS-CDL: 1000 patches of 235 DESIS bands with 14 crops of the United States.

    Codes and colors are those of the Cropland Data Layer; the classes are not those of
    :class:`SpectralEarthCDL`.

    Sample, layout and splits: see :class:`SpectralEarthDownstream`.

    Images: DESIS, DLR. Labels: Cropland Data Layer, USDA NASS,
    public domain.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    * https://www.nass.usda.gov/Research_and_Science/Cropland/

    Example:
        .. code-block:: python

            dataset = DESISCDL('data', split='train', split_by='scene')
            sample = dataset[0]
            dataset.plot(sample)
    """
