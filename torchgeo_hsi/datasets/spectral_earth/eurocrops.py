# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP-EuroCrops: crops of Europe."""

from .downstream import SpectralEarthDownstream


class SpectralEarthEuroCrops(SpectralEarthDownstream, product='eurocrops'):
    """EnMAP-EuroCrops: 1800 patches with 15 crops of Europe.

    Codes are those of HCAT3, which do not fit into int32: label rasters are read as
    they are stored. Colors are our own choice.

    Sample, layout and splits: see :class:`SpectralEarthDownstream`.

    Images: EnMAP data licence of DLR. Labels: EuroCrops,
    CC-BY-SA-4.0.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    * https://doi.org/10.1038/s41597-023-02517-0

    Example:
        .. code-block:: python

            dataset = SpectralEarthEuroCrops('data', split='train', split_by='scene')
            sample = dataset[0]
            dataset.plot(sample)
    """
