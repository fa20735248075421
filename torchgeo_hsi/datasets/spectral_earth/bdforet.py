# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP-BDForêt: tree species of France."""

from .downstream import SpectralEarthDownstream


class SpectralEarthBDForet(SpectralEarthDownstream, product='bdforet'):
    """EnMAP-BDForêt: 2550 patches with 12 groups of tree species of France.

    The authors publish codes only; the names are those that another project gives to
    the same list. Colors are our own choice.

    Sample, layout and splits: see :class:`SpectralEarthDownstream`.

    Images: EnMAP data licence of DLR. Labels: BD Forêt v2, IGN,
    Licence Ouverte 2.0.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    * https://geoservices.ign.fr/bdforet

    Example:
        .. code-block:: python

            dataset = SpectralEarthBDForet('data', split='train', split_by='scene')
            sample = dataset[0]
            dataset.plot(sample)
    """
