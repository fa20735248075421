# Copyright (c) torchgeo-hsi contributors. All rights reserved.
# Licensed under the MIT License.

"""EnMAP-TreeMap: forest types of the United States."""

from .downstream import SpectralEarthDownstream


class SpectralEarthTreeMap(SpectralEarthDownstream, product='treemap'):
    """EnMAP-TreeMap: 10 000 patches with 24 forest types of the United States.

    Codes are forest types (FORTYPCD) of the Forest Inventory and Analysis; the order of
    the classes is not that of the codes. Colors are our own choice.

    Sample, layout and splits: see :class:`SpectralEarthDownstream`.

    Images: EnMAP data licence of DLR. Labels: TreeMap, USDA Forest
    Service, free to use.

    * https://doi.org/10.1109/JSTARS.2025.3581451
    * https://doi.org/10.2737/RDS-2021-0074

    Example:
        .. code-block:: python

            dataset = SpectralEarthTreeMap('data', split='train', split_by='scene')
            sample = dataset[0]
            dataset.plot(sample)
    """
