# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP-BNETD: land cover of Côte d'Ivoire."""

from .downstream import SpectralEarthDownstream


class SpectralEarthBNETD(SpectralEarthDownstream, product='bnetd'):
    """EnMAP-BNETD: 2100 patches with 10 land cover classes of Côte d'Ivoire.

    Codes and colors are those of the land cover map of 2020 by BNETD-CIGN.

    Sample, layout and splits: see :class:`SpectralEarthDownstream`.

    Images: EnMAP data licence of DLR. Labels: BNETD-CIGN,
    CC-BY-4.0.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    * https://developers.google.com/earth-engine/datasets/catalog/BNETD_land_cover_v1

    Example:
        .. code-block:: python

            dataset = SpectralEarthBNETD('data', split='train', split_by='scene')
            sample = dataset[0]
            dataset.plot(sample)
    """
